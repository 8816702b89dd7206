//! Work on many functions at once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, ErrorKind};

/// Native stack of a worker: rewriting recurses once per nested block of a function.
const STACK_BYTES: usize = 256 << 20;
/// More threads than this gain little: parts of the work are done by one.
const THREADS_MAX: usize = 8;

/// Applies `work` to every item, on as many threads as the machine has processors; the results are
/// in the order of the items, so nobody can tell how many there were. `state` makes what a thread
/// keeps from item to item.
pub(crate) fn map<T: Send, S, R: Send>(
    items: Vec<T>,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize, T) -> R + Sync,
) -> Result<Vec<R>, Error> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.min(THREADS_MAX).min(items.len()).max(1);
    let next = AtomicUsize::new(0);
    let items: Vec<Mutex<Option<T>>> =
        items.into_iter().map(|item| Mutex::new(Some(item))).collect();
    let worker = || {
        let mut state = state();
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return done };
            let item = item.lock().ok().and_then(|mut item| item.take());
            let item = item.expect("every item is taken once, and nobody panics holding it");
            done.push((at, work(&mut state, at, item)));
        }
    };
    let mut results: Vec<Option<R>> = items.iter().map(|_| None).collect();
    std::thread::scope(|scope| {
        let mut running = Vec::with_capacity(threads);
        for _ in 0..threads {
            let thread = std::thread::Builder::new().name("instrumenter".into());
            let thread = thread.stack_size(STACK_BYTES).spawn_scoped(scope, worker);
            running.push(thread.map_err(|e| {
                Error::new(ErrorKind::Limit, format!("cannot start a thread: {e}"))
            })?);
        }
        for thread in running {
            match thread.join() {
                Ok(done) => done.into_iter().for_each(|(at, result)| results[at] = Some(result)),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(())
    })?;
    Ok(results.into_iter().map(|result| result.expect("every item has been worked on")).collect())
}
