//! What the threads of an executor share, and what each of them does all the time.

use std::ops::{Deref, DerefMut};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use super::ExecutorOptions;
use super::bell::Bell;
use super::crew::{Crew, Leave, Stretch};
use super::line::{Charge, Line};
use super::lines::Lines;
use crate::native;
use crate::sched::{Scheduler, TaskletId, Woken};
use crate::tasklet::TaskletHandle;
use crate::trap::panic_message;

pub(super) struct Shared {
    pub(super) crew: Mutex<Crew>,
    pub(super) lines: Lines,
    /// There may be something to run, or nothing any more; also when a host import comes back.
    work: Arc<Bell>,
    waker: Waker,
    /// A turn is over.
    settled: Condvar,
    /// Those that host imports have woken.
    woken: Mutex<Woken>,
    /// Nanoseconds count from then on.
    begun: Instant,
    stack_bytes: usize,
}

/// What comes of a stretch without a word to the scheduler.
pub(super) enum Own {
    /// That one is next.
    Next(Charge),
    /// What is next the scheduler is to say.
    Look,
    /// So is what becomes of that one.
    Decide(Charge),
}

/// The crew, while all that is in the lines is in the scheduler. When it goes, lines are open again,
/// and whoever has something to do is woken, even if somebody panics: there may be something to run
/// by then.
pub(super) struct Recalled<'a> {
    crew: Option<MutexGuard<'a, Crew>>,
    shared: &'a Shared,
}

impl Deref for Recalled<'_> {
    type Target = Crew;

    fn deref(&self) -> &Crew {
        self.crew.as_ref().expect("it is there until it is given away, which takes this")
    }
}

impl DerefMut for Recalled<'_> {
    fn deref_mut(&mut self) -> &mut Crew {
        self.crew.as_mut().expect("it is there until it is given away, which takes this")
    }
}

impl<'a> Recalled<'a> {
    /// The crew, while lines are open again.
    pub(super) fn reopen(mut self) -> MutexGuard<'a, Crew> {
        let mut crew =
            self.crew.take().expect("it is there until it is given away, which takes this");
        self.shared.reopen(&mut crew);
        crew
    }
}

impl Drop for Recalled<'_> {
    fn drop(&mut self) {
        if let Some(mut crew) = self.crew.take() {
            self.shared.reopen(&mut crew);
        }
    }
}

impl Shared {
    pub(super) fn new(sched: Scheduler, options: &ExecutorOptions) -> Shared {
        Shared::of(Crew::new(sched, options), options.workers)
    }

    pub(super) fn of(crew: Crew, workers: usize) -> Shared {
        let work = Arc::new(Bell::default());
        let shared = Shared {
            lines: Lines::new(workers),
            waker: Waker::from(work.clone()),
            work,
            settled: Condvar::new(),
            begun: Instant::now(),
            woken: Mutex::new(crew.sched.woken()),
            stack_bytes: crew.sched.stack_bytes(),
            crew: Mutex::new(crew),
        };
        shared.reopen(&mut shared.lock());
        shared
    }

    /// NB: whoever panics with the lock says so, and what is behind it is whole at every call.
    pub(super) fn lock(&self) -> MutexGuard<'_, Crew> {
        self.crew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The crew, and the scheduler has all that does not run.
    pub(super) fn recall(&self) -> Recalled<'_> {
        self.recall_by(self.lock())
    }

    pub(super) fn recall_by<'a>(&'a self, mut crew: MutexGuard<'a, Crew>) -> Recalled<'a> {
        self.empty_lines(&mut crew);
        Recalled { crew: Some(crew), shared: self }
    }

    fn empty_lines(&self, crew: &mut Crew) {
        self.lines.close();
        for mut line in self.lines.hold_each() {
            crew.recall(&mut line);
        }
    }

    fn reopen(&self, crew: &mut Crew) {
        *self.woken.lock().unwrap_or_else(PoisonError::into_inner) = crew.sched.woken();
        if crew.gives_leave() {
            self.lines.open();
        }
        self.notify(crew);
    }

    pub(super) fn stop(&self) -> MutexGuard<'_, Crew> {
        let mut crew = self.lock();
        crew.stopping = true;
        self.lines.close();
        self.work.ring_for_all();
        crew
    }

    /// Hands the scheduler out, with all that does not run; what is left has nothing to run.
    pub(super) fn give_up(&self) -> Scheduler {
        let mut crew = self.stop();
        self.empty_lines(&mut crew);
        crew.give_up()
    }

    /// The handle of one that runs now.
    pub(super) fn handle(&self, id: TaskletId) -> Option<TaskletHandle> {
        let of_it = |line: &Line| Some(line.running().filter(|(of, _)| *of == id)?.1.clone());
        self.lines.hold_each().find_map(|line| of_it(&line))
    }

    /// Those that run now.
    pub(super) fn running(&self) -> Vec<TaskletId> {
        self.lines.hold_each().filter_map(|line| Some(line.running()?.0)).collect()
    }

    /// Waits for the end of a turn; false if that moment comes before.
    pub(super) fn turn_over<'a>(
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
    pub(super) fn settle<'a>(
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

    /// Whoever waits for what has happened is told. NB: to notify costs a system call, even if nobody
    /// waits.
    fn notify(&self, crew: &mut Crew) {
        self.lines.set_ready(crew.sched.has_ready());
        let due_ns = match crew.sched.waits_outside() {
            true => crew.due_ns(self.now_ns()),
            false => None,
        };
        self.lines.set_due_ns(due_ns);
        if crew.watching > 0 || crew.watching_rest > 0 && crew.is_at_rest() {
            self.settled.notify_all();
        }
        if crew.is_sooner(due_ns) || crew.sched.has_ready() {
            self.call(crew);
        }
    }

    /// Wakes a worker that waits, unless one is woken already: that one wakes the next.
    fn call(&self, crew: &mut Crew) {
        if crew.parked > 0 && !crew.has_called {
            crew.has_called = true;
            self.work.ring();
        }
    }

    /// The life of a worker.
    pub(super) fn work(&self, worker: usize) {
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
            Err(panicked) => panic_message(&*panicked).to_string(),
        };
        let mut crew = self.stop();
        self.lines.hold(worker).rest();
        self.empty_lines(&mut crew);
        crew.gone(&self.running(), message);
        self.settled.notify_all();
    }

    fn rounds(&self, worker: usize) {
        let mut crew = self.lock();
        let mut before = None;
        while !crew.stopping {
            let is_time = crew.sched.has_outside() && crew.is_time_to_ask(self.now_ns());
            let next = self.look(&mut crew, worker, before.take(), is_time);
            match next {
                Some(charge) => {
                    drop(crew);
                    (crew, before) = self.turns(worker, charge);
                }
                None => crew = self.park(crew),
            }
        }
        crew.rests(before);
        self.settled.notify_all();
    }

    /// What a worker is to run now, if anything; `before` is what it ran until now.
    pub(super) fn look(
        &self,
        crew: &mut Crew,
        worker: usize,
        before: Option<TaskletId>,
        is_time_to_ask: bool,
    ) -> Option<Charge> {
        let mut line = self.lines.hold(worker);
        crew.settle(&mut line);
        crew.sched.ask_woken();
        crew.sched.ask_again(is_time_to_ask);
        let next = self.next(crew, worker, &mut line, before);
        if next.is_none() {
            crew.rests(before);
        }
        // One that is woken wakes the next, as long as there is something for it.
        self.notify(crew);
        next
    }

    fn next(
        &self,
        crew: &mut Crew,
        worker: usize,
        line: &mut Line,
        before: Option<TaskletId>,
    ) -> Option<Charge> {
        let epoch = self.lines.epoch();
        let leave = epoch.map(|epoch| Leave { epoch, turn: self.lines.latest_turn() });
        let next = crew.next(line, leave, before);
        if next.is_some() || !self.lines.steal(worker, line) {
            return next;
        }
        crew.next(line, leave, before)
    }

    /// Runs one, and whoever comes next, until that is for the crew to say. Nobody waits for a lock
    /// meanwhile.
    fn turns(
        &self,
        worker: usize,
        mut charge: Charge,
    ) -> (MutexGuard<'_, Crew>, Option<TaskletId>) {
        loop {
            let id = charge.lent.id();
            let begun = (!charge.is_plain).then(Instant::now);
            let run = || charge.lent.run(self.stack_bytes);
            let stretch = match panic::catch_unwind(AssertUnwindSafe(run)) {
                Ok(ran) => Stretch::Ran(ran),
                Err(panicked) => Stretch::Panicked(panic_message(&*panicked).to_string()),
            };
            let time = begun.map_or(Duration::ZERO, |begun| begun.elapsed());
            let has_news = self.lines.due_ns().is_some_and(|due_ns| self.has_news(due_ns));
            charge = match self.keep(worker, charge, &stretch, has_news) {
                Own::Next(next) => next,
                Own::Look => return (self.lock(), Some(id)),
                Own::Decide(charge) => {
                    let mut crew = self.lock();
                    match self.decide(&mut crew, worker, charge, stretch, time) {
                        Some(next) => next,
                        None => return (crew, Some(id)),
                    }
                }
            };
        }
    }

    /// What becomes of one that has run, as far as a worker's own line can say.
    pub(super) fn keep(
        &self,
        worker: usize,
        charge: Charge,
        stretch: &Stretch,
        has_news: bool,
    ) -> Own {
        let mut line = self.lines.hold(worker);
        let epoch = self.lines.epoch();
        if let Some(charge) = line.keep(charge, stretch, epoch) {
            return Own::Decide(charge);
        }
        if has_news {
            return Own::Look;
        }
        self.lines.even_out(worker, &mut line);
        let next = line.next(self.lines.is_ready());
        let calls = self.lines.is_wanted() && line.len() > 0;
        drop(line);
        if calls {
            let mut crew = self.lock();
            self.lines.set_wanted(false);
            self.call(&mut crew);
        }
        next.map_or(Own::Look, Own::Next)
    }

    /// What becomes of one that has run, and what its worker is to run at once, if anything.
    pub(super) fn decide(
        &self,
        crew: &mut Crew,
        worker: usize,
        charge: Charge,
        stretch: Stretch,
        time: Duration,
    ) -> Option<Charge> {
        let mut line = self.lines.hold(worker);
        let next = crew.back(&mut line, charge, stretch, time);
        if next.is_some() || crew.watching > 0 {
            self.notify(crew);
        }
        next
    }

    /// Whether somebody who waits for time or outside may be ready.
    fn has_news(&self, due_ns: u64) -> bool {
        let has_woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner).any();
        has_woken || self.now_ns() >= due_ns
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Waits for something to run, or to stop for, or until it is time to look again for those that
    /// wait for time or outside, if nobody else does that.
    fn park<'a>(&'a self, mut crew: MutexGuard<'a, Crew>) -> MutexGuard<'a, Crew> {
        let now_ns = self.now_ns();
        let due_ns = crew.due_ns(now_ns);
        let due_ns = due_ns.filter(|_| crew.is_sooner(due_ns));
        crew.lookout_ns = due_ns.or(crew.lookout_ns);
        // Who comes back from now on rings.
        let _ = crew.sched.poll_waiting(&mut Context::from_waker(&self.waker));
        crew.parked += 1;
        self.lines.set_wanted(true);
        let held = self.work.hold();
        let has_woken = crew.sched.woken().any();
        drop(crew);
        if has_woken {
            // NB: before the crew's lock is taken, below which it may be waited for.
            drop(held);
        } else {
            let most = due_ns.map(|due_ns| Duration::from_nanos(due_ns.saturating_sub(now_ns)));
            self.work.wait(held, most);
        }
        let mut crew = self.lock();
        crew.parked -= 1;
        crew.has_called = false;
        if due_ns.is_some() && crew.lookout_ns == due_ns {
            crew.lookout_ns = None;
        }
        crew
    }
}
