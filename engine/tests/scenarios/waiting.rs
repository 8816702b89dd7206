//! Scenarios 8, 9 and 11, and a runner-up: what waits on a channel, or must not be stopped.

use tasklet_engine::{
    Budget, ChannelOptions, Direction, Handed, Message, RunResult, Status, Value,
};

use crate::World;

const TALKERS: &str = r#"
    (func (export "sender")
      (i32.store8 (i32.const 64) (i32.const 42))
      (call $say (call $send (call $c) (i32.const 64) (i32.const 1))))
    (func (export "receiver")
      (call $log (call $receive (call $c) (i32.const 64) (i32.const 4)))
      (call $say (i32.load8_u (i32.const 64))))
    ;; The messages "a", "bb", "ccc", "dddd".
    (data (i32.const 128) "\c8\00\00\00\01\00\00\00\c9\00\00\00\02\00\00\00\cb\00\00\00\03\00\00\00\ce\00\00\00\04\00\00\00")
    (data (i32.const 200) "abbcccdddd")
    (func (export "sequence") (result i32)
      (call $send_all (call $c) (i32.const 128) (i32.const 4)))"#;

/// A dump of a blocked tasklet is loaded and dropped at once: the original's channel is unharmed. A
/// copy that is inserted waits behind it, and hands over what the original would have.
///
/// In Stackless a dump drags along all who wait on the channel, and loses the wait if the channel is
/// a global; here a copy comes back paused, remembers the channel by name, and waits again.
#[test]
fn scenario_08_a_blocked_copy_dropped_at_once() {
    for (export, direction, sign) in
        [("sender", Direction::Send, 1), ("receiver", Direction::Receive, -1)]
    {
        let mut w = World::new(TALKERS);
        let c = w.c;
        let ids = [(); 3].map(|()| w.spawn(export));
        assert_eq!(w.run(), RunResult::Deadlock(ids.to_vec()));
        let bytes = w.dump(ids[1]);
        let queue =
            |w: &mut World| (w.sched().balance(c).unwrap(), w.sched().waiting_on(c).unwrap());
        let before = queue(&mut w);
        assert_eq!(before, (3 * sign, ids.to_vec()));
        for _ in 0..3 {
            let copy = w.load(&bytes);
            assert!(w.sched().flags(copy).paused && !w.sched().flags(copy).blocked);
            assert_eq!(queue(&mut w), before);
            w.sched().kill(copy).unwrap();
            assert_eq!(queue(&mut w), before);
        }
        // All of them moved at once stand in the same line.
        w.move_world();
        let c = w.c;
        let queue =
            |w: &mut World| (w.sched().balance(c).unwrap(), w.sched().waiting_on(c).unwrap());
        assert_eq!(queue(&mut w), before);
        // One that was inserted waits last, and leaves as it came.
        let copy = w.load(&bytes);
        w.insert(copy);
        assert_eq!(w.sched().blocked_on(copy), Some((c, direction)));
        assert_eq!(queue(&mut w), (4 * sign, [&ids[..], &[copy]].concat()));
        w.sched().kill(copy).unwrap();
        assert_eq!(queue(&mut w), before);
        // The originals gone, it is served as they would have been.
        let copy = w.load(&bytes);
        w.insert(copy);
        for id in ids {
            w.sched().kill(id).unwrap();
        }
        assert_eq!(queue(&mut w), (sign, vec![copy]));
        let expected = if sign == 1 {
            assert_eq!(w.sched().try_receive(c).unwrap(), Some(Message::Data(vec![42])));
            vec![0]
        } else {
            let sent = w.sched().try_send(c, Message::Data(vec![7])).unwrap();
            assert_eq!(sent, Handed::To(copy));
            vec![1, 7]
        };
        assert_eq!(w.run(), RunResult::Finished);
        assert_eq!(w.log(), expected);
    }
}

/// Blocked in the k-th message of a sequence, moved there, at every k or at each of them: it goes
/// on with that one, each arrives once, and the full count is returned.
#[test]
fn scenario_09_moved_within_a_sequence() {
    const MESSAGES: [&str; 4] = ["a", "bb", "ccc", "dddd"];
    for moved_at in [vec![0], vec![1], vec![2], vec![3], vec![0, 1, 2, 3], vec![2, 2, 2]] {
        let mut w = World::new(TALKERS);
        let mut id = w.spawn("sequence");
        assert_eq!(w.run(), RunResult::Deadlock(vec![id]));
        for (at, message) in MESSAGES.iter().enumerate() {
            for _ in moved_at.iter().filter(|&&k| k == at) {
                id = w.move_on(id);
                w.insert(id);
                assert_eq!(w.sched().blocked_on(id), Some((w.c, Direction::Send)));
            }
            let c = w.c;
            let received = w.sched().try_receive(c).unwrap();
            assert_eq!(received, Some(Message::Data(message.as_bytes().to_vec())));
            w.run();
        }
        let end = Status::Finished(vec![Value::I32(4)]);
        assert_eq!(w.sched().end(id), Some(&end), "moved at {moved_at:?}");
    }
}

/// Sections of up to 500 rounds, and recursion to 500 with a yield at the bottom, under slices of
/// 100 steps.
const SECTIONS: &str = r#"
    (global $inside (mut i32) (i32.const 0))
    (export "inside" (global $inside))
    (func $section (param $n i32) (local $before i32)
      (local.set $before (call $atomic (i32.const 1)))
      (global.set $inside (i32.add (global.get $inside) (i32.const 1)))
      (drop (call $count (local.get $n)))
      ;; A section within a section ends neither of them early.
      (if (i32.and (local.get $n) (i32.const 1))
        (then (call $section (i32.sub (local.get $n) (i32.const 1)))))
      (global.set $inside (i32.sub (global.get $inside) (i32.const 1)))
      (drop (call $atomic (local.get $before))))
    (func (export "sections") (local $n i32)
      (loop $l
        (call $section (local.get $n))
        (drop (call $count (i32.const 5)))
        (br_if $l (i32.le_s (local.tee $n (i32.add (local.get $n) (i32.const 23))) (i32.const 500)))))
    (func $down (param $n i32)
      (if (local.get $n) (then (call $down (i32.sub (local.get $n) (i32.const 1))))
        (else (drop (call $yield)))))
    (func (export "recursion") (call $down (i32.const 500)))"#;

/// They complete, and no stop falls inside a section, which Stackless's own test does not look at.
/// Each stop is a dump and a load, too: the copy is outside of any section as the original was.
#[test]
fn scenario_11_atomic_and_nested_are_never_cut() {
    for (export, least) in [("sections", 20), ("recursion", 20)] {
        for moves in [false, true] {
            let mut w = World::new(SECTIONS);
            let mut id = w.spawn(export);
            let mut stops = 0;
            while let RunResult::Interrupted(of) = w.sched().run(Budget::steps(100)).unwrap() {
                assert_eq!(of, id);
                stops += 1;
                assert!(!w.sched().flags(id).atomic);
                let tasklet = w.sched().tasklet_mut(id).unwrap();
                assert_eq!(tasklet.global("inside").unwrap(), Some(Value::I32(0)));
                if moves {
                    id = w.move_on(id);
                }
                w.insert(id);
            }
            assert!(stops >= least, "{export}: {stops}");
            assert_eq!(w.sched().end(id), Some(&Status::Finished(vec![])));
        }
    }
}

/// Receives a number, and sends the next lower one to one of the two others. Who gets 0 closes their
/// channels.
const RING: &str = r#"
    (data (i32.const 8) "012")
    (global $x (mut i32) (i32.const 0))
    (func $own (result i32)
      (drop (call $argument (i32.const 32) (i32.const 4)))
      (i32.load8_u (i32.const 32)))
    ;; The channel of the one so many behind this one.
    (func $of (param $by i32) (result i32)
      (call $channel
        (i32.add (i32.const 8)
                 (i32.rem_u (i32.add (call $own) (local.get $by)) (i32.const 3)))
        (i32.const 1)))
    (func (export "node")
      (global.set $x (i32.add (call $own) (i32.const 77)))
      (loop $l
        (if (i64.lt_s (call $receive (call $of (i32.const 0)) (i32.const 64) (i32.const 4))
                      (i64.const 0))
          (then (call $say (i32.const 0)) (return)))
        (if (i32.eqz (i32.load (i32.const 64)))
          (then
            (drop (call $close (call $of (i32.const 1))))
            (drop (call $close (call $of (i32.const 2))))
            (call $say (i32.const 1))
            (return)))
        (i32.store (i32.const 64) (i32.sub (i32.load (i32.const 64)) (i32.const 1)))
        (global.set $x
          (i32.add (i32.mul (global.get $x) (i32.const 1103515245)) (i32.const 12345)))
        (drop (call $send
          (call $of (i32.add (i32.const 1)
                             (i32.and (i32.shr_u (global.get $x) (i32.const 16)) (i32.const 1))))
          (i32.const 64) (i32.const 4)))
        (br $l)))"#;

/// Runner-up: three tasklets in a ring of channels, each of which forwards to one of the others as
/// its own random numbers say, under a total that interrupts nobody. Whoever is not blocked is
/// ready: at every stop the token is in exactly one pair of hands.
#[test]
fn scenario_16_a_random_ring() {
    let mut w = World::new(RING);
    let mut channels =
        ["0", "1", "2"].map(|name| w.sched().channel(name, ChannelOptions::default()).unwrap());
    for own in 0..3u8 {
        let mut spawn = w.inner.of("node").argument(&[own]);
        for (name, channel) in ["0", "1", "2"].into_iter().zip(channels) {
            spawn = spawn.channel(name, channel);
        }
        w.inner.sched.spawn(&w.inner.module, spawn).unwrap();
    }
    // The token; it goes from hand to hand a thousand times.
    assert!(matches!(w.run(), RunResult::Deadlock(_)));
    w.sched().try_send(channels[0], Message::Data(1000u32.to_le_bytes().to_vec())).unwrap();
    let mut runs = 0;
    loop {
        let ready = w.sched().run_count();
        let balance = |c| w.inner.sched.balance(c).unwrap().unsigned_abs();
        let blocked: u64 = channels.into_iter().map(balance).sum();
        assert_eq!(ready as u64 + blocked, 3, "{ready} ready");
        match w.sched().run(Budget::total(200).soft()).unwrap() {
            RunResult::Expired => {
                runs += 1;
                w.move_world();
                channels = ["0", "1", "2"].map(|name| w.sched().find_channel(name).unwrap());
            }
            RunResult::Finished => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(runs > 50, "{runs}");
    let mut told = w.log();
    told.sort();
    assert_eq!(told, [0, 0, 1]);
}
