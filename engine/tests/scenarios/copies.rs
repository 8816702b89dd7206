//! Scenarios 1 to 3: what is interrupted, dumped and loaded goes on, and flags tell where it is.

use tasklet_engine::{Budget, Flags, Outcome, RunResult, Status, Value};

use crate::World;

const COUNT: &str = r#"(func (export "count") (result i32) (call $count (i32.const 1000)))"#;

const COUNTED: Status = Status::Finished(Vec::new());

fn result(status: &Status) -> &[Value] {
    match status {
        Status::Finished(results) => results,
        other => panic!("it has not finished: {other:?}"),
    }
}

/// A loop is interrupted, dumped, destroyed, loaded and run out, by the scheduler, directly, and in
/// slices down to one step; it comes to what it would have come to.
#[test]
fn scenario_01_interrupt_dump_kill_load_finish() {
    let mut w = World::new(COUNT);
    let (expected, _) = w.undisturbed("count");
    assert_eq!(result(&expected), [Value::I32(1000)]);
    for first in [1, 17, 100, 4000] {
        // Queued and run.
        let id = w.spawn("count");
        assert_eq!(w.sched().run(Budget::steps(first)).unwrap(), RunResult::Interrupted(id));
        let copy = w.move_on(id);
        w.insert(copy);
        assert_eq!(w.run(), RunResult::Finished);
        assert_eq!(w.sched().end(copy), Some(&expected));
        // Run directly, out of any queue.
        let id = w.spawn("count");
        assert_eq!(w.sched().run(Budget::steps(first)).unwrap(), RunResult::Interrupted(id));
        let copy = w.move_on(id);
        let mut taken = w.sched().take(copy).unwrap();
        let outcome = taken.tasklet_mut().run(u64::MAX).unwrap();
        assert_eq!(outcome, Outcome::Finished(vec![Value::I32(1000)]));
        taken.kill();
    }
    // Moved at every stop.
    for slice in [40, 333] {
        let mut id = w.spawn("count");
        let mut moves = 0;
        while let RunResult::Interrupted(of) = w.sched().run(Budget::steps(slice)).unwrap() {
            assert_eq!(of, id);
            id = w.move_on(id);
            w.insert(id);
            moves += 1;
        }
        assert!(moves > 10, "{moves}");
        assert_eq!(w.sched().end(id), Some(&expected));
    }
    let id = w.spawn("count");
    let (end, stops) = w.run_out(id, 1);
    assert_eq!(end, expected);
    assert!(stops > 1000, "{stops}");
}

/// Each tells the number of its tasklet, which is another in each copy, and returns what it has
/// computed.
const BODIES: &str = r#"
    (global $mark (mut i64) (i64.const 0))
    (table 4 funcref) (elem (i32.const 0) $even $odd $add $mul)
    (type $step (func (param i32) (result i32)))
    (func $even (param $n i32) (result i32)
      (if (result i32) (local.get $n)
        (then (call_indirect (type $step) (i32.sub (local.get $n) (i32.const 1)) (i32.const 1)))
        (else (i32.const 1))))
    (func $odd (param $n i32) (result i32)
      (if (result i32) (local.get $n)
        (then (call_indirect (type $step) (i32.sub (local.get $n) (i32.const 1)) (i32.const 0)))
        (else (i32.const 0))))
    (func $add (param i32) (result i32) (i32.add (local.get 0) (i32.const 7)))
    (func $mul (param i32) (result i32) (i32.mul (local.get 0) (i32.const 3)))
    (func $deep (param $n i32) (result i32)
      (if (result i32) (i32.eqz (local.get $n)) (then (call $count (i32.const 9)))
        (else (i32.add (local.get $n) (call $deep (i32.sub (local.get $n) (i32.const 1)))))))
    (func $end (param i32) (result i32) (call $log (call $id)) (local.get 0))
    (func (export "recursion") (result i32) (call $end (call $deep (i32.const 13))))
    (func (export "mutual") (result i32) (call $end (call $even (i32.const 21))))
    (func (export "table") (result i32) (local $i i32) (local $x i32)
      (loop $l
        (local.set $x (call_indirect (type $step) (local.get $x)
          (i32.add (i32.const 2) (i32.and (local.get $i) (i32.const 1)))))
        (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 20))))
      (call $end (local.get $x)))
    ;; A loop within a loop, with a value of each on the stack over the other's header.
    (func (export "nested") (result i32) (local $i i32) (local $j i32) (local $x i32)
      (loop $outer
        (local.set $j (i32.const 0))
        (local.set $x (i32.add (local.get $x) (i32.mul (local.get $i)
          (loop $inner (result i32)
            (local.set $j (i32.add (local.get $j) (i32.const 1)))
            (br_if $inner (i32.lt_s (local.get $j) (local.get $i)))
            (local.get $j)))))
        (br_if $outer (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                                (i32.const 9))))
      (call $end (local.get $x)))
    (func (export "floats") (result i32) (local $i i32) (local $x f64) (local $v v128)
      (local.set $x (f64.const 1.5))
      (loop $l
        (local.set $x (f64.sqrt (f64.add (f64.mul (local.get $x) (local.get $x)) (f64.const 0.25))))
        (local.set $v (i32x4.add (local.get $v) (i32x4.splat (local.get $i))))
        (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 30))))
      (call $end (i32.add (i32.trunc_f64_s (f64.mul (local.get $x) (f64.const 1e6)))
                          (i32x4.extract_lane 2 (local.get $v)))))
    (func (export "bytes") (result i32) (local $i i32) (local $x i32)
      (loop $l
        (memory.fill (i32.add (i32.const 4096) (local.get $i)) (local.get $i) (i32.const 5))
        (memory.copy (i32.const 8192) (i32.const 4096) (i32.const 64))
        (local.set $x (i32.add (local.get $x) (memory.grow (i32.eq (local.get $i) (i32.const 7)))))
        (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 20))))
      (call $end (i32.add (local.get $x) (i32.load (i32.const 8200)))))
    (func $three (param i32) (result i32 i64 i32)
      (local.get 0) (i64.extend_i32_u (call $count (local.get 0))) (i32.const 5))
    (func (export "several-results") (result i32) (local $i i32) (local $x i32)
      (loop $l
        (call $three (local.get $i))
        (local.set $x (i32.add (local.get $x)))
        i32.wrap_i64
        (local.set $x (i32.add (local.get $x)))
        (local.set $x (i32.mul (local.get $x)))
        (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 6))))
      (call $end (local.get $x)))
    (func $tail (param $n i32) (param $x i32) (result i32)
      (if (i32.eqz (local.get $n)) (then (return (local.get $x))))
      (return_call $tail (i32.sub (local.get $n) (i32.const 1))
                         (i32.add (i32.mul (local.get $x) (i32.const 3)) (local.get $n))))
    (func (export "tail-calls") (result i32) (call $end (call $tail (i32.const 40) (i32.const 1))))
    (func $state (param $n i32) (result i32) (local $x i32)
      (loop $next
        (block $c (block $b (block $a
          (br_table $a $b $c (i32.rem_u (local.get $n) (i32.const 3))))
          (local.set $x (i32.add (local.get $x) (i32.const 1)))
          (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br $next))
          (local.set $x (i32.shl (local.get $x) (i32.const 1)))
          (local.set $n (i32.sub (local.get $n) (i32.const 1)))
          (br_if $next (i32.gt_s (local.get $n) (i32.const 0))) (return (local.get $x)))
        (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br $next))
      (local.get $x))
    (func (export "state-machine") (result i32) (call $end (call $state (i32.const 41))))
    (func (export "yields") (result i32) (local $i i32)
      (loop $l
        (drop (call $yield))
        (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 10))))
      (call $end (local.get $i)))"#;

/// Each of these is suspended in its middle, at two dozen places, and dumped; copy and original
/// come to the same, whichever goes first, and in two worlds: each tells a number of its own.
#[test]
fn scenario_02_dump_twins_agree() {
    let mut w = World::new(BODIES);
    for body in [
        "recursion",
        "mutual",
        "table",
        "nested",
        "floats",
        "bytes",
        "several-results",
        "tail-calls",
        "state-machine",
        "yields",
    ] {
        let id = w.spawn(body);
        assert_eq!(w.run(), RunResult::Finished, "{body}");
        let expected = w.sched().end(id).unwrap().clone();
        assert_eq!(w.log(), [id.number() as i64]);
        assert_eq!(result(&expected).len(), 1);
        let steps = {
            let id = w.spawn(body);
            let (_, stops) = w.run_out(id, 1);
            w.log();
            stops as u64
        };
        assert!(steps > 20, "{body}: {steps}");
        for steps in (1..steps * 2).step_by((steps as usize / 12).max(1)) {
            let id = w.spawn(body);
            if w.sched().run(Budget::steps(steps)).unwrap() == RunResult::Finished {
                assert_eq!(w.log().len(), 1);
                break;
            }
            let bytes = w.dump(id);
            let copy = w.load(&bytes);
            let order = if steps % 2 == 0 { [copy, id] } else { [id, copy] };
            for twin in order {
                w.insert(twin);
                assert_eq!(w.run(), RunResult::Finished);
                assert_eq!(w.sched().end(twin), Some(&expected), "{body} after {steps}");
            }
            assert_eq!(w.log(), order.map(|twin| twin.number() as i64), "{body} after {steps}");
        }
    }
}

/// Fresh, run a little, interrupted, queued again, ended: flags and depth are exact at each step;
/// and so they are with copies of a fresh one and of one that has run.
///
/// Stackless's copies come back paused whatever they were, and so do ours. Its "restorable" is a
/// flag that a copy may have wrongly; ours is a question, whose answer is an error with the reason.
#[test]
fn scenario_03_life_cycle_flags() {
    let mut w = World::new(
        r#"(func $down (param $n i32)
            (if (local.get $n) (then (call $down (i32.sub (local.get $n) (i32.const 1)))))
            (drop (call $park)))
        (func (export "deep") (call $down (i32.const 4)))"#,
    );
    let paused = Flags { alive: true, paused: true, ..Flags::default() };
    let ready = Flags { alive: true, scheduled: true, ..Flags::default() };
    let fresh = w.spawn_paused("deep");
    assert_eq!((w.sched().flags(fresh), w.depth(fresh)), (paused, 1));
    let unstarted = w.dump(fresh);
    w.insert(fresh);
    assert_eq!((w.sched().flags(fresh), w.sched().run_count()), (ready, 1));
    assert_eq!(w.sched().run(Budget::steps(1)).unwrap(), RunResult::Interrupted(fresh));
    assert_eq!(w.sched().flags(fresh), paused);
    w.insert(fresh);
    assert_eq!(w.run(), RunResult::Finished);
    // It has parked in the innermost of six functions, main's and those of 4 to 0.
    assert_eq!((w.sched().flags(fresh), w.depth(fresh)), (paused, 6));
    let started = w.dump(fresh);
    let copies = [(w.load(&unstarted), 1), (w.load(&started), 6), (fresh, 6)];
    for (id, depth) in copies {
        w.sched().restorable(id).unwrap();
        assert_eq!((w.sched().flags(id), w.depth(id)), (paused, depth));
        w.insert(id);
        assert_eq!((w.sched().flags(id), w.sched().run_count()), (ready, 1));
        // Each stop on the way out is one function less.
        if depth == 1 {
            assert_eq!(w.run(), RunResult::Finished);
            w.insert(id);
        }
        for left in (1..6).rev() {
            assert_eq!(w.run(), RunResult::Finished);
            if left > 1 {
                assert_eq!((w.sched().flags(id), w.depth(id)), (paused, left));
                w.insert(id);
            }
        }
        assert_eq!(w.sched().flags(id), Flags::default());
        assert_eq!(w.sched().end(id), Some(&COUNTED));
        assert!(w.sched().insert(id).is_err());
    }
}
