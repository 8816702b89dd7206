//! Many tasklets, and the channels between them, written down together.

mod load;

pub use load::{Loaded, SetOptions};

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;

use super::{ChannelId, Scheduler, TaskletId};
use crate::capture::SnapshotOptions;
use crate::error::Error;
use crate::module::Module;
use crate::sched::core::Place as CorePlace;
use crate::snapshot::set::{Channel, ChannelState, Place, Writer};
use crate::snapshot::{self, Digest, ModuleRef};

/// What is to be written.
struct Plan {
    /// The channels that are in the file, as it has them, and their positions in it.
    channels: Vec<Channel>,
    positions: HashMap<ChannelId, u32>,
    tasklets: Vec<(TaskletId, Place)>,
    modules: BTreeMap<Digest, Module>,
}

impl Scheduler {
    /// Writes all tasklets and all channels, and returns the digest: who is ready, who waits where
    /// and for what, and in which order. Nothing changes by it.
    ///
    /// How tasklets have ended, hooks and limits are not in it. Of the options, whether the modules
    /// are embedded, each once, and the labels count.
    ///
    /// # Errors
    /// [`Error::Tasklet`] names the tasklet that cannot be written down, and why; [`Error::Write`].
    /// What was written then is incomplete.
    pub fn dump_all(
        &mut self,
        out: &mut impl Write,
        options: &SnapshotOptions,
    ) -> Result<Digest, Error> {
        let tasklets: BTreeSet<TaskletId> = self.tasklets().into_iter().collect();
        // Those that guests made are there because of the tasklets that have them.
        let channels: BTreeSet<ChannelId> = self.channel_names.keys().copied().collect();
        self.write_set(out, &tasklets, &channels, options)
    }

    /// Writes these tasklets and these channels: as [`dump_all`](Scheduler::dump_all), but other
    /// channels that the tasklets were given lie outside, and only their names are written. Where
    /// the set is loaded they are found by these; see [`SetOptions::channels`]. Channels that guests
    /// made belong to the set if one of these tasklets has them, and only then.
    ///
    /// # Errors
    /// Those of [`dump_all`](Scheduler::dump_all), [`Error::NoSuchTasklet`] and
    /// [`Error::NoSuchChannel`].
    pub fn dump_set(
        &mut self,
        out: &mut impl Write,
        tasklets: &[TaskletId],
        channels: &[ChannelId],
        options: &SnapshotOptions,
    ) -> Result<Digest, Error> {
        if let Some(id) = tasklets.iter().find(|id| self.core.place(**id).is_none()) {
            return Err(Error::NoSuchTasklet { id: *id });
        }
        channels.iter().try_for_each(|id| self.known(*id).map(drop))?;
        let (tasklets, channels) =
            (tasklets.iter().copied().collect(), channels.iter().copied().collect());
        self.write_set(out, &tasklets, &channels, options)
    }

    fn write_set(
        &mut self,
        out: &mut impl Write,
        tasklets: &BTreeSet<TaskletId>,
        channels: &BTreeSet<ChannelId>,
        options: &SnapshotOptions,
    ) -> Result<Digest, Error> {
        self.note_all_left(tasklets);
        let plan = self.plan(tasklets, channels)?;
        let failed = |error: snapshot::Error| Error::Write(Box::new(error));
        let modules: Vec<ModuleRef<'_>> = (plan.modules.values())
            .map(|module| ModuleRef {
                hash: module.hash(),
                size: module.original().len() as u64,
                bytes: options.embed_module.then(|| module.original().into()),
            })
            .collect();
        let count = plan.tasklets.len() as u64;
        let numbers = (self.core.numbered(), self.made.last());
        let (labels, channels) = (&options.labels, &plan.channels);
        let mut writer =
            Writer::new(out, numbers, labels, &modules, channels, count).map_err(failed)?;
        let options = SnapshotOptions { embed_module: false, ..SnapshotOptions::default() };
        for (id, place) in plan.tasklets {
            let is_hibernated = self.is_hibernated(id);
            let member = self.member(id).map_err(|error| error.of(id))?;
            let given = member.given(&plan.positions);
            let snapshot = member.tasklet.snapshot(&options);
            let snapshot = snapshot.map_err(|error| error.of(id))?;
            writer.tasklet(id.0, place, &given, &snapshot).map_err(failed)?;
            if is_hibernated {
                // If it cannot go back it stays, as after every failure of the store.
                let _ = self.hibernate(id);
            }
        }
        writer.finish().map_err(failed)
    }

    /// Finds out what is to be written, in its order: nothing in it depends on hashes.
    fn plan(
        &mut self,
        tasklets: &BTreeSet<TaskletId>,
        own: &BTreeSet<ChannelId>,
    ) -> Result<Plan, Error> {
        let mut modules = BTreeMap::new();
        let is_named = |id: &&ChannelId| self.channel_names.contains_key(id);
        let mut all: BTreeSet<ChannelId> = own.iter().filter(is_named).copied().collect();
        for id in tasklets {
            let module = self.module_of(*id)?;
            modules.entry(module.hash()).or_insert(module);
            if self.is_linked(*id)? {
                all.extend(self.given(*id));
            }
        }
        let named = all.iter().filter_map(|id| Some((self.channel_names.get(id)?, *id)));
        let mut named: Vec<(&String, ChannelId)> = named.collect();
        // As the format has them.
        named.sort_by_key(|(name, _)| (name.len(), *name));
        let mut plan =
            Plan { channels: Vec::new(), positions: HashMap::new(), tasklets: Vec::new(), modules };
        let made = all.iter().filter_map(|id| Some((self.made.number(*id)?, *id)));
        let mut made: Vec<(u64, ChannelId)> = made.collect();
        made.sort_unstable();
        let named = named.into_iter().map(|(name, id)| (name.clone(), None, id));
        let made = made.into_iter().map(|(number, id)| (String::new(), Some(number), id));
        for (position, (name, made, id)) in (0u32..).zip(named.chain(made)) {
            let is_own = made.is_some() || own.contains(&id);
            let state = self.core.channel(id).filter(|_| is_own);
            let own = state.map(|it| ChannelState { closed: it.closed, options: it.options });
            plan.channels.push(Channel { name, made, own });
            plan.positions.insert(id, position);
        }
        let mut line: Vec<(TaskletId, Place)> = Vec::with_capacity(tasklets.len());
        line.extend(self.core.ready().map(|id| (id, Place::Ready)));
        // These ask again, or wait again for what they asked for.
        let waiting = self.core.outside().chain(self.core.sleeping()).chain(self.core.watching());
        line.extend(waiting.map(|id| (id, Place::Waiting)));
        let blocked = self.core.blocked().filter(|(id, _)| tasklets.contains(id));
        let waited_on: BTreeSet<(u32, ChannelId)> = blocked
            .filter_map(|(_, channel)| Some((*plan.positions.get(&channel)?, channel)))
            .collect();
        for (position, channel) in waited_on {
            line.extend(self.core.waiting_on(channel).filter_map(
                |id| match self.core.place(id)? {
                    CorePlace::Blocked(_, direction) => {
                        Some((id, Place::Blocked(position, direction)))
                    }
                    _ => None,
                },
            ));
        }
        line.extend(self.core.paused().map(|id| (id, Place::Paused)));
        line.retain(|(id, _)| tasklets.contains(id));
        if line.len() != tasklets.len() {
            return Err(Error::internal("a tasklet that stands nowhere"));
        }
        plan.tasklets = line;
        Ok(plan)
    }
}

impl super::Member {
    /// The positions of the channels that the guest can name.
    fn given(&mut self, positions: &HashMap<ChannelId, u32>) -> Vec<Option<u32>> {
        if !self.seat().is_some_and(|seat| seat.linked) {
            return Vec::new();
        }
        self.channels.iter().map(|id| positions.get(id).copied()).collect()
    }
}
