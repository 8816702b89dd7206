//! What becomes of a scheduler in which nobody is ready: whether time, the system or those that have
//! others run make somebody so.

use super::budget::Account;
use super::limits::{INTERRUPT_POLL_NS, POLL_NS};
use super::result::RunResult;
use super::seat::{Answer, code};
use super::{Clock, Scheduler, TaskletId};
use crate::clock::MonotonicClock;
use crate::error::Error;
use crate::tasklet::interrupts;

impl Scheduler {
    /// What a run returns in which nobody is ready; `None` if it goes on, for now somebody may be.
    pub(super) fn wait_for_more(
        &mut self,
        ran: bool,
        account: &Account,
    ) -> Result<Option<RunResult>, Error> {
        if self.advance()? {
            return Ok(None);
        }
        let next_ns = self.left_ns();
        let mut tasklets: Vec<TaskletId> = self.core.outside().collect();
        if account.is_blocking() && (next_ns.is_some() || !tasklets.is_empty()) {
            match (next_ns, &tasklets[..]) {
                (None, [only]) => self.member(*only)?.tasklet.wait(),
                // Nothing waits for several: they are asked in turn. NB: not by the scheduler's
                // clock, which need not be the host's.
                (None, _) => MonotonicClock::default().wait(POLL_NS),
                // Not at a stretch, so that it can be interrupted.
                (Some(ns), []) => self.clock.wait(ns.min(INTERRUPT_POLL_NS)),
                (Some(ns), _) => self.clock.wait(ns.min(POLL_NS)),
            }
            if let Some(id) = self.interrupted_wait() {
                self.remove_waiting(id);
                return Ok(Some(RunResult::Interrupted(id)));
            }
            self.ask_all_again();
            return Ok(None);
        }
        tasklets.extend(self.core.timed());
        Ok(Some(match tasklets.is_empty() {
            true => self.nothing_ready(ran),
            false => RunResult::Waiting { tasklets, next_ns },
        }))
    }

    /// The first of those that wait for time whom somebody has interrupted, which is answered by this.
    /// Unless somebody somewhere has been since this was asked last, nobody is looked at.
    fn interrupted_wait(&mut self) -> Option<TaskletId> {
        let interrupts = interrupts();
        if interrupts == self.interrupts_seen {
            return None;
        }
        let all = &self.tasklets;
        let found = self.core.timed().find(|id| {
            let member = all.get(id);
            member.is_some_and(|member| member.tasklet.store.data().shared.take_interrupt())
        });
        // As long as one is found there may be another.
        if found.is_none() {
            self.interrupts_seen = interrupts;
        }
        found
    }

    /// Pauses one that waits for time; inserted, it waits for what is left.
    fn remove_waiting(&mut self, id: TaskletId) {
        self.note_left(id);
        self.core.park(id);
        self.note_idle(id);
    }

    /// Nobody is ready: virtual time goes on to the next who waits for it, or if nobody will be
    /// ready by himself the innermost is woken of those that have others run. Whether any of that
    /// has been done.
    fn advance(&mut self) -> Result<bool, Error> {
        if self.clock.is_virtual()
            && let Some(left_ns) = self.left_ns()
        {
            self.clock.wait(left_ns);
            return Ok(true);
        }
        if self.core.has_timers() || self.core.outside().next().is_some() {
            return Ok(false);
        }
        match self.core.innermost() {
            Some(watcher) => self.wake_watcher(watcher, Answer::Code(0)).map(|()| true),
            None => Ok(false),
        }
    }

    /// Wakes one that has others run, which is told that; those within it are told nothing.
    pub(super) fn wake_watcher(&mut self, id: TaskletId, answer: Answer) -> Result<(), Error> {
        for inner in self.core.wake(id) {
            self.seat(inner)?.answer(Answer::Code(0));
        }
        self.seat(id)?.answer(answer);
        Ok(())
    }

    /// Makes those ready whose time has come.
    pub(super) fn fire_due(&mut self) -> Result<(), Error> {
        if !self.core.has_timers() {
            return Ok(());
        }
        let now_ns = self.clock.now_ns();
        while let Some(due) = self.core.pop_due(now_ns) {
            let code = if due.slept { 0 } else { code::TIMED_OUT };
            self.seat(due.id)?.answer(Answer::Code(code));
        }
        Ok(())
    }

    /// Those whose time has come are ready; where nobody is, whoever time or the end of all others
    /// makes so, and those that wait for the system or for host imports look again if that is said.
    /// For whoever runs tasklets without [`run`](Scheduler::run).
    pub(super) fn look_again(&mut self, outside: bool) -> Result<(), Error> {
        if outside {
            self.ask_all_again();
        }
        self.fire_due()?;
        if self.core.run_count() == 0 && self.advance()? {
            self.fire_due()?;
        }
        Ok(())
    }

    /// Nanoseconds until [`look_again`](Scheduler::look_again) makes somebody ready who waits for time
    /// or for others, if that is known.
    pub(super) fn left_until_look_ns(&mut self) -> Option<u64> {
        let is_over = self.core.run_count() == 0;
        match self.left_ns() {
            // That time passes as soon as nobody runs.
            Some(_) if self.clock.is_virtual() => is_over.then_some(0),
            Some(left_ns) => Some(left_ns.min(INTERRUPT_POLL_NS)),
            None => {
                let waits = self.core.outside().next().is_some();
                (is_over && !waits && self.core.innermost().is_some()).then_some(0)
            }
        }
    }
}
