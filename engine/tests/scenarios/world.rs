//! The world that every scenario begins with, and has to leave as it was.

use tasklet_engine::{
    Budget, ChannelId, ChannelOptions, Digest, LoadOptions, RunResult, Scheduler, SetOptions,
    SnapshotOptions, Status, TaskletId,
};

use crate::common::guests;

/// A scheduler with the channel "c", and guests that know it.
///
/// When it is dropped it asserts what Stackless's harness does around every test: nothing is ready,
/// no tasklet is left, nobody waits on a channel, nothing of a tasklet has been leaked.
pub struct World {
    pub inner: guests::World,
    pub c: ChannelId,
    /// How many hold the list without being a tasklet's host.
    pub holders: usize,
    /// What each scheduler is given that the world is in: hooks, and a clock.
    set_up: fn(&mut World),
}

impl World {
    /// Guests of the prelude and these functions.
    pub fn new(functions: &str) -> World {
        World::of(guests::World::new(functions))
    }

    /// The same of a text that begins with imports of its own.
    pub fn with_imports(functions: &str) -> World {
        let at = functions.rfind("(import").expect("it has imports");
        let end = at + functions[at..].find('\n').expect("each on a line of its own");
        let (imports, rest) = functions.split_at(end);
        World::of(guests::World::with_imports(imports, rest))
    }

    fn of(mut inner: guests::World) -> World {
        let c = inner.sched.channel("c", ChannelOptions::default()).unwrap();
        let world = World { inner, c, holders: 1, set_up: |_| {} };
        world.assert_is_empty();
        world
    }

    /// The same, in schedulers that are given something.
    pub fn set_up(mut self, set_up: fn(&mut World)) -> World {
        set_up(&mut self);
        self.set_up = set_up;
        self
    }

    pub fn sched(&mut self) -> &mut Scheduler {
        &mut self.inner.sched
    }

    pub fn spawn(&mut self, export: &str) -> TaskletId {
        let spawn = self.inner.of(export).channel("c", self.c);
        self.inner.sched.spawn(&self.inner.module, spawn).unwrap()
    }

    pub fn spawn_paused(&mut self, export: &str) -> TaskletId {
        let spawn = self.inner.of(export).channel("c", self.c).paused();
        self.inner.sched.spawn(&self.inner.module, spawn).unwrap()
    }

    /// Runs until nothing is ready.
    pub fn run(&mut self) -> RunResult {
        self.inner.sched.run(Budget::unlimited()).unwrap()
    }

    /// What is on the list, which is taken off.
    pub fn log(&self) -> Vec<i64> {
        self.inner.log.take()
    }

    pub fn dump(&mut self, id: TaskletId) -> Vec<u8> {
        let mut options = SnapshotOptions::default();
        options.embed_module = false;
        self.inner.sched.dump_with(id, &options).unwrap()
    }

    /// A tasklet made of a dump; paused.
    pub fn load(&mut self, bytes: &[u8]) -> TaskletId {
        let options = LoadOptions::default().host(self.inner.log.host()).module(&self.inner.module);
        self.inner.sched.load_with(bytes, options).unwrap()
    }

    pub fn insert(&mut self, id: TaskletId) {
        self.inner.sched.insert(id).unwrap();
    }

    /// Dumps it and destroys it, and all of its world; what is loaded goes on in another.
    pub fn move_on(&mut self, id: TaskletId) -> TaskletId {
        let bytes = self.dump(id);
        self.inner.sched.kill(id).unwrap();
        self.assert_is_empty();
        self.inner.sched = Scheduler::new(&self.inner.engine);
        self.c = self.inner.sched.channel("c", ChannelOptions::default()).unwrap();
        self.load(&bytes)
    }

    /// Dumps all there is at once, destroys it, and goes on in another scheduler: all stand where they
    /// stood, under the same numbers.
    pub fn move_world(&mut self) {
        let (mut bytes, options) = (Vec::new(), SnapshotOptions::default());
        self.inner.sched.dump_all(&mut bytes, &options).unwrap();
        let stood = (self.inner.sched.ready(), self.inner.sched.tasklets());
        self.inner.sched = Scheduler::new(&self.inner.engine);
        let log = &self.inner.log;
        let options = SetOptions::default().module(&self.inner.module).hosts(|_| log.host());
        self.inner.sched.load_set(&bytes, options).unwrap();
        self.c = self.inner.sched.find_channel("c").unwrap();
        (self.set_up)(self);
        assert_eq!((self.inner.sched.ready(), self.inner.sched.tasklets()), stood);
    }

    /// How deep its calls are nested.
    pub fn depth(&mut self, id: TaskletId) -> usize {
        let tasklet = self.inner.sched.tasklet_mut(id).unwrap();
        tasklet.snapshot(&SnapshotOptions::default()).unwrap().frames.len()
    }

    /// Runs one of whose slices each may have so many steps, inserting it whenever it is handed out;
    /// its end, and how often that was.
    pub fn run_out(&mut self, id: TaskletId, slice: u64) -> (Status, usize) {
        let mut stops = 0;
        while let RunResult::Interrupted(of) = self.inner.sched.run(Budget::steps(slice)).unwrap() {
            assert_eq!(of, id);
            self.insert(id);
            stops += 1;
        }
        (self.inner.sched.end(id).unwrap().clone(), stops)
    }

    /// The end of one that runs alone and without a stop.
    pub fn undisturbed(&mut self, export: &str) -> (Status, Vec<i64>) {
        let id = self.spawn(export);
        assert_eq!(self.run(), RunResult::Finished);
        (self.inner.sched.end(id).unwrap().clone(), self.log())
    }

    /// All there is to see, to the last byte of every tasklet.
    pub fn state(&mut self) -> String {
        let ids = self.inner.sched.tasklets();
        let tasklets: Vec<_> = ids
            .into_iter()
            .map(|id| {
                let tasklet = self.inner.sched.tasklet_mut(id).unwrap();
                let mut bytes = Vec::new();
                let snapshot = tasklet.snapshot(&SnapshotOptions::default()).unwrap();
                snapshot.write_to(&mut bytes).unwrap();
                (id, Digest::of(&bytes), self.inner.sched.flags(id))
            })
            .collect();
        let sched = &self.inner.sched;
        let channel = (sched.balance(self.c).unwrap(), sched.waiting_on(self.c).unwrap());
        format!("{tasklets:?} {:?} {channel:?}", sched.ready())
    }

    /// Asserts that nothing is left.
    pub fn assert_is_empty(&self) {
        let sched = &self.inner.sched;
        assert_eq!(sched.run_count(), 0, "something is ready");
        assert_eq!(sched.tasklets(), [], "a tasklet is left");
        if let Ok(balance) = sched.balance(self.c) {
            assert_eq!(balance, 0, "somebody waits");
            assert_eq!(sched.waiting_on(self.c).unwrap(), []);
        }
        assert_eq!(
            self.inner.log.holders(),
            self.holders,
            "the host of a tasklet that is gone is not"
        );
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.assert_is_empty();
            assert_eq!(self.log(), [], "something was said that nobody expected");
        }
    }
}
