//! A tasklet that runs while the scheduler does something else: lent out for a stretch, and brought
//! back with what has become of it.
//!
//! Whatever a scheduler decides it decides when one is lent and when it is brought back, so any
//! number can run at once, on whatever threads. With one at a time the order is that of
//! [`Scheduler::run`].

use super::budget::{Account, Budget, Turn};
use super::result::RunResult;
use super::run::Step;
use super::seat::{Answer, Request};
use super::woken::Woken;
use super::{Member, Scheduler, TaskletId};
use crate::engine::Engine;
use crate::error::Error;
use crate::tasklet::{Ran, TaskletHandle};

/// A tasklet that is out to run.
pub(crate) struct Lent {
    id: TaskletId,
    member: Box<Member>,
    turn: Turn,
    account: Account,
    grant: u64,
}

/// What has become of it.
pub(crate) enum Back {
    /// It goes on.
    Goes(Lent),
    /// It has handed over to this one, whose turn it is.
    HandsOver(TaskletId),
    /// It is where it waits, or has ended.
    Stays,
    /// The same, and somebody is to be told.
    Told(RunResult),
}

impl Lent {
    pub(crate) fn id(&self) -> TaskletId {
        self.id
    }

    pub(crate) fn handle(&self) -> TaskletHandle {
        self.member.tasklet.handle()
    }

    /// Runs it. Touches nothing else.
    pub(crate) fn run(&mut self, stack_bytes: usize) -> Result<(Ran, i128), Error> {
        self.member.tasklet.run_on(self.grant, stack_bytes)
    }

    /// Begins the next turn of one whose turn is over, if nothing of it is the scheduler's to decide:
    /// if it has yielded, or its slice is over, and it is not to be interrupted. Otherwise nothing has
    /// changed, and it is to be [taken back](Scheduler::take_back). Touches nothing else.
    pub(crate) fn renew(&mut self, ran: &Ran) -> bool {
        if self.turn.is_interrupted || !self.account.is_renewed() {
            return false;
        }
        let Some(seat) = self.member.seat() else { return false };
        match (ran, &seat.asked) {
            (Ran::OutOfBudget, _) if !seat.atomic => {}
            (Ran::Asks, Some(Request::Yield | Request::Sleep { ns: 0 })) => {
                seat.answer(Answer::Code(0));
            }
            _ => return false,
        }
        self.turn = self.account.begin(None);
        self.grant = self.turn.grant(&self.account, seat.atomic);
        seat.overdue = false;
        true
    }

    fn is_atomic(&mut self) -> bool {
        self.member.seat().is_some_and(|seat| seat.atomic)
    }
}

impl Scheduler {
    /// The tasklet whose turn it is, out of all lines.
    pub(crate) fn next_turn(&mut self) -> Option<TaskletId> {
        self.core.next()
    }

    /// Has one in memory whose turn it is, or if that fails pauses it.
    pub(crate) fn fetch(&mut self, id: TaskletId) -> Result<(), Error> {
        let fetched = self.member(id).map(drop);
        if fetched.is_err() {
            self.core.park(id);
        }
        fetched
    }

    /// Lends one whose turn it is, or if that fails pauses it.
    pub(crate) fn lend(&mut self, id: TaskletId, budget: Budget) -> Result<Lent, Error> {
        let account = Account::new(budget);
        let turn = account.begin(None);
        self.lend_on(id, turn, account)
    }

    fn lend_on(&mut self, id: TaskletId, mut turn: Turn, account: Account) -> Result<Lent, Error> {
        let lent = self.member(id).and_then(|member| member.begin(id, &mut turn, &account));
        match (lent, self.tasklets.remove(&id)) {
            (Ok(grant), Some(member)) => Ok(Lent { id, member, turn, account, grant }),
            (lent, member) => {
                if let Some(member) = member {
                    self.tasklets.insert(id, member);
                }
                self.core.park(id);
                Err(lent.err().unwrap_or(Error::NoSuchTasklet { id }))
            }
        }
    }

    /// Takes one back that has run, and decides what comes next.
    ///
    /// If that fails it is paused.
    pub(crate) fn take_back(
        &mut self,
        lent: Lent,
        ran: Result<(Ran, i128), Error>,
    ) -> Result<Back, Error> {
        let Lent { id, member, mut turn, mut account, .. } = lent;
        self.tasklets.insert(id, member);
        let step =
            ran.and_then(|(ran, spent)| self.finish(id, ran, spent, &mut turn, &mut account));
        if !matches!(step, Ok(Step::GoOn)) {
            self.turn_over(id);
        }
        match step {
            Ok(Step::GoOn) => self.lend_on(id, turn, account).map(Back::Goes),
            Ok(Step::Next) => Ok(Back::Stays),
            Ok(Step::HandOver(partner)) => Ok(Back::HandsOver(partner)),
            Ok(Step::Return(result)) => Ok(Back::Told(*result)),
            Err(error) => {
                self.give_up(id);
                Err(error)
            }
        }
    }

    /// Takes one back whose turn has not begun: it is ready, before all that are or behind them.
    pub(crate) fn give_back(&mut self, lent: Lent, is_first: bool) {
        let Lent { id, member, .. } = lent;
        self.tasklets.insert(id, member);
        match is_first {
            true => self.core.requeue_first(id),
            false => self.core.requeue(id),
        }
    }

    /// Takes one back that has not run, or not to the end of its turn: it is the first in line. One
    /// in an atomic section has to go on.
    pub(crate) fn shelve(&mut self, mut lent: Lent) -> Option<Lent> {
        if lent.is_atomic() {
            return Some(lent);
        }
        let Lent { id, member, .. } = lent;
        self.tasklets.insert(id, member);
        self.queue_first(id);
        None
    }

    /// Has one whose turn it is wait, as the first in line; false for one in an atomic section.
    pub(crate) fn defer(&mut self, id: TaskletId) -> bool {
        let is_atomic = self.seat(id).is_ok_and(|seat| seat.atomic);
        if !is_atomic {
            self.queue_first(id);
        }
        !is_atomic
    }

    fn queue_first(&mut self, id: TaskletId) {
        self.core.park(id);
        // It is paused, so that nothing is refused.
        let _ = self.core.insert_first(id);
    }

    /// Pauses one whose turn it is.
    pub(crate) fn park(&mut self, id: TaskletId) {
        self.core.park(id);
        self.note_idle(id);
    }

    /// Whoever decided has panicked: of those whose turn it is only these still run. The others are
    /// paused, and forgotten if they are gone.
    pub(crate) fn pause_all_but(&mut self, running: &[TaskletId]) {
        for id in self.core.current() {
            if running.contains(&id) {
                continue;
            }
            if self.tasklets.contains_key(&id) || self.dormitory.contains(id) {
                self.park(id);
            } else {
                self.core.forget(id);
                self.forget_stored(id);
            }
        }
    }

    /// One that is lent will not come back.
    pub(crate) fn lose(&mut self, lent: Lent) {
        self.core.forget(lent.id);
        self.release(&lent.member.channels);
        if lent.member.stored {
            self.dormitory.forget(lent.id);
        }
    }

    /// Tells whoever wants to know that another tasklet runs than before.
    pub(crate) fn note_switch(&mut self, before: Option<TaskletId>, next: Option<TaskletId>) {
        self.switched(before, next);
    }

    /// What there is to say when nothing is ready and nothing runs.
    pub(crate) fn at_rest(&self) -> RunResult {
        self.nothing_ready(true)
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Bytes of the native stack that guests are promised.
    pub(crate) fn stack_bytes(&self) -> usize {
        self.engine.options().stack_bytes
    }

    /// How many tasklets there are.
    pub(crate) fn len(&self) -> usize {
        self.core.len()
    }

    pub(crate) fn has_ready(&self) -> bool {
        self.core.has_ready()
    }

    /// Whether the first that is ready is in the store.
    pub(crate) fn is_next_stored(&self) -> bool {
        self.core.ready().next().is_some_and(|id| self.dormitory.contains(id))
    }

    /// Whether it has to hear of every turn that ends: for a hook, or to know who is idle.
    pub(crate) fn hears_turns(&self) -> bool {
        self.hooks.on_switch.is_some() || self.dormitory.counts_turns()
    }

    /// Those that host imports have woken, for whoever wants to know whether there are any.
    pub(crate) fn woken(&self) -> Woken {
        self.woken.clone()
    }

    /// Those whose time has come are ready, and whoever had others run if nothing is ready or will be;
    /// those that wait outside look again if that is said.
    pub(crate) fn ask_again(&mut self, outside: bool) {
        // Only one without a seat could not be told, and all have one.
        let _ = self.look_again(outside);
    }

    /// Nanoseconds until somebody is ready by that, if it is known.
    pub(crate) fn left_until_asked_ns(&mut self) -> Option<u64> {
        self.left_until_look_ns()
    }

    /// Whether anybody waits for the system or for a host import.
    pub(crate) fn has_outside(&self) -> bool {
        self.core.outside().next().is_some()
    }

    /// Those that a host import has woken ask again, behind all that are ready.
    pub(crate) fn ask_woken(&mut self) {
        if self.woken.any() {
            self.ask_woken_again();
        }
    }

    /// Whether somebody may come to be ready by himself.
    pub(crate) fn waits_outside(&self) -> bool {
        self.core.has_timers()
            || self.core.innermost().is_some()
            || self.core.outside().next().is_some()
    }

    /// What has gone wrong with hibernation, once.
    pub(crate) fn take_hibernation_failure(&mut self) -> Option<Error> {
        self.dormitory.note_failed()
    }
}
