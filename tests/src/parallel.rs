//! Many independent cases on all processors, every failure reported.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The thread's own stack; wasm takes its megabyte from it.
const STACK_BYTES: usize = 16 << 20;

/// Calls `check` with every item, on as many threads as there are processors. Panics at the end
/// with all failures, each with the item's name.
pub fn for_all<T: Sync>(
    items: &[T],
    name: impl Fn(&T) -> String + Sync,
    check: impl Fn(&T) -> anyhow::Result<()> + Sync,
) {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let work = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            let failure = match catch_unwind(AssertUnwindSafe(|| check(item))) {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => format!("{error:#}"),
                Err(panic) => format!("panicked: {}", message(&*panic)),
            };
            let failure = format!("{}: {failure}", name(item));
            // At once too: who waits for the end of a long run wants to know.
            eprintln!("failed: {failure}");
            failures.lock().unwrap().push(failure);
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(2, |n| n.get());
        for _ in 0..threads {
            let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
            thread.spawn_scoped(scope, work).expect("threads can be started");
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    assert!(
        failures.is_empty(),
        "{} of {} failed:\n{}",
        failures.len(),
        items.len(),
        failures.join("\n")
    );
}

/// What a panic said.
pub fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or(panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
