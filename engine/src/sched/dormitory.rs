//! Who is in the store, and what stays in memory of them.
//!
//! There may be ten millions, so that is little: in the usual case 32 bytes in a table, which holds
//! the number, a pointer to what many have in common, and the [`Packed`] seat. All else of the seat
//! is in the snapshot.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Weak};

use super::hibernate::Hibernation;
use super::limits::{KINDS_MAX, STORE_RESTS_TURNS};
use super::queue::IdMap;
use super::seat::Packed;
use super::{ChannelId, Seat, TaskletId};
use crate::error::Error;
use crate::module::Module;
use crate::snapshot::Digest;
use crate::store::Store;
use crate::tasklet::{Remains, Tasklet};

/// A tasklet that is in the store.
pub(super) struct Asleep {
    kind: Arc<Kind>,
    kept: Kept,
}

/// What many have in common.
struct Kind {
    module: Module,
    channels: Box<[ChannelId]>,
}

/// What is each one's own.
enum Kept {
    /// There is nothing else.
    Packed(Packed),
    Hosted(Box<Hosted>),
    Whole(Box<Whole>),
}

/// What its host gave it, too.
struct Hosted {
    seat: Packed,
    remains: Option<Box<Remains>>,
}

struct Whole {
    seat: Seat,
    remains: Option<Box<Remains>>,
}

impl Asleep {
    pub(super) fn channels(&self) -> &[ChannelId] {
        &self.kind.channels
    }

    /// Makes it again of what is in the store. If that fails, what is left of it is left.
    pub(super) fn revive(&mut self, bytes: &[u8]) -> Result<Tasklet, Error> {
        let remains = match &mut self.kept {
            Kept::Packed(_) => &mut None,
            Kept::Hosted(hosted) => &mut hosted.remains,
            Kept::Whole(whole) => &mut whole.remains,
        };
        Tasklet::revive(&self.kind.module, bytes, remains)
    }

    pub(super) fn into_seat(self, id: TaskletId) -> Seat {
        match self.kept {
            Kept::Packed(seat) => seat.unpack(id),
            Kept::Hosted(hosted) => hosted.seat.unpack(id),
            Kept::Whole(whole) => whole.seat,
        }
    }
}

/// What can be told of a seat without unpacking it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Look {
    pub(super) linked: bool,
    pub(super) atomic: bool,
    pub(super) block_trap: bool,
}

/// All that a scheduler knows of its store.
#[derive(Default)]
pub(super) struct Dormitory {
    pub(super) store: Option<Box<dyn Store>>,
    pub(super) policy: Hibernation,
    pub(super) asleep: IdMap<TaskletId, Asleep>,
    /// What many of those have in common, each once. Those whose last is gone stay until there are
    /// many.
    kinds: BTreeMap<Digest, BTreeMap<Box<[ChannelId]>, Weak<Kind>>>,
    kinds_count: usize,
    /// Those that came to be idle, and when, in turns; of one that has not been idle since then
    /// there is a later entry, or none.
    pub(super) idle: VecDeque<(TaskletId, u64)>,
    /// Turns so far.
    pub(super) turns: u64,
    /// Added to the number of a tasklet: what was in the store before is left alone.
    first_key: u64,
    /// Those that the store has.
    modules: HashSet<Digest>,
    /// Numbers of tasklets that are no more, still to be removed from the store.
    left: Vec<u64>,
    /// Why the policy is suspended, until the run that it happened in returns it.
    pub(super) failed: Option<Error>,
    /// Until this turn it is suspended, if it is not a run that is told.
    pub(super) rests_until: u64,
}

impl Dormitory {
    /// With a store, in which the numbers up to the first are another's.
    pub(super) fn new(store: Box<dyn Store>, first_key: u64, turns: u64) -> Dormitory {
        Dormitory { store: Some(store), first_key, turns, ..Dormitory::default() }
    }

    fn key(&self, id: TaskletId) -> u64 {
        self.first_key + id.0
    }

    fn store(&mut self) -> Option<&mut Box<dyn Store>> {
        self.store.as_mut()
    }

    /// One is in the store from now on; this is left of it.
    pub(super) fn admit(
        &mut self,
        id: TaskletId,
        module: Module,
        channels: &[ChannelId],
        seat: Seat,
        remains: Option<Box<Remains>>,
    ) {
        let kind = self.kind(module, channels);
        let kept = match (seat.pack(), remains) {
            (Some(seat), None) => Kept::Packed(seat),
            (Some(seat), remains) => Kept::Hosted(Box::new(Hosted { seat, remains })),
            (None, remains) => Kept::Whole(Box::new(Whole { seat, remains })),
        };
        self.asleep.insert(id, Asleep { kind, kept });
    }

    /// What it has in common with others, of which there is one if it can be shared.
    fn kind(&mut self, module: Module, channels: &[ChannelId]) -> Arc<Kind> {
        let hash = module.hash();
        let known = self.kinds.get(&hash).and_then(|kinds| kinds.get(channels)?.upgrade());
        // NB: the same module may have been compiled twice.
        if let Some(kind) = known.filter(|kind| kind.module.is(&module)) {
            return kind;
        }
        if self.kinds_count >= KINDS_MAX {
            self.kinds.clear();
            self.kinds_count = 0;
        }
        let kind = Arc::new(Kind { module, channels: channels.into() });
        self.kinds.entry(hash).or_default().insert(channels.into(), Arc::downgrade(&kind));
        self.kinds_count += 1;
        kind
    }

    /// The seat of one that is in the store, unpacked.
    pub(super) fn seat(&mut self, id: TaskletId) -> Option<&mut Seat> {
        let kept = &mut self.asleep.get_mut(&id)?.kept;
        let packed = match kept {
            Kept::Packed(seat) => Some((*seat, None)),
            Kept::Hosted(hosted) => Some((hosted.seat, hosted.remains.take())),
            Kept::Whole(_) => None,
        };
        if let Some((seat, remains)) = packed {
            *kept = Kept::Whole(Box::new(Whole { seat: seat.unpack(id), remains }));
        }
        match kept {
            Kept::Whole(whole) => Some(&mut whole.seat),
            Kept::Packed(_) | Kept::Hosted(_) => None,
        }
    }

    /// Answers one that is in the store by a number. Whether it could: one whose seat is not packed
    /// is answered there. Others, however many, take no more memory for that.
    pub(super) fn tell(&mut self, id: TaskletId, code: i64) -> bool {
        let kept = self.asleep.get_mut(&id).map(|asleep| &mut asleep.kept);
        let seat = match kept {
            Some(Kept::Packed(seat)) => seat,
            Some(Kept::Hosted(hosted)) => &mut hosted.seat,
            Some(Kept::Whole(_)) | None => return false,
        };
        let Ok(code) = i32::try_from(code) else { return false };
        *seat = seat.told(code);
        true
    }

    pub(super) fn module(&self, id: TaskletId) -> Option<&Module> {
        self.asleep.get(&id).map(|asleep| &asleep.kind.module)
    }

    pub(super) fn channels(&self, id: TaskletId) -> Option<&[ChannelId]> {
        self.asleep.get(&id).map(Asleep::channels)
    }

    pub(super) fn contains(&self, id: TaskletId) -> bool {
        self.asleep.contains_key(&id)
    }

    pub(super) fn look(&self, id: TaskletId) -> Option<Look> {
        let packed = |seat: Packed| {
            let Packed { linked, atomic, block_trap, .. } = seat;
            Look { linked, atomic, block_trap }
        };
        Some(match &self.asleep.get(&id)?.kept {
            Kept::Packed(seat) => packed(*seat),
            Kept::Hosted(hosted) => packed(hosted.seat),
            Kept::Whole(whole) => {
                let Seat { linked, atomic, block_trap, .. } = whole.seat;
                Look { linked, atomic, block_trap }
            }
        })
    }

    /// One that is in the store is no more.
    pub(super) fn forget(&mut self, id: TaskletId) {
        self.asleep.remove(&id);
        self.left.push(self.key(id));
    }

    /// What has gone wrong with the policy, once, for a run that ends with it.
    pub(super) fn take_failed(&mut self) -> Option<Error> {
        self.rests_until = 0;
        self.failed.take()
    }

    /// The same for whoever goes on: the store is given some time, for a try costs a snapshot.
    pub(super) fn note_failed(&mut self) -> Option<Error> {
        let failed = self.failed.take()?;
        self.rests_until = self.turns.saturating_add(STORE_RESTS_TURNS);
        Some(failed)
    }

    /// Whether it has to hear of every turn.
    pub(super) fn counts_turns(&self) -> bool {
        self.store.is_some() && self.policy != Hibernation::never()
    }

    /// One is idle from now on.
    pub(super) fn note(&mut self, id: TaskletId) -> u64 {
        if self.counts_turns() {
            self.idle.push_back((id, self.turns));
        }
        self.turns
    }

    /// The next whose time has come.
    pub(super) fn next_due(&mut self, live: usize) -> Option<(TaskletId, u64)> {
        let due = |&mut (_, since): &mut (TaskletId, u64)| {
            let turns = self.policy.idle_turns;
            turns.is_some_and(|turns| since.saturating_add(turns) <= self.turns)
                || self.policy.live_max.is_some_and(|most| live > most)
        };
        self.idle.pop_front_if(due)
    }

    pub(super) fn put(
        &mut self,
        id: TaskletId,
        module: &Module,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let key = self.key(id);
        let hash = module.hash();
        let is_known = self.modules.contains(&hash);
        self.remove_left()?;
        let Some(store) = self.store() else { return Err(no_store(id)) };
        if !is_known {
            store.put_module(hash, module.original())?;
        }
        store.put(key, bytes)?;
        let failure = store.take_failure();
        self.failed = self.failed.take().or(failure);
        self.modules.insert(hash);
        Ok(())
    }

    fn remove_left(&mut self) -> Result<(), Error> {
        let Some(store) = &mut self.store else { return Ok(()) };
        while let Some(&key) = self.left.last() {
            store.remove(key)?;
            self.left.pop();
        }
        Ok(())
    }

    pub(super) fn get(&mut self, id: TaskletId) -> Result<Vec<u8>, Error> {
        let key = self.key(id);
        let Some(store) = self.store() else { return Err(no_store(id)) };
        store.get(key)?.ok_or(Error::NotStored { key })
    }
}

fn no_store(id: TaskletId) -> Error {
    let what = "there is no store to put it into: `set_store` gives one";
    Error::CannotSchedule { verb: "hibernate", id, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What ten million of them take.
    #[test]
    fn those_that_are_asleep_take_little_memory() {
        assert!(size_of::<(TaskletId, Asleep)>() <= 32);
    }
}
