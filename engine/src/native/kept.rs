//! A stack that is kept for the next run, by corosensei, which knows the commonest CPUs.

use std::cell::Cell;

use corosensei::on_stack;
use corosensei::stack::{DefaultStack, Stack};

use crate::error::Error;

thread_local! {
    /// The stack of the last run on this thread. It is address space that becomes memory only as
    /// deep as it was ever used; making one anew would cost more than a short run.
    static LAST: Cell<Option<DefaultStack>> = const { Cell::new(None) };
}

pub(super) fn on<R>(bytes: usize, run: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
    // An import may run another tasklet in here: that one finds none and makes its own.
    let last = LAST.take().filter(|stack| stack.base().get() - stack.limit().get() >= bytes);
    let mut stack = match last {
        Some(stack) => stack,
        None => DefaultStack::new(bytes).map_err(|error| {
            Error::host_failed(format!("no native stack of {bytes} bytes: {error}"))
        })?,
    };
    let result = on_stack(&mut stack, run);
    LAST.set(Some(stack));
    result
}
