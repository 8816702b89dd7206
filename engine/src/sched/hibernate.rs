//! Tasklets that are not in memory: what they are is in a store, and only their seats are here.
//!
//! The seat is all that others have to do with: what it waits for, and what it is answered. So a
//! message can be delivered to one that is hibernated, and a channel be closed on it, without it;
//! only when its turn comes, or somebody looks at it closer, is it made again.

use super::core::Place;
use super::dormitory::Dormitory;
use super::{ChannelId, Member, Scheduler, TaskletId};
use crate::capture::SnapshotOptions;
use crate::error::Error;
use crate::module::Module;
use crate::snapshot::Digest;
use crate::store::Store;

/// Which tasklets are hibernated by themselves. Only those are that wait on a channel or are paused;
/// those that are ready, or wait for the system, stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hibernation {
    pub(super) idle_turns: Option<u64>,
    pub(super) live_max: Option<usize>,
}

impl Hibernation {
    /// None.
    pub fn never() -> Hibernation {
        Hibernation::default()
    }

    /// Those that have been idle for that many turns of others. 0 is at once.
    pub fn after_turns(turns: u64) -> Hibernation {
        Hibernation { idle_turns: Some(turns), live_max: None }
    }

    /// As soon as more than that many are in memory, those that have been idle for longest.
    pub fn live_max(live_max: usize) -> Hibernation {
        Hibernation { idle_turns: None, live_max: Some(live_max) }
    }

    /// The same, and as soon as more than that many are in memory, those that have been idle for
    /// longest.
    pub fn and_live_max(self, live_max: usize) -> Hibernation {
        Hibernation { live_max: Some(live_max), ..self }
    }
}

impl Scheduler {
    /// Gives it a store for tasklets that are hibernated, and says which are by themselves. What is
    /// in the store is left there, and not touched.
    ///
    /// While it is in the store, a tasklet takes a few hundred bytes of memory, and what its host
    /// was given: functions, user data, open files. What was put into the store stays there until
    /// the tasklet is hibernated again or is no more: of a process that was killed the store tells
    /// how each tasklet was when it was hibernated last, as snapshots without modules. To take in
    /// what it tells, before the store is given to a scheduler, see
    /// [`load_stored`](Scheduler::load_stored).
    ///
    /// # Errors
    /// Those of the store; [`Error::Limit`] if it has no numbers left; and
    /// [`Error::Unsupported`] while tasklets are in the store that there is already.
    pub fn set_store(
        &mut self,
        mut store: impl Store + 'static,
        policy: Hibernation,
    ) -> Result<(), Error> {
        if !self.dormitory.asleep.is_empty() {
            let what = "another store while tasklets are in the first: `wake` them before";
            return Err(Error::Unsupported { what: what.into() });
        }
        let last = store.keys()?.last().copied().unwrap_or(0);
        // As many as there can be tasklets, whose numbers are not used twice.
        if last > u64::MAX / 2 {
            return Err(Error::limit("a store without numbers for more tasklets"));
        }
        self.dormitory = Dormitory::new(Box::new(store), last, self.dormitory.turns);
        for member in self.tasklets.values_mut() {
            member.stored = false;
        }
        self.set_hibernation(policy);
        Ok(())
    }

    /// Says anew which tasklets are hibernated by themselves. Those that are idle now count as idle
    /// from now on.
    pub fn set_hibernation(&mut self, policy: Hibernation) {
        self.dormitory.policy = policy;
        self.dormitory.take_failed();
        self.dormitory.idle.clear();
        let mut idle: Vec<TaskletId> = self.tasklets.keys().copied().collect();
        idle.retain(|id| self.is_idle(*id));
        idle.sort_unstable();
        for id in idle {
            self.note_idle(id);
        }
    }

    /// The store.
    pub fn store_mut(&mut self) -> Option<&mut dyn Store> {
        match &mut self.dormitory.store {
            Some(store) => Some(&mut **store),
            None => None,
        }
    }

    /// How many tasklets are in the store.
    pub fn hibernated(&self) -> usize {
        self.dormitory.asleep.len()
    }

    /// Whether a tasklet is in the store.
    pub fn is_hibernated(&self, id: TaskletId) -> bool {
        self.dormitory.contains(id)
    }

    /// Puts a tasklet into the store, from which it comes back when it is needed: when its turn
    /// comes, and when it is taken, dumped or looked at. It stays where it stands, and can be sent
    /// messages. Nothing happens if it is there already.
    ///
    /// # Errors
    /// Those of the store and of [`Tasklet::snapshot`](crate::Tasklet::snapshot), after which it stays in memory;
    /// [`Error::CannotSchedule`] for one that is running or waits for the system, for one that was
    /// paused while a host import was pending, or without a store;
    /// [`Error::NoSuchTasklet`].
    pub fn hibernate(&mut self, id: TaskletId) -> Result<(), Error> {
        match self.core.place(id) {
            None => return Err(Error::NoSuchTasklet { id }),
            Some(Place::Current) => {
                let what = "it is running";
                return Err(Error::CannotSchedule { verb: "hibernate", id, what });
            }
            Some(Place::Outside) => {
                let what = "it waits for the system or for a host import: pause it before";
                return Err(Error::CannotSchedule { verb: "hibernate", id, what });
            }
            Some(_) if self.dormitory.contains(id) => return Ok(()),
            Some(_) => {}
        }
        let bytes = self.written(id)?;
        self.leave(id, &bytes)
    }

    /// Makes a tasklet anew that is in the store. Nothing happens if it is not.
    ///
    /// # Errors
    /// Those of the store and of [`Tasklet::load`](crate::Tasklet::load), after which it is still in the store;
    /// [`Error::NotStored`] if the store has lost it; [`Error::NoSuchTasklet`].
    pub fn wake(&mut self, id: TaskletId) -> Result<(), Error> {
        self.member(id).map(drop)
    }

    /// Makes a tasklet of what is in the store under a number: one that a process that was killed
    /// had hibernated there, or of whatever snapshot was put there. It is paused, and the store's
    /// copy stays.
    ///
    /// # Errors
    /// Those of the store and of [`load_with`](Scheduler::load_with); [`Error::NotStored`].
    pub fn load_stored(
        &mut self,
        store: &mut dyn Store,
        key: u64,
        options: super::LoadOptions<'_>,
    ) -> Result<TaskletId, Error> {
        let bytes = store.get(key)?.ok_or(Error::NotStored { key })?;
        let known = |hash: &Digest| self.modules.get(hash).cloned();
        let (snapshot, _) = crate::snapshot::Snapshot::read_slice(&bytes, &Default::default())?;
        let hash = snapshot.module.hash;
        let module = match known(&hash) {
            Some(module) => Some(module),
            None => match store.get_module(hash)? {
                Some(wasm) => Some(Module::load(&self.engine, &wasm)?),
                None => None,
            },
        };
        let options = module.iter().fold(options, |options, module| options.module(module));
        self.load_with(&bytes, options)
    }

    /// The module of a tasklet, wherever that is.
    pub(super) fn module_of(&mut self, id: TaskletId) -> Result<Module, Error> {
        match self.dormitory.module(id) {
            Some(module) => Ok(module.clone()),
            None => Ok(self.member(id)?.tasklet.module().clone()),
        }
    }

    /// The channels that a tasklet has, wherever it is.
    pub(super) fn given(&self, id: TaskletId) -> &[ChannelId] {
        let asleep = self.dormitory.channels(id);
        asleep.or_else(|| Some(&self.tasklets.get(&id)?.channels)).unwrap_or_default()
    }

    /// Whether the module of a tasklet imports anything of its seat, wherever it is.
    pub(super) fn is_linked(&mut self, id: TaskletId) -> Result<bool, Error> {
        match self.dormitory.look(id) {
            Some(seat) => Ok(seat.linked),
            None => Ok(self.seat(id)?.linked),
        }
    }

    /// A tasklet as the store keeps it.
    fn written(&mut self, id: TaskletId) -> Result<Vec<u8>, Error> {
        self.note_left(id);
        let options = SnapshotOptions { embed_module: false, ..SnapshotOptions::default() };
        let member = self.member(id)?;
        if member.tasklet.holds_import() {
            // A restartable one could be issued again, but what comes of that may be something else.
            let what =
                "a host import of its has been issued: it has to run until that is delivered";
            return Err(Error::CannotSchedule { verb: "hibernate", id, what });
        }
        let snapshot = member.tasklet.snapshot(&options)?;
        let mut bytes = Vec::new();
        snapshot.write_to(&mut bytes).map_err(|error| Error::Write(Box::new(error)))?;
        Ok(bytes)
    }

    /// Only what the store does can fail, and then nothing has changed.
    fn leave(&mut self, id: TaskletId, bytes: &[u8]) -> Result<(), Error> {
        let module = self.member(id)?.tasklet.module().clone();
        self.dormitory.put(id, &module, bytes)?;
        let Some(member) = self.tasklets.remove(&id) else { return Ok(()) };
        let (remains, seat) = member.tasklet.into_remains();
        let mut seat = seat.unwrap_or_default();
        seat.shed();
        self.dormitory.admit(id, module, &member.channels, seat, remains);
        Ok(())
    }

    /// Makes one again that is in the store.
    pub(super) fn come_back(&mut self, id: TaskletId) -> Result<(), Error> {
        let bytes = self.dormitory.get(id)?;
        let Some(asleep) = self.dormitory.asleep.get_mut(&id) else { return Ok(()) };
        let mut tasklet = asleep.revive(&bytes)?;
        let Some(asleep) = self.dormitory.asleep.remove(&id) else { return Ok(()) };
        let channels = asleep.channels().to_vec();
        let mut seat = asleep.into_seat(id);
        if let Some(written) = tasklet.store.data_mut().seat.take() {
            seat.take_back(written);
        }
        tasklet.store.data_mut().seat = Some(seat);
        let mut member = Member::new(tasklet, channels);
        member.stored = true;
        member.idle_since = self.dormitory.note(id);
        self.tasklets.insert(id, Box::new(member));
        self.note_made(id);
        Ok(())
    }

    /// A tasklet is idle from now on, or may be.
    pub(super) fn note_idle(&mut self, id: TaskletId) {
        let since = self.dormitory.note(id);
        if let Some(member) = self.tasklets.get_mut(&id) {
            member.idle_since = since;
        }
    }

    /// A tasklet is no more, whatever the store has of it.
    pub(super) fn forget_stored(&mut self, id: TaskletId) {
        if self.dormitory.store.is_some() {
            self.dormitory.forget(id);
        }
    }

    fn is_idle(&self, id: TaskletId) -> bool {
        matches!(self.core.place(id), Some(Place::Paused | Place::Blocked(..)))
    }

    /// A turn is over: those go whose time has come. What fails is told at the end of the run, and
    /// none goes until then.
    pub(super) fn turn_over(&mut self, id: TaskletId) {
        self.dormitory.turns += 1;
        if !self.dormitory.counts_turns() {
            return;
        }
        self.note_idle(id);
        while self.dormitory.failed.is_none()
            && self.dormitory.turns >= self.dormitory.rests_until
            && let Some((id, since)) = self.dormitory.next_due(self.tasklets.len())
        {
            let is_latest = self.tasklets.get(&id).is_some_and(|m| m.idle_since == since);
            if !is_latest || !self.is_idle(id) {
                continue;
            }
            // What cannot be written down stays, until it has run again.
            let Ok(bytes) = self.written(id) else { continue };
            if let Err(error) = self.leave(id, &bytes) {
                self.note_idle(id);
                self.dormitory.failed = Some(error);
            }
        }
        // With room in memory nobody is asked for, and the entries that say nothing add up.
        if self.dormitory.idle.len() > 2 * self.tasklets.len() + 64 {
            let live = &self.tasklets;
            let is_latest = |(id, since): &(TaskletId, u64)| {
                live.get(id).is_some_and(|member| member.idle_since == *since)
            };
            self.dormitory.idle.retain(is_latest);
        }
    }
}
