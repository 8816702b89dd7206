//! Tasklets of a scheduler that are dumped, loaded and taken elsewhere.

mod common;

use common::guests::World;
use tasklet_engine::{
    Budget, ChannelOptions, Direction, Error, ErrorKind, Handed, Host, LoadOptions, Message,
    Module, RunResult, Scheduler, Snapshot, SnapshotOptions, Status, Tasklet, TaskletId, Value,
    snapshot,
};

const GUESTS: &str = r#"
    (func (export "count") (result i32) (call $count (i32.const 1000)))
    (func (export "receiver")
      (call $log (call $receive (call $c) (i32.const 64) (i32.const 4)))
      (call $say (i32.load8_u (i32.const 64))))
    (func (export "sender")
      (i32.store8 (i32.const 64) (i32.const 42))
      (call $say (call $send (call $c) (i32.const 64) (i32.const 1))))
    (data (i32.const 128) "\c8\00\00\00\01\00\00\00\c9\00\00\00\02\00\00\00\cb\00\00\00\03\00\00\00")
    (data (i32.const 200) "abbccc")
    (func (export "sequence") (call $say (call $send_all (call $c) (i32.const 128) (i32.const 3))))
    ;; Adds up what it receives, five times, answering each by the sum.
    (func (export "sum") (local $i i32) (local $sum i32)
      (loop $l
        (drop (call $receive (call $c) (i32.const 64) (i32.const 1)))
        (local.set $sum (i32.add (local.get $sum) (i32.load8_u (i32.const 64))))
        (i32.store8 (i32.const 64) (local.get $sum))
        (drop (call $send (call $c) (i32.const 64) (i32.const 1)))
        (drop (call $yield))
        (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 5))))
      (call $say (call $argument (i32.const 64) (i32.const 8)))
      (call $say (local.get $sum)))
    (func (export "ask") (local $i i32) (local $answers i32)
      (loop $l
        (i32.store8 (i32.const 80) (local.get $i))
        (drop (call $send (call $c) (i32.const 80) (i32.const 1)))
        (drop (call $receive (call $c) (i32.const 80) (i32.const 1)))
        (local.set $answers (i32.add (local.get $answers) (i32.load8_u (i32.const 80))))
        (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 5))))
      (call $say (local.get $answers)))
"#;

fn world() -> World {
    let mut w = World::new(GUESTS);
    w.sched.channel("talk", ChannelOptions::default()).unwrap();
    w
}

fn spawn(w: &mut World, export: &str) -> TaskletId {
    let c = w.sched.find_channel("talk").unwrap();
    let spawn = w.of(export).channel("c", c).argument(b"abc");
    w.sched.spawn(&w.module, spawn).unwrap()
}

fn load(w: &mut World, bytes: &[u8]) -> TaskletId {
    let options = LoadOptions::default().host(w.log.host());
    w.sched.load_with(bytes, options).unwrap()
}

fn run(sched: &mut Scheduler) -> RunResult {
    sched.run(Budget::unlimited()).unwrap()
}

/// Scenario 1: interrupted, dumped, destroyed, loaded in another scheduler with an engine of its
/// own, it comes to the result of a run without all that; also by repeated short slices.
#[test]
fn interrupt_dump_kill_load_finish() {
    let plain = || {
        let mut w = World::new(GUESTS);
        // This one imports the scheduler's functions and uses none.
        let id = w.sched.spawn(&w.module, w.of("count")).unwrap();
        (w, id)
    };
    let (mut w, id) = plain();
    run(&mut w.sched);
    let expected = w.sched.end(id).cloned();
    assert_eq!(expected, Some(Status::Finished(vec![Value::I32(1000)])));
    for slice in [100, 777] {
        let (mut w, mut id) = plain();
        let mut stops = 0;
        while let RunResult::Interrupted(of) = w.sched.run(Budget::steps(slice)).unwrap() {
            assert_eq!(of, id);
            let mut taken = w.sched.take(id).unwrap();
            let bytes = taken.dump().unwrap();
            taken.kill();
            w.sched = Scheduler::new(&common::engine());
            id = load(&mut w, &bytes);
            w.sched.insert(id).unwrap();
            stops += 1;
        }
        assert!(stops > 5);
        assert_eq!(w.sched.end(id).cloned(), expected);
    }
}

/// Scenario 2: a copy and its original are two worlds that come to the same.
#[test]
fn dump_twins_agree() {
    let mut w = world();
    let id = w.sched.spawn(&w.module, w.of("count")).unwrap();
    assert_eq!(w.sched.run(Budget::steps(333)).unwrap(), RunResult::Interrupted(id));
    let bytes = w.sched.dump(id).unwrap();
    let twins = [load(&mut w, &bytes), load(&mut w, &bytes), id];
    assert_eq!(w.sched.tasklets().len(), 3);
    for twin in twins {
        w.sched.insert(twin).unwrap();
    }
    assert_eq!(run(&mut w.sched), RunResult::Finished);
    for twin in twins {
        assert_eq!(w.sched.end(twin), Some(&Status::Finished(vec![Value::I32(1000)])));
    }
}

/// Scenario 8: a copy of one that waits does not touch the original's channel until it is inserted;
/// then it waits behind it, and its message is what the original's would have been.
#[test]
fn a_copy_of_a_blocked_tasklet_is_blocked_again() {
    let mut w = world();
    let c = w.sched.find_channel("talk").unwrap();
    let id = spawn(&mut w, "sender");
    assert_eq!(run(&mut w.sched), RunResult::Deadlock(vec![id]));
    let bytes = w.sched.dump(id).unwrap();
    assert!(w.sched.flags(id).blocked, "dumping changes nothing");
    let dropped = load(&mut w, &bytes);
    w.sched.kill(dropped).unwrap();
    assert_eq!((w.sched.balance(c).unwrap(), w.sched.waiting_on(c).unwrap()), (1, vec![id]));
    let copy = load(&mut w, &bytes);
    assert!(w.sched.flags(copy).paused);
    w.sched.insert(copy).unwrap();
    assert_eq!(w.sched.blocked_on(copy), Some((c, Direction::Send)));
    assert_eq!((w.sched.balance(c).unwrap(), w.sched.waiting_on(c).unwrap()), (2, vec![id, copy]));
    w.sched.kill(id).unwrap();
    assert_eq!(w.sched.try_receive(c).unwrap(), Some(Message::Data(vec![42])));
    assert_eq!(run(&mut w.sched), RunResult::Finished);
    assert_eq!(w.log.take(), [0]);
    // One that meets somebody when it is inserted does not wait.
    let receiver = spawn(&mut w, "receiver");
    assert_eq!(run(&mut w.sched), RunResult::Deadlock(vec![receiver]));
    let copy = load(&mut w, &bytes);
    w.sched.insert(copy).unwrap();
    assert_eq!(w.sched.ready(), [receiver, copy]);
    assert_eq!(run(&mut w.sched), RunResult::Finished);
    assert_eq!(w.log.take(), [1, 42, 0]);
}

#[test]
fn a_channel_is_found_by_name_or_by_hook_or_not_at_all() {
    let mut w = world();
    let id = spawn(&mut w, "receiver");
    run(&mut w.sched);
    let bytes = w.sched.dump(id).unwrap();
    let mut other = Scheduler::new(&w.engine);
    let missing = other.load_with(&bytes, LoadOptions::default().host(w.log.host()));
    let Err(Error::NoSuchChannel { name }) = missing else { panic!("{missing:?}") };
    assert_eq!((name.as_str(), other.tasklets().len()), ("talk", 0));
    let here = other.channel("elsewhere", ChannelOptions::default()).unwrap();
    let options = LoadOptions::default().host(w.log.host()).module(&w.module);
    let options = options.channels(|name| {
        assert_eq!((name.guest.as_str(), name.channel.as_str()), ("c", "talk"));
        Some(here)
    });
    let copy = other.load_with(&bytes, options).unwrap();
    other.insert(copy).unwrap();
    assert_eq!(other.waiting_on(here).unwrap(), [copy]);
    assert_eq!(other.try_send(here, Message::Data(vec![7])).unwrap(), Handed::To(copy));
    // Answered, and dumped before it has read the answer: that goes along, under the new name.
    let bytes = other.dump(copy).unwrap();
    assert_eq!(run(&mut other), RunResult::Finished);
    assert_eq!(w.log.take(), [1, 7]);
    let options = LoadOptions::default().host(w.log.host());
    let copy = other.load_with(&bytes, options).unwrap();
    other.insert(copy).unwrap();
    assert_eq!(run(&mut other), RunResult::Finished);
    assert_eq!(w.log.take(), [1, 7]);
}

#[test]
fn one_that_waits_can_be_taken_to_another_scheduler() {
    let mut w = world();
    let c = w.sched.find_channel("talk").unwrap();
    let [a, b] = [(); 2].map(|()| spawn(&mut w, "receiver"));
    run(&mut w.sched);
    let taken = w.sched.take(a).unwrap();
    assert_eq!((taken.id(), w.sched.waiting_on(c).unwrap()), (a, vec![b]));
    let mut other = Scheduler::new(&w.engine);
    let refused = *other.put(taken).unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::NotFound);
    let there = other.channel("talk", ChannelOptions::default()).unwrap();
    let moved = other.put(refused.taken).unwrap();
    other.insert(moved).unwrap();
    assert_eq!(other.waiting_on(there).unwrap(), [moved]);
    other.try_send(there, Message::Data(vec![3])).unwrap();
    assert_eq!(run(&mut other), RunResult::Finished);
    assert_eq!(w.log.take(), [1, 3]);
}

/// Scenario 9: blocked in the second message of a sequence, a copy goes on with that and returns the
/// full count.
#[test]
fn a_sequence_goes_on_where_it_was() {
    let mut w = world();
    let c = w.sched.find_channel("talk").unwrap();
    let id = spawn(&mut w, "sequence");
    run(&mut w.sched);
    assert_eq!(w.sched.try_receive(c).unwrap(), Some(Message::Data(b"a".to_vec())));
    run(&mut w.sched);
    let bytes = w.sched.dump(id).unwrap();
    w.sched.kill(id).unwrap();
    let copy = load(&mut w, &bytes);
    w.sched.insert(copy).unwrap();
    for expected in ["bb", "ccc"] {
        let message = w.sched.try_receive(c).unwrap();
        assert_eq!(message, Some(Message::Data(expected.as_bytes().to_vec())));
        run(&mut w.sched);
    }
    assert_eq!(w.log.take(), [3]);
}

/// Two that talk are dumped at every stop, destroyed and loaded: what they say is what they would
/// have said, at every size of slice.
#[test]
fn a_conversation_survives_any_number_of_moves() {
    let talk = |budget: Budget| {
        let mut w = world();
        let mut pair = [spawn(&mut w, "sum"), spawn(&mut w, "ask")];
        let mut moves = 0;
        loop {
            match w.sched.run(budget).unwrap() {
                RunResult::Finished => return (w.log.take(), moves),
                result @ (RunResult::Interrupted(_) | RunResult::Expired) => {
                    // The one that was interrupted goes last, as it would in a round.
                    pair.sort_by_key(|id| result == RunResult::Interrupted(*id));
                    for id in &mut pair {
                        if w.sched.flags(*id).alive {
                            let was = w.sched.flags(*id);
                            let ready = w.sched.ready();
                            let bytes = w.sched.dump(*id).unwrap();
                            w.sched.kill(*id).unwrap();
                            *id = load(&mut w, &bytes);
                            w.sched.insert(*id).unwrap();
                            assert_eq!(w.sched.flags(*id).blocked, was.blocked, "{ready:?}");
                            moves += 1;
                        }
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    };
    let (expected, moves) = talk(Budget::unlimited());
    assert_eq!((expected.as_slice(), moves), (&[20, 3, 10][..], 0));
    let budgets = [1, 3, 10].map(Budget::steps).into_iter();
    for budget in budgets.chain([20, 50, 70].map(Budget::total)) {
        let (mut said, moves) = talk(budget);
        // Who is the first to end depends on the slices.
        said.sort_unstable();
        assert_eq!(said, [3, 10, 20], "{budget:?}");
        assert!(moves > 2, "{budget:?}: {moves} moves");
    }
}

fn snapshot(bytes: &[u8]) -> (Snapshot<'static>, snapshot::Digest) {
    Snapshot::read_from(&mut &bytes[..], &snapshot::Limits::DEFAULT).unwrap()
}

#[test]
fn what_takes_part_in_a_scheduler_is_refused_without_one() {
    let mut w = world();
    let id = spawn(&mut w, "receiver");
    run(&mut w.sched);
    let (read, digest) = snapshot(&w.sched.dump(id).unwrap());
    let error = Tasklet::load(&w.module, &read, digest, w.log.host()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    assert!(error.to_string().contains("Scheduler::load"), "{error}");
    // A program that knows nothing of schedulers goes on without.
    let wasm = wat::parse_str(r#"(module (func (export "main") (loop $l (br $l))))"#).unwrap();
    let module = Module::load(&w.engine, &wasm).unwrap();
    let entry = common::invoke("main", &[]);
    let id = w.sched.spawn(&module, entry).unwrap();
    assert_eq!(w.sched.run(Budget::steps(10)).unwrap(), RunResult::Interrupted(id));
    let (read, digest) = snapshot(&w.sched.dump(id).unwrap());
    assert!(read.host.is_empty());
    let mut alone = Tasklet::load(&module, &read, digest, Host::empty()).unwrap();
    assert_eq!(alone.run(10).unwrap(), tasklet_engine::Outcome::OutOfBudget);
    // And one that never was in a scheduler can come into one.
    let mut bytes = Vec::new();
    alone.dump(&mut bytes, &SnapshotOptions::default()).unwrap();
    let id = w.sched.load(&bytes).unwrap();
    w.sched.insert(id).unwrap();
    assert_eq!(w.sched.run(Budget::steps(10)).unwrap(), RunResult::Interrupted(id));
}

/// Whatever a snapshot says of its seat: a refusal, or a guest that goes on as guests can.
#[test]
fn forged_seats_are_refused_or_harmless() {
    use snapshot::HostValue;
    let mut w = world();
    w.sched.set_clock(tasklet_engine::VirtualClock::default());
    let id = spawn(&mut w, "receiver");
    run(&mut w.sched);
    let bytes = w.sched.dump(id).unwrap();
    let forge = |path: &[&str], value: HostValue| {
        let (mut read, _) = snapshot(&bytes);
        let mut at = &mut read.host.iter_mut().find(|(name, _)| name == "tasklet").unwrap().1;
        for key in path {
            let HostValue::Map(pairs) = at else { panic!("no map at {key}") };
            // What need not be there is put there.
            if !pairs.iter().any(|(name, _)| name.as_text() == Some(key)) {
                pairs.push((HostValue::Text(key.to_string()), HostValue::Null));
            }
            let pair = pairs.iter_mut().find(|(name, _)| name.as_text() == Some(key));
            at = &mut pair.unwrap_or_else(|| panic!("no {key}")).1;
        }
        *at = value;
        let mut forged = Vec::new();
        read.write_to(&mut forged).unwrap();
        forged
    };
    let int = |n: i64| HostValue::Integer(n.into());
    let refused: &[(&[&str], HostValue)] = &[
        (&[], HostValue::Null),
        (&["asked", "receive", "channel"], int(1)),
        (&["asked"], HostValue::Text("no-such".into())),
        (&["answer"], HostValue::Map(vec![(HostValue::Text("code".into()), int(0))])),
        (&["sent"], int(1 << 30)),
        (&["channels"], HostValue::Array(vec![])),
        (&["message"], HostValue::Bytes(vec![0; (16 << 20) + 1])),
        (&["block_trap"], HostValue::Null),
        (&["thrown"], HostValue::Bytes(vec![0; (16 << 20) + 1])),
        (&["asked", "receive", "timeout"], int(-1)),
        (&["asked", "run"], int(5)),
        (&["asked"], HostValue::Text("sleep".into())),
    ];
    for (path, value) in refused {
        let forged = forge(path, value.clone());
        let options = LoadOptions::default().host(w.log.host());
        let error = w.sched.load_with(&forged, options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Snapshot, "{path:?}: {error}");
    }
    let harmless: &[(&[&str], HostValue)] = &[
        (&["block_trap"], HostValue::Bool(false)),
        (&["asked"], HostValue::Text("yield".into())),
        (&["asked"], HostValue::Text("park".into())),
        (&["asked"], HostValue::Null),
        (&["sent"], int(7)),
        (&["atomic"], HostValue::Bool(true)),
    ];
    for (path, value) in harmless {
        let copy = load(&mut w, &forge(path, value.clone()));
        w.sched.insert(copy).unwrap();
        let result = run(&mut w.sched);
        assert_eq!(result, RunResult::Deadlock(vec![id, copy]), "{path:?}");
        w.sched.kill(copy).unwrap();
    }
    // It waits for something else, and `receive` is told of that.
    let map =
        |key: &str, value: HostValue| HostValue::Map(vec![(HostValue::Text(key.into()), value)]);
    for other in [map("sleep", map("ns", int(1))), map("run", map("steps", int(1)))] {
        let copy = load(&mut w, &forge(&["asked"], other));
        w.sched.insert(copy).unwrap();
        assert!(w.sched.flags(copy).waiting);
        assert_eq!(run(&mut w.sched), RunResult::Deadlock(vec![id]));
        w.sched.end(copy).expect("it has ended");
    }
}
