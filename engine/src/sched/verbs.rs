//! Verbs of Stackless's tasklets by which the order is meddled with. What is refused changes nothing.

use super::core::{Place, Refusal};
use super::limits::MESSAGE_BYTES_MAX;
use super::{Scheduler, TaskletId, refused};
use crate::error::Error;
use crate::tasklet::Status;
use crate::trap::TrapKind;

impl Scheduler {
    /// As [`insert`](Scheduler::insert), but before all that are ready: it runs next, and one that is
    /// queued is moved. One that has to wait again for what it waited for waits.
    ///
    /// # Errors
    /// [`Error::CannotSchedule`] for one that is blocked, sleeps or has others run,
    /// [`Error::NoSuchTasklet`], [`Error::SwitchTrap`].
    pub fn run_now(&mut self, id: TaskletId) -> Result<(), Error> {
        self.may_switch()?;
        if self.core.place(id) == Some(Place::Paused) {
            self.rejoin(id)?;
            if self.core.place(id) != Some(Place::Ready) {
                return Ok(());
            }
        }
        self.core.insert_first(id).map_err(|refusal| refused("run_now", id, refusal))
    }

    /// Pauses one and has the other run next, both or neither: Stackless's `switch`, in which the
    /// first is whoever calls. To switch to oneself is nothing.
    ///
    /// # Errors
    /// As [`run_now`](Scheduler::run_now), for the first as for the second.
    pub fn switch(&mut self, from: TaskletId, to: TaskletId) -> Result<(), Error> {
        const VERB: &str = "switch";
        self.may_switch()?;
        for id in [from, to] {
            let refusal = match self.core.place(id) {
                Some(Place::Paused | Place::Ready | Place::Outside) => continue,
                None => Refusal::Unknown,
                Some(Place::Current) => Refusal::Current,
                Some(Place::Blocked(..)) => Refusal::Blocked,
                Some(Place::Sleeping) => Refusal::Sleeping,
                Some(Place::Watching(_)) => Refusal::Watching,
            };
            return Err(refused(VERB, id, refusal));
        }
        if from == to {
            return Ok(());
        }
        self.run_now(to)?;
        self.remove(from)
    }

    /// Throws an error into a tasklet: the import that it waits in, or else the next that can wait,
    /// returns -8, and `rest` the error. What it waits for it waits for no more; a message that it
    /// has received already, or that was received of it, is told first. One that has not begun ends
    /// with [`TrapKind::Thrown`] when its turn comes, and nothing of it runs.
    ///
    /// It runs next; if `pending`, when its turn comes, and if it was not ready that is last.
    ///
    /// # Errors
    /// [`Error::NoSuchTasklet`]; [`Error::CannotSchedule`] for one that has ended, that was thrown
    /// another error which it has not been told of, or that imports nothing by which it could be;
    /// [`Error::Limit`]; [`Error::SwitchTrap`] unless `pending`.
    pub fn throw(&mut self, id: TaskletId, error: &[u8], pending: bool) -> Result<(), Error> {
        let refuse = |what| Err(Error::CannotSchedule { verb: "throw", id, what });
        if !pending {
            self.may_switch()?;
        }
        if error.len() > MESSAGE_BYTES_MAX {
            return Err(Error::limit(format!("an error of {} bytes", error.len())));
        }
        let place = self.core.place(id);
        let tasklet = &mut self.member(id)?.tasklet;
        if !matches!(tasklet.status, Status::Paused(_)) {
            return refuse("it has ended");
        }
        if place == Some(Place::Current) {
            return refuse("it is running");
        }
        if tasklet.has_begun() {
            let seat = tasklet.store.data_mut().seat.as_mut();
            let Some(seat) = seat.filter(|seat| seat.linked) else {
                return refuse(
                    "it imports nothing of `tasklet`, by which it could be told; `kill` it",
                );
            };
            if seat.thrown.is_some() {
                return refuse("it has not been told yet of an error that was thrown before");
            }
            seat.thrown = Some(error.to_vec());
            seat.asked = None;
        } else {
            let text = TrapKind::Thrown.text();
            let message = format!("{text}: {}", String::from_utf8_lossy(error));
            tasklet.end_with(TrapKind::Thrown, message)?;
        }
        match (pending, place) {
            (false, _) => self.core.requeue_first(id),
            (true, Some(Place::Ready)) => {}
            (true, _) => self.core.requeue(id),
        }
        Ok(())
    }

    /// Adds to a count that begins with 0, and returns what it was. While it is not 0, whatever would
    /// have another tasklet run is refused with [`Error::SwitchTrap`]: [`run`](Scheduler::run),
    /// [`run_now`](Scheduler::run_now), [`switch`](Scheduler::switch), and
    /// [`throw`](Scheduler::throw) unless it is pending.
    pub fn switch_trap(&mut self, by: i32) -> i32 {
        let before = self.switch_traps;
        self.switch_traps = before.saturating_add(by);
        before
    }

    pub(super) fn may_switch(&self) -> Result<(), Error> {
        match self.switch_traps {
            0 => Ok(()),
            _ => Err(Error::SwitchTrap),
        }
    }

    /// Sets a tasklet's block trap, and returns what it was: while it is set, imports that would wait
    /// return -2 instead, those that can be answered at once are answered, and `yield` yields. One
    /// that waits already goes on waiting.
    ///
    /// # Errors
    /// [`Error::NoSuchTasklet`].
    pub fn set_block_trap(&mut self, id: TaskletId, on: bool) -> Result<bool, Error> {
        let seat = self.seat(id)?;
        Ok(std::mem::replace(&mut seat.block_trap, on))
    }
}
