//! The native stack that guests run on: one of their own, so that its size is the engine's to
//! choose whatever thread a tasklet runs on.

// NB: the condition is that of Cargo.toml's dependencies.
#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "x86",
    all(not(windows), any(target_arch = "aarch64", target_arch = "riscv64")),
)))]
mod fresh;
#[cfg(any(
    target_arch = "x86_64",
    target_arch = "x86",
    all(not(windows), any(target_arch = "aarch64", target_arch = "riscv64")),
))]
mod kept;

#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "x86",
    all(not(windows), any(target_arch = "aarch64", target_arch = "riscv64")),
)))]
use fresh::on;
#[cfg(any(
    target_arch = "x86_64",
    target_arch = "x86",
    all(not(windows), any(target_arch = "aarch64", target_arch = "riscv64")),
))]
use kept::on;

use crate::error::Error;

/// What host imports have beyond the guest's part.
const HOST_BYTES: usize = 2 << 20;

/// Calls `run` on a stack with so many bytes for wasm code.
///
/// # Errors
/// [`Error::HostFailed`] when the host has no address space left for it.
pub(crate) fn with_stack<R>(
    wasm_bytes: usize,
    run: impl FnOnce() -> Result<R, Error>,
) -> Result<R, Error> {
    on(wasm_bytes.saturating_add(HOST_BYTES), run)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uses one kilobyte of stack per level, or two, as it is optimised.
    fn deep(levels: u64) -> u64 {
        let page = std::hint::black_box([levels; 128]);
        if levels == 0 { 0 } else { 1 + deep(levels - 1) + page[7] - levels }
    }

    #[test]
    fn it_is_as_large_as_asked_for_on_any_thread_and_nests() {
        let thread = std::thread::Builder::new().stack_size(128 << 10);
        let work = || {
            let outer = with_stack(64 << 20, || {
                let inner = with_stack(16 << 20, || Ok(deep(5_000)))?;
                Ok((inner, deep(20_000)))
            });
            assert_eq!(outer.unwrap(), (5_000, 20_000));
            assert_eq!(with_stack(128 << 20, || Ok(deep(40_000))).unwrap(), 40_000);
        };
        thread.spawn(work).unwrap().join().unwrap();
    }

    #[test]
    fn panics_and_refusals_come_through() {
        let caught = std::panic::catch_unwind(|| with_stack::<()>(1 << 20, || panic!("inside")));
        assert!(caught.is_err());
        let error = with_stack(usize::MAX >> 1, || Ok(())).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::HostFailed);
    }
}
