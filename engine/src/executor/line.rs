//! A worker's own line of tasklets that are lent to it, out of which it takes the next and into which
//! it puts who goes on, without a word to the scheduler.
//!
//! With one worker the order is the scheduler's. Who stands in the line's first part comes before all
//! that are ready there, who stands in its second behind them, for each has had its turn since; where
//! the first part is over the worker asks whether anybody is ready.
//!
//! With more, turns are numbered, and each line is sorted by them. A worker whose next tasklet has
//! had more turns than one in another line takes half of those that have had fewer. So turns go round
//! whatever the number of tasklets for each worker, and nobody who is ready is left behind.

use std::collections::VecDeque;

use super::crew::Stretch;
use crate::sched::{Lent, TaskletId};
use crate::tasklet::TaskletHandle;

/// Turns by which another may be ahead of one in another line; then that evens out. Less is fairer,
/// and has tasklets move between processors more often.
pub(super) const LAG_MAX: u64 = 4;
/// Turns that one who lags behind may have at a stretch once it is in line with others.
const CATCH_UP_MAX: u64 = 16;

/// A tasklet that is lent to a worker.
pub(super) struct Charge {
    pub(super) lent: Lent,
    /// Which of its turns this is, counted alike for all.
    pub(super) turn: u64,
    /// What was so when it was lent; if that has changed, whether it goes on is not for a line to say.
    pub(super) epoch: u64,
    /// Whether it may use as much as it likes.
    pub(super) is_plain: bool,
}

impl Charge {
    pub(super) fn new(lent: Lent, epoch: u64, is_plain: bool) -> Charge {
        Charge { lent, turn: 0, epoch, is_plain }
    }
}

#[derive(Default)]
pub(super) struct Line {
    /// Sorted by turn.
    waiting: VecDeque<Charge>,
    /// How many of these come before those that are ready in the scheduler.
    ahead: usize,
    /// What its worker runs.
    running: Option<(TaskletId, TaskletHandle)>,
    /// The latest turn of any that it has run.
    turn: u64,
}

impl Line {
    /// The next that its worker runs; none if that is for the scheduler to say, in which somebody is
    /// ready or nobody.
    pub(super) fn next(&mut self, is_ready: bool) -> Option<Charge> {
        if self.ahead == 0 {
            if is_ready {
                return None;
            }
            self.all_ahead();
        }
        let charge = self.pop()?;
        Some(self.begin(charge))
    }

    /// The worker runs that one.
    pub(super) fn begin(&mut self, charge: Charge) -> Charge {
        self.turn = self.turn.max(charge.turn);
        self.running = Some((charge.lent.id(), charge.lent.handle()));
        charge
    }

    /// The worker runs nothing.
    pub(super) fn rest(&mut self) {
        self.running = None;
    }

    /// Puts one that has run into the line, if all that there is to it is another turn; otherwise
    /// here it is.
    pub(super) fn keep(
        &mut self,
        mut charge: Charge,
        stretch: &Stretch,
        epoch: Option<u64>,
    ) -> Option<Charge> {
        let Stretch::Ran(Ok((ran, _))) = stretch else { return Some(charge) };
        let is_current = charge.is_plain && epoch == Some(charge.epoch);
        if !is_current || !charge.lent.renew(ran) {
            return Some(charge);
        }
        self.running = None;
        charge.turn += 1;
        if self.waiting.back().is_none_or(|last| last.turn <= charge.turn) {
            self.waiting.push_back(charge);
            return None;
        }
        let at = self.waiting.partition_point(|other| other.turn <= charge.turn);
        if at < self.ahead {
            self.ahead += 1;
        }
        self.waiting.insert(at, charge);
        None
    }

    /// Takes one in that was ready, if it is empty but for others that were; its turn is the latest
    /// of any.
    pub(super) fn push(&mut self, mut charge: Charge, latest_turn: u64) {
        self.turn = self.turn.max(latest_turn);
        charge.turn = self.turn;
        self.waiting.push_back(charge);
        self.ahead = self.waiting.len();
    }

    /// From now on who becomes ready comes behind all that are in it.
    pub(super) fn all_ahead(&mut self) {
        self.ahead = self.waiting.len();
    }

    /// Takes out those that come behind all that are ready.
    pub(super) fn take_behind(&mut self) -> impl Iterator<Item = Charge> {
        let latest_turn = self.waiting.back().map_or(0, |charge| charge.turn);
        self.turn = self.turn.max(latest_turn);
        self.waiting.drain(self.ahead..)
    }

    /// Takes out those that come before, the last first.
    pub(super) fn take_ahead(&mut self) -> impl Iterator<Item = Charge> {
        self.waiting.drain(..std::mem::take(&mut self.ahead)).rev()
    }

    /// Which turn the next is to have.
    pub(super) fn next_turn(&self) -> Option<u64> {
        self.waiting.front().map(|charge| charge.turn)
    }

    /// Whether all have had the turn that the worker runs, and the next begins.
    pub(super) fn is_round_over(&self) -> bool {
        self.next_turn().is_some_and(|turn| turn > self.turn)
    }

    /// Takes over half of those in another line that have had fewer turns, or if this is empty half
    /// of all; false if there are none.
    pub(super) fn steal(&mut self, from: &mut Line) -> bool {
        let own = self.next_turn();
        let lags = |charge: &Charge| own.is_none_or(|own| charge.turn + LAG_MAX <= own);
        let count = from.waiting.partition_point(lags).div_ceil(2);
        for at in 0..count {
            let Some(mut charge) = from.pop() else { break };
            if let Some(own) = own {
                charge.turn = charge.turn.max(own.saturating_sub(CATCH_UP_MAX));
            }
            self.waiting.insert(at, charge);
            self.ahead += 1;
        }
        count > 0
    }

    fn pop(&mut self) -> Option<Charge> {
        let charge = self.waiting.pop_front()?;
        self.ahead = self.ahead.saturating_sub(1);
        Some(charge)
    }

    /// The latest turn of any that its worker has run.
    pub(super) fn turn(&self) -> u64 {
        self.turn
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn running(&self) -> Option<&(TaskletId, TaskletHandle)> {
        self.running.as_ref()
    }
}
