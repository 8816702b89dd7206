//! Running: slices of fuel, and what ends them.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};

use tasklet_instrumenter::abi;

use super::{Outcome, Status, Tasklet, Wait, frames};
use crate::error::Error;
use crate::exception;
use crate::host::import_name;
use crate::native;
use crate::snapshot::PauseReason;
use crate::state::{self, Context};
use crate::trap::{self, Ended, Trap, TrapKind};

/// The budget that never ends.
const UNLIMITED: u64 = u64::MAX;

/// Why generated code returned. Small, for it is moved often.
enum Stop {
    Budget,
    /// [`Tasklet::waiting`] is what for.
    Wait,
    /// An import of the embedder's has been issued, and is not there at once.
    Import,
    /// An import has asked for a pause behind it.
    Requested,
    Ask,
    /// The host could not do what it should.
    HostFailed(Box<Error>),
    Ended(Box<Status>),
}

/// What has become of a run, in a byte; the rest is in the tasklet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ran {
    Ended,
    OutOfBudget,
    Waiting,
    Asks,
    Interrupted,
}

impl Tasklet {
    /// Goes on for as many steps as the budget and the balance pay; `u64::MAX` is without end.
    ///
    /// Whatever the budgets are, the guest does the same: a budget split in two ends at the same
    /// place. What is left when the budget ends is carried over as balance. If something else ends
    /// the run, unspent budget is returned: no credit is carried.
    ///
    /// Running a tasklet that has ended returns its outcome again.
    ///
    /// # Panics
    /// If a host import does, or what it awaits. The tasklet has ended with a trap then, of
    /// [`TrapKind::Host`].
    ///
    /// # Errors
    /// [`Error::Internal`], [`Error::Limit`] when there is no room for the first frame of a call or
    /// in the frame memory, [`Error::HostFailed`] when the host has no native stack for it or, in a
    /// deterministic run, fails otherwise,
    /// [`Error::Unsupported`] when the results hold a reference to no function of the module. What
    /// goes wrong in the guest is [`Outcome::Trapped`].
    pub fn run(&mut self, budget: u64) -> Result<Outcome, Error> {
        if let Some(outcome) = self.status.ended() {
            return self.unless_lost(Ran::Ended).map(|_| outcome);
        }
        let stack_bytes = self.module.engine().options().stack_bytes;
        let ran = native::with_stack(stack_bytes, || self.advance(budget))?;
        let outcome = match ran {
            Ran::Ended => self.status.ended(),
            Ran::OutOfBudget => Some(Outcome::OutOfBudget),
            Ran::Waiting => self.waiting.clone().map(Outcome::Waiting),
            Ran::Asks => Some(Outcome::Asks),
            Ran::Interrupted => Some(Outcome::Interrupted),
        };
        outcome.ok_or_else(|| Error::internal("a tasklet has run, and not said why it returned"))
    }

    /// The same on a native stack that has so many bytes for wasm code, if they are enough. The
    /// second is what it used of the budget, less what it returned of earlier ones.
    pub(crate) fn run_on(&mut self, budget: u64, stack_bytes: usize) -> Result<(Ran, i128), Error> {
        if !matches!(self.status, Status::Paused(_)) {
            return Ok((self.unless_lost(Ran::Ended)?, 0));
        }
        let granted = self.granted();
        let wanted = self.module.engine().options().stack_bytes;
        let ran = match wanted <= stack_bytes {
            true => self.advance(budget),
            false => native::with_stack(wanted, || self.advance(budget)),
        }?;
        Ok((ran, i128::from(self.granted()) - i128::from(granted)))
    }

    /// What panics in here, an import or what it awaits, goes on to panic, and ends the tasklet: of its
    /// stack only a part is left.
    fn advance(&mut self, budget: u64) -> Result<Ran, Error> {
        let ran = panic::catch_unwind(AssertUnwindSafe(|| self.advance_unguarded(budget)));
        ran.unwrap_or_else(|panicked| {
            self.abandon(&*panicked);
            panic::resume_unwind(panicked)
        })
    }

    fn advance_unguarded(&mut self, budget: u64) -> Result<Ran, Error> {
        self.waiting = None;
        self.store.data_mut().meter.end = match budget {
            UNLIMITED => u64::MAX,
            _ => self.charged.saturating_add_signed(self.fuel).saturating_add(budget),
        };
        let most = self.module.engine().options().slice_steps.clamp(1, abi::FUEL_MAX as u64);
        let mut remaining = budget;
        loop {
            if self.store.data().shared.take_interrupt() {
                return self.stopped(Stop::Requested, remaining);
            }
            // What the host awaits is polled out here, with nothing of the guest on the stack; but for
            // the first time, in the call.
            if self.is_awaiting()
                && let Some(wait) = self.poll_import()
            {
                self.waiting = Some(wait);
                return self.stopped(Stop::Wait, remaining);
            }
            // Where a slice ends within the budget makes no difference, because its balance is
            // carried into the next. This only bounds the time between two looks at the flag.
            // A single bulk operation may owe more than a lifetime of such slices pays.
            let owed = self.fuel.min(0).unsigned_abs();
            let steps = remaining.min(most.saturating_add(owed));
            if budget != UNLIMITED {
                remaining -= steps;
            }
            match self.slice(steps)? {
                Stop::Budget if remaining > 0 => {}
                Stop::Budget => {
                    self.status = Status::Paused(PauseReason::OutOfBudget);
                    return Ok(Ran::OutOfBudget);
                }
                Stop::Import => {
                    self.waiting = self.import_awaited();
                    return self.stopped(Stop::Import, remaining);
                }
                stop => return self.stopped(stop, remaining),
            }
        }
    }

    fn stopped(&mut self, stop: Stop, remaining: u64) -> Result<Ran, Error> {
        let ran = match stop {
            Stop::Budget => {
                self.status = Status::Paused(PauseReason::OutOfBudget);
                Ran::OutOfBudget
            }
            Stop::Requested => {
                self.status = Status::Paused(PauseReason::Requested);
                Ran::Interrupted
            }
            Stop::Wait | Stop::Import => {
                self.status = Status::Paused(PauseReason::Waiting);
                Ran::Waiting
            }
            Stop::Ask => {
                self.status = Status::Paused(PauseReason::Waiting);
                Ran::Asks
            }
            Stop::Ended(status) => {
                self.discard_frames()?;
                self.forget_import();
                self.status = *status;
                Ran::Ended
            }
            // The import is issued again, as one that waits is.
            Stop::HostFailed(error) => {
                self.return_unspent(remaining);
                self.status = Status::Paused(PauseReason::Waiting);
                return Err(*error);
            }
        };
        self.return_unspent(remaining);
        self.unless_lost(ran)
    }

    /// The same, unless a deterministic guest has ended for what is only its host's.
    fn unless_lost(&self, ran: Ran) -> Result<Ran, Error> {
        match &self.status {
            Status::Trapped(trap) if trap.kind.is_hosts() && self.is_deterministic() => {
                Err(Error::lost(&trap.message))
            }
            _ => Ok(ran),
        }
    }

    fn is_deterministic(&self) -> bool {
        self.module.engine().options().deterministic
    }

    /// Ends a paused tasklet against its will.
    pub(crate) fn end_with(&mut self, kind: TrapKind, message: String) -> Result<(), Error> {
        let mut trap = Trap { kind, message, backtrace: Vec::new() };
        frames::add_paused_frames(&mut self.store, &mut trap.backtrace)?;
        self.stopped(Stop::trap(trap), 0).map(drop)
    }

    /// Ends a tasklet in the middle of whose run something has panicked.
    fn abandon(&mut self, panicked: &(dyn Any + Send)) {
        let message = format!("it has panicked: {}", trap::panic_message(panicked));
        let state = self.store.data_mut();
        let import = state.shared.leave_all();
        let import = import.or_else(|| state.issued.as_ref().map(|issued| issued.function()));
        let import = import.map(|import| import_name(&state.metadata, import)).unwrap_or_default();
        (state.depth, state.withheld) = (0, 0);
        (state.pause, state.pause_behind) = (None, false);
        let message = Ended::Host { import, message }.to_string();
        let trap = Trap { kind: TrapKind::Host, message, backtrace: Vec::new() };
        self.status = Status::Trapped(trap.clone());
        // What could still go wrong is of no account any more.
        let _ = self.stopped(Stop::trap(trap), 0);
    }

    /// Whether anything of it has run.
    pub(crate) fn has_begun(&self) -> bool {
        self.charged > 0
    }

    /// Gives back what the budget holds beyond debts.
    fn return_unspent(&mut self, remaining: u64) {
        self.fuel = self.fuel.saturating_add_unsigned(remaining).min(0);
    }

    /// Drops the continuation of an ended tasklet, once what it had prepaid is known.
    fn discard_frames(&mut self) -> Result<(), Error> {
        // After a trap the frames may be in disorder; the count then is the last one known.
        let prepaid = frames::prepaid(&mut self.store).unwrap_or(0);
        self.charged = self.charged.saturating_sub(prepaid);
        self.fuel = self.fuel.saturating_add_unsigned(prepaid);
        self.queue.clear();
        let metadata = self.store.metadata();
        frames::forget_references(&mut self.store)?;
        self.store.set_global(self.exports.sp, metadata.frames_base as i32)?;
        self.store.set_global(self.exports.ref_sp, metadata.refs_base as i32)
    }

    /// Runs with that many more steps, across cuts, and settles the account.
    fn slice(&mut self, steps: u64) -> Result<Stop, Error> {
        self.fuel = self.fuel.saturating_add_unsigned(steps);
        loop {
            // Generated code would take such a debt for a sentinel. It could not run anyway.
            if self.fuel < abi::DEBT_FLOOR {
                return Ok(Stop::Budget);
            }
            // A count that only a forged snapshot can have leaves no room for another cut.
            let to_cut = Some(self.cut).filter(|cut| *cut < u64::MAX);
            let to_cut = to_cut.and_then(|cut| cut.checked_signed_diff(self.charged));
            let to_cut = to_cut.unwrap_or(i64::MAX);
            let fuel = self.fuel.min(to_cut.max(abi::DEBT_FLOOR));
            let is_cut = fuel < self.fuel;
            let stop = self.stretch(fuel)?;
            let is_requested = self.store.data().pause_behind && self.is_behind(&stop);
            let Stop::Budget = stop else { return Ok(stop) };
            // The budget may just happen to end where the cut is.
            let at_cut = (is_cut || to_cut <= fuel) && !is_requested;
            if at_cut || self.charged > self.cut {
                let (pace, cut) = (self.module.pace(), self.cut);
                self.cut = pace.next_cut(cut, self.charged);
                if pace.compares_depth(cut, self.charged)
                    && let Some(trap) = self.too_deep()
                {
                    return Ok(Stop::trap(trap));
                }
            }
            if is_requested {
                return Ok(Stop::Requested);
            }
            if !is_cut {
                return Ok(Stop::Budget);
            }
        }
    }

    /// Whether a pause that an import has asked for is there. What has been issued meanwhile has to
    /// come back first; any other stop is as good.
    fn is_behind(&mut self, stop: &Stop) -> bool {
        self.store.data_mut().pause_behind = matches!(stop, Stop::Import);
        matches!(stop, Stop::Budget)
    }

    /// Runs with that fuel, which is at most what there is.
    fn stretch(&mut self, fuel: i64) -> Result<Stop, Error> {
        if !self.has_room(fuel) {
            // Within its limits there is room for whatever it does: it is the host that has none.
            let full = "no room is left for more frames";
            let deep = self.too_deep();
            if deep.is_none() && self.is_deterministic() {
                return Ok(Stop::HostFailed(Box::new(Error::host_failed(full))));
            }
            let trap = deep.unwrap_or_else(|| self.end(TrapKind::OutOfMemory, full));
            return Ok(Stop::trap(trap));
        }
        let meter = &mut self.store.data_mut().meter;
        (meter.charged, meter.fuel) = (self.charged, fuel);
        self.store.set_global(self.exports.fuel, fuel)?;
        let returned = loop {
            match self.resume()? {
                Ok(abi::RUN_FINISHED) if self.begin_next_call()? => {}
                returned => break returned,
            }
        };
        let pause = self.store.data_mut().pause.take();
        let left = match &pause {
            Some(pause) => pause.fuel,
            None => self.store.i64_global(self.exports.fuel),
        };
        // What leaves a debt takes the fuel far below 0, where nothing brings it back but a trap.
        let may_owe = returned.is_err() || left < 0;
        let stop = self.why(returned, pause)?;
        let debt = if may_owe { self.store.i64_global(self.exports.debt) } else { 0 };
        if debt != 0 {
            self.store.set_global(self.exports.debt, 0i64)?;
        }
        let withheld = std::mem::take(&mut self.store.data_mut().withheld);
        // Only a trap can leave a sentinel here: then nothing is known of the stretch.
        let left = if left < abi::SENTINEL_LIMIT { fuel } else { left + withheld } - debt;
        self.charged = self.charged.saturating_add_signed(fuel - left);
        self.fuel -= fuel - left;
        Ok(stop)
    }

    /// Whether there is room for the frames of a stretch with that fuel, made if need be.
    fn has_room(&mut self, fuel: i64) -> bool {
        let pace = self.module.pace();
        // What is reserved is enough up to the next cut, in however many stretches; but not what
        // depends on the fuel.
        if self.roomy_until == self.cut {
            return true;
        }
        let has_room = frames::is_reserved(&mut self.store, &self.exports, &pace, fuel)
            || frames::reserve(&mut self.store, &pace, fuel).is_ok();
        if has_room && pace.references(fuel) == 0 && self.cut < u64::MAX {
            self.roomy_until = self.cut;
        }
        has_room
    }

    /// Runs the continuation.
    fn resume(&mut self) -> Result<wasmtime::Result<i32>, Error> {
        if !self.exports.keeps_alive {
            return Ok(self.exports.run.call(&mut self.store, ()));
        }
        let references = self.store.u32_global(self.exports.ref_sp);
        let returned = self.exports.run.call(&mut self.store, ());
        if matches!(returned, Ok(abi::RUN_PAUSED)) {
            frames::forget_taken(&mut self.store, references)?;
        }
        Ok(returned)
    }

    /// Begins the next call, if there is any.
    fn begin_next_call(&mut self) -> Result<bool, Error> {
        let Some(next) = self.queue.pop_front() else { return Ok(false) };
        self.current = next.function;
        frames::push_call(&mut self.store, next.function, &next.args)?;
        Ok(true)
    }

    /// Why generated code has returned.
    fn why(
        &mut self,
        returned: wasmtime::Result<i32>,
        pause: Option<state::Pause>,
    ) -> Result<Stop, Error> {
        Ok(match returned {
            Ok(abi::RUN_FINISHED) => {
                let results = frames::results(&mut self.store, self.current)?;
                Stop::Ended(Box::new(Status::Finished(results)))
            }
            Ok(abi::RUN_PAUSED) => match pause.map(|pause| pause.reason) {
                None => Stop::Budget,
                Some(state::PauseReason::Exit(code)) => Stop::Ended(Box::new(Status::Exited(code))),
                Some(state::PauseReason::Wait(wait)) => {
                    self.waiting = Some(Wait::System(wait));
                    Stop::Wait
                }
                Some(state::PauseReason::Import) => Stop::Import,
                Some(state::PauseReason::HostFailed(what)) => {
                    Stop::HostFailed(Box::new(Error::host_failed(what)))
                }
                Some(state::PauseReason::Ask) => Stop::Ask,
            },
            Ok(other) => return Err(Error::internal(format!("`run` returned {other}"))),
            Err(error) => self.trapped(&error),
        })
    }

    /// The trap of a guest whose calls are nested deeper than its limit.
    fn too_deep(&mut self) -> Option<Trap> {
        let limit = self.store.data().limiter.limits.stack_bytes;
        let bytes = frames::depth_bytes(&mut self.store);
        (bytes > limit).then(|| {
            let why = format!("frames of {bytes} bytes exceed the limit of {limit}");
            self.end(TrapKind::StackOverflow, &why)
        })
    }

    /// The trap of a guest that is paused, and cannot go on.
    fn end(&mut self, kind: TrapKind, why: &str) -> Trap {
        let mut backtrace = Vec::new();
        let _ = frames::add_paused_frames(&mut self.store, &mut backtrace);
        Trap { kind, message: format!("{}: {why}", kind.text()), backtrace }
    }

    fn trapped(&mut self, error: &wasmtime::Error) -> Stop {
        // Whatever was on the native stack is gone.
        self.store.data_mut().depth = 0;
        if let Some(Ended::Exit(code)) = error.downcast_ref() {
            return Stop::Ended(Box::new(Status::Exited(*code)));
        }
        let mut trap = trap::translate(self.module.metadata(), error);
        if trap.kind == TrapKind::UncaughtException
            && let Ok(thrown) = exception::take_thrown(&mut self.store)
        {
            let thrown = exception::describe(&mut self.store, &thrown);
            trap.message = format!("{}: {thrown}", trap.message);
        }
        // Only the frames resumed since the last cut were on the native stack; below are these.
        let _ = frames::add_paused_frames(&mut self.store, &mut trap.backtrace);
        Stop::trap(trap)
    }
}

impl Stop {
    fn trap(trap: Trap) -> Stop {
        Stop::Ended(Box::new(Status::Trapped(trap)))
    }
}
