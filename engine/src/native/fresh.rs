//! A stack for this run alone, by stacker, which knows more CPUs; it costs a few system calls.

use crate::error::Error;

/// More is refused: stacker panics where the system has no address space left, and does not ask.
const BYTES_MAX: usize = 1 << 38;

pub(super) fn on<R>(bytes: usize, run: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
    if bytes > BYTES_MAX {
        let what = format!("no native stack of {bytes} bytes, at most {BYTES_MAX}");
        return Err(Error::host_failed(what));
    }
    stacker::grow(bytes, run)
}
