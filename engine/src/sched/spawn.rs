//! How a tasklet comes into a scheduler.

use super::limits::{ARGUMENT_BYTES_MAX, GRANTS_MAX, MODULES_KEPT_MAX, NAME_BYTES_MAX};
use super::seat::{Grant, Grants};
use super::{ChannelId, Member, Scheduler, Seat, TaskletId};
use crate::error::Error;
use crate::host::Host;
use crate::module::Module;
use crate::tasklet::{Entry, Tasklet};

/// What a tasklet of a scheduler begins with; an [`Entry`] alone will do.
#[derive(Debug)]
pub struct Spawn {
    entry: Entry,
    host: Host,
    channels: Vec<(String, ChannelId)>,
    argument: Vec<u8>,
    paused: bool,
}

impl Spawn {
    /// It begins with that entry, and is given nothing.
    pub fn new(entry: Entry) -> Spawn {
        let host = Host::empty();
        Spawn { entry, host, channels: Vec::new(), argument: Vec::new(), paused: false }
    }

    /// It begins with an exported function without parameters.
    pub fn export(name: &str) -> Spawn {
        Spawn::new(Entry::Invoke { name: name.to_string(), args: Vec::new() })
    }

    /// What it is provided besides the scheduler's imports.
    pub fn host(self, host: Host) -> Spawn {
        Spawn { host, ..self }
    }

    /// Gives it a channel, which it calls by that name. It knows no others.
    pub fn channel(mut self, name: &str, channel: ChannelId) -> Spawn {
        self.channels.push((name.to_string(), channel));
        self
    }

    /// Bytes that it can ask for.
    pub fn argument(self, argument: &[u8]) -> Spawn {
        Spawn { argument: argument.to_vec(), ..self }
    }

    /// It is paused, instead of queued behind those that are ready.
    pub fn paused(self) -> Spawn {
        Spawn { paused: true, ..self }
    }
}

impl From<Entry> for Spawn {
    fn from(entry: Entry) -> Spawn {
        Spawn::new(entry)
    }
}

impl Scheduler {
    /// Makes a tasklet and queues it behind all that are ready.
    ///
    /// # Errors
    /// Those of [`Tasklet::spawn`]; [`Error::NoSuchChannel`] and [`Error::ChannelExists`] when it is
    /// given a channel that is not here, or two of one name; [`Error::Limit`].
    pub fn spawn(&mut self, module: &Module, spawn: impl Into<Spawn>) -> Result<TaskletId, Error> {
        let mut spawn = spawn.into();
        let (names, channels) = self.grants(&spawn.channels)?;
        if spawn.argument.len() > ARGUMENT_BYTES_MAX {
            return Err(Error::limit(format!("an argument of {} bytes", spawn.argument.len())));
        }
        spawn.host.seat = Some(Seat::new(names, spawn.argument));
        self.check_room()?;
        let tasklet = Tasklet::spawn(module, spawn.host, spawn.entry)?;
        let id = self.add(tasklet, channels);
        if !spawn.paused {
            self.insert(id)?;
        }
        Ok(id)
    }

    pub(super) fn check_room(&self) -> Result<(), Error> {
        match self.core.len() < self.tasklets_max {
            true => Ok(()),
            false => Err(Error::limit(format!("more than {} tasklets", self.tasklets_max))),
        }
    }

    /// Takes a tasklet in, paused.
    pub(super) fn add(&mut self, tasklet: Tasklet, channels: Vec<ChannelId>) -> TaskletId {
        let id = self.core.add();
        self.add_as(id, tasklet, channels);
        id
    }

    /// Takes a tasklet in under a number that is its already.
    pub(super) fn add_as(&mut self, id: TaskletId, mut tasklet: Tasklet, channels: Vec<ChannelId>) {
        tasklet.store.data_mut().seat.get_or_insert_default().id = id;
        if self.modules.len() < MODULES_KEPT_MAX {
            let module = tasklet.module();
            self.modules.entry(module.hash()).or_insert_with(|| module.clone());
        }
        self.hold(&channels);
        self.tasklets.insert(id, Box::new(Member::new(tasklet, channels)));
        self.note_idle(id);
    }

    fn grants(&self, given: &[(String, ChannelId)]) -> Result<(Grants, Vec<ChannelId>), Error> {
        if given.len() > GRANTS_MAX {
            return Err(Error::limit(format!("{} channels for one tasklet", given.len())));
        }
        let mut grants = Vec::with_capacity(given.len());
        for (at, (guest, id)) in given.iter().enumerate() {
            let channel = self.known_as(*id);
            let channel = channel.ok_or_else(|| Error::NoSuchChannel { name: id.to_string() })?;
            if guest.len() > NAME_BYTES_MAX {
                return Err(Error::limit(format!("a name of {} bytes", guest.len())));
            }
            if given[..at].iter().any(|(other, _)| other == guest) {
                return Err(Error::ChannelExists { name: guest.clone() });
            }
            grants.push(Some(Grant { guest: Some(guest.clone()), channel }));
        }
        Ok((Grants::new(grants), given.iter().map(|(_, id)| *id).collect()))
    }

    /// Makes a tasklet that a guest asked for: an instance of the same module, with the parent's
    /// channels.
    pub(super) fn spawn_child(
        &mut self,
        parent: TaskletId,
        entry: String,
        argument: Vec<u8>,
    ) -> Result<TaskletId, Error> {
        self.check_room()?;
        let mut host = match &mut self.hooks.child_host {
            Some(make) => make(parent),
            None => {
                let mut host = Host::empty();
                let limits = &self.member(parent)?.tasklet.store.data().limiter.limits;
                host.limits = limits.clone();
                host
            }
        };
        let names = self.seat(parent)?.channels.clone();
        host.seat = Some(Seat::new(names, argument));
        let member = self.member(parent)?;
        let (module, channels) = (member.tasklet.module().clone(), member.channels.clone());
        let entry = Entry::Invoke { name: entry, args: Vec::new() };
        let id = self.add(Tasklet::spawn(&module, host, entry)?, channels);
        self.insert(id)?;
        Ok(id)
    }
}
