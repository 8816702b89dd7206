//! Hibernation together with all else that waits: time, timeouts, runs within runs, copies and sets.
//!
//! The oracle: two schedulers run in step. In one all that can be hibernated is, at every stop, by
//! itself or by hand, or it goes on in another scheduler as a set. At every stop both have said the
//! same, and what they write of all their tasklets is the same, byte for byte.

mod common;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use common::guests::{Log, PRELUDE};
use tasklet_engine::{
    Budget, Digest, Engine, Error, Hibernation, Host, LoadOptions, Memories, MemoryStore, Module,
    RunResult, Scheduler, SetOptions, Spawn, Store, TaskletId, VirtualClock,
};

const GUESTS: &str = r#"
    (data (i32.const 256) "child") (data (i32.const 264) "inner") (data (i32.const 272) "fails")
    (func $begin (param $entry i32)
      (drop (call $spawn (local.get $entry) (i32.const 5) (i32.const 0) (i32.const 0))))
    (func $watch (param $steps i64) (local $cuts i32) (local $r i64)
      (loop $l
        (local.set $r (call $run (local.get $steps)))
        (if (i64.lt_s (local.get $r) (i64.const 0))
          (then (call $log (local.get $r)) (call $why) (br $l)))
        (if (i64.gt_s (local.get $r) (i64.const 0))
          (then (local.set $cuts (i32.add (local.get $cuts) (i32.const 1))) (br $l))))
      (call $say (local.get $cuts)))
    (func (export "child") (drop (call $count (i32.const 12))) (call $say (i32.const 7)))
    (func (export "fails") (drop (call $sleep (i64.const 9))) unreachable)
    (func (export "inner")
      (call $begin (i32.const 272)) (call $begin (i32.const 256))
      (call $watch (i64.const 30)) (call $say (i32.const 50)))
    (func (export "outer")
      (call $begin (i32.const 264)) (call $watch (i64.const 0)) (call $say (i32.const 100)))
    (func (export "naps") (local $i i32)
      (loop $l
        (call $say (call $sleep (i64.const 30)))
        (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 3)))))
    (func (export "receives") (local $i i32)
      (loop $l
        (call $log (call $receive_timeout (call $c) (i32.const 64) (i32.const 8) (i64.const 45)))
        (call $first)
        (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 4)))))
    (func (export "sends")
      (drop (call $sleep (i64.const 50)))
      (i32.store8 (i32.const 80) (i32.const 42))
      (call $say (call $send_timeout (call $c) (i32.const 80) (i32.const 1) (i64.const 20)))
      (call $say (call $send_timeout (call $c) (i32.const 80) (i32.const 1) (i64.const 500))))
    (func (export "waits") (result i64) (call $receive (call $d) (i32.const 64) (i32.const 8)))
    (func (export "closes") (drop (call $sleep (i64.const 110))) (drop (call $close (call $d))))
    (func (export "forks") (local $child i64)
      (local.set $child (call $fork))
      (call $log (call $receive_timeout (call $d) (i32.const 64) (i32.const 8) (i64.const 25)))
      (call $log (local.get $child)))
    (func (export "parks") (drop (call $park)) (drop (call $yield)) (call $say (i32.const 10)))
    (data (i32.const 8) "d")
    (func $d (result i32) (call $channel (i32.const 8) (i32.const 1)))
"#;

/// What each does is in its memory; nothing of a tasklet is its host's.
const IN_MEMORY: &str = r#"
    (func $log (param i64) (local $at i32)
      (i32.store (i32.const 1024) (local.tee $at (i32.add (i32.load (i32.const 1024)) (i32.const 8))))
      (i64.store offset=1024 (local.get $at) (local.get 0)))
"#;

/// How one of the two is dealt with.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Plain,
    Policy(Hibernation),
    /// Whatever can be is, at every stop.
    ByHand,
    /// The same, and every third time all go on elsewhere, as a set of those that are hibernated.
    Moved,
}

type Switches = Vec<(Option<TaskletId>, Option<TaskletId>)>;

struct World {
    engine: Engine,
    module: Module,
    log: Log,
    /// Whether the list is kept by a host import.
    has_host: bool,
    /// Who ran after whom, since that was asked last.
    switches: Arc<Mutex<Switches>>,
    sched: Scheduler,
}

impl World {
    fn new(memories: Memories, has_host: bool, way: Way) -> World {
        let mut options = common::options();
        options.memories = memories;
        let engine = Engine::new(&options).unwrap();
        let import = r#"(import "test" "log" (func $log (param i64)))"#;
        assert!(PRELUDE.contains(import));
        let text = match has_host {
            true => format!("(module {PRELUDE} {GUESTS})"),
            false => format!("(module {} {IN_MEMORY} {GUESTS})", PRELUDE.replace(import, "")),
        };
        let module = Module::load(&engine, &wat::parse_str(text).unwrap()).unwrap();
        let sched = Scheduler::new(&engine);
        let (log, switches) = Default::default();
        let mut w = World { engine, module, log, has_host, switches, sched };
        w.set_up(way);
        let [c, d] = ["talk", "doors"].map(|n| w.sched.channel(n, Default::default()).unwrap());
        let all = ["naps", "receives", "sends", "waits", "waits", "closes", "forks", "parks"];
        for export in all.iter().chain(&["outer"]) {
            let spawn = Spawn::export(export).host(w.host()).channel("c", c).channel("d", d);
            w.sched.spawn(&w.module, spawn).unwrap();
        }
        w
    }

    /// What is no part of a set.
    fn set_up(&mut self, way: Way) {
        self.sched.set_clock(VirtualClock::default());
        let (log, has_host) = (self.log.clone(), self.has_host);
        self.sched.child_host(move |_| if has_host { log.host() } else { Host::empty() });
        let switches = self.switches.clone();
        self.sched.on_switch(move |before, next| switches.lock().unwrap().push((before, next)));
        match way {
            Way::Plain => {}
            Way::Policy(policy) => self.sched.set_store(MemoryStore::new(), policy).unwrap(),
            _ => self.sched.set_store(MemoryStore::new(), Hibernation::never()).unwrap(),
        }
    }

    fn host(&self) -> Host {
        if self.has_host { self.log.host() } else { Host::empty() }
    }

    fn dump(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.sched.dump_all(&mut bytes, &Default::default()).unwrap();
        bytes
    }

    fn hibernate_all(&mut self) {
        for id in self.sched.tasklets() {
            self.sched.hibernate(id).unwrap();
        }
        assert_eq!(self.sched.hibernated(), self.sched.tasklets().len());
    }

    fn go_elsewhere(&mut self, way: Way) {
        let bytes = self.dump();
        assert_eq!(self.sched.hibernated(), self.sched.tasklets().len(), "they are back there");
        self.sched = Scheduler::new(&self.engine);
        let (log, has_host) = (self.log.clone(), self.has_host);
        let options = SetOptions::default().module(&self.module);
        let options = options.hosts(move |_| if has_host { log.host() } else { Host::empty() });
        self.set_up(way);
        self.sched.load_set(&bytes[..], options).unwrap();
    }

    fn switches(&self) -> Switches {
        std::mem::take(&mut self.switches.lock().unwrap())
    }
}

/// Runs two in step, and says how many stops there were.
fn in_step(memories: Memories, has_host: bool, budget: Budget, way: Way) -> usize {
    let [mut plain, mut other] = [Way::Plain, way].map(|way| World::new(memories, has_host, way));
    let mut ends: BTreeSet<TaskletId> = BTreeSet::new();
    for stop in 1.. {
        let context = || format!("{memories:?} {has_host} {budget:?} {way:?}, stop {stop}");
        let results = [&mut plain, &mut other].map(|w| w.sched.run(budget).unwrap());
        assert_eq!(results[0], results[1], "{}", context());
        let switches = plain.switches();
        assert_eq!(switches, other.switches(), "{}", context());
        assert_eq!(plain.log.take(), other.log.take(), "{}", context());
        assert!(plain.dump() == other.dump(), "{}", context());
        for id in switches.into_iter().filter_map(|(_, next)| next) {
            let [expected, end] = [&plain, &other].map(|w| w.sched.end(id).cloned());
            if expected.is_some() && ends.insert(id) {
                assert_eq!(expected, end, "{}", context());
            }
        }
        match results[0] {
            RunResult::Interrupted(id) => {
                [&mut plain, &mut other].into_iter().for_each(|w| w.sched.insert(id).unwrap());
            }
            RunResult::Finished | RunResult::Idle => {
                if plain.sched.tasklets().is_empty() {
                    assert_eq!(ends.len(), 13, "{ends:?}");
                    return stop;
                }
                for id in plain.sched.tasklets() {
                    [&mut plain, &mut other].into_iter().for_each(|w| w.sched.insert(id).unwrap());
                }
            }
            RunResult::Expired => {}
            _ => panic!("{}: {:?}", context(), results[0]),
        }
        if matches!(way, Way::ByHand | Way::Moved) {
            other.hibernate_all();
        }
        if way == Way::Moved && stop % 3 == 0 {
            other.go_elsewhere(way);
            other.hibernate_all();
        }
    }
    unreachable!("it goes on until there are none")
}

fn ways() -> [Way; 4] {
    [
        Way::Policy(Hibernation::after_turns(0)),
        Way::Policy(Hibernation::after_turns(2)),
        Way::ByHand,
        Way::Moved,
    ]
}

#[test]
fn whatever_waits_can_be_hibernated_and_moved() {
    for (position, way) in ways().into_iter().enumerate() {
        for (memories, has_host) in [(Memories::Apart, true), (Memories::Dense, false)] {
            for budget in [Budget::unlimited(), Budget::steps(7), Budget::total(40).round_robin()] {
                in_step(memories, has_host, budget, way);
            }
        }
        // The other halves.
        let memories = [Memories::Dense, Memories::Apart][position % 2];
        in_step(memories, memories == Memories::Dense, Budget::steps(23).round_robin(), way);
    }
}

/// At every stop there is: behind each step.
#[test]
fn whatever_waits_can_be_hibernated_and_moved_behind_each_step() {
    let stops = in_step(Memories::Dense, false, Budget::steps(1), Way::Moved);
    assert!(stops > 500, "{stops}");
    in_step(Memories::Apart, false, Budget::steps(1).round_robin(), ways()[0]);
}

/// Who is hibernated by the policy has noted how long it still waits.
#[test]
fn the_policy_notes_what_is_left_of_a_wait() {
    let mut w = World::new(Memories::Dense, false, Way::ByHand);
    let all = w.sched.tasklets();
    let receives = all[1];
    for id in &all[2..] {
        w.sched.kill(*id).unwrap();
    }
    // At 30 one has napped, and runs for some turns. The other waits until 45.
    while !w.sched.is_hibernated(receives) {
        match w.sched.run(Budget::steps(2)).unwrap() {
            RunResult::Interrupted(id) => w.sched.insert(id).unwrap(),
            other => panic!("{other:?}"),
        }
        if w.sched.next_due_ns() == Some(15) && w.sched.run_count() == 1 {
            w.sched.set_hibernation(Hibernation::after_turns(0));
        }
    }
    let bytes = w.sched.store_mut().unwrap().get(receives.number()).unwrap().unwrap();
    let mut other = Scheduler::new(&w.engine);
    other.set_clock(VirtualClock::default());
    for name in ["talk", "doors"] {
        other.channel(name, Default::default()).unwrap();
    }
    let id = other.load_with(&bytes, LoadOptions::default().module(&w.module)).unwrap();
    other.insert(id).unwrap();
    assert_eq!(other.next_due_ns(), Some(15));
}

/// A store in which all goes well but for what nobody has asked for.
#[derive(Clone, Default)]
struct Worn(Arc<Mutex<(MemoryStore, Option<Error>)>>);

impl Store for Worn {
    fn put(&mut self, key: u64, bytes: &[u8]) -> Result<(), Error> {
        self.0.lock().unwrap().0.put(key, bytes)
    }

    fn get(&mut self, key: u64) -> Result<Option<Vec<u8>>, Error> {
        self.0.lock().unwrap().0.get(key)
    }

    fn remove(&mut self, key: u64) -> Result<(), Error> {
        self.0.lock().unwrap().0.remove(key)
    }

    fn keys(&mut self) -> Result<Vec<u64>, Error> {
        self.0.lock().unwrap().0.keys()
    }

    fn put_module(&mut self, hash: Digest, wasm: &[u8]) -> Result<(), Error> {
        self.0.lock().unwrap().0.put_module(hash, wasm)
    }

    fn get_module(&mut self, hash: Digest) -> Result<Option<Vec<u8>>, Error> {
        self.0.lock().unwrap().0.get_module(hash)
    }

    fn take_failure(&mut self) -> Option<Error> {
        self.0.lock().unwrap().1.take()
    }
}

/// What fails besides, a run ends with, once; and all are where they would be.
#[test]
fn a_run_tells_what_fails_besides() {
    let mut w = World::new(Memories::Dense, false, Way::Plain);
    let store = Worn::default();
    w.sched.set_store(store.clone(), Hibernation::never()).unwrap();
    let waits = w.sched.tasklets()[3];
    store.0.lock().unwrap().1 = Some(Error::Store("garbage".into()));
    w.sched.hibernate(waits).unwrap();
    assert!(w.sched.is_hibernated(waits));
    let told = w.sched.run(Budget::unlimited());
    assert!(matches!(told, Err(Error::Store(_))), "{told:?}");
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
}
