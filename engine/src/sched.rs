//! Many tasklets that take turns, and channels between them: Stackless's model.
//!
//! `core` with `queue` and `channel` is the scheduler as a state machine, `seat` what its guests see
//! of it; neither runs anything. The rest is [`Scheduler`], which runs tasklets as these say.

mod answer;
mod budget;
mod channel;
mod channels;
mod clock;
mod core;
mod current;
mod dormitory;
mod fork;
mod hibernate;
mod hooks;
mod idle;
mod lent;
pub(crate) mod limits;
mod made;
mod message;
mod moving;
mod queue;
mod result;
mod run;
pub(crate) mod seat;
mod sets;
mod spawn;
mod time;
mod timers;
mod verbs;
mod watchers;
mod woken;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

pub use budget::Budget;
pub use channel::{ChannelOptions, Direction, Preference};
pub use channels::Handed;
pub use clock::{Clock, VirtualClock};
pub use current::Current;
pub use hibernate::Hibernation;
pub(crate) use lent::{Back, Lent};
pub use moving::{LoadOptions, NotPut, Taken};
pub use result::{Flags, RunResult};
pub use seat::{ChannelName, Message};
pub(crate) use seat::{NAMESPACE, Seat};
pub use sets::{Loaded, SetOptions};
pub use spawn::Spawn;

use self::core::{Core, Place, Refusal};
use self::dormitory::Dormitory;
use self::hooks::Hooks;
use self::made::MadeChannels;
use self::queue::IdMap;
pub(crate) use self::woken::Woken;
use crate::clock::MonotonicClock;
use crate::engine::Engine;
use crate::error::Error;
use crate::module::Module;
use crate::snapshot::Digest;
use crate::tasklet::{Status, Tasklet};

/// A tasklet of a scheduler. Numbers are not used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TaskletId(pub(crate) u64);

/// A channel of a scheduler. Numbers are not used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub(crate) u64);

impl TaskletId {
    /// The number, as the guest's import `id` returns it.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for TaskletId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Runs tasklets in turn, on one thread, in an order that follows from what they do alone: first
/// come first served.
///
/// The session of Stackless Python's documentation, in which a tasklet is interrupted, written down,
/// destroyed, and goes on from what was written:
///
/// ```
/// use tasklet_engine::{Budget, Engine, EngineOptions, Entry, Module, RunResult, Scheduler};
/// # use tasklet_engine::{CacheMode, Status, Value};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let wasm = wat::parse_str(r#"(module (func (export "main") (result i32) (local $i i32)
/// #   (loop $l (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1)))
/// #     (i32.const 20)))) (local.get $i)))"#)?;
/// # let mut options = EngineOptions::default();
/// # options.cache = CacheMode::Off;
/// # let engine = Engine::new(&options)?;
/// # let module = Module::load(&engine, &wasm)?;
/// let args = Entry::invoke("main", []);
/// let mut sched = Scheduler::new(&engine);
/// sched.spawn(&module, args)?;                          // stackless.tasklet(func)()
/// let mut t1 = match sched.run(Budget::steps(100))? {   // t1 = stackless.run(100)
///     RunResult::Interrupted(id) => sched.take(id)?,
///     other => panic!("{other:?}"),
/// };
/// let s = t1.dump()?;                                   // s = pickle.dumps(t1)
/// t1.kill();                                            // t1.remove(); del t1
/// let t2 = sched.load(&s)?;                             // t2 = pickle.loads(s)
/// sched.insert(t2)?;                                    // t2.insert()
/// sched.run(Budget::steps(100))?;                       // stackless.run(100): it goes on
/// # assert_eq!(sched.end(t2), Some(&Status::Finished(vec![Value::I32(20)])));
/// # Ok(())
/// # }
/// ```
pub struct Scheduler {
    engine: Engine,
    core: Core,
    tasklets: IdMap<TaskletId, Box<Member>>,
    /// The channels by name, and the names by channel.
    names: BTreeMap<String, ChannelId>,
    channel_names: IdMap<ChannelId, String>,
    made: MadeChannels,
    /// The one that who is taken out of it comes from.
    origin: Arc<()>,
    /// Those whose tasklets came in: snapshots of them need not be compiled again.
    modules: HashMap<Digest, Module>,
    /// How tasklets have ended, the latest of them.
    ends: IdMap<TaskletId, Status>,
    ended: VecDeque<TaskletId>,
    hooks: Hooks,
    clock: Box<dyn Clock>,
    switch_traps: i32,
    current: Current,
    /// As many interrupts as there had been when those were looked at that wait for time.
    interrupts_seen: u64,
    woken: Woken,
    tasklets_max: usize,
    dormitory: Dormitory,
}

/// A tasklet, and what its numbers for channels mean here.
struct Member {
    tasklet: Tasklet,
    channels: Vec<ChannelId>,
    /// The turn in which it came to be idle last.
    idle_since: u64,
    /// Whether the store has what it once was.
    stored: bool,
}

impl Member {
    fn new(tasklet: Tasklet, channels: Vec<ChannelId>) -> Member {
        Member { tasklet, channels, idle_since: 0, stored: false }
    }

    fn seat(&mut self) -> Option<&mut Seat> {
        self.tasklet.store.data_mut().seat.as_mut()
    }
}

impl Scheduler {
    /// A scheduler without tasklets. Modules of snapshots are compiled with that engine.
    pub fn new(engine: &Engine) -> Scheduler {
        let clock: Box<dyn Clock> = match engine.options().deterministic {
            true => Box::new(VirtualClock::default()),
            false => Box::new(MonotonicClock::default()),
        };
        Scheduler {
            engine: engine.clone(),
            core: Core::default(),
            tasklets: IdMap::default(),
            names: BTreeMap::new(),
            channel_names: IdMap::default(),
            made: MadeChannels::default(),
            origin: Arc::default(),
            modules: HashMap::new(),
            ends: IdMap::default(),
            ended: VecDeque::new(),
            hooks: Hooks::default(),
            clock,
            switch_traps: 0,
            current: Current::default(),
            interrupts_seen: 0,
            woken: Woken::default(),
            tasklets_max: limits::TASKLETS_MAX,
            dormitory: Dormitory::default(),
        }
    }

    /// Sets how many tasklets there can be, those that guests spawn included; at most, and unless
    /// set, 16,777,216.
    pub fn set_tasklets_max(&mut self, tasklets_max: usize) {
        self.tasklets_max = tasklets_max.min(limits::TASKLETS_MAX);
    }

    /// Queues a paused tasklet behind all that are ready; nothing if it is queued. One that was
    /// waiting on a channel when it was taken or dumped waits on it again, behind those that do, or
    /// exchanges with who waits for it.
    ///
    /// # Errors
    /// [`Error::CannotSchedule`] for one that is blocked, sleeps or has others run,
    /// [`Error::NoSuchTasklet`].
    pub fn insert(&mut self, id: TaskletId) -> Result<(), Error> {
        if self.core.place(id) == Some(Place::Paused) {
            return self.rejoin(id);
        }
        self.core.insert(id).map_err(|refusal| refused("insert", id, refusal))
    }

    /// Pauses a tasklet that is ready, or that waits for the system, for time or for others that it
    /// has run; nothing if it is paused. Inserted, it waits for what is left.
    ///
    /// # Errors
    /// [`Error::CannotSchedule`] for one that is blocked, [`Error::NoSuchTasklet`].
    pub fn remove(&mut self, id: TaskletId) -> Result<(), Error> {
        self.note_left(id);
        self.core.remove(id).map_err(|refusal| refused("remove", id, refusal))?;
        self.note_idle(id);
        Ok(())
    }

    /// Destroys a tasklet, wherever it stands. Nothing of it runs any more; what it waited for is
    /// as if it had never come.
    ///
    /// # Errors
    /// [`Error::NoSuchTasklet`].
    pub fn kill(&mut self, id: TaskletId) -> Result<(), Error> {
        if self.dormitory.contains(id) {
            self.core.forget(id);
            let channels = self.given(id).to_vec();
            self.dormitory.forget(id);
            self.release(&channels);
            return Ok(());
        }
        self.take(id).map(Taken::kill)
    }

    /// How many tasklets can run now.
    pub fn run_count(&self) -> usize {
        self.core.run_count()
    }

    /// The tasklets that can run now, in the order in which they will.
    pub fn ready(&self) -> Vec<TaskletId> {
        self.core.ready().collect()
    }

    /// Where a tasklet stands; of one that is not here all flags are false.
    pub fn flags(&self, id: TaskletId) -> Flags {
        let Some(place) = self.core.place(id) else { return Flags::default() };
        let seat = self.tasklets.get(&id).and_then(|m| m.tasklet.store.data().seat.as_ref());
        let asleep = self.dormitory.look(id).unwrap_or_default();
        Flags {
            alive: true,
            paused: place == Place::Paused,
            scheduled: matches!(place, Place::Ready | Place::Current | Place::Blocked(..)),
            blocked: matches!(place, Place::Blocked(..)),
            waiting: matches!(place, Place::Outside | Place::Sleeping | Place::Watching(_)),
            atomic: seat.map_or(asleep.atomic, |seat| seat.atomic),
            block_trap: seat.map_or(asleep.block_trap, |seat| seat.block_trap),
        }
    }

    /// The channel that a tasklet waits on, and for what.
    pub fn blocked_on(&self, id: TaskletId) -> Option<(ChannelId, Direction)> {
        match self.core.place(id)? {
            Place::Blocked(channel, direction) => Some((channel, direction)),
            _ => None,
        }
    }

    /// Whether a tasklet can be written down, and if not why. This costs what a snapshot does, but
    /// for the writing.
    ///
    /// # Errors
    /// Those of [`Tasklet::snapshot`], and [`Error::NoSuchTasklet`].
    pub fn restorable(&mut self, id: TaskletId) -> Result<(), Error> {
        if self.dormitory.contains(id) {
            return Ok(());
        }
        self.note_left(id);
        self.member(id)?.tasklet.snapshot(&Default::default()).map(drop)
    }

    /// How a tasklet has ended: [`Status::Finished`], [`Status::Exited`] or [`Status::Trapped`].
    /// The latest 65,536 ends are remembered.
    pub fn end(&self, id: TaskletId) -> Option<&Status> {
        self.ends.get(&id)
    }

    /// A tasklet that is here, in memory: not one that is hibernated.
    pub fn tasklet(&self, id: TaskletId) -> Option<&Tasklet> {
        self.tasklets.get(&id).map(|member| &member.tasklet)
    }

    /// The same, to look at it closer, or to [`Tasklet::wait`] for the system. One that is
    /// hibernated is woken; if that fails it is `None`, and [`wake`](Scheduler::wake) says why.
    pub fn tasklet_mut(&mut self, id: TaskletId) -> Option<&mut Tasklet> {
        self.note_left(id);
        self.member(id).ok().map(|member| &mut member.tasklet)
    }

    /// A tasklet, which is made anew if it is hibernated.
    fn member(&mut self, id: TaskletId) -> Result<&mut Member, Error> {
        if self.dormitory.contains(id) {
            self.come_back(id)?;
        }
        match self.tasklets.get_mut(&id) {
            Some(member) => Ok(member),
            None if self.core.is_running(id) => {
                let what = "it runs on another thread: `Executor::pause` has it wait for you";
                Err(Error::CannotSchedule { verb: "reach", id, what })
            }
            None => Err(Error::NoSuchTasklet { id }),
        }
    }

    /// Its seat, which is here even if it is hibernated.
    fn seat(&mut self, id: TaskletId) -> Result<&mut Seat, Error> {
        let live = self.tasklets.get_mut(&id);
        let seat = match live {
            Some(member) => member.seat(),
            None if self.dormitory.contains(id) => self.dormitory.seat(id),
            None => return Err(Error::NoSuchTasklet { id }),
        };
        seat.ok_or_else(|| without_seat(id))
    }
}

fn without_seat(id: TaskletId) -> Error {
    Error::internal(format!("tasklet {id} has no seat"))
}

fn refused(verb: &'static str, id: TaskletId, refusal: Refusal) -> Error {
    let what = match refusal {
        Refusal::Unknown => return Error::NoSuchTasklet { id },
        Refusal::Blocked => {
            "it waits on a channel; `take` takes it off, and closing the channel wakes it"
        }
        Refusal::Current => "it is running",
        Refusal::Sleeping => "it sleeps; `remove` pauses it, and `throw` wakes it",
        Refusal::Watching => "it has others run; `remove` pauses it, and `throw` wakes it",
    };
    Error::CannotSchedule { verb, id, what }
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler")
            .field("tasklets", &self.core.len())
            .field("run_count", &self.run_count())
            .field("channels", &self.names)
            .finish_non_exhaustive()
    }
}
