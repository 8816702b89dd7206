//! Scenarios 4 and 5: exceptions in flight, and what has to run on the way out, across moves.

use tasklet_engine::{RunResult, Status, TaskletId};

use crate::World;

/// A handler within a handler, which stops seven times. It tells what is in each hand behind each
/// stop: the payloads of the exceptions, told again by throwing them.
const HANDLERS: &str = r#"
    (tag $e (param i32))
    (func $throw (param i32) (throw $e (local.get 0)))
    (func $stop (drop (call $park)))
    ;; Throws it again, and tells what it carries.
    (func $look (param $x exnref)
      (if (ref.is_null (local.get $x)) (then (call $say (i32.const 0)) (return)))
      (block $caught (result i32)
        (try_table (catch $e $caught) (throw_ref (local.get $x)))
        unreachable)
      call $say)
    (func (export "handlers") (local $x exnref) (local $y exnref)
      (call $stop) (call $look (local.get $x)) (call $look (local.get $y)) ;; 1
      (block $outer (result i32 exnref)
        (try_table (catch_ref $e $outer)
          (call $stop) (call $look (local.get $x)) (call $look (local.get $y)) ;; 2
          (call $throw (i32.const 10)))
        unreachable)
      (local.set $x) (call $say)
      (call $stop) (call $look (local.get $x)) (call $look (local.get $y)) ;; 3
      (block $inner (result i32 exnref)
        (try_table (catch_ref $e $inner)
          (call $stop) (call $look (local.get $x)) (call $look (local.get $y)) ;; 4
          (call $throw (i32.const 20)))
        unreachable)
      (local.set $y) (call $say)
      (call $stop) (call $look (local.get $x)) (call $look (local.get $y)) ;; 5
      ;; Out of the inner handler with its exception, and with the outer's.
      (block $again (result i32 exnref)
        (try_table (catch_ref $e $again)
          (block $all (result exnref)
            (try_table (catch_all_ref $all) (throw_ref (local.get $y)))
            unreachable)
          (call $stop) ;; 6, with the one in flight on the stack
          throw_ref)
        unreachable)
      (local.set $y) (call $say)
      (local.set $y (ref.null exn))
      (call $look (local.get $x)) (call $look (local.get $y))
      (local.set $x (ref.null exn))
      (call $stop) (call $look (local.get $x)) (call $look (local.get $y))) ;; 7
    "#;

/// What is told before the end by one that has been stopped so often.
fn stop(w: &mut World, id: TaskletId, times: usize) -> Vec<i64> {
    for _ in 0..times {
        w.insert(id);
        assert_eq!(w.run(), RunResult::Finished);
    }
    w.log()
}

/// Dumped at each stop, each copy goes on and sees the right exceptions at every later one, in a
/// world of its own; none is left over.
///
/// Stackless keeps them in the frames that handle them; here they are references in locals and on
/// the operand stack.
#[test]
fn scenario_04_exceptions_in_flight_across_a_dump() {
    const STOPS: usize = 7;
    let mut w = World::new(HANDLERS);
    let whole = {
        let id = w.spawn_paused("handlers");
        let told = stop(&mut w, id, STOPS + 1);
        assert_eq!(w.sched().end(id), Some(&Status::Finished(vec![])));
        told
    };
    assert_eq!(whole, [0, 0, 0, 0, 10, 10, 0, 10, 0, 20, 10, 20, 20, 10, 0, 0, 0]);
    for at in 1..=STOPS {
        let id = w.spawn_paused("handlers");
        let mut told = stop(&mut w, id, at);
        let bytes = w.dump(id);
        let copies = [w.load(&bytes), w.load(&bytes)];
        let rest = stop(&mut w, copies[0], STOPS + 1 - at);
        assert_eq!(stop(&mut w, id, STOPS + 1 - at), rest);
        // And moved at every stop from here on.
        let mut last = copies[1];
        let mut moved = Vec::new();
        for _ in at..=STOPS {
            if w.sched().flags(last).alive {
                last = w.move_on(last);
            }
            moved.extend(stop(&mut w, last, 1));
        }
        assert_eq!(moved, rest, "from stop {at}");
        told.extend(rest);
        assert_eq!(told, whole, "from stop {at}");
        assert_eq!(w.sched().end(last), Some(&Status::Finished(vec![])));
    }
}

/// Blocks with an entrance and an exit, nested, which stop in each of them. The argument's bytes
/// say how many are nested, whether the innermost throws, and at which level it is suppressed.
const BLOCKS: &str = r#"
    (tag $e)
    (func $arg (param i32) (result i32)
      (drop (call $argument (i32.const 64) (i32.const 8)))
      (i32.load8_u (i32.add (i32.const 64) (local.get 0))))
    (func $within (param $level i32) (local $thrown exnref)
      (call $say (i32.add (i32.const 100) (local.get $level)))
      (drop (call $park)) ;; in the entrance
      (block $out
        (block $caught (result exnref)
          (try_table (catch_all_ref $caught)
            (if (i32.eq (local.get $level) (call $arg (i32.const 0)))
              (then
                (drop (call $park)) ;; in the body
                (call $say (i32.const 1))
                (if (call $arg (i32.const 1)) (then (throw $e))))
              (else (call $within (i32.add (local.get $level) (i32.const 1)))))
            (br $out))
          unreachable)
        (local.set $thrown))
      ;; The exit, whether by an exception or not.
      (call $say (i32.add (i32.const 200) (local.get $level)))
      (drop (call $park))
      (call $say (i32.add (i32.const 300) (local.get $level)))
      (if (i32.eqz (ref.is_null (local.get $thrown)))
        (then
          (if (i32.ne (local.get $level) (call $arg (i32.const 2)))
            (then (throw_ref (local.get $thrown)))))))
    (func (export "blocks")
      (block $caught
        (try_table (catch_all $caught) (call $within (i32.const 0)) (call $say (i32.const 2)) (return)))
      (call $say (i32.const 3)))"#;

/// Entrance and exit run exactly once in each world, whatever stop it was moved at.
#[test]
fn scenario_05_suspended_in_entrance_body_and_exit() {
    let mut w = World::new(BLOCKS);
    let mut cases = 0;
    for nested in 0..3u8 {
        for throws in [0, 1] {
            // A level that there is not suppresses nothing.
            for suppressed in (0..=nested).chain([9]).filter(|&level| throws == 1 || level == 9) {
                let argument = [nested, throws, suppressed];
                let spawn = |w: &mut World| {
                    let spawn = w.inner.of("blocks").argument(&argument).paused();
                    w.inner.sched.spawn(&w.inner.module, spawn).unwrap()
                };
                let stops = 2 * (usize::from(nested) + 1) + 1;
                let id = spawn(&mut w);
                let whole = stop(&mut w, id, stops + 1);
                assert_eq!(w.sched().end(id), Some(&Status::Finished(vec![])), "{argument:?}");
                for level in 0..=i64::from(nested) {
                    for word in [100, 200, 300] {
                        let said = whole.iter().filter(|&&said| said == word + level).count();
                        assert_eq!(said, 1, "{argument:?}");
                    }
                }
                let last = if throws == 1 && suppressed == 9 { 3 } else { 2 };
                assert_eq!(whole.last(), Some(&last), "{argument:?}");
                for at in 0..=stops {
                    let id = spawn(&mut w);
                    let mut told = stop(&mut w, id, at);
                    let bytes = w.dump(id);
                    let copy = w.load(&bytes);
                    let rest = stop(&mut w, copy, stops + 1 - at);
                    assert_eq!(stop(&mut w, id, stops + 1 - at), rest, "{argument:?} at {at}");
                    told.extend(rest);
                    assert_eq!(told, whole, "{argument:?} at {at}");
                    cases += 1;
                }
            }
        }
    }
    assert!(cases > 60, "{cases}");
}
