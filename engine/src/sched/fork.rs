//! Copies of tasklets, that go on where the originals stand.

use super::core::Place;
use super::seat::Answer;
use super::{Scheduler, Seat, TaskletId};
use crate::error::Error;
use crate::host::Host;

impl Scheduler {
    /// Makes a second tasklet of one: at the same place, with the same memory and channels. It stands
    /// where the original does, last in the same line; what it is asked or told is the same, but for
    /// its number.
    ///
    /// Nothing is written or compiled. Pages that the guest never touched stay shared with all
    /// tasklets of the module; what is touched is shared, too, where it is much, and copied by whoever
    /// writes to it ([`Tasklet::fork`](crate::Tasklet::fork)).
    ///
    /// Its host is made by [`child_host`](Scheduler::child_host). Otherwise it has the original's
    /// host imports, codecs and limits, but no user data and no directories;
    /// [`fork_with`](Scheduler::fork_with) gives it a host of its own.
    ///
    /// # Errors
    /// Those of [`Tasklet::fork`](crate::Tasklet::fork), [`Error::NoSuchTasklet`],
    /// [`Error::Limit`].
    pub fn fork(&mut self, id: TaskletId) -> Result<TaskletId, Error> {
        let host = self.host_of_fork(id)?;
        self.fork_with(id, host)
    }

    fn host_of_fork(&mut self, id: TaskletId) -> Result<Host, Error> {
        let member = self.member(id)?;
        let inherited = Host::inherited(member.tasklet.store.data());
        let host = self.hooks.child_host.as_mut().map(|make| make(id));
        Ok(host.unwrap_or(inherited))
    }

    /// The same with a host, as it would be given to a tasklet that is loaded.
    ///
    /// # Errors
    /// Those of [`fork`](Scheduler::fork).
    pub fn fork_with(&mut self, id: TaskletId, mut host: Host) -> Result<TaskletId, Error> {
        self.check_room()?;
        host.seat = Some(Seat::default());
        self.note_left(id);
        let member = self.member(id)?;
        let channels = member.channels.clone();
        let copy = member.tasklet.fork(host)?;
        let fork = self.add(copy, channels);
        match self.core.place(id) {
            Some(Place::Ready | Place::Current) => self.core.requeue(fork),
            Some(Place::Outside | Place::Sleeping | Place::Watching(_)) => self.wait_again(fork)?,
            Some(Place::Blocked(on, direction)) => {
                self.core.wait_in_line(fork, on, direction);
                self.limit_waits(&[fork])?;
            }
            Some(Place::Paused) | None => {}
        }
        Ok(fork)
    }

    /// Forks the current tasklet, which asked for it. The copy is told 0.
    pub(super) fn fork_current(&mut self, id: TaskletId) -> Result<TaskletId, Error> {
        // Before there is anything to be undone: the hook may panic.
        let host = self.host_of_fork(id)?;
        self.seat(id)?.answer(Answer::Code(0));
        let fork = self.fork_with(id, host);
        // The original is answered with what comes of it.
        self.seat(id)?.answer = None;
        fork
    }
}
