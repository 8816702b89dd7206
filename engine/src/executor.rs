//! Tasklets on many threads.

mod bell;
mod crew;
mod line;
mod lines;
mod shared;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use self::shared::Shared;
use crate::error::Error;
use crate::sched::limits::WORKERS_MAX;
use crate::sched::{RunResult, Scheduler, TaskletId};
use crate::trap::Trap;

/// How an [`Executor`] runs.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutorOptions {
    /// Threads. Default: as many as there are processors.
    pub workers: usize,
    /// Steps of one turn, of a tasklet whose share is 1. Default 100,000.
    pub slice_steps: u64,
}

impl Default for ExecutorOptions {
    fn default() -> ExecutorOptions {
        let workers = thread::available_parallelism().map_or(1, usize::from);
        ExecutorOptions { workers, slice_steps: 100_000 }
    }
}

/// What one tasklet may use. How much memory it may have is one of its [`Limits`](crate::Limits).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Its priority: how many slices long its turns are, 1 to 65,536. Turns go round, so this is
    /// its share of the steps, compared with that of others that are ready all the time.
    pub share: u32,
    /// Steps in all; then it is paused, to the step. `None` is without end.
    pub steps: Option<u64>,
    /// Time on a thread in all; it is paused at the end of the turn in which that is over.
    pub time: Option<Duration>,
}

impl Default for Quota {
    fn default() -> Quota {
        Quota { share: 1, steps: None, time: None }
    }
}

/// Something that has happened to a tasklet, all others going on.
#[non_exhaustive]
#[derive(Debug)]
pub enum Event {
    /// It has ended with a trap, and there is no [`Scheduler::on_trap`].
    Trapped(TaskletId, Trap),
    /// It is paused, for somebody asked for it.
    Interrupted(TaskletId),
    /// It is paused, for it has used up its quota. Inserted, it goes on once it is given another.
    UsedUp(TaskletId),
    /// It is paused, for it could not be run, or come back from the store.
    Failed(TaskletId, Error),
    /// A host import of its has panicked. It is no more.
    Panicked(TaskletId, String),
    /// The store has failed to take in what was to be hibernated, which stays in memory.
    HibernationFailed(Error),
    /// Something of the scheduler's host has panicked: a hook, or a store. No turn begins any more.
    WorkerPanicked(String),
}

/// Runs the tasklets of a [`Scheduler`] on many threads.
///
/// Whoever is ready is run by whatever thread is free, a slice at a time, first come first served; a
/// paused tasklet belongs to no thread. The scheduler decides all that it decides otherwise, under a
/// lock that is not held while a guest runs. What a tasklet does is the same as ever; only who comes
/// first may differ, and with one thread not even that: it is the order of
/// [`Scheduler::run`] with [`Budget::round_robin`](crate::Budget::round_robin).
///
/// To drop it stops it, and does not wait: what runs ends its slice, and all is gone then.
pub struct Executor {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

/// An executor whose threads have not stopped in time: it is as it was, but begins no turns.
#[derive(Debug, thiserror::Error)]
#[error("{} tasklets still run: a host import has not returned, or a slice is long", running.len())]
pub struct NotDrained {
    /// The executor. To drain it again waits again.
    pub executor: Executor,
    /// Those that still run.
    pub running: Vec<TaskletId>,
}

/// A scheduler that no thread could be found for, as it was, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot run tasklets on threads")]
pub struct NotStarted {
    /// The scheduler.
    pub sched: Scheduler,
    /// Why not.
    #[source]
    pub error: Error,
}

impl Executor {
    /// Begins to run what is ready.
    ///
    /// # Errors
    /// [`NotStarted`] with the scheduler: for no workers or more than 1,024, and when the system has
    /// no thread left. If it has some, but fewer, these will do.
    pub fn start(sched: Scheduler, options: &ExecutorOptions) -> Result<Executor, Box<NotStarted>> {
        if !(1..=WORKERS_MAX).contains(&options.workers) {
            let error = Error::limit(format!("{} workers: 1 to {WORKERS_MAX}", options.workers));
            return Err(Box::new(NotStarted { sched, error }));
        }
        let shared = Arc::new(Shared::new(sched, options));
        let mut executor = Executor { shared, workers: Vec::new() };
        for worker in 0..options.workers {
            let shared = executor.shared.clone();
            let thread = thread::Builder::new().name(format!("tasklets {worker}"));
            match thread.spawn(move || shared.work(worker)) {
                Ok(spawned) => executor.workers.push(spawned),
                Err(_) if worker > 0 => break,
                Err(error) => {
                    let sched = executor.shared.give_up();
                    let error = Error::limit(format!("threads: {error}"));
                    return Err(Box::new(NotStarted { sched, error }));
                }
            }
        }
        Ok(executor)
    }

    /// How many threads it has.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Does something with the scheduler, between turns: to spawn, to insert, to send, to look.
    /// A tasklet that runs meanwhile cannot be reached; [`pause`](Executor::pause) makes it so.
    pub fn with<R>(&self, act: impl FnOnce(&mut Scheduler) -> R) -> R {
        act(&mut self.shared.recall().sched)
    }

    /// Says what a tasklet may use from now on. Unless said, that is everything, and its share is 1.
    pub fn set_quota(&self, id: TaskletId, quota: &Quota) {
        self.shared.recall().set_quota(id, quota);
    }

    /// What has happened since this was asked last, the latest 65,536 of it.
    pub fn take_events(&self) -> Vec<Event> {
        self.shared.lock().take_events()
    }

    /// Waits until nothing is ready and nothing runs, and says what there is, as
    /// [`Scheduler::run`] would; or until `patience` is over. Those that wait for a clock or for
    /// input are waited for.
    pub fn wait(&self, patience: Duration) -> Option<RunResult> {
        let until = Instant::now().checked_add(patience);
        let mut crew = self.shared.lock();
        loop {
            if crew.stopping && self.shared.running().is_empty() {
                return None;
            }
            if crew.is_at_rest() {
                return Some(crew.sched.at_rest());
            }
            crew.watching_rest += 1;
            let (settled, in_time) = self.shared.settle(crew, until);
            crew = settled;
            crew.watching_rest -= 1;
            if !in_time {
                return None;
            }
        }
    }

    /// Pauses a tasklet that is ready or runs, and returns once it is paused, or has ended, or
    /// waits; false if it still runs when `patience` is over.
    ///
    /// # Errors
    /// [`Error::NoSuchTasklet`].
    pub fn pause(&self, id: TaskletId, patience: Duration) -> Result<bool, Error> {
        let until = Instant::now().checked_add(patience);
        let mut crew = self.shared.recall();
        let mut interrupted = None;
        while let Some(handle) = self.shared.handle(id) {
            handle.interrupt();
            interrupted = Some(handle);
            let (turned, in_time) = self.shared.turn_over(crew.reopen(), until);
            if !in_time {
                return Ok(false);
            }
            crew = self.shared.recall_by(turned);
        }
        // It may have come to wait without a look at that: later it is not to be interrupted.
        if let Some(handle) = interrupted {
            handle.take_back();
        }
        match crew.sched.remove(id) {
            Err(Error::CannotSchedule { .. }) => Ok(true),
            removed => removed.map(|()| true),
        }
    }

    /// Stops: no turn begins any more, those that run come to the end of their slice, and all are
    /// ready, paused or waiting, and can be dumped. Then the scheduler is handed back, with what has
    /// happened and was not asked for.
    ///
    /// # Errors
    /// [`NotDrained`] if that takes longer than `patience`: if a host import does not return.
    pub fn drain(mut self, patience: Duration) -> Result<(Scheduler, Vec<Event>), Box<NotDrained>> {
        let until = Instant::now().checked_add(patience);
        let shared = self.shared.clone();
        let mut crew = shared.stop();
        loop {
            let running = shared.running();
            if running.is_empty() {
                break;
            }
            crew = match shared.turn_over(crew, until) {
                (crew, true) => crew,
                (_, false) => return Err(Box::new(NotDrained { executor: self, running })),
            };
        }
        let events = crew.take_events();
        drop(crew);
        let sched = shared.give_up();
        for worker in self.workers.drain(..) {
            // A worker catches what panics, and tells of it.
            let _ = worker.join();
        }
        Ok((sched, events))
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        drop(self.shared.stop());
    }
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executor").field("workers", &self.workers.len()).finish_non_exhaustive()
    }
}
