//! What the workers of an executor share, and all that they decide; it runs nothing.
//!
//! A worker asks for what to run ([`Crew::next`]), runs it, and says what has become of it
//! ([`Crew::back`]), unless that is another turn, for which its own [`Line`] will do. The threads do so
//! holding a lock; the simulation does so in an order that a seed decides.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::line::{Charge, Line};
use super::{Event, ExecutorOptions, Quota};
use crate::error::Error;
use crate::sched::limits::{EVENTS_KEPT_MAX, LINE_MAX, POLL_NS, SHARE_MAX};
use crate::sched::{Back, Budget, Lent, RunResult, Scheduler, TaskletId};
use crate::tasklet::Ran;

/// By how much sooner somebody has to be due for another worker to look, in nanoseconds.
const LOOKOUT_NS: u64 = 50_000;

/// What has become of a stretch.
pub(super) enum Stretch {
    Ran(Result<(Ran, i128), Error>),
    /// Something has panicked in it, with that message.
    Panicked(String),
}

/// One tasklet's part: what it may still use.
#[derive(Debug, Clone, Copy)]
struct Part {
    share: u32,
    steps_left: Option<u64>,
    time_left: Option<Duration>,
}

/// What a line may do on its own: take in more than one, and have them go on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leave {
    /// Since when, as a number.
    pub(super) epoch: u64,
    /// The latest turn of any tasklet.
    pub(super) turn: u64,
}

pub(super) struct Crew {
    pub(super) sched: Scheduler,
    slice: u64,
    workers: usize,
    parts: HashMap<TaskletId, Part>,
    events: VecDeque<Event>,
    /// No turn begins any more.
    pub(super) stopping: bool,
    /// Workers that wait for something to run.
    pub(super) parked: usize,
    /// One of these has been woken, and has not come yet.
    pub(super) has_called: bool,
    /// When one of these looks again, in nanoseconds.
    pub(super) lookout_ns: Option<u64>,
    /// When those that wait outside have looked last.
    asked_ns: Option<u64>,
    /// Those who wait for the end of a turn, and for the end of all.
    pub(super) watching: usize,
    pub(super) watching_rest: usize,
}

impl Crew {
    pub(super) fn new(sched: Scheduler, options: &ExecutorOptions) -> Crew {
        Crew {
            sched,
            slice: options.slice_steps.max(1),
            workers: options.workers,
            parts: HashMap::new(),
            events: VecDeque::new(),
            stopping: false,
            parked: 0,
            has_called: false,
            lookout_ns: None,
            asked_ns: None,
            watching: 0,
            watching_rest: 0,
        }
    }

    /// Whether lines may do anything on their own.
    pub(super) fn gives_leave(&self) -> bool {
        !self.stopping && !self.sched.hears_turns()
    }

    /// What a worker is to run now: the first in its line, or if that is empty of all that are ready;
    /// `before` is what it ran until now. Without leave the line is empty, and stays so.
    pub(super) fn next(
        &mut self,
        line: &mut Line,
        leave: Option<Leave>,
        before: Option<TaskletId>,
    ) -> Option<Charge> {
        while !self.stopping {
            if let Some(charge) = line.next(self.sched.has_ready()) {
                return Some(charge);
            }
            match leave {
                _ if !self.sched.has_ready() => break,
                Some(leave) => {
                    self.give_back(line);
                    self.take_share(line, leave);
                }
                None => {
                    let next = self.sched.next_turn();
                    let charge = next.and_then(|id| self.begin(0, before, id));
                    if let Some(charge) = charge {
                        return Some(line.begin(charge));
                    }
                }
            }
        }
        None
    }

    /// Has a worker's line, which is empty, take in its share of all that can run: as many of those
    /// that are ready.
    fn take_share(&mut self, line: &mut Line, leave: Leave) {
        let share = self.sched.run_count().div_ceil(self.workers).min(LINE_MAX);
        for taken in 0..share {
            // Each that is in the store comes when it is its turn, and no sooner.
            if taken > 0 && self.sched.is_next_stored() {
                break;
            }
            let Some(id) = self.sched.next_turn() else { break };
            if let Some(charge) = self.begin(leave.epoch, None, id) {
                line.push(charge, leave.turn);
            }
        }
    }

    /// Before anybody becomes ready, who comes behind all that are in the line: those of the line
    /// that come behind some that are ready go there, too.
    pub(super) fn settle(&mut self, line: &mut Line) {
        match self.sched.has_ready() {
            true => self.give_back(line),
            false => line.all_ahead(),
        }
    }

    fn give_back(&mut self, line: &mut Line) {
        for charge in line.take_behind() {
            self.sched.give_back(charge.lent, false);
        }
    }

    /// Has the scheduler have all that are in a line.
    pub(super) fn recall(&mut self, line: &mut Line) {
        self.give_back(line);
        for charge in line.take_ahead() {
            self.sched.give_back(charge.lent, true);
        }
    }

    /// Begins the turn of one that is out of all lines; if it cannot have one it is paused.
    fn begin(&mut self, epoch: u64, before: Option<TaskletId>, id: TaskletId) -> Option<Charge> {
        if self.parts.get(&id).is_some_and(Part::is_used_up) {
            self.sched.park(id);
            self.tell(Event::UsedUp(id));
            return None;
        }
        let lent = self.sched.fetch(id).and_then(|()| {
            // While it is still the scheduler's: who is told may panic.
            self.switch(before, id);
            self.sched.lend(id, self.budget(id))
        });
        match lent {
            Ok(lent) => Some(self.charge(lent, epoch)),
            Err(error) => {
                self.tell(Event::Failed(id, error));
                None
            }
        }
    }

    fn charge(&self, lent: Lent, epoch: u64) -> Charge {
        let is_plain = self.parts.get(&lent.id()).is_none_or(Part::is_without_end);
        Charge::new(lent, epoch, is_plain)
    }

    /// A worker runs nothing any more.
    pub(super) fn rests(&mut self, before: Option<TaskletId>) {
        if before.is_some() {
            self.sched.note_switch(before, None);
        }
    }

    /// What has become of what a worker ran, and what it is to run at once, if anything.
    pub(super) fn back(
        &mut self,
        line: &mut Line,
        charge: Charge,
        stretch: Stretch,
        time: Duration,
    ) -> Option<Charge> {
        let Charge { lent, turn, epoch, .. } = charge;
        let id = lent.id();
        let ran = match stretch {
            Stretch::Ran(ran) => ran,
            Stretch::Panicked(message) => {
                line.rest();
                self.parts.remove(&id);
                self.sched.lose(lent);
                self.tell(Event::Panicked(id, message));
                return None;
            }
        };
        self.settle(line);
        if let (Some(part), Ok((_, spent))) = (self.parts.get_mut(&id), &ran) {
            part.spend(*spent, time);
        }
        let has_ended = matches!(ran, Ok((Ran::Ended, _)));
        let back = self.sched.take_back(lent, ran);
        if has_ended {
            self.parts.remove(&id);
        }
        if let Some(error) = self.sched.take_hibernation_failure() {
            self.tell(Event::HibernationFailed(error));
        }
        line.rest();
        let next = match back {
            Ok(Back::Goes(lent)) => {
                let lent = match self.stopping {
                    true => self.sched.shelve(lent)?,
                    false => lent,
                };
                Some(self.charge(lent, epoch))
            }
            Ok(Back::HandsOver(partner)) if self.stopping && self.sched.defer(partner) => None,
            Ok(Back::HandsOver(partner)) => self.begin(epoch, Some(id), partner),
            Ok(Back::Stays) => None,
            Ok(Back::Told(result)) => {
                self.told(result);
                None
            }
            Err(error) => {
                self.tell(Event::Failed(id, error));
                None
            }
        };
        // Whoever is handed over to takes the other's turn.
        next.map(|charge| line.begin(Charge { turn, ..charge }))
    }

    fn switch(&mut self, before: Option<TaskletId>, id: TaskletId) {
        if before != Some(id) {
            self.sched.note_switch(before, Some(id));
        }
    }

    fn told(&mut self, result: RunResult) {
        match result {
            RunResult::Interrupted(id) => {
                let is_used_up = self.parts.get(&id).is_some_and(Part::is_used_up);
                self.tell(if is_used_up { Event::UsedUp(id) } else { Event::Interrupted(id) });
            }
            RunResult::Trapped(id, trap) => self.tell(Event::Trapped(id, trap)),
            _ => {}
        }
    }

    fn tell(&mut self, event: Event) {
        if self.events.len() == EVENTS_KEPT_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// A worker has panicked outside of any guest, and is gone. What it ran, and was deciding about,
    /// is paused; these run.
    pub(super) fn gone(&mut self, running: &[TaskletId], message: String) {
        self.stopping = true;
        self.sched.pause_all_but(running);
        self.tell(Event::WorkerPanicked(message));
    }

    pub(super) fn take_events(&mut self) -> Vec<Event> {
        self.events.drain(..).collect()
    }

    /// Hands the scheduler out; what is left has nothing to run.
    pub(super) fn give_up(&mut self) -> Scheduler {
        self.stopping = true;
        let empty = Scheduler::new(self.sched.engine());
        std::mem::replace(&mut self.sched, empty)
    }

    /// A turn as long as its share; one whose steps end in it is handed out there.
    fn budget(&self, id: TaskletId) -> Budget {
        let Some(part) = self.parts.get(&id) else {
            return Budget::steps(self.slice).round_robin();
        };
        let slice = self.slice.saturating_mul(part.share.into());
        match part.steps_left {
            Some(left) if left <= slice => Budget::steps(left),
            _ => Budget::steps(slice).round_robin(),
        }
    }

    pub(super) fn set_quota(&mut self, id: TaskletId, quota: &Quota) {
        let Quota { share, steps, time } = *quota;
        let part = Part { share: share.clamp(1, SHARE_MAX), steps_left: steps, time_left: time };
        self.parts.insert(id, part);
        // Those of tasklets that were killed or taken.
        if self.parts.len() > 2 * self.sched.len() + 64 {
            let sched = &self.sched;
            self.parts.retain(|id, _| sched.flags(*id).alive);
        }
    }

    /// When somebody is to look again for those that wait for time or outside, in nanoseconds; these
    /// may be woken before. Some host imports wake nobody, nor does the system.
    pub(super) fn due_ns(&mut self, now_ns: u64) -> Option<u64> {
        let left = self.sched.left_until_asked_ns().map(|left_ns| now_ns.saturating_add(left_ns));
        let ask = self.sched.has_outside().then(|| self.ask_ns().unwrap_or(now_ns));
        left.into_iter().chain(ask).min()
    }

    /// Whether that comes before any worker that waits would look.
    pub(super) fn is_sooner(&self, due_ns: Option<u64>) -> bool {
        // NB: two readings of two clocks differ by a little, and nobody is to be woken for that.
        let lookout_ns = self.lookout_ns.unwrap_or(u64::MAX);
        due_ns.is_some_and(|due_ns| due_ns.saturating_add(LOOKOUT_NS) < lookout_ns)
    }

    /// Whether those that wait outside are to look again, which they do then.
    pub(super) fn is_time_to_ask(&mut self, now_ns: u64) -> bool {
        let is_time = self.sched.has_outside() && self.ask_ns().is_none_or(|ask| ask <= now_ns);
        if is_time {
            self.asked_ns = Some(now_ns);
        }
        is_time
    }

    fn ask_ns(&self) -> Option<u64> {
        Some(self.asked_ns?.saturating_add(POLL_NS))
    }

    /// Nothing runs, and nothing will unless somebody outside does something.
    pub(super) fn is_at_rest(&self) -> bool {
        self.sched.run_count() == 0 && !self.sched.waits_outside()
    }
}

impl Part {
    fn is_without_end(&self) -> bool {
        self.steps_left.is_none() && self.time_left.is_none()
    }

    fn is_used_up(&self) -> bool {
        self.steps_left == Some(0) || self.time_left.is_some_and(|left| left.is_zero())
    }

    fn spend(&mut self, steps: i128, time: Duration) {
        if let Some(left) = &mut self.steps_left {
            let rest = (i128::from(*left) - steps).clamp(0, i128::from(u64::MAX));
            *left = u64::try_from(rest).unwrap_or(u64::MAX);
        }
        if let Some(left) = &mut self.time_left {
            *left = left.saturating_sub(time);
        }
    }
}
