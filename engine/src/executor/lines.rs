//! The lines of all workers, each behind a lock of its own, and what can be seen of them without.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::line::{LAG_MAX, Line};

/// NB: who holds the crew's lock may wait for that of a line, and nobody may wait the other way
/// round; who holds that of a line only tries another's.
pub(super) struct Lines {
    all: Box<[Kept]>,
    /// A number that changes whenever lines are closed: odd while they are open, and take in who goes
    /// on.
    epoch: AtomicU64,
    /// Whether anybody is ready in the scheduler.
    ready: AtomicBool,
    /// When those that wait for time or outside are to look again, in nanoseconds; the highest number
    /// if nobody waits.
    due_ns: AtomicU64,
    /// Whether a worker has nothing to run, and is to be called if there is something.
    wanted: AtomicBool,
    /// About the latest turn of any tasklet.
    latest_turn: AtomicU64,
}

/// What all workers see at every turn is changed no more often than that, in turns.
const LATEST_BY: u64 = LAG_MAX / 2;

/// NB: on cache lines of its own.
#[repr(align(128))]
#[derive(Default)]
struct Kept {
    line: Mutex<Line>,
    /// Which turn the next is to have; the highest number if nobody waits.
    next_turn: AtomicU64,
    len: AtomicUsize,
}

/// A line; what can be seen of it is made known when it goes.
pub(super) struct Held<'a> {
    line: MutexGuard<'a, Line>,
    kept: &'a Kept,
    latest_turn: &'a AtomicU64,
}

impl Deref for Held<'_> {
    type Target = Line;

    fn deref(&self) -> &Line {
        &self.line
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Line {
        &mut self.line
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let next_turn = self.line.next_turn().unwrap_or(u64::MAX);
        self.kept.next_turn.store(next_turn, Ordering::Relaxed);
        self.kept.len.store(self.line.len(), Ordering::Relaxed);
        if self.line.turn() >= self.latest_turn.load(Ordering::Relaxed) + LATEST_BY {
            self.latest_turn.fetch_max(self.line.turn(), Ordering::Relaxed);
        }
    }
}

impl Lines {
    pub(super) fn new(workers: usize) -> Lines {
        let kept = || Kept { next_turn: AtomicU64::new(u64::MAX), ..Kept::default() };
        let all = (0..workers).map(|_| kept()).collect();
        let (epoch, latest_turn) = (AtomicU64::new(0), AtomicU64::new(0));
        let [ready, wanted] = [false; 2].map(AtomicBool::new);
        Lines { all, epoch, ready, due_ns: AtomicU64::new(u64::MAX), wanted, latest_turn }
    }

    pub(super) fn hold(&self, worker: usize) -> Held<'_> {
        let kept = &self.all[worker];
        self.held(kept, kept.line.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn held<'a>(&'a self, kept: &'a Kept, line: MutexGuard<'a, Line>) -> Held<'a> {
        Held { line, kept, latest_turn: &self.latest_turn }
    }

    /// All of them, the last first.
    pub(super) fn hold_each(&self) -> impl Iterator<Item = Held<'_>> {
        (0..self.all.len()).rev().map(|worker| self.hold(worker))
    }

    /// Whether lines take anybody in, and since when.
    pub(super) fn epoch(&self) -> Option<u64> {
        Some(self.epoch.load(Ordering::Relaxed)).filter(|epoch| epoch % 2 == 1)
    }

    /// No line takes anybody in any more whose lock is taken from now on. For whoever holds the
    /// crew's lock, as is the contrary.
    pub(super) fn close(&self) {
        let epoch = self.epoch.load(Ordering::Relaxed);
        self.epoch.store(epoch + epoch % 2, Ordering::Relaxed);
    }

    pub(super) fn open(&self) {
        self.epoch.store(self.epoch.load(Ordering::Relaxed) | 1, Ordering::Relaxed);
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    pub(super) fn set_ready(&self, is_ready: bool) {
        // NB: this is looked at by all at every turn, and mostly stays what it is.
        if self.is_ready() != is_ready {
            self.ready.store(is_ready, Ordering::Relaxed);
        }
    }

    pub(super) fn due_ns(&self) -> Option<u64> {
        Some(self.due_ns.load(Ordering::Relaxed)).filter(|due_ns| *due_ns < u64::MAX)
    }

    pub(super) fn set_due_ns(&self, due_ns: Option<u64>) {
        if self.due_ns() != due_ns {
            self.due_ns.store(due_ns.unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// Whether a worker that has nothing to run is to be called.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// For whoever holds the crew's lock.
    pub(super) fn set_wanted(&self, is_wanted: bool) {
        self.wanted.store(is_wanted, Ordering::Relaxed);
    }

    pub(super) fn latest_turn(&self) -> u64 {
        self.latest_turn.load(Ordering::Relaxed)
    }

    /// Has a line whose turn is over take over some that have had fewer turns, if there are any.
    pub(super) fn even_out(&self, worker: usize, line: &mut Line) {
        let Some(own) = line.next_turn().filter(|_| line.is_round_over()) else { return };
        let lags = |other: &usize| {
            let next_turn = self.all[*other].next_turn.load(Ordering::Relaxed);
            *other != worker && next_turn.saturating_add(LAG_MAX) <= own
        };
        let Some(other) = self.others(worker).find(lags) else { return };
        let kept = &self.all[other];
        let Ok(from) = kept.line.try_lock() else { return };
        if self.epoch().is_some() {
            line.steal(&mut self.held(kept, from));
        }
    }

    /// Has a line that is empty take over half of another. For whoever holds the crew's lock.
    pub(super) fn steal(&self, worker: usize, line: &mut Line) -> bool {
        self.epoch().is_some()
            && self.others(worker).any(|other| {
                let waits = self.all[other].len.load(Ordering::Relaxed) > 0;
                waits && line.steal(&mut self.hold(other))
            })
    }

    /// The others, beginning with the next.
    fn others(&self, worker: usize) -> impl Iterator<Item = usize> {
        let count = self.all.len();
        (1..count).map(move |by| (worker + by) % count)
    }
}
