//! Sets that come into a scheduler: all of it or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::Hasher;
use std::io::Read;

use super::super::limits::{CHANNELS_MAX, NAME_BYTES_MAX};
use super::super::made::REMOVED;
use super::super::queue::IdHasher;
use super::super::{ChannelId, Scheduler, Seat, TaskletId};
use crate::error::Error;
use crate::files;
use crate::host::Host;
use crate::module::Module;
use crate::snapshot::Digest;
use crate::snapshot::set::{Channel, ChannelState, Limits, Member, Place, Set};
use crate::tasklet::Tasklet;

type Hosts<'a> = Box<dyn FnMut(&Member<'_>) -> Host + 'a>;
type Channels<'a> = Box<dyn FnMut(&Channel) -> Option<ChannelId> + 'a>;

/// What the tasklets of a set are given that is loaded.
#[derive(Default)]
pub struct SetOptions<'a> {
    hosts: Option<Hosts<'a>>,
    modules: Vec<Module>,
    channels: Option<Channels<'a>>,
    limits: Limits,
}

impl<'a> SetOptions<'a> {
    /// Makes what each tasklet is provided besides the scheduler's imports. Otherwise that is
    /// nothing.
    pub fn hosts(self, make: impl FnMut(&Member<'_>) -> Host + 'a) -> SetOptions<'a> {
        SetOptions { hosts: Some(Box::new(make)), ..self }
    }

    /// A module that neither the set nor the scheduler has; for more, call it again.
    pub fn module(mut self, module: &Module) -> SetOptions<'a> {
        self.modules.push(module.clone());
        self
    }

    /// Finds channels; it is asked once for each of the set's file. One that lies outside of the set
    /// is otherwise the scheduler's of that name. One that belongs to the set is otherwise made; with
    /// a channel here the tasklets use that one instead, and those that waited join its line.
    pub fn channels(
        self,
        resolve: impl FnMut(&Channel) -> Option<ChannelId> + 'a,
    ) -> SetOptions<'a> {
        SetOptions { channels: Some(Box::new(resolve)), ..self }
    }

    /// How much is taken from the file. Otherwise [`Limits::DEFAULT`].
    pub fn limits(self, limits: Limits) -> SetOptions<'a> {
        SetOptions { limits, ..self }
    }
}

impl fmt::Debug for SetOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetOptions")
            .field("modules", &self.modules)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// A set that was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Its digest.
    pub digest: Digest,
    /// The number that each tasklet had, ascending, and the tasklet.
    pub tasklets: Vec<(u64, TaskletId)>,
    /// The name that each channel had, and the channel; those outside of the set included.
    pub channels: Vec<(String, ChannelId)>,
    /// The number that each channel had that a guest made, and the channel.
    pub made: Vec<(u64, ChannelId)>,
}

/// Where a channel of the file is to be found.
enum Found {
    Here(ChannelId),
    New(String, ChannelState),
    /// A guest made it, under that number.
    Made(u64, ChannelState),
}

impl Scheduler {
    /// Makes the tasklets and channels of a set; each stands where it stood, behind those that stand
    /// there already. Either all come in, or nothing has changed.
    ///
    /// Where no tasklet ever had one of their numbers, as in a new scheduler, they have the same
    /// numbers again, and who is spawned next has the next; otherwise they get new ones, in the same
    /// order.
    ///
    /// The channels of the set are made anew, so that two sets that are loaded, or one that is loaded
    /// twice, have nothing to do with each other. One whose name is taken here is called `name~2`, or
    /// `name~3` and so on: [`Loaded::channels`] tells which it is.
    ///
    /// The bytes may be compressed.
    ///
    /// # Errors
    /// [`Error::SnapshotFormat`]; [`Error::ModuleNotFound`] when a module is nowhere;
    /// [`Error::NoSuchChannel`] when a channel outside of the set is not here; [`Error::Limit`];
    /// [`Error::Tasklet`] with those of [`Tasklet::load`].
    pub fn load_set(&mut self, bytes: &[u8], options: SetOptions<'_>) -> Result<Loaded, Error> {
        if files::is_compressed(bytes) {
            return self.read_set(bytes, options);
        }
        let (set, digest) = Set::read_slice(bytes, &options.limits)?;
        self.take_in(set, digest, options)
    }

    /// The same of what is read to its end.
    ///
    /// # Errors
    /// Those of [`load_set`](Scheduler::load_set).
    pub fn read_set(&mut self, input: impl Read, options: SetOptions<'_>) -> Result<Loaded, Error> {
        let (set, digest) = files::read_plain_or_compressed(input, |mut input| {
            Set::read_from(&mut input, &options.limits)
        })?;
        self.take_in(set, digest, options)
    }

    fn take_in(
        &mut self,
        set: Set<'_>,
        digest: Digest,
        mut options: SetOptions<'_>,
    ) -> Result<Loaded, Error> {
        if self.core.len().saturating_add(set.tasklets.len()) > self.tasklets_max {
            return Err(Error::limit(format!("more than {} tasklets", self.tasklets_max)));
        }
        let found = self.find_channels(&set.channels, options.channels.take())?;
        let modules = self.find_modules(&set, &options.modules)?;
        let mut tasklets = Vec::with_capacity(set.tasklets.len());
        for member in &set.tasklets {
            let host = options.hosts.as_mut().map_or_else(Host::empty, |make| make(member));
            let tasklet = make(member, &modules, host);
            tasklets.push(tasklet.map_err(|error| error.of(TaskletId(member.number)))?);
        }
        // From here on nothing fails.
        let keeps = self.keeps_made(&set);
        let mut channels = Vec::with_capacity(found.len());
        for found in found {
            channels.push(self.settle(found, keeps)?);
        }
        let ids = self.number(&set);
        for ((member, tasklet), id) in set.tasklets.iter().zip(tasklets).zip(&ids) {
            self.seat_member(member, tasklet, *id, &channels);
        }
        for (member, id) in set.tasklets.iter().zip(&ids) {
            match member.place {
                Place::Ready => self.core.requeue(*id),
                Place::Waiting => self.wait_again(*id)?,
                Place::Paused => {}
                Place::Blocked(position, direction) => match channels[position as usize] {
                    (on, true) => self.core.wait_in_line(*id, on, direction),
                    (_, false) => self.rejoin(*id)?,
                },
            }
        }
        self.limit_waits(&ids)?;
        let numbers = set.tasklets.iter().map(|member| member.number);
        let mut tasklets: Vec<(u64, TaskletId)> = numbers.zip(ids).collect();
        tasklets.sort_unstable();
        let mut loaded = Loaded { digest, tasklets, channels: Vec::new(), made: Vec::new() };
        for (channel, (id, _)) in set.channels.into_iter().zip(channels) {
            match channel.made {
                Some(number) => loaded.made.push((number, id)),
                None => loaded.channels.push((channel.name, id)),
            }
        }
        Ok(loaded)
    }

    fn find_channels(
        &self,
        channels: &[Channel],
        mut resolve: Option<Channels<'_>>,
    ) -> Result<Vec<Found>, Error> {
        let mut found: Vec<Option<Found>> = Vec::with_capacity(channels.len());
        let mut taken: BTreeSet<&str> = BTreeSet::new();
        for channel in channels {
            let missing = || Error::NoSuchChannel { name: channel.name.clone() };
            if channel.name.len() > NAME_BYTES_MAX {
                return Err(Error::limit(format!("a name of {} bytes", channel.name.len())));
            }
            let here = resolve.as_mut().and_then(|resolve| resolve(channel));
            if here.is_some_and(|here| self.known(here).is_err()) {
                return Err(missing());
            }
            if let (None, Some(number), Some(own)) = (here, channel.made, channel.own) {
                found.push(Some(Found::Made(number, own)));
                continue;
            }
            let by_name = self.names.get(&channel.name).copied();
            found.push(match (here, channel.own) {
                (Some(here), _) => Some(Found::Here(here)),
                (None, None) => Some(Found::Here(by_name.ok_or_else(missing)?)),
                (None, Some(own)) => by_name.is_none().then(|| {
                    taken.insert(&channel.name);
                    Found::New(channel.name.clone(), own)
                }),
            });
        }
        // Names that are free have been kept; the others are changed.
        let mut renamed: BTreeSet<String> = BTreeSet::new();
        let named = channels.iter().zip(found).map(|(channel, found)| match (found, channel.own) {
            (Some(found), _) => Ok(found),
            (None, None) => Err(Error::internal("a channel that was not found")),
            (None, Some(own)) => {
                let name = (2u64..).map(|n| format!("{}~{n}", channel.name)).find(|name| {
                    let is_taken = taken.contains(name.as_str()) || renamed.contains(name);
                    !is_taken && !self.names.contains_key(name)
                });
                let name = name.filter(|name| name.len() <= NAME_BYTES_MAX);
                let name = name.ok_or_else(|| Error::limit("a name that is taken and long"))?;
                renamed.insert(name.clone());
                Ok(Found::New(name, own))
            }
        });
        let found = named.collect::<Result<Vec<Found>, Error>>()?;
        let new = found.iter().filter(|found| matches!(found, Found::New(..))).count();
        let made = found.iter().filter(|found| matches!(found, Found::Made(..))).count();
        let all = self.names.len() + self.made.len();
        if all.saturating_add(new + made) > CHANNELS_MAX {
            return Err(Error::limit(format!("more than {CHANNELS_MAX} channels")));
        }
        if made > 0 {
            self.check_made(made)?;
        }
        Ok(found)
    }

    /// Whether channels that guests made have the numbers that they had: if none had one of them.
    fn keeps_made(&mut self, set: &Set<'_>) -> bool {
        let first = set.channels.iter().find_map(|channel| channel.made);
        let keeps = first.is_none_or(|first| first > self.made.last());
        if keeps {
            self.made.skip_to(set.made);
        }
        keeps
    }

    /// The channel, and whether it is new here.
    fn settle(&mut self, found: Found, keeps: bool) -> Result<(ChannelId, bool), Error> {
        let (id, state) = match found {
            Found::Here(here) => return Ok((here, false)),
            Found::New(name, state) => (self.channel(&name, state.options)?, state),
            Found::Made(number, state) => {
                let number = if keeps { number } else { self.next_made() };
                (self.add_made(number, state.options), state)
            }
        };
        if let Some(channel) = self.core.channel_mut(id) {
            channel.closed = state.closed;
        }
        Ok((id, true))
    }

    fn find_modules(
        &self,
        set: &Set<'_>,
        given: &[Module],
    ) -> Result<BTreeMap<Digest, Module>, Error> {
        let mut modules = BTreeMap::new();
        for module in &set.modules {
            let hash = module.hash;
            let known = given.iter().find(|module| module.hash() == hash);
            let found = match (known.or_else(|| self.modules.get(&hash)), &module.bytes) {
                (Some(known), _) => known.clone(),
                (None, Some(bytes)) => Module::load(&self.engine, bytes)?,
                (None, None) => return Err(Error::ModuleNotFound { hash }),
            };
            modules.insert(hash, found);
        }
        Ok(modules)
    }

    /// Gives the tasklets their numbers, in the order of the set.
    fn number(&mut self, set: &Set<'_>) -> Vec<TaskletId> {
        let mut numbers: Vec<u64> = set.tasklets.iter().map(|member| member.number).collect();
        numbers.sort_unstable();
        let keep = numbers.first().is_none_or(|first| *first > self.core.numbered());
        let keep = keep && are_spread(&numbers);
        if keep {
            numbers.iter().for_each(|number| self.core.add_as(TaskletId(*number)));
            self.core.skip_to(set.numbered);
            return set.tasklets.iter().map(|member| TaskletId(member.number)).collect();
        }
        let new: BTreeMap<u64, TaskletId> =
            numbers.into_iter().map(|number| (number, self.core.add())).collect();
        set.tasklets.iter().map(|member| new[&member.number]).collect()
    }

    fn seat_member(
        &mut self,
        member: &Member<'_>,
        mut tasklet: Tasklet,
        id: TaskletId,
        channels: &[(ChannelId, bool)],
    ) {
        let given = member.channels.iter();
        let given: Vec<ChannelId> = given
            .map(|position| position.map_or(REMOVED, |position| channels[position as usize].0))
            .collect();
        let seat = tasklet.store.data_mut().seat.get_or_insert_default();
        for (grant, id) in seat.channels.iter_mut().zip(&given) {
            if let (Some(grant), Some(known)) = (grant, self.known_as(*id)) {
                grant.channel = known;
            }
        }
        self.add_as(id, tasklet, given);
    }
}

/// Whether numbers that a stranger may have chosen are as good for a map by numbers as those that
/// were counted up: whatever its size, no place in it has more than a few.
fn are_spread(numbers: &[u64]) -> bool {
    const PLACE_MAX: u8 = 64;
    let sizes = (6..usize::BITS).map(|bits| 1_usize << bits);
    sizes.take_while(|size| size / 4 < numbers.len()).all(|size| {
        let mut places = vec![0_u8; size];
        numbers.iter().take(size).all(|number| {
            let mut hasher = IdHasher::default();
            hasher.write_u64(*number);
            let place = &mut places[hasher.finish() as usize & (size - 1)];
            *place += 1;
            *place <= PLACE_MAX
        })
    })
}

/// Makes one of the tasklets, which stands nowhere yet.
fn make(
    member: &Member<'_>,
    modules: &BTreeMap<Digest, Module>,
    mut host: Host,
) -> Result<Tasklet, Error> {
    let snapshot = &member.snapshot;
    let module = modules.get(&snapshot.module.hash);
    let module = module.ok_or_else(|| Error::internal("a module that was not found"))?;
    host.seat = Some(Seat::default());
    let tasklet = Tasklet::restore(module, snapshot, host)?;
    let seat = tasklet.store.data().seat.as_ref();
    if seat.map_or(0, |seat| seat.channels.len()) != member.channels.len() {
        return Err(Error::snapshot("it was given other channels than the set says"));
    }
    if let Place::Blocked(position, direction) = member.place {
        let asked = seat.and_then(|seat| seat.asked.as_ref()?.waits_on());
        let waits = asked.is_some_and(|(number, wanted)| {
            wanted == direction
                && member.channels.get(number as usize).copied().flatten() == Some(position)
        });
        if !waits {
            return Err(Error::snapshot("it waits for something else than the set says"));
        }
    }
    Ok(tasklet)
}
