//! Running: whose turn it is, how long it lasts, and what comes of it.

use std::panic::{self, AssertUnwindSafe};

use super::answer::After;
use super::budget::{Account, Budget, Stop, Turn};
use super::limits::{ATOMIC_STEPS_MAX, BLOCKED_TOLD_MAX, ENDS_KEPT_MAX, MESSAGE_BYTES_MAX};
use super::result::RunResult;
use super::seat::Answer;
use super::{Member, Scheduler, TaskletId, without_seat};
use crate::error::Error;
use crate::native;
use crate::tasklet::{Ran, Status};
use crate::trap::TrapKind;
use crate::wasi::Bytes;

/// What comes next once a tasklet has run for a while.
pub(super) enum Step {
    /// The same goes on.
    GoOn,
    /// The turn is over, and the next in line runs.
    Next,
    /// It is over, and this one runs.
    HandOver(TaskletId),
    /// So is the run. Boxed, for at every turn one of these is moved.
    Return(Box<RunResult>),
}

impl Member {
    /// What it may be given when it is its turn.
    pub(super) fn begin(
        &mut self,
        id: TaskletId,
        turn: &mut Turn,
        account: &Account,
    ) -> Result<u64, Error> {
        let seat = self.seat().ok_or_else(|| without_seat(id))?;
        let grant = turn.grant(account, seat.atomic);
        seat.overdue = turn.is_overdrawn || turn.is_interrupted;
        Ok(grant)
    }
}

impl Scheduler {
    /// Runs what is ready, in turn, until nothing is or the budget is used up.
    ///
    /// A tasklet runs until it waits, yields or ends, or its budget does. In an atomic section it is
    /// not interrupted; that is made up for right behind.
    ///
    /// # Panics
    /// If a host import does, or what it awaits. The tasklet that ran has ended then, as
    /// [`end`](Scheduler::end) says; the others stay where they are, and the next run goes on with them.
    /// And if a hook does: the tasklet that ran is paused then.
    ///
    /// # Errors
    /// Those of [`Tasklet::run`](crate::Tasklet::run); the tasklet that ran is paused then, and the
    /// others stay where they are. [`Error::SwitchTrap`].
    pub fn run(&mut self, budget: Budget) -> Result<RunResult, Error> {
        self.may_switch()?;
        // Those that an executor has run meanwhile.
        let elsewhere = self.core.current();
        // One native stack for all of them: to change over to it costs as much as many a turn.
        let stack_bytes = self.engine.options().stack_bytes;
        let run = || native::with_stack(stack_bytes, || self.run_all(budget, stack_bytes));
        let result = panic::catch_unwind(AssertUnwindSafe(run));
        self.current.set(None);
        result.unwrap_or_else(|panicked| {
            // Those whose turn it was: who ran, and the one that it handed over to.
            self.pause_all_but(&elsewhere);
            panic::resume_unwind(panicked)
        })
    }

    fn run_all(&mut self, budget: Budget, stack_bytes: usize) -> Result<RunResult, Error> {
        self.ask_all_again();
        // One may have been interrupted while it was paused: the first look is at all.
        self.interrupts_seen = u64::MAX;
        let mut account = Account::new(budget);
        let (mut before, mut handed) = (None, None);
        let result = loop {
            // If nobody else is ready the embedder is told first that these wait.
            if self.woken.any() && self.core.run_count() > 0 {
                self.ask_woken_again();
            }
            if handed.is_none()
                && let Some(error) = self.dormitory.take_failed()
            {
                break Err(error);
            }
            if let Err(error) = self.fire_due() {
                break Err(error);
            }
            let id = match handed.take() {
                Some(id) => id,
                None if account.ends_at_switch() && self.core.run_count() > 0 => {
                    break Ok(RunResult::Expired);
                }
                None => match self.core.next() {
                    Some(id) => id,
                    None => match self.wait_for_more(before.is_some(), &account) {
                        Ok(None) => continue,
                        Ok(Some(result)) => break Ok(result),
                        Err(error) => break Err(error),
                    },
                },
            };
            if before != Some(id) {
                self.current.set(Some(id));
                self.switched(before, Some(id));
            }
            before = Some(id);
            let step = self.turn(id, &mut account, stack_bytes);
            self.turn_over(id);
            match step {
                Ok(Step::GoOn | Step::Next) => {}
                Ok(Step::HandOver(partner)) => handed = Some(partner),
                Ok(Step::Return(result)) => break Ok(*result),
                Err(error) => {
                    self.give_up(id);
                    break Err(error);
                }
            }
        };
        if before.is_some() {
            self.switched(before, None);
        }
        result
    }

    /// Something has gone wrong with one that ran, or with the one that it handed over to.
    pub(super) fn give_up(&mut self, id: TaskletId) {
        if self.core.is_running(id) {
            self.core.park(id);
        }
    }

    pub(super) fn switched(&mut self, before: Option<TaskletId>, next: Option<TaskletId>) {
        if let Some(call) = &mut self.hooks.on_switch {
            call(before, next);
        }
    }

    /// Lets a tasklet run until its turn ends.
    fn turn(
        &mut self,
        id: TaskletId,
        account: &mut Account,
        stack_bytes: usize,
    ) -> Result<Step, Error> {
        let mut turn = account.begin(self.core.limiting());
        loop {
            let member = self.member(id)?;
            let grant = member.begin(id, &mut turn, account)?;
            // What runs touches nothing of the scheduler's but this one tasklet.
            let run = AssertUnwindSafe(|| member.tasklet.run_on(grant, stack_bytes));
            let (ran, spent) = panic::catch_unwind(run).unwrap_or_else(|panicked| {
                self.note_end(id);
                panic::resume_unwind(panicked)
            })?;
            match self.finish(id, ran, spent, &mut turn, account)? {
                Step::GoOn => {}
                step => return Ok(step),
            }
        }
    }

    /// Decides what comes next, once it has run and used that many steps.
    pub(super) fn finish(
        &mut self,
        id: TaskletId,
        ran: Ran,
        spent: i128,
        turn: &mut Turn,
        account: &mut Account,
    ) -> Result<Step, Error> {
        turn.spend(account, spent);
        let after = match ran {
            Ran::Asks => self.answer(id)?,
            // The stop is deferred to the end of the section, unless that never comes.
            Ran::Interrupted if self.seat(id)?.atomic => {
                turn.is_interrupted = true;
                return Ok(Step::GoOn);
            }
            Ran::OutOfBudget if self.seat(id)?.atomic => {
                if !turn.overdraw() {
                    self.end_section(id)?;
                }
                return Ok(Step::GoOn);
            }
            Ran::OutOfBudget => After::SliceOver,
            Ran::Interrupted => return Ok(self.interrupted(id)),
            Ran::Waiting => {
                self.wait_outside(id);
                After::Leave
            }
            Ran::Ended => return self.ended(id),
        };
        if turn.is_interrupted && matches!(after, After::Leave | After::HandOver(_)) {
            self.member(id)?.tasklet.handle().interrupt();
        }
        Ok(match after {
            After::Stay => Step::GoOn,
            After::Leave => Step::Next,
            After::HandOver(partner) => Step::HandOver(partner),
            After::SliceOver if turn.is_interrupted => self.interrupted(id),
            After::SliceOver if let Some(watcher) = turn.watcher => {
                self.core.requeue(id);
                self.wake_watcher(watcher, Answer::Code(id.0 as i64))?;
                Step::Next
            }
            After::SliceOver => match account.stop() {
                Stop::Interrupt => self.interrupted(id),
                Stop::Requeue => {
                    self.core.requeue(id);
                    Step::Next
                }
                Stop::GoOn => Step::GoOn,
            },
        })
    }

    fn interrupted(&mut self, id: TaskletId) -> Step {
        self.core.park(id);
        Step::Return(Box::new(RunResult::Interrupted(id)))
    }

    /// Ends a tasklet whose atomic section does not.
    fn end_section(&mut self, id: TaskletId) -> Result<(), Error> {
        let kind = TrapKind::AtomicLimit;
        let message = format!("{}: {ATOMIC_STEPS_MAX} steps beyond its slice", kind.text());
        self.member(id)?.tasklet.end_with(kind, message).map(drop)
    }

    /// Forgets a tasklet that has ended, but for how.
    fn note_end(&mut self, id: TaskletId) -> Option<Status> {
        self.core.forget(id);
        let member = self.tasklets.remove(&id)?;
        if member.stored {
            self.dormitory.forget(id);
        }
        self.release(&member.channels);
        let status = member.tasklet.status;
        self.ends.insert(id, status.clone());
        self.ended.push_back(id);
        if self.ended.len() > ENDS_KEPT_MAX
            && let Some(oldest) = self.ended.pop_front()
        {
            self.ends.remove(&oldest);
        }
        Some(status)
    }

    /// One has ended, and whoever is to know is told.
    fn ended(&mut self, id: TaskletId) -> Result<Step, Error> {
        let Some(status) = self.note_end(id) else { return Ok(Step::Next) };
        match (status, &mut self.hooks.on_trap, self.core.innermost()) {
            (Status::Trapped(trap), Some(call), _) => call(id, &trap),
            (Status::Trapped(trap), None, Some(watcher)) => {
                let mut message = trap.message.into_bytes();
                message.truncate(MESSAGE_BYTES_MAX);
                self.wake_watcher(watcher, Answer::Error(Bytes(message)))?;
            }
            (Status::Trapped(trap), None, None) => {
                return Ok(Step::Return(Box::new(RunResult::Trapped(id, trap))));
            }
            _ => {}
        }
        Ok(Step::Next)
    }

    /// What there is to say when nothing is ready.
    pub(super) fn nothing_ready(&self, ran: bool) -> RunResult {
        let (blocked, is_external) = self.core.stuck(BLOCKED_TOLD_MAX);
        match (blocked.is_empty(), ran) {
            (true, true) => RunResult::Finished,
            (true, false) => RunResult::Idle,
            _ if is_external => RunResult::Blocked(blocked),
            _ => RunResult::Deadlock(blocked),
        }
    }
}
