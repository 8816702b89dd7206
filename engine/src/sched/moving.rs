//! Tasklets that leave a scheduler, and come into one: taken out whole, or written down and loaded.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::made::Wanted;
use super::seat::{Grants, Known};
use super::{ChannelId, ChannelName, Scheduler, Seat, TaskletId};
use crate::capture::SnapshotOptions;
use crate::error::Error;
use crate::host::Host;
use crate::module::Module;
use crate::snapshot::{self, Snapshot};
use crate::tasklet::Tasklet;

/// A tasklet that has been taken out of its scheduler. Dropping it destroys it.
pub struct Taken {
    id: TaskletId,
    origin: Arc<()>,
    tasklet: Tasklet,
}

impl Taken {
    /// The number that it had.
    pub fn id(&self) -> TaskletId {
        self.id
    }

    /// The tasklet as the bytes of a snapshot.
    ///
    /// # Errors
    /// Those of [`Tasklet::dump`].
    pub fn dump(&mut self) -> Result<Vec<u8>, Error> {
        self.dump_with(&SnapshotOptions::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// Those of [`Tasklet::dump`].
    pub fn dump_with(&mut self, options: &SnapshotOptions) -> Result<Vec<u8>, Error> {
        dump(&mut self.tasklet, options)
    }

    /// Destroys it. Nothing of it runs any more.
    pub fn kill(self) {}

    /// The tasklet.
    pub fn tasklet(&self) -> &Tasklet {
        &self.tasklet
    }

    /// The same, to look at it closer.
    pub fn tasklet_mut(&mut self) -> &mut Tasklet {
        &mut self.tasklet
    }
}

impl fmt::Debug for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taken").field("id", &self.id).field("tasklet", &self.tasklet).finish()
    }
}

/// A tasklet that could not be put into a scheduler, as it was, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot take in tasklet {}", taken.id)]
pub struct NotPut {
    /// The tasklet.
    pub taken: Taken,
    /// Why not.
    #[source]
    pub error: Error,
}

type Resolve<'a> = Box<dyn FnMut(&ChannelName) -> Option<ChannelId> + 'a>;

/// What a tasklet is given that is loaded.
#[derive(Default)]
pub struct LoadOptions<'a> {
    host: Option<Host>,
    module: Option<Module>,
    channels: Option<Resolve<'a>>,
    same_channels: bool,
}

impl<'a> LoadOptions<'a> {
    /// What it is provided besides the scheduler's imports.
    pub fn host(self, host: Host) -> LoadOptions<'a> {
        LoadOptions { host: Some(host), ..self }
    }

    /// Its module, if neither the snapshot nor the scheduler has it.
    pub fn module(self, module: &Module) -> LoadOptions<'a> {
        LoadOptions { module: Some(module.clone()), ..self }
    }

    /// Finds the channels that the program outside had given it. Otherwise these are the scheduler's
    /// of the same names.
    pub fn channels(
        self,
        resolve: impl FnMut(&ChannelName) -> Option<ChannelId> + 'a,
    ) -> LoadOptions<'a> {
        LoadOptions { channels: Some(Box::new(resolve)), ..self }
    }

    /// The tasklet was written in this scheduler, or in one that this one goes on for: channels of
    /// its that guests made are those of the same numbers, and what is not there has that number
    /// again. Otherwise it has others, which are like them, and which nobody else has.
    pub fn same_channels(self) -> LoadOptions<'a> {
        LoadOptions { same_channels: true, ..self }
    }
}

impl fmt::Debug for LoadOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadOptions")
            .field("host", &self.host)
            .field("module", &self.module)
            .field("same_channels", &self.same_channels)
            .finish_non_exhaustive()
    }
}

impl Scheduler {
    /// Takes a tasklet out, wherever it stands. If it waits on a channel it leaves the line there,
    /// and comes into it again, last, when it is inserted somewhere.
    ///
    /// # Errors
    /// [`Error::NoSuchTasklet`], and those of [`wake`](Scheduler::wake).
    pub fn take(&mut self, id: TaskletId) -> Result<Taken, Error> {
        self.note_left(id);
        self.member(id)?;
        let member = self.tasklets.remove(&id).ok_or(Error::NoSuchTasklet { id })?;
        self.core.forget(id);
        self.release(&member.channels);
        if member.stored {
            self.dormitory.forget(id);
        }
        Ok(Taken { id, origin: self.origin.clone(), tasklet: member.tasklet })
    }

    /// Takes in a tasklet that was taken out of this scheduler or another, paused, under a new
    /// number. Its channels are those of the same names here. Those that guests made are the same as
    /// before if it was taken out of this scheduler; otherwise it has others, which are like them.
    ///
    /// # Errors
    /// [`NotPut`] with the tasklet: [`Error::NoSuchChannel`], [`Error::Limit`].
    pub fn put(&mut self, mut taken: Taken) -> Result<TaskletId, Box<NotPut>> {
        let same = Arc::ptr_eq(&taken.origin, &self.origin);
        let seat = taken.tasklet.store.data_mut().seat.get_or_insert_default();
        let wanted = self.check_room().and_then(|()| self.resolve(&seat.channels, None, same));
        match wanted {
            Ok(wanted) => Ok(self.seat_in(taken.tasklet, wanted, same)),
            Err(error) => Err(Box::new(NotPut { taken, error })),
        }
    }

    /// The bytes of a snapshot of a tasklet, which stays as and where it is.
    ///
    /// # Errors
    /// Those of [`Tasklet::dump`], and [`Error::NoSuchTasklet`].
    pub fn dump(&mut self, id: TaskletId) -> Result<Vec<u8>, Error> {
        self.dump_with(id, &SnapshotOptions::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`dump`](Scheduler::dump).
    pub fn dump_with(
        &mut self,
        id: TaskletId,
        options: &SnapshotOptions,
    ) -> Result<Vec<u8>, Error> {
        self.note_left(id);
        dump(&mut self.member(id)?.tasklet, options)
    }

    /// Makes a tasklet of the bytes of a snapshot, which may have been written anywhere; it is
    /// paused. To load the same bytes twice makes two tasklets.
    ///
    /// # Errors
    /// As [`load_with`](Scheduler::load_with).
    pub fn load(&mut self, bytes: &[u8]) -> Result<TaskletId, Error> {
        self.load_with(bytes, LoadOptions::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// [`Error::SnapshotFormat`]; [`Error::ModuleNotFound`] when the module is nowhere;
    /// [`Error::NoSuchChannel`] when a channel that it had is not here; [`Error::Limit`]; those of
    /// [`Tasklet::load`].
    pub fn load_with(
        &mut self,
        bytes: &[u8],
        options: LoadOptions<'_>,
    ) -> Result<TaskletId, Error> {
        self.check_room()?;
        let (snapshot, digest) = Snapshot::read_slice(bytes, &snapshot::Limits::DEFAULT)?;
        let known = options.module.or_else(|| self.modules.get(&snapshot.module.hash).cloned());
        let module = match known {
            Some(module) => module,
            None => Module::for_snapshot(&self.engine, &snapshot, None)?,
        };
        let mut host = options.host.unwrap_or_else(Host::empty);
        host.seat = Some(Seat::default());
        let mut tasklet = Tasklet::load(&module, &snapshot, digest, host)?;
        let seat = tasklet.store.data_mut().seat.get_or_insert_default();
        let same = options.same_channels;
        let wanted = self.resolve(&seat.channels, options.channels, same)?;
        Ok(self.seat_in(tasklet, wanted, same))
    }

    /// Takes a tasklet in whose channels have been found.
    fn seat_in(&mut self, mut tasklet: Tasklet, wanted: Vec<Wanted>, same: bool) -> TaskletId {
        let seat = tasklet.store.data_mut().seat.get_or_insert_default();
        let channels = self.settle_grants(&mut seat.channels, wanted, same);
        self.add(tasklet, channels)
    }

    /// Finds the channels that a tasklet had.
    fn resolve(
        &self,
        grants: &Grants,
        mut resolve: Option<Resolve<'_>>,
        same: bool,
    ) -> Result<Vec<Wanted>, Error> {
        let mut wanted = Vec::with_capacity(grants.len());
        let mut anew = BTreeSet::new();
        for grant in grants.iter() {
            let Some(grant) = grant else {
                wanted.push(Wanted::Nothing);
                continue;
            };
            wanted.push(match &grant.channel {
                Known::Named(name) => {
                    let guest = grant.guest.clone().unwrap_or_default();
                    let asked = ChannelName { guest, channel: name.clone() };
                    let id = match &mut resolve {
                        Some(resolve) => resolve(&asked),
                        None => self.names.get(name).copied(),
                    };
                    let here = id.filter(|id| self.known(*id).is_ok());
                    Wanted::Here(here.ok_or(Error::NoSuchChannel { name: asked.channel })?)
                }
                Known::Made(made) => match self.made.find(made.number).filter(|_| same) {
                    Some(id) => Wanted::Here(id),
                    None => {
                        anew.insert(made.number);
                        Wanted::Anew(*made)
                    }
                },
            });
        }
        if !anew.is_empty() {
            self.check_made(anew.len())?;
        }
        Ok(wanted)
    }

    /// The tasklets that are here, by number; those that run on threads of an executor, too.
    pub fn tasklets(&self) -> Vec<TaskletId> {
        self.core.ids()
    }
}

fn dump(tasklet: &mut Tasklet, options: &SnapshotOptions) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    tasklet.dump(&mut bytes, options)?;
    Ok(bytes)
}
