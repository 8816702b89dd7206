//! Tasklets on many threads.

mod crew;
#[cfg(test)]
mod tests;

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use self::crew::{Crew, Stretch};
use crate::error::Error;
use crate::native;
use crate::sched::limits::WORKERS_MAX;
use crate::sched::{Lent, RunResult, Scheduler, TaskletId};
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

struct Shared {
    crew: Mutex<Crew>,
    /// There may be something to run, or nothing any more.
    work: Condvar,
    /// A turn is over.
    settled: Condvar,
    /// When those that wait outside were asked last.
    asked: Mutex<Option<Instant>>,
    stack_bytes: usize,
}

/// How long it takes at most until those that wait for a clock or for input are asked again.
const ASK_AGAIN: Duration = Duration::from_millis(5);

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
        let stack_bytes = sched.stack_bytes();
        let shared = Arc::new(Shared {
            crew: Mutex::new(Crew::new(sched, options)),
            work: Condvar::new(),
            settled: Condvar::new(),
            asked: Mutex::new(None),
            stack_bytes,
        });
        let mut executor = Executor { shared, workers: Vec::new() };
        for worker in 0..options.workers {
            let shared = executor.shared.clone();
            let thread = thread::Builder::new().name(format!("tasklets {worker}"));
            match thread.spawn(move || shared.work(worker)) {
                Ok(spawned) => executor.workers.push(spawned),
                Err(_) if worker > 0 => break,
                Err(error) => {
                    let sched = executor.shared.lock().give_up();
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
        let mut crew = self.shared.lock();
        // Even if it panics: there may be something to run by then.
        let _wakes = WakesAll(&self.shared.work);
        act(&mut crew.sched)
    }

    /// Says what a tasklet may use from now on. Unless said, that is everything, and its share is 1.
    pub fn set_quota(&self, id: TaskletId, quota: &Quota) {
        self.shared.lock().set_quota(id, quota);
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
            if crew.stopping && crew.running().is_empty() {
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
        let mut crew = self.shared.lock();
        let mut interrupted = None;
        while let Some(handle) = crew.handle(id) {
            handle.interrupt();
            interrupted = Some(handle.clone());
            crew = match self.shared.turn_over(crew, until) {
                (crew, true) => crew,
                (_, false) => return Ok(false),
            };
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
        while !crew.running().is_empty() {
            let running = crew.running();
            crew = match shared.turn_over(crew, until) {
                (crew, true) => crew,
                (_, false) => return Err(Box::new(NotDrained { executor: self, running })),
            };
        }
        let events = crew.take_events();
        let sched = crew.give_up();
        drop(crew);
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

/// Wakes all who wait there, when it goes.
struct WakesAll<'a>(&'a Condvar);

impl Drop for WakesAll<'_> {
    fn drop(&mut self) {
        self.0.notify_all();
    }
}

impl Shared {
    /// NB: whoever panics with the lock says so, and what is behind it is whole at every call.
    fn lock(&self) -> MutexGuard<'_, Crew> {
        self.crew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) -> MutexGuard<'_, Crew> {
        let mut crew = self.lock();
        crew.stopping = true;
        self.work.notify_all();
        crew
    }

    /// Waits for the end of a turn; false if that moment comes before.
    fn turn_over<'a>(
        &'a self,
        mut crew: MutexGuard<'a, Crew>,
        until: Option<Instant>,
    ) -> (MutexGuard<'a, Crew>, bool) {
        crew.watching += 1;
        let (mut crew, in_time) = self.settle(crew, until);
        crew.watching -= 1;
        (crew, in_time)
    }

    /// Waits for what was said to be waited for; false if that moment comes before.
    fn settle<'a>(
        &'a self,
        crew: MutexGuard<'a, Crew>,
        until: Option<Instant>,
    ) -> (MutexGuard<'a, Crew>, bool) {
        // Without an end that could be written down there is none.
        let left = match until {
            Some(until) => until.checked_duration_since(Instant::now()),
            None => Some(Duration::from_secs(3600)),
        };
        let Some(left) = left.filter(|left| !left.is_zero()) else { return (crew, false) };
        let waited = self.settled.wait_timeout(crew, left);
        (waited.unwrap_or_else(PoisonError::into_inner).0, true)
    }

    /// A turn is over. NB: to notify costs a system call, even if nobody waits.
    fn notify(&self, crew: &Crew) {
        if crew.watching > 0 || crew.watching_rest > 0 && crew.is_at_rest() {
            self.settled.notify_all();
        }
        let is_unwatched = !crew.has_lookout && crew.sched.waits_outside();
        if crew.parked > 0 && (is_unwatched || crew.sched.has_ready()) {
            self.work.notify_one();
        }
    }

    /// The life of a worker.
    fn work(&self, worker: usize) {
        let stack_bytes = self.stack_bytes;
        let rounds = || {
            // One native stack for all turns: to change over to it costs as much as many of them.
            native::with_stack(stack_bytes, || {
                self.rounds(worker);
                Ok(())
            })
        };
        let message = match panic::catch_unwind(AssertUnwindSafe(rounds)) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(panicked) => message(&*panicked),
        };
        let mut crew = self.lock();
        crew.gone(worker, message);
        self.work.notify_all();
        self.settled.notify_all();
    }

    fn rounds(&self, worker: usize) {
        let mut crew = self.lock();
        let mut before = None;
        while !crew.stopping {
            crew.sched.ask_woken();
            if crew.sched.waits_outside() && self.is_time_to_ask() {
                crew.sched.ask_again();
            }
            let next = crew.next(worker, before.take());
            // One that is woken wakes the next, as long as there is something for it.
            self.notify(&crew);
            match next {
                Some(lent) => (crew, before) = self.turn(worker, crew, lent),
                None => crew = self.park(crew),
            }
        }
        crew.rests(before);
        self.settled.notify_all();
    }

    /// Whether those that wait outside are to be asked again: by whoever comes by, but for all workers
    /// only so often.
    fn is_time_to_ask(&self) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = asked.is_none_or(|asked| asked.elapsed() >= ASK_AGAIN);
        if is_time {
            *asked = Some(Instant::now());
        }
        is_time
    }

    /// Waits for something to run, or to stop for. One of those that do looks again for those that
    /// wait outside.
    fn park<'a>(&'a self, mut crew: MutexGuard<'a, Crew>) -> MutexGuard<'a, Crew> {
        crew.parked += 1;
        let mut crew = match crew.sched.waits_outside() && !crew.has_lookout {
            true => {
                crew.has_lookout = true;
                let waited = self.work.wait_timeout(crew, ASK_AGAIN);
                let mut crew = waited.unwrap_or_else(PoisonError::into_inner).0;
                crew.has_lookout = false;
                crew
            }
            false => self.work.wait(crew).unwrap_or_else(PoisonError::into_inner),
        };
        crew.parked -= 1;
        crew
    }

    /// Runs one, and whoever it hands over to, until a turn is over. Nobody waits for the lock
    /// meanwhile.
    fn turn<'a>(
        &'a self,
        worker: usize,
        mut crew: MutexGuard<'a, Crew>,
        mut lent: Lent,
    ) -> (MutexGuard<'a, Crew>, Option<TaskletId>) {
        loop {
            drop(crew);
            let id = lent.id();
            let begun = Instant::now();
            let ran = panic::catch_unwind(AssertUnwindSafe(|| lent.run(self.stack_bytes)));
            let time = begun.elapsed();
            let stretch = match ran {
                Ok(ran) => Stretch::Ran(ran),
                Err(panicked) => Stretch::Panicked(message(&*panicked)),
            };
            crew = self.lock();
            let next = crew.back(worker, lent, stretch, time);
            self.notify(&crew);
            match next {
                Some(next) => lent = next,
                None => return (crew, Some(id)),
            }
        }
    }
}

/// What a panic says.
fn message(panicked: &(dyn std::any::Any + Send)) -> String {
    let text = panicked.downcast_ref::<&str>().map(|text| text.to_string());
    text.or_else(|| panicked.downcast_ref::<String>().cloned()).unwrap_or_default()
}
