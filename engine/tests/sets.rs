//! Many tasklets that are dumped and loaded together, with the channels between them.

mod common;

use std::task::Poll;

use common::guests::World;
use tasklet_engine::{
    Budget, ChannelId, ChannelOptions, Direction, Error, ErrorKind, Handed, Loaded, Message,
    Preference, RunResult, Scheduler, SetOptions, SnapshotOptions, Status, TaskletId, Value,
};

const GUESTS: &str = r#"
    (data (i32.const 8) "dinabbccc")
    (data (i32.const 128) "\0b\00\00\00\01\00\00\00\0c\00\00\00\02\00\00\00\0e\00\00\00\03\00\00\00")
    (func $d (result i32) (call $channel (i32.const 8) (i32.const 1)))
    ;; Sends its number and what it counts to, on the first channel.
    (func $tell (param $n i32)
      (i64.store (i32.const 64) (call $id))
      (i32.store8 (i32.const 72) (local.get $n))
      (drop (call $send (call $c) (i32.const 64) (i32.const 9))))
    (func (export "send") (local $i i32)
      (loop $l
        (call $tell (local.get $i))
        (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 3))))
      (call $log (i64.add (i64.const 1000) (call $id))))
    (func (export "sequence")
      (call $say (call $send_all (call $d) (i32.const 128) (i32.const 3))))
    ;; Logs all that it receives on the first channel, until that is closed.
    (func (export "receive") (local $got i64)
      (loop $l
        (local.set $got (call $receive (call $c) (i32.const 64) (i32.const 16)))
        (if (i64.ge_s (local.get $got) (i64.const 0)) (then
          (call $log (i64.load (i32.const 64)))
          (call $say (i32.load8_u (i32.const 72)))
          (br $l)))
        (call $log (local.get $got))))
    (func (export "lengths") (local $i i32)
      (loop $l
        (call $log (i64.mul (i64.const 100) (call $receive (call $d) (i32.const 64) (i32.const 16))))
        (drop (call $yield))
        (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 3)))))
    (func (export "park") (drop (call $park)) (call $log (i64.add (i64.const 2000) (call $id))))
    (func (export "atomic") (local $before i32)
      (local.set $before (call $atomic (i32.const 1)))
      (drop (call $count (i32.const 3)))
      (call $tell (i32.const 77))
      (drop (call $count (i32.const 3)))
      (drop (call $atomic (local.get $before)))
      (call $say (i32.const 3000)))
    (func (export "fork") (local $child i64)
      (local.set $child (call $fork))
      (call $log (i64.add (i64.const 4000) (local.get $child)))
      (call $tell (i32.const 44)))
    (func (export "spawn")
      (call $log (call $spawn (i32.const 400) (i32.const 4) (i32.const 8) (i32.const 2))))
    (data (i32.const 400) "send")
    (func (export "close") (drop (call $count (i32.const 100))) (call $say (call $close (call $c))))
    (func (export "three") (result i32) (drop (call $count (i32.const 20))) (i32.const 3))
    (func (export "one")
      (call $log (call $receive (call $c) (i32.const 64) (i32.const 16)))
      (call $say (i32.load8_u (i32.const 64))))
    (func (export "hello") (call $say (call $send (call $c) (i32.const 10) (i32.const 1))))
"#;

fn world() -> World {
    let mut w = World::new(GUESTS);
    give_children_the_list(&mut w);
    w.sched.channel("talk", ChannelOptions::default()).unwrap();
    let both = ChannelOptions { preference: Preference::Both, ..ChannelOptions::default() };
    w.sched.channel("sequences", both).unwrap();
    w
}

/// Hooks are the program's own affair, in every scheduler anew.
fn give_children_the_list(w: &mut World) {
    let log = w.log.clone();
    w.sched.child_host(move |_| log.host());
}

fn spawn(w: &mut World, export: &str) -> TaskletId {
    let [c, d] = ["talk", "sequences"].map(|name| w.sched.find_channel(name).unwrap());
    let spawn = w.of(export).channel("c", c).channel("d", d);
    w.sched.spawn(&w.module, spawn).unwrap()
}

fn dump(sched: &mut Scheduler) -> Vec<u8> {
    let mut bytes = Vec::new();
    sched.dump_all(&mut bytes, &SnapshotOptions::default()).unwrap();
    bytes
}

fn load(w: &World, sched: &mut Scheduler, bytes: &[u8]) -> Result<Loaded, Error> {
    sched.load_set(bytes, SetOptions::default().hosts(|_| w.log.host()).module(&w.module))
}

/// Everything that can be seen of who stands where.
fn places(sched: &Scheduler) -> String {
    let of = |id: TaskletId| format!("{id} {:?} {:?}", sched.flags(id), sched.blocked_on(id));
    let tasklets: Vec<String> = sched.tasklets().into_iter().map(of).collect();
    let lines = ["talk", "sequences"]
        .map(|name| sched.find_channel(name).map(|id| (sched.balance(id), sched.waiting_on(id))));
    format!("{:?} {tasklets:?} {lines:?}", sched.ready())
}

/// Into a scheduler that knows nothing of it. What that would write is what was read.
fn reload(w: &mut World) {
    let bytes = dump(&mut w.sched);
    assert!(dump(&mut w.sched) == bytes, "what is written twice is the same");
    let mut fresh = Scheduler::new(&w.engine);
    let loaded = load(w, &mut fresh, &bytes).unwrap();
    assert!(loaded.tasklets.iter().all(|(old, new)| *old == new.number()));
    assert_eq!(places(&fresh), places(&w.sched));
    assert!(dump(&mut fresh) == bytes, "what was loaded makes the same set");
    w.sched = fresh;
    give_children_the_list(w);
}

/// How all of it comes out: what was said in which order, and how each has ended.
fn talk(budget: Budget, moves: bool) -> (Vec<i64>, Vec<RunResult>, u64) {
    let mut w = world();
    let guests = [
        "receive", "send", "lengths", "park", "sequence", "atomic", "fork", "send", "spawn",
        "park", "close", "receive", "sequence",
    ];
    for guest in guests {
        spawn(&mut w, guest);
    }
    w.sched.remove(TaskletId::default()).unwrap_err();
    let (mut said, mut results, mut stops) = (Vec::new(), Vec::new(), 0);
    loop {
        let result = w.sched.run(budget).unwrap();
        said.extend(w.log.take());
        if moves {
            reload(&mut w);
        }
        stops += 1;
        match result {
            RunResult::Interrupted(id) => w.sched.insert(id).unwrap(),
            RunResult::Expired => {}
            other => {
                results.push(other);
                let paused = |id: &TaskletId| w.sched.flags(*id).paused;
                let parked: Vec<_> = w.sched.tasklets().into_iter().filter(paused).collect();
                if parked.is_empty() {
                    break;
                }
                parked.into_iter().for_each(|id| w.sched.insert(id).unwrap());
            }
        }
    }
    (said, results, stops)
}

/// The oracle: written down and loaded at every stop, everything comes out as it does without, in
/// the same order, down to a budget of one step.
#[test]
fn moved_at_every_stop_it_is_the_same() {
    let (said, results, stops) = talk(Budget::unlimited(), false);
    let deadlocks = results.iter().all(|result| matches!(result, RunResult::Deadlock(_)));
    assert!(said.len() > 20 && deadlocks && stops == 2, "{said:?} {results:?}");
    let (said_moved, results_moved, _) = talk(Budget::unlimited(), true);
    assert_eq!((said_moved, results_moved), (said, results));
    let budgets = [Budget::steps(1), Budget::steps(7), Budget::total(1), Budget::total(50)];
    let rounds = [1, 3, 20].map(|steps| Budget::steps(steps).round_robin().with_total(steps * 5));
    let soft = [Budget::total(10).soft()];
    for budget in budgets.into_iter().chain(rounds).chain(soft) {
        let (said, results, stops) = talk(budget, false);
        let moved = talk(budget, true);
        assert!(stops > 10, "{budget:?}: {stops}");
        assert_eq!(moved, (said, results, stops), "{budget:?}");
    }
}

#[test]
fn a_set_loaded_twice_is_two_worlds() {
    let mut w = world();
    let [receiver, sender] = ["receive", "hello"].map(|guest| spawn(&mut w, guest));
    w.sched.remove(sender).unwrap();
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Deadlock(vec![receiver]));
    let bytes = dump(&mut w.sched);
    let mut sched = std::mem::replace(&mut w.sched, Scheduler::new(&w.engine));
    let copies = [(); 2].map(|()| load(&w, &mut sched, &bytes).unwrap());
    let talks: Vec<ChannelId> = copies
        .iter()
        .map(|copy| copy.channels.iter().find(|(name, _)| name == "talk").unwrap().1)
        .collect();
    assert_eq!(sched.find_channel("talk~2"), Some(talks[0]));
    assert_eq!(sched.find_channel("talk~3"), Some(talks[1]));
    assert_eq!(copies[0].digest, copies[1].digest);
    let original = sched.find_channel("talk").unwrap();
    for (copy, talk) in copies.iter().zip(&talks) {
        let [(old_receiver, new_receiver), (old_sender, new_sender)] = copy.tasklets[..] else {
            panic!("{copy:?}")
        };
        assert_eq!((old_receiver, old_sender), (receiver.number(), sender.number()));
        assert_ne!(new_receiver, receiver);
        assert_eq!(sched.blocked_on(new_receiver), Some((*talk, Direction::Receive)));
        assert!(sched.flags(new_sender).paused);
        sched.insert(new_sender).unwrap();
        assert!(matches!(sched.run(Budget::unlimited()), Ok(RunResult::Deadlock(_))));
        // The copy's receiver had it, and nobody else.
        assert_eq!(sched.waiting_on(*talk).unwrap(), [new_receiver]);
        assert_eq!(sched.waiting_on(original).unwrap(), [receiver]);
        assert_eq!(w.log.take().len(), 3);
    }
    // A copy's own dump knows the channel by its new name.
    let single = sched.dump(copies[1].tasklets[0].1).unwrap();
    let options = tasklet_engine::LoadOptions::default().host(w.log.host());
    let again = sched.load_with(&single, options).unwrap();
    sched.insert(again).unwrap();
    assert_eq!(sched.blocked_on(again), Some((talks[1], Direction::Receive)));
}

/// A channel outside of the set is asked of the hook, then found by name, then missed.
#[test]
fn channels_outside_of_a_set() {
    let mut w = world();
    let [a, b, other] = ["one", "one", "lengths"].map(|guest| spawn(&mut w, guest));
    w.sched.run(Budget::unlimited()).unwrap();
    let sequences = w.sched.find_channel("sequences").unwrap();
    let (mut bytes, options) = (Vec::new(), SnapshotOptions::default());
    w.sched.dump_set(&mut bytes, &[b, a], &[sequences], &options).unwrap();
    let mut fresh = Scheduler::new(&w.engine);
    let error = load(&w, &mut fresh, &bytes).unwrap_err();
    assert!(matches!(&error, Error::NoSuchChannel { name } if name == "talk"), "{error}");
    assert!(fresh.tasklets().is_empty() && fresh.find_channel("sequences").is_none());
    // By name. They wait in the order in which they did.
    let talk = fresh.channel("talk", ChannelOptions::default()).unwrap();
    load(&w, &mut fresh, &bytes).unwrap();
    assert_eq!(fresh.waiting_on(talk).unwrap(), [a, b]);
    assert!(!fresh.flags(other).alive);
    // By the hook, which is asked of all. Whoever waits there already is met.
    let mut fresh = Scheduler::new(&w.engine);
    let elsewhere = fresh.channel("elsewhere", ChannelOptions::default()).unwrap();
    let hello = w.of("hello").channel("c", elsewhere);
    let hello = fresh.spawn(&w.module, hello).unwrap();
    fresh.run(Budget::unlimited()).unwrap();
    assert_eq!(fresh.balance(elsewhere).unwrap(), 1);
    let mut asked = Vec::new();
    let options = SetOptions::default().hosts(|_| w.log.host()).channels(|channel| {
        asked.push((channel.name.clone(), channel.own.is_some()));
        (channel.name == "talk").then_some(elsewhere)
    });
    let loaded = fresh.load_set(&bytes, options).unwrap();
    assert_eq!(asked, [("talk".to_string(), false), ("sequences".to_string(), true)]);
    // The number 3 is taken by nobody, but 1 is: all have new ones.
    let [new_a, new_b] = [a, b].map(|old| {
        let found = loaded.tasklets.iter().find(|(number, _)| *number == old.number());
        found.unwrap().1
    });
    assert_eq!((hello.number(), new_a.number(), new_b.number()), (1, 2, 3));
    assert_eq!(fresh.ready(), [hello, new_a]);
    assert_eq!(fresh.waiting_on(elsewhere).unwrap(), [new_b]);
    assert_eq!(fresh.run(Budget::unlimited()).unwrap(), RunResult::Deadlock(vec![new_b]));
    assert_eq!(w.log.take(), [0, 1, i64::from(b'n')]);
    assert!(fresh.find_channel("sequences").is_some());
    // One that is not this scheduler's is none.
    let options = SetOptions::default().channels(|_| Some(talk_of(&w.engine)));
    assert_eq!(fresh.load_set(&bytes, options).unwrap_err().kind(), ErrorKind::NotFound);
}

/// The last of many channels, which a small scheduler does not have.
fn talk_of(engine: &tasklet_engine::Engine) -> ChannelId {
    let mut many = Scheduler::new(engine);
    let all = (0..9).map(|n| many.channel(&n.to_string(), ChannelOptions::default()).unwrap());
    all.last().unwrap()
}

/// The set's own channel can be another's here, too: who waited joins the line.
#[test]
fn a_channel_of_the_set_can_be_one_that_is_here() {
    let mut w = world();
    let one = spawn(&mut w, "one");
    w.sched.run(Budget::unlimited()).unwrap();
    let bytes = dump(&mut w.sched);
    let talk = w.sched.find_channel("talk").unwrap();
    let options = SetOptions::default().hosts(|_| w.log.host());
    let options = options.channels(|channel| (channel.name == "talk").then_some(talk));
    let loaded = w.sched.load_set(&bytes, options).unwrap();
    let copy = loaded.tasklets[0].1;
    assert_eq!(w.sched.waiting_on(talk).unwrap(), [one, copy]);
    assert!(w.sched.find_channel("talk~2").is_none());
    assert!(w.sched.find_channel("sequences~2").is_some());
}

/// Closed, removed, external, of every preference: what a channel is goes along, and who was given
/// one that is gone is not given its successor of the same name.
#[test]
fn channels_are_what_they_were() {
    let mut w = world();
    let external = ChannelOptions { external: true, preference: Preference::Sender };
    let doors = w.sched.channel("doors", external).unwrap();
    let neither = ChannelOptions { preference: Preference::Neither, ..ChannelOptions::default() };
    let shut = w.sched.channel("shut", neither).unwrap();
    w.sched.close(shut).unwrap();
    let gone = w.sched.channel("gone", ChannelOptions::default()).unwrap();
    let of = |w: &World, c| w.of("one").channel("c", c);
    let spawns = [of(&w, doors), of(&w, shut), of(&w, gone)];
    let [at_doors, ..] = spawns.map(|spawn| w.sched.spawn(&w.module, spawn).unwrap());
    w.sched.remove_channel(gone).unwrap();
    w.sched.channel("gone", ChannelOptions::default()).unwrap();
    reload(&mut w);
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Blocked(vec![at_doors]));
    assert_eq!(w.log.take(), [-1, 0, -1, 0]);
    reload(&mut w);
    let doors = w.sched.find_channel("doors").unwrap();
    let met = w.sched.try_send(doors, Message::Error(b"!".to_vec())).unwrap();
    assert_eq!(met, Handed::To(at_doors));
    reload(&mut w);
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(w.log.take(), [1 | 1 << 32, i64::from(b'!')]);
    let shut = w.sched.find_channel("shut").unwrap();
    let refused = w.sched.try_send(shut, Message::Data(vec![])).unwrap_err();
    assert!(matches!(refused, Error::ChannelClosed { .. }));
}

#[test]
fn it_is_all_or_nothing() {
    let mut w = world();
    for guest in ["one", "send", "park"] {
        spawn(&mut w, guest);
    }
    w.sched.run(Budget::total(5)).unwrap();
    let bytes = dump(&mut w.sched);
    let before = places(&w.sched);
    // The last one is not given what it imports.
    let mut fresh = Scheduler::new(&w.engine);
    let options = SetOptions::default().hosts(|member| match member.number {
        3 => tasklet_engine::Host::empty(),
        _ => w.log.host(),
    });
    let error = fresh.load_set(&bytes, options).unwrap_err();
    assert!(matches!(error, Error::Tasklet { id, .. } if id.number() == 3), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Import);
    assert!(fresh.tasklets().is_empty() && fresh.find_channel("talk").is_none());
    fresh.set_tasklets_max(2);
    assert_eq!(load(&w, &mut fresh, &bytes).unwrap_err().kind(), ErrorKind::Limit);
    assert_eq!(places(&w.sched), before);
    // Every cut and a bit flipped here and there.
    for at in (0..bytes.len()).step_by(37) {
        assert_eq!(load(&w, &mut fresh, &bytes[..at]).unwrap_err().kind(), ErrorKind::Snapshot);
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        load(&w, &mut fresh, &flipped).unwrap_err();
    }
    assert!(fresh.tasklets().is_empty() && fresh.find_channel("talk").is_none());
    // A snapshot of one is no set, and the other way round.
    let one = w.sched.dump(TaskletId::default()).unwrap_err();
    assert_eq!(one.kind(), ErrorKind::NotFound);
    let id = w.sched.tasklets()[0];
    let one = w.sched.dump(id).unwrap();
    let error = load(&w, &mut fresh, &one).unwrap_err();
    assert!(matches!(error, Error::SnapshotFormat(_)), "{error}");
    assert_eq!(w.sched.load(&bytes).unwrap_err().kind(), ErrorKind::Snapshot);
    let (mut out, options) = (Vec::new(), SnapshotOptions::default());
    let missing = w.sched.dump_set(&mut out, &[TaskletId::default()], &[], &options).unwrap_err();
    assert_eq!((missing.kind(), out.len()), (ErrorKind::NotFound, 0));
    let missing = w.sched.dump_set(&mut out, &[], &[talk_of(&w.engine)], &options).unwrap_err();
    assert_eq!((missing.kind(), out.len()), (ErrorKind::NotFound, 0));
}

/// A tasklet that cannot be written down is named.
#[test]
fn a_refusal_names_the_tasklet() {
    let wasm = wat::parse_str(
        r#"(module (import "host" "object" (func $object (result externref)))
             (global $kept (mut externref) (ref.null extern))
             (func (export "main") (global.set $kept (call $object)) (loop $l (br $l))))"#,
    );
    let mut w = world();
    let module = tasklet_engine::Module::load(&w.engine, &wasm.unwrap()).unwrap();
    let host = tasklet_engine::Host::builder();
    let object = tasklet_engine::HostObject::new(7u32);
    let host = host.func("host", "object", &[], &[tasklet_engine::ValType::ExternRef], {
        move |_, _| Ok(vec![Value::ExternRef(Some(object.clone()))])
    });
    spawn(&mut w, "park");
    let main = tasklet_engine::Spawn::export("main").host(host.build());
    let keeper = w.sched.spawn(&module, main).unwrap();
    w.sched.run(Budget::steps(100)).unwrap();
    let error = w.sched.dump_all(&mut Vec::new(), &SnapshotOptions::default()).unwrap_err();
    assert!(matches!(error, Error::Tasklet { id, .. } if id == keeper), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    // The others can be written without it.
    let others: Vec<_> = w.sched.tasklets().into_iter().filter(|id| *id != keeper).collect();
    let (mut out, options) = (Vec::new(), SnapshotOptions::default());
    w.sched.dump_set(&mut out, &others, &[], &options).unwrap();
}

#[test]
fn modules_are_in_a_set_once_or_not_at_all_and_sets_can_be_compressed() {
    let mut w = world();
    let mut sizes = Vec::new();
    for _ in 0..3 {
        spawn(&mut w, "one");
        sizes.push(dump(&mut w.sched).len());
    }
    let module = w.module.original().len();
    assert!(sizes[0] > module && sizes[2] - sizes[1] < 1000, "{sizes:?}, {module}");
    let mut without = SnapshotOptions::default();
    without.embed_module = false;
    let mut bytes = Vec::new();
    w.sched.dump_all(&mut bytes, &without).unwrap();
    assert_eq!(sizes[2] - bytes.len(), module + 2);
    let mut fresh = Scheduler::new(&w.engine);
    let options = SetOptions::default().hosts(|_| w.log.host());
    let error = fresh.load_set(&bytes, options).unwrap_err();
    assert!(matches!(error, Error::ModuleNotFound { .. }), "{error}");
    load(&w, &mut fresh, &bytes).unwrap();
    let mut compressor = tasklet_engine::Compressor::new(Vec::new(), 3).unwrap();
    let digest = w.sched.dump_all(&mut compressor, &SnapshotOptions::default()).unwrap();
    let compressed = compressor.finish().unwrap();
    assert!(compressed.len() < sizes[2]);
    let mut fresh = Scheduler::new(&w.engine);
    assert_eq!(load(&w, &mut fresh, &compressed).unwrap().digest, digest);
    assert_eq!(places(&fresh), places(&w.sched));
    // One piece after the other, as from a pipe.
    let bytes = dump(&mut w.sched);
    let mut fresh = Scheduler::new(&w.engine);
    let options = SetOptions::default().hosts(|_| w.log.host());
    fresh.read_set(std::io::Read::chain(&bytes[..50], &bytes[50..]), options).unwrap();
    assert!(dump(&mut fresh) == bytes);
}

/// Not a set of a scheduler's making: who is nobody's program for schedulers comes along, and how
/// tasklets end is told by their numbers.
#[test]
fn results_come_out_under_the_same_numbers() {
    let mut w = world();
    let [three, park] = ["three", "park"].map(|guest| spawn(&mut w, guest));
    let wasm = wat::parse_str(r#"(module (func (export "four") (result i32) (i32.const 4)))"#);
    let module = tasklet_engine::Module::load(&w.engine, &wasm.unwrap()).unwrap();
    let talk = w.sched.find_channel("talk").unwrap();
    let plain = tasklet_engine::Spawn::export("four").channel("c", talk);
    let four = w.sched.spawn(&module, plain).unwrap();
    w.sched.run(Budget::steps(10)).unwrap();
    w.sched.insert(three).unwrap();
    reload(&mut w);
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    let end = |id| w.sched.end(id).cloned();
    assert_eq!(end(three), Some(Status::Finished(vec![Value::I32(3)])));
    assert_eq!(end(four), Some(Status::Finished(vec![Value::I32(4)])));
    assert!(w.sched.flags(park).paused);
    // Who comes next has the next number, there as here.
    assert_eq!(spawn(&mut w, "one").number(), four.number() + 1);
}

/// Whatever a set says of its tasklets: a refusal that names one, or guests that go on as guests can.
#[test]
fn forged_sets_are_refused_or_harmless() {
    use tasklet_engine::snapshot::set;
    let mut w = world();
    let [one, sender] = ["one", "hello"].map(|guest| spawn(&mut w, guest));
    w.sched.remove(sender).unwrap();
    w.sched.run(Budget::unlimited()).unwrap();
    let bytes = dump(&mut w.sched);
    let forge = |change: &dyn Fn(&mut set::Set<'_>)| {
        let (mut set, _) = set::Set::read_slice(&bytes, &set::Limits::DEFAULT).unwrap();
        change(&mut set);
        let mut forged = Vec::new();
        set.write_to(&mut forged).unwrap();
        let mut fresh = Scheduler::new(&w.engine);
        load(&w, &mut fresh, &forged).map(|loaded| (loaded, fresh))
    };
    let at =
        |set: &set::Set<'_>| set.channels.iter().position(|it| it.name == "talk").unwrap() as u32;
    type Change = Box<dyn Fn(&mut set::Set<'_>)>;
    let refused: [Change; 4] = [
        Box::new(move |set| set.tasklets[0].place = set::Place::Blocked(at(set), Direction::Send)),
        Box::new(move |set| {
            let other = 1 - at(set);
            set.tasklets[0].place = set::Place::Blocked(other, Direction::Receive);
        }),
        Box::new(|set| set.tasklets[0].channels.push(None)),
        Box::new(|set| set.tasklets[0].channels.swap(0, 1)),
    ];
    for (n, change) in refused.iter().enumerate() {
        let error = forge(change).map(drop).unwrap_err();
        assert!(matches!(error, Error::Tasklet { id, .. } if id == one), "{n}: {error:?}");
        assert_eq!(error.kind(), ErrorKind::Snapshot, "{n}");
    }
    let frames: Change = Box::new(|set| {
        set.tasklets[1].snapshot.frames[0].function = 99;
    });
    let error = forge(&frames).map(drop).unwrap_err();
    assert!(matches!(error, Error::Tasklet { id, .. } if id == sender), "{error:?}");
    // One that waits is said to be ready, or to have been given what is no more.
    let harmless: [Change; 3] = [
        Box::new(|set| set.tasklets[0].place = set::Place::Ready),
        Box::new(|set| set.tasklets[0].place = set::Place::Waiting),
        Box::new(|set| {
            set.tasklets[0].place = set::Place::Ready;
            set.tasklets[0].channels = vec![None, None];
        }),
    ];
    for (n, change) in harmless.iter().enumerate() {
        let (_, mut fresh) = forge(change).unwrap();
        let result = fresh.run(Budget::unlimited()).unwrap();
        assert_eq!(
            result,
            if n < 2 { RunResult::Deadlock(vec![one]) } else { RunResult::Finished }
        );
    }
    // Numbers that all fall into one place of a map are not kept.
    let inverse = (0..6).fold(1_u64, |x, _| {
        x.wrapping_mul(2_u64.wrapping_sub(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(x)))
    });
    let many: Change = Box::new(move |set| {
        let numbers = (1..4000_u64).map(|n| (n << 32 | n).wrapping_mul(inverse));
        let paused = set.tasklets.pop().unwrap();
        set.tasklets.clear();
        set.numbered = i64::MAX as u64;
        let mut numbers: Vec<u64> = numbers.filter(|n| *n < 1 << 63).collect();
        numbers.sort_unstable();
        set.tasklets.extend(
            numbers.into_iter().take(200).map(|number| set::Member { number, ..paused.clone() }),
        );
    });
    let (loaded, _) = forge(&many).unwrap();
    assert_eq!(loaded.tasklets.len(), 200);
    assert!(loaded.tasklets.iter().zip(1..).all(|((_, new), n)| new.number() == n));
}

/// One that waits for an import of the embedder's that cannot be issued again is named; a moment
/// later it can be written.
#[test]
fn who_is_inside_a_host_import_is_named() {
    let import = r#"(import "host" "wait" (func $wait))"#;
    let prelude = common::guests::PRELUDE;
    let main = r#"(func (export "main") (call $wait) (call $say (i32.const 7)))"#;
    let wasm = wat::parse_str(format!("(module {import} {prelude} {main})")).unwrap();
    let mut w = world();
    let module = tasklet_engine::Module::load(&w.engine, &wasm).unwrap();
    spawn(&mut w, "park");
    let host = w.log.builder().suspending("host", "wait", &[], &[], |_, _| {
        let mut polls = 0;
        Ok(std::future::poll_fn(move |_| {
            polls += 1;
            if polls > 1 { Poll::Ready(Ok(vec![])) } else { Poll::Pending }
        }))
    });
    let main = tasklet_engine::Spawn::export("main").host(host.build());
    let id = w.sched.spawn(&module, main).unwrap();
    w.sched.run(Budget::unlimited()).unwrap();
    assert!(w.sched.flags(id).waiting);
    let error = w.sched.dump_all(&mut Vec::new(), &SnapshotOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InsideHostImport);
    assert!(matches!(error, Error::Tasklet { id: of, .. } if of == id), "{error:?}");
    // The import comes back, and nothing stands in the way any more.
    w.sched.run(Budget::steps(1)).unwrap();
    dump(&mut w.sched);
    w.sched.insert(id).unwrap();
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(w.log.take(), [7]);
}
