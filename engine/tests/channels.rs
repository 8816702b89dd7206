//! Channels: order, preference, closing, errors, atomic sections, guests that spawn.

mod common;

use std::sync::{Arc, Mutex};

use common::guests::World;
use tasklet_engine::{
    Budget, ChannelOptions, Direction, Error, ErrorKind, Handed, HostError, Message, Preference,
    RunResult, Spawn, Status, TaskletId, TrapKind, ValType, Value,
};

/// The three of the measured table: `r` receives, `s` sends, `o` is another. Numbers are the letters
/// as ASCII, 'r' 0x72, 's' 0x73, 'o' 0x6f, 'v' 0x76, and before them the digit.
const TABLE: &str = r#"
    (func (export "r")
      (call $say (i32.const 0x3072))
      (drop (call $receive (call $c) (i32.const 64) (i32.const 1)))
      (call $say (i32.load8_u (i32.const 64)))
      (call $say (i32.const 0x3172)))
    (func (export "s")
      (call $say (i32.const 0x3073))
      (i32.store8 (i32.const 64) (i32.const 0x76))
      (drop (call $send (call $c) (i32.const 64) (i32.const 1)))
      (call $say (i32.const 0x3173)))
    (func (export "o") (call $say (i32.const 0x6f)))
    ;; Sends its number, over and over.
    (func (export "sender") (local $i i32)
      (loop $l
        (i32.store8 (i32.const 64) (local.get $i))
        (call $say (call $send (call $c) (i32.const 64) (i32.const 1)))
        (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 3)))))
    ;; Tells what receive returns, then the first byte.
    (func (export "receiver")
      (i32.store8 (i32.const 64) (i32.const -1))
      (call $log (call $receive (call $c) (i32.const 64) (i32.const 4)))
      (call $say (i32.load8_s (i32.const 64))))
    (func (export "failing")
      (call $say (call $send_error (call $c) (i32.const 0) (i32.const 1))))
    (func (export "trying")
      (call $say (call $try_send (call $c) (i32.const 0) (i32.const 1)))
      (call $log (call $try_receive (call $c) (i32.const 64) (i32.const 4)))
      (call $log (call $balance (call $c))))
    (func (export "closing") (call $say (call $close (call $c))))
    (func (export "unknown")
      (call $say (call $channel (i32.const 1) (i32.const 1)))
      (call $say (call $send (i32.const 7) (i32.const 0) (i32.const 1)))
      (call $log (call $receive (i32.const -3) (i32.const 0) (i32.const 1)))
      (call $log (call $balance (i32.const 1))))
    ;; Three messages of 1, 2 and 3 bytes.
    (data (i32.const 128) "\c8\00\00\00\01\00\00\00\c9\00\00\00\02\00\00\00\cb\00\00\00\03\00\00\00")
    (data (i32.const 200) "abbccc")
    (func (export "sequence") (call $say (call $send_all (call $c) (i32.const 128) (i32.const 3))))
    ;; A message longer than the room for it.
    (func (export "long-receiver")
      (call $log (call $receive (call $c) (i32.const 64) (i32.const 2)))
      (call $say (i32.load16_u (i32.const 64)))
      (call $say (call $rest (i32.const 2) (i32.const 64) (i32.const 2)))
      (call $say (i32.load16_u (i32.const 64))))
    (func (export "outside") (drop (call $receive (call $c) (i32.const 65535) (i32.const 2))))
"#;

fn text(log: &[i64]) -> String {
    let words = log.iter().map(|n| {
        let bytes = [*n as u8, (*n >> 8) as u8];
        String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_string()
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The measured table of section 3.4: who runs when, for each preference.
#[test]
fn channel_exchange_runs_in_the_measured_order() {
    let table = [
        (Preference::Receiver, "r0 s0 v r1 o s1", "s0 r0 v r1 o s1"),
        (Preference::Neither, "r0 s0 s1 o v r1", "s0 r0 v r1 o s1"),
        (Preference::Sender, "r0 s0 s1 o v r1", "s0 r0 s1 o v r1"),
        (Preference::Both, "r0 s0 o v r1 s1", "s0 r0 o s1 v r1"),
    ];
    for (preference, receiver_first, sender_first) in table {
        for (order, expected) in
            [(["r", "s", "o"], receiver_first), (["s", "r", "o"], sender_first)]
        {
            let mut w = World::new(TABLE);
            let options = ChannelOptions { preference, ..ChannelOptions::default() };
            let c = w.sched.channel("c", options).unwrap();
            for export in order {
                let spawn = w.of(export).channel("c", c);
                w.sched.spawn(&w.module, spawn).unwrap();
            }
            assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
            // The log has "0" before "r": "r0" reads 0x3072, least byte first.
            assert_eq!(text(&w.log.take()), expected, "{preference:?} {order:?}");
        }
    }
}

fn spawn(w: &mut World, export: &str) -> TaskletId {
    let c = match w.sched.find_channel("c") {
        Some(c) => c,
        None => w.sched.channel("c", ChannelOptions::default()).unwrap(),
    };
    let spawn = w.of(export).channel("c", c);
    w.sched.spawn(&w.module, spawn).unwrap()
}

fn run(w: &mut World) -> RunResult {
    w.sched.run(Budget::unlimited()).unwrap()
}

#[test]
fn receivers_wait_first_in_first_out_and_the_balance_tells() {
    let mut w = World::new(TABLE);
    let ids: Vec<_> = (0..3).map(|_| spawn(&mut w, "receiver")).collect();
    let c = w.sched.find_channel("c").unwrap();
    assert_eq!(run(&mut w), RunResult::Deadlock(ids.clone()));
    assert_eq!((w.sched.balance(c).unwrap(), w.sched.waiting_on(c).unwrap()), (-3, ids.clone()));
    let flags = w.sched.flags(ids[0]);
    assert!(flags.alive && flags.blocked && flags.scheduled && !flags.paused);
    assert_eq!(w.sched.blocked_on(ids[0]), Some((c, Direction::Receive)));
    for (at, id) in ids.iter().enumerate() {
        let message = Message::Data(vec![at as u8 + 10]);
        assert_eq!(w.sched.try_send(c, message).unwrap(), Handed::To(*id));
    }
    let message = Message::Data(vec![9]);
    assert_eq!(w.sched.try_send(c, message.clone()).unwrap(), Handed::Nobody(message));
    assert_eq!(run(&mut w), RunResult::Finished);
    assert_eq!(w.log.take(), [1, 10, 1, 11, 1, 12]);
}

#[test]
fn what_senders_wait_with_is_received_in_order() {
    let mut w = World::new(TABLE);
    let id = spawn(&mut w, "sender");
    let c = w.sched.find_channel("c").unwrap();
    for i in 0..3 {
        assert_eq!(run(&mut w), RunResult::Deadlock(vec![id]));
        assert_eq!(w.sched.balance(c).unwrap(), 1);
        assert_eq!(w.sched.try_receive(c).unwrap(), Some(Message::Data(vec![i])));
    }
    assert_eq!(run(&mut w), RunResult::Finished);
    assert_eq!(w.sched.try_receive(c).unwrap(), None);
    assert_eq!(w.log.take(), [0, 0, 0]);
}

/// Scenario 14, as far as killing goes: balance and order are those without it.
#[test]
fn killing_one_that_waits_restores_the_balance() {
    let mut w = World::new(TABLE);
    let [a, b, d] = [(); 3].map(|()| spawn(&mut w, "receiver"));
    let c = w.sched.find_channel("c").unwrap();
    run(&mut w);
    w.sched.kill(b).unwrap();
    assert_eq!((w.sched.balance(c).unwrap(), w.sched.waiting_on(c).unwrap()), (-2, vec![a, d]));
    w.sched.kill(a).unwrap();
    w.sched.kill(d).unwrap();
    assert_eq!(w.sched.balance(c).unwrap(), 0);
    assert_eq!(w.sched.kill(d).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(run(&mut w), RunResult::Idle);
}

/// Scenario 15, as far as there is something to refuse: nothing has changed afterwards.
#[test]
fn a_refused_operation_leaves_no_trace() {
    let mut w = World::new(TABLE);
    let id = spawn(&mut w, "receiver");
    let c = w.sched.find_channel("c").unwrap();
    run(&mut w);
    for refused in [w.sched.insert(id), w.sched.remove(id)] {
        assert!(matches!(refused, Err(Error::CannotSchedule { id: of, .. }) if of == id));
    }
    let exists = w.sched.channel("c", ChannelOptions::default()).unwrap_err();
    assert_eq!(exists.kind(), ErrorKind::Usage);
    let long = Message::Data(vec![0; (16 << 20) + 1]);
    assert_eq!(w.sched.try_send(c, long).unwrap_err().kind(), ErrorKind::Limit);
    assert_eq!(w.sched.try_receive(c).unwrap(), None);
    assert_eq!((w.sched.balance(c).unwrap(), w.sched.waiting_on(c).unwrap()), (-1, vec![id]));
    assert_eq!(w.sched.try_send(c, Message::Data(vec![5])).unwrap(), Handed::To(id));
    assert_eq!(run(&mut w), RunResult::Finished);
    assert_eq!(w.log.take(), [1, 5]);
}

#[test]
fn closing_wakes_who_waits() {
    let mut w = World::new(TABLE);
    let [a, b] = [(); 2].map(|()| spawn(&mut w, "receiver"));
    let c = w.sched.find_channel("c").unwrap();
    run(&mut w);
    spawn(&mut w, "closing");
    assert_eq!(run(&mut w), RunResult::Finished);
    assert_eq!(w.log.take(), [0, -1, -1, -1, -1], "the closing one, then both receivers");
    assert!(w.sched.end(a).is_some() && w.sched.end(b).is_some());
    assert_eq!(w.sched.balance(c).unwrap(), 0);
    assert!(matches!(w.sched.try_receive(c), Err(Error::ChannelClosed { .. })));
    assert!(w.sched.is_closed(c).unwrap());
    // Nobody can wait on it now, until it is opened again.
    spawn(&mut w, "receiver");
    assert_eq!(run(&mut w), RunResult::Finished);
    assert_eq!(w.log.take(), [-1, -1]);
    w.sched.open(c).unwrap();
    assert!(!w.sched.is_closed(c).unwrap());
    assert_eq!(w.sched.channel_name(c), Some("c"));
    let id = spawn(&mut w, "receiver");
    assert_eq!(run(&mut w), RunResult::Deadlock(vec![id]));
    w.sched.remove_channel(c).unwrap();
    assert_eq!(run(&mut w), RunResult::Finished);
    assert_eq!(w.log.take(), [-1, -1]);
    assert_eq!(w.sched.balance(c).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(w.sched.is_closed(c).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!((w.sched.find_channel("c"), w.sched.channel_name(c)), (None, None));
}

#[test]
fn errors_are_told_apart_from_messages() {
    let mut w = World::new(TABLE);
    spawn(&mut w, "receiver");
    spawn(&mut w, "failing");
    assert_eq!(run(&mut w), RunResult::Finished);
    assert_eq!(w.log.take(), [1 << 32 | 1, i64::from(b'c'), 0]);
    let id = spawn(&mut w, "receiver");
    let c = w.sched.find_channel("c").unwrap();
    run(&mut w);
    assert_eq!(w.sched.try_send(c, Message::Error(vec![])).unwrap(), Handed::To(id));
    run(&mut w);
    assert_eq!(w.log.take(), [1 << 32, -1]);
    spawn(&mut w, "failing");
    run(&mut w);
    assert_eq!(w.sched.try_receive(c).unwrap(), Some(Message::Error(b"c".to_vec())));
}

#[test]
fn trying_does_not_wait() {
    let mut w = World::new(TABLE);
    spawn(&mut w, "trying");
    assert_eq!(run(&mut w), RunResult::Finished);
    assert_eq!(w.log.take(), [-2, -2, 0]);
    spawn(&mut w, "receiver");
    spawn(&mut w, "receiver");
    spawn(&mut w, "trying");
    assert!(matches!(run(&mut w), RunResult::Deadlock(_)));
    // The receiver is handed the message, and runs at once; one still waits.
    assert_eq!(w.log.take(), [1, i64::from(b'c'), 0, -2, -1]);
}

#[test]
fn a_guest_knows_only_the_channels_it_was_given() {
    let mut w = World::new(TABLE);
    w.sched.channel("d", ChannelOptions::default()).unwrap();
    spawn(&mut w, "unknown");
    assert_eq!(run(&mut w), RunResult::Finished);
    assert_eq!(w.log.take(), [-3, -3, -3, -3 << 32]);
    let c = w.sched.find_channel("c").unwrap();
    let twice = Spawn::export("r").channel("c", c).channel("c", c);
    assert_eq!(w.sched.spawn(&w.module, twice).unwrap_err().kind(), ErrorKind::Usage);
    w.sched.remove_channel(c).unwrap();
    let gone = Spawn::export("r").channel("c", c);
    assert_eq!(w.sched.spawn(&w.module, gone).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_sequence_is_sent_one_by_one() {
    let mut w = World::new(TABLE);
    spawn(&mut w, "sequence");
    let c = w.sched.channel("c", ChannelOptions::default()).err().map(|_| "it is there");
    assert!(c.is_some());
    let c = w.sched.find_channel("c").unwrap();
    for expected in ["a", "bb", "ccc"] {
        assert!(matches!(run(&mut w), RunResult::Deadlock(_)));
        let message = w.sched.try_receive(c).unwrap();
        assert_eq!(message, Some(Message::Data(expected.as_bytes().to_vec())));
    }
    assert_eq!(run(&mut w), RunResult::Finished);
    assert_eq!(w.log.take(), [3]);
    // Closed in the middle, it tells how many there were.
    spawn(&mut w, "sequence");
    run(&mut w);
    w.sched.try_receive(c).unwrap();
    run(&mut w);
    w.sched.close(c).unwrap();
    assert_eq!(run(&mut w), RunResult::Finished);
    assert_eq!(w.log.take(), [1]);
}

#[test]
fn a_message_too_long_for_its_room_is_not_cut_off() {
    let mut w = World::new(TABLE);
    spawn(&mut w, "long-receiver");
    run(&mut w);
    let c = w.sched.find_channel("c").unwrap();
    w.sched.try_send(c, Message::Data(b"abcd".to_vec())).unwrap();
    assert_eq!(run(&mut w), RunResult::Finished);
    assert_eq!(w.log.take(), [4, 0x6261, 2, 0x6463]);
}

#[test]
fn room_outside_the_memory_is_a_trap_and_takes_no_message() {
    let mut w = World::new(TABLE);
    let sender = spawn(&mut w, "sender");
    let bad = spawn(&mut w, "outside");
    let RunResult::Trapped(id, trap) = run(&mut w) else { panic!("no trap") };
    assert_eq!((id, trap.kind), (bad, TrapKind::Host));
    assert!(trap.message.contains("`tasklet::receive`: 2 bytes at 0xffff"), "{trap}");
    let c = w.sched.find_channel("c").unwrap();
    assert_eq!(w.sched.waiting_on(c).unwrap(), [sender]);
}

#[test]
fn one_that_somebody_outside_serves_is_no_deadlock() {
    let mut w = World::new(TABLE);
    let id = spawn(&mut w, "receiver");
    let c = w.sched.find_channel("c").unwrap();
    assert_eq!(run(&mut w), RunResult::Deadlock(vec![id]));
    let options = ChannelOptions { external: true, ..ChannelOptions::default() };
    w.sched.set_channel_options(c, options).unwrap();
    assert_eq!(w.sched.channel_options(c).unwrap(), options);
    assert_eq!(run(&mut w), RunResult::Blocked(vec![id]));
}

#[test]
fn the_channel_callback_sees_every_exchange() {
    let mut w = World::new(TABLE);
    let [r, s] = ["r", "s"].map(|export| spawn(&mut w, export));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let list = seen.clone();
    w.sched.on_channel(move |c, id, direction, waits| {
        list.lock().unwrap().push((c, id, direction, waits));
    });
    run(&mut w);
    let c = w.sched.find_channel("c").unwrap();
    let expected = [(c, r, Direction::Receive, true), (c, s, Direction::Send, false)];
    assert_eq!(*seen.lock().unwrap(), expected);
}

/// Scenario 11: no stop falls inside an atomic section, and the deferred one comes right behind.
#[test]
fn atomic_sections_are_never_cut() {
    let guest = r#"
        (global $inside (mut i32) (i32.const 0))
        (func $section (param $n i32) (local $before i32)
          (local.set $before (call $atomic (i32.const 1)))
          (global.set $inside (i32.const 1))
          (drop (call $count (local.get $n)))
          (global.set $inside (local.get $before))
          (drop (call $atomic (local.get $before))))
        (func (export "main") (local $n i32)
          (loop $l
            (call $section (local.get $n))
            (drop (call $count (i32.const 3)))
            (br_if $l (i32.le_s
              (local.tee $n (i32.add (local.get $n) (i32.const 25))) (i32.const 500)))))
        (func (export "endless") (drop (call $atomic (i32.const 1))) (loop $l (br $l)))
        (func (export "get") (result i32) (global.get $inside))
        (export "inside" (global $inside))"#;
    let mut w = World::new(guest);
    let id = w.sched.spawn(&w.module, w.of("main")).unwrap();
    let mut stops = 0;
    while let RunResult::Interrupted(_) = w.sched.run(Budget::steps(100)).unwrap() {
        stops += 1;
        assert!(!w.sched.flags(id).atomic);
        let tasklet = w.sched.tasklet_mut(id).unwrap();
        assert_eq!(tasklet.global("inside").unwrap(), Some(Value::I32(0)));
        w.sched.insert(id).unwrap();
    }
    assert!(stops > 10, "{stops}");
    assert_eq!(w.sched.end(id), Some(&Status::Finished(vec![])));
    // One that does not end is ended.
    let id = w.sched.spawn(&w.module, w.of("endless")).unwrap();
    let RunResult::Trapped(of, trap) = w.sched.run(Budget::steps(100)).unwrap() else {
        panic!("no trap")
    };
    assert_eq!((of, trap.kind), (id, TrapKind::AtomicLimit));
    assert_eq!(trap.backtrace.len(), 1);
}

#[test]
fn an_interrupt_in_an_atomic_section_is_deferred_too() {
    let guest = r#"
        (func (export "main")
          (drop (call $atomic (i32.const 1)))
          (call $say (i32.const 1))
          (drop (call $count (i32.const 100)))
          (call $say (i32.const 2))
          (drop (call $atomic (i32.const 0)))
          (drop (call $count (i32.const 100)))
          (call $say (i32.const 3)))"#;
    let mut w = World::new(guest);
    let handle = Arc::new(Mutex::new(None::<tasklet_engine::TaskletHandle>));
    let (inside, said) = (handle.clone(), w.log.clone());
    let host = tasklet_engine::Host::builder();
    let host = host.func("test", "log", &[ValType::I64], &[], move |_, args| {
        said.push(&args[0]);
        if args[0] == Value::I64(1) {
            inside.lock().unwrap().as_ref().unwrap().interrupt();
        }
        Ok(vec![])
    });
    let id = w.sched.spawn(&w.module, Spawn::export("main").host(host.build())).unwrap();
    *handle.lock().unwrap() = Some(w.sched.tasklet(id).unwrap().handle());
    // Of itself the end of a slice would not hand it out.
    let budget = Budget::steps(20).round_robin();
    assert_eq!(w.sched.run(budget).unwrap(), RunResult::Interrupted(id));
    assert_eq!(w.log.take(), [1, 2]);
    w.sched.insert(id).unwrap();
    assert_eq!(w.sched.run(budget).unwrap(), RunResult::Finished);
    assert_eq!(w.log.take(), [3]);
}

#[test]
fn guests_spawn_guests() {
    let guest = r#"
        (data (i32.const 16) "childnobody")
        (func (export "main")
          (i32.store8 (i32.const 64) (i32.const 7))
          (call $log (call $spawn (i32.const 16) (i32.const 5) (i32.const 64) (i32.const 1)))
          (call $log (call $spawn (i32.const 21) (i32.const 6) (i32.const 64) (i32.const 1)))
          (call $log (call $spawn (i32.const 22) (i32.const 2) (i32.const 64) (i32.const 0)))
          (call $log (call $receive (call $c) (i32.const 64) (i32.const 4)))
          (call $say (i32.load8_u (i32.const 64))))
        (func (export "child")
          (call $say (call $argument (i32.const 64) (i32.const 8)))
          (i32.store8 (i32.const 64) (i32.add (i32.const 1) (i32.load8_u (i32.const 64))))
          (drop (call $send (call $c) (i32.const 64) (i32.const 1))))
        (func (export "ob") (param i32))"#;
    let mut w = World::new(guest);
    let log = w.log.clone();
    w.sched.child_host(move |_| log.host());
    let id = spawn(&mut w, "main");
    assert_eq!(run(&mut w), RunResult::Finished);
    let child = id.number() as i64 + 1;
    assert_eq!(w.log.take(), [child, -6, -6, 1, 1, 8]);
    // The limit holds for them too.
    w.sched.set_tasklets_max(1);
    let id = spawn(&mut w, "main");
    assert_eq!(run(&mut w), RunResult::Deadlock(vec![id]));
    assert_eq!(w.log.take()[0], -5);
    // A child whose host lacks what the module imports is its parent's trap, which says so.
    let mut w = World::new(guest);
    let id = spawn(&mut w, "main");
    let RunResult::Trapped(of, trap) = run(&mut w) else { panic!("no trap") };
    assert_eq!(of, id);
    assert!(trap.message.contains("`tasklet::spawn`: unknown import `test::log`"), "{trap}");
}

/// The refusal, and a host's sort that calls the guest back: below a host import nothing can wait,
/// and nothing can be written down.
#[test]
fn below_a_host_import_nothing_waits_and_nothing_is_dumped() {
    let guest = r#"
        (import "host" "sort" (func $sort (param i32 i32)))
        (table 1 funcref) (elem (i32.const 0) $compare)
        (func $compare (param $a i32) (param $b i32) (result i32)
          (call $log (call $receive (call $c) (i32.const 0) (i32.const 1)))
          (i32.sub (local.get $a) (local.get $b)))
        (func (export "main")
          (call $sort (i32.const 3) (i32.const 1))
          (call $say (i32.load8_u (i32.const 100)))
          (call $say (i32.load8_u (i32.const 101))))"#;
    let guest = guest.trim_start().split_once('\n').unwrap();
    // Imports come first.
    let wat = format!("(module {} {} {})", guest.0, common::guests::PRELUDE, guest.1);
    let mut w = World::new("");
    let wasm = wat::parse_str(wat).unwrap();
    w.module = tasklet_engine::Module::load(&w.engine, &wasm).unwrap();
    let refusals = Arc::new(Mutex::new(0));
    let count = refusals.clone();
    let host = w.log.builder().func("host", "sort", &[ValType::I32; 2], &[], move |ctx, args| {
        let refused = ctx.snapshot().map(drop);
        let Err(Error::InsideHostImport { import, backtrace, .. }) = refused else {
            return Err(HostError::new("no refusal"));
        };
        assert_eq!((import.as_str(), backtrace.len()), ("host::sort", 1));
        *count.lock().unwrap() += 1;
        let [Value::I32(a), Value::I32(b)] = args[..] else { return Err(HostError::new("two")) };
        let order = ctx.call_table(0, 0, args)?;
        let sorted = if order == [Value::I32(a - b)] && a > b { [b, a] } else { [a, b] };
        ctx.write(100, &sorted.map(|n| n as u8))?;
        Ok(vec![])
    });
    let c = w.sched.channel("c", ChannelOptions::default()).unwrap();
    let spawn = Spawn::export("main").channel("c", c).host(host.build());
    let id = w.sched.spawn(&w.module, spawn).unwrap();
    // The import is called within the first few steps; a moment later all is well.
    while *refusals.lock().unwrap() == 0 {
        assert_eq!(w.sched.run(Budget::steps(1)).unwrap(), RunResult::Interrupted(id));
        w.sched.insert(id).unwrap();
    }
    assert_eq!(w.log.take(), [-4]);
    let bytes = w.sched.dump(id).unwrap();
    assert_eq!(run(&mut w), RunResult::Finished);
    assert_eq!(w.log.take(), [1, 3]);
    let host = w.log.builder().func("host", "sort", &[ValType::I32; 2], &[], |_, _| Ok(vec![]));
    let options = tasklet_engine::LoadOptions::default().host(host.build());
    let copy = w.sched.load_with(&bytes, options).unwrap();
    w.sched.insert(copy).unwrap();
    assert_eq!(run(&mut w), RunResult::Finished);
    assert_eq!(w.log.take(), [1, 3]);
}
