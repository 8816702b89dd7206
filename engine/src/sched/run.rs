//! Running: whose turn it is, how long it lasts, and what comes of it.

use super::answer::After;
use super::budget::{Account, Budget, Stop};
use super::limits::{ATOMIC_STEPS_MAX, ENDS_KEPT_MAX};
use super::result::RunResult;
use super::{Scheduler, TaskletId};
use crate::error::Error;
use crate::tasklet::{Outcome, Status};
use crate::trap::TrapKind;

/// How the turn of a tasklet ends.
enum Turn {
    Next,
    HandOver(TaskletId),
    Return(RunResult),
}

/// The atomic sections of one turn.
struct Section {
    /// The slice has ended in one.
    is_overdrawn: bool,
    /// How far it may still be overdrawn.
    steps_left: u64,
    /// Somebody asked for an interrupt in one.
    is_interrupted: bool,
}

impl Default for Section {
    fn default() -> Section {
        Section { is_overdrawn: false, steps_left: ATOMIC_STEPS_MAX, is_interrupted: false }
    }
}

impl Section {
    fn spend(&mut self, steps: i128) {
        let steps = u64::try_from(steps.max(0)).unwrap_or(u64::MAX);
        self.steps_left = self.steps_left.saturating_sub(steps);
    }
}

impl Scheduler {
    /// Runs what is ready, in turn, until nothing is or the budget is used up.
    ///
    /// A tasklet runs until it waits, yields or ends, or its budget does. In an atomic section it is
    /// not interrupted; that is made up for right behind.
    ///
    /// # Errors
    /// Those of [`Tasklet::run`](crate::Tasklet::run); the tasklet that ran is paused then, and the
    /// others stay where they are.
    pub fn run(&mut self, budget: Budget) -> Result<RunResult, Error> {
        self.core.ask_outside_again();
        let mut account = Account::new(budget);
        let (mut before, mut handed) = (None, None);
        let result = loop {
            let id = match handed.take() {
                Some(id) => id,
                None if account.ends_at_switch() && self.core.run_count() > 0 => {
                    break Ok(RunResult::Expired);
                }
                None => match self.core.next() {
                    Some(id) => id,
                    None => break Ok(self.nothing_ready(before.is_some())),
                },
            };
            if before != Some(id) {
                self.switched(before, Some(id));
            }
            account.begin_slice();
            before = Some(id);
            match self.turn(id, &mut account) {
                Ok(Turn::Next) => {}
                Ok(Turn::HandOver(partner)) => handed = Some(partner),
                Ok(Turn::Return(result)) => break Ok(result),
                Err(error) => {
                    if let Some(current) = self.core.current() {
                        self.core.park(current);
                    }
                    break Err(error);
                }
            }
        };
        if before.is_some() {
            self.switched(before, None);
        }
        result
    }

    fn switched(&mut self, before: Option<TaskletId>, next: Option<TaskletId>) {
        if let Some(call) = &mut self.hooks.on_switch {
            call(before, next);
        }
    }

    /// Lets the current tasklet run until its turn ends.
    fn turn(&mut self, id: TaskletId, account: &mut Account) -> Result<Turn, Error> {
        self.seat(id)?.overdue = false;
        let mut section = Section::default();
        loop {
            let in_section = self.seat(id)?.atomic && section.is_overdrawn;
            let grant = if in_section { section.steps_left } else { account.grant() };
            let tasklet = &mut self.member(id)?.tasklet;
            let granted = tasklet.granted();
            let outcome = tasklet.run(grant)?;
            let spent = i128::from(tasklet.granted()) - i128::from(granted);
            account.spend(spent);
            if in_section {
                section.spend(spent);
            }
            let after = match outcome {
                Outcome::Asks => self.answer(id)?,
                // The stop is deferred to the end of the section, unless that never comes.
                Outcome::Interrupted if self.seat(id)?.atomic => {
                    self.seat(id)?.overdue = true;
                    section.is_interrupted = true;
                    continue;
                }
                Outcome::OutOfBudget if self.seat(id)?.atomic => {
                    self.seat(id)?.overdue = true;
                    section.is_overdrawn = true;
                    if section.steps_left == 0 {
                        self.end_section(id)?;
                    }
                    continue;
                }
                Outcome::OutOfBudget => After::SliceOver,
                Outcome::Interrupted => return Ok(self.interrupted(id)),
                Outcome::Waiting(_) => {
                    self.core.wait_outside(id);
                    After::Leave
                }
                Outcome::Finished(_) | Outcome::Exited(_) | Outcome::Trapped(_) => {
                    return Ok(self.ended(id));
                }
            };
            if section.is_interrupted && matches!(after, After::Leave | After::HandOver(_)) {
                self.member(id)?.tasklet.handle().interrupt();
            }
            match after {
                After::Stay => {}
                After::Leave => return Ok(Turn::Next),
                After::HandOver(partner) => return Ok(Turn::HandOver(partner)),
                After::SliceOver if section.is_interrupted => return Ok(self.interrupted(id)),
                After::SliceOver => match account.stop() {
                    Stop::Interrupt => return Ok(self.interrupted(id)),
                    Stop::Requeue => {
                        self.core.requeue(id);
                        return Ok(Turn::Next);
                    }
                    Stop::GoOn => {}
                },
            }
        }
    }

    fn interrupted(&mut self, id: TaskletId) -> Turn {
        self.core.park(id);
        Turn::Return(RunResult::Interrupted(id))
    }

    /// Ends a tasklet whose atomic section does not.
    fn end_section(&mut self, id: TaskletId) -> Result<(), Error> {
        let kind = TrapKind::AtomicLimit;
        let message = format!("{}: {ATOMIC_STEPS_MAX} steps beyond its slice", kind.text());
        self.member(id)?.tasklet.end_with(kind, message).map(drop)
    }

    /// Forgets a tasklet that has ended, but for how.
    fn ended(&mut self, id: TaskletId) -> Turn {
        self.core.forget(id);
        let Some(member) = self.tasklets.remove(&id) else { return Turn::Next };
        let status = member.tasklet.status().clone();
        self.ends.insert(id, status.clone());
        self.ended.push_back(id);
        if self.ended.len() > ENDS_KEPT_MAX
            && let Some(oldest) = self.ended.pop_front()
        {
            self.ends.remove(&oldest);
        }
        match (status, &mut self.hooks.on_trap) {
            (Status::Trapped(trap), Some(call)) => call(id, &trap),
            (Status::Trapped(trap), None) => {
                return Turn::Return(RunResult::Trapped(id, trap));
            }
            _ => {}
        }
        Turn::Next
    }

    fn nothing_ready(&self, ran: bool) -> RunResult {
        let outside: Vec<TaskletId> = self.core.outside().collect();
        if !outside.is_empty() {
            return RunResult::Waiting(outside);
        }
        let (blocked, channels): (Vec<_>, Vec<_>) = self.core.blocked().unzip();
        let is_external = |id| self.core.channel(id).is_some_and(|c| c.options.external);
        match (blocked.is_empty(), ran) {
            (true, true) => RunResult::Finished,
            (true, false) => RunResult::Idle,
            _ if channels.into_iter().any(is_external) => RunResult::Blocked(blocked),
            _ => RunResult::Deadlock(blocked),
        }
    }
}
