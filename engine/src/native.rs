//! The native stack that guests run on: one of their own, so that its size is the engine's to
//! choose whatever thread a tasklet runs on.

use std::cell::Cell;

use corosensei::on_stack;
use corosensei::stack::{DefaultStack, Stack};

use crate::error::Error;

/// What host imports have beyond the guest's part.
const HOST_BYTES: usize = 2 << 20;

thread_local! {
    /// The stack of the last run on this thread. It is address space that becomes memory only as
    /// deep as it was ever used; making one anew would cost more than a short run.
    static LAST: Cell<Option<DefaultStack>> = const { Cell::new(None) };
}

/// Calls `run` on a stack with so many bytes for wasm code.
///
/// # Errors
/// [`Error::Limit`] when the host has no address space left for it.
pub(crate) fn with_stack<R>(
    wasm_bytes: usize,
    run: impl FnOnce() -> Result<R, Error>,
) -> Result<R, Error> {
    let bytes = wasm_bytes.saturating_add(HOST_BYTES);
    // An import may run another tasklet in here: that one finds none and makes its own.
    let last = LAST.take().filter(|stack| stack.base().get() - stack.limit().get() >= bytes);
    let mut stack = match last {
        Some(stack) => stack,
        None => DefaultStack::new(bytes)
            .map_err(|error| Error::limit(format!("a native stack of {bytes} bytes: {error}")))?,
    };
    let result = on_stack(&mut stack, run);
    LAST.set(Some(stack));
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uses about a kilobyte of stack per level.
    fn deep(levels: u64) -> u64 {
        let page = std::hint::black_box([levels; 128]);
        if levels == 0 { 0 } else { 1 + deep(levels - 1) + page[7] - levels }
    }

    #[test]
    fn it_is_as_large_as_asked_for_on_any_thread_and_nests() {
        let thread = std::thread::Builder::new().stack_size(128 << 10);
        let work = || {
            let outer = with_stack(64 << 20, || {
                let inner = with_stack(16 << 20, || Ok(deep(10_000)))?;
                Ok((inner, deep(40_000)))
            });
            assert_eq!(outer.unwrap(), (10_000, 40_000));
            assert_eq!(with_stack(128 << 20, || Ok(deep(80_000))).unwrap(), 80_000);
        };
        thread.spawn(work).unwrap().join().unwrap();
    }

    #[test]
    fn panics_and_refusals_come_through() {
        let caught = std::panic::catch_unwind(|| with_stack::<()>(1 << 20, || panic!("inside")));
        assert!(caught.is_err());
        let error = with_stack(usize::MAX >> 1, || Ok(())).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Limit);
    }
}
