//! Scenario 15: a refused switch leaves no trace.

use tasklet_engine::{Budget, Error, Message, RunResult, TaskletId};

use crate::World;

const GUESTS: &str = r#"
    (func (export "idle") (call $say (i32.const 1)))
    (func (export "receives")
      (call $log (call $receive (call $c) (i32.const 64) (i32.const 8))))
    (func (export "sends")
      (call $say (call $send (call $c) (i32.const 0) (i32.const 1))))
    ;; Whatever would wait, each refused, twice over; then one of each that is not.
    (func $all
      (call $log (call $receive (call $c) (i32.const 64) (i32.const 8)))
      (call $say (call $send (call $c) (i32.const 0) (i32.const 1)))
      (call $say (call $send_error (call $c) (i32.const 0) (i32.const 1)))
      (call $say (call $park))
      (call $say (call $sleep (i64.const 1)))
      (call $log (call $run (i64.const 0)))
      (call $log (call $balance (call $c))))
    (func (export "trapped")
      (call $say (call $block_trap (i32.const 1)))
      (call $all) (call $all)
      (call $say (call $block_trap (i32.const 0)))
      (call $log (call $receive (call $c) (i32.const 64) (i32.const 8))))
    (func (export "closed") (local $n i32)
      (loop $l
        (call $log (call $receive (call $c) (i32.const 64) (i32.const 8)))
        (call $say (call $send (call $c) (i32.const 0) (i32.const 1)))
        (call $say (call $try_send (call $c) (i32.const 0) (i32.const 1)))
        (br_if $l (local.tee $n (i32.eqz (local.get $n))))))"#;

/// Tries something that is refused as often as one likes, and then is not.
fn refused_then_done<T: std::fmt::Debug>(
    w: &mut World,
    refuse: impl Fn(&mut World, bool),
    is_refusal: impl Fn(&Error) -> bool,
    mut attempt: impl FnMut(&mut World) -> Result<T, Error>,
) -> T {
    refuse(w, true);
    let before = w.state();
    for _ in 0..2 {
        let error = attempt(w).expect_err("it is refused");
        assert!(is_refusal(&error), "{error}");
        assert_eq!(w.state(), before, "{error}");
    }
    refuse(w, false);
    attempt(w).expect("it is allowed")
}

fn switch_trap(w: &mut World, on: bool) {
    w.sched().switch_trap(if on { 1 } else { -1 });
}

fn is_switch_trap(error: &Error) -> bool {
    matches!(error, Error::SwitchTrap)
}

/// Each verb that would have another tasklet run is refused by a switch trap; nothing has changed
/// then, to the last byte of any tasklet, and afterwards the same does what it should.
///
/// Stackless refuses the tasklets' own calls, too. Here the trap is the embedder's, who runs
/// nothing while it is set; what guests may not do is the block trap's.
#[test]
fn scenario_15_a_switch_trap_leaves_no_trace() {
    let mut w = World::new(GUESTS);
    let [a, b] = [(); 2].map(|()| w.spawn("idle"));
    let paused = w.spawn_paused("idle");
    let trap = (switch_trap, is_switch_trap);
    refused_then_done(&mut w, trap.0, trap.1, |w| w.sched().run_now(b));
    assert_eq!(w.sched().ready(), [b, a]);
    refused_then_done(&mut w, trap.0, trap.1, |w| w.sched().run_now(paused));
    assert_eq!(w.sched().ready(), [paused, b, a]);
    refused_then_done(&mut w, trap.0, trap.1, |w| w.sched().switch(paused, a));
    assert_eq!(w.sched().ready(), [a, b]);
    let budget = Budget::unlimited();
    assert_eq!(
        refused_then_done(&mut w, trap.0, trap.1, |w| w.sched().run(budget)),
        RunResult::Finished
    );
    assert_eq!(w.log(), [1, 1]);
    let waiting = w.spawn("receives");
    assert_eq!(w.run(), RunResult::Deadlock(vec![waiting]));
    refused_then_done(&mut w, trap.0, trap.1, |w| w.sched().throw(waiting, b"x", false));
    assert_eq!(w.run(), RunResult::Finished);
    assert_eq!(w.log(), [-8]);
    // What lets nobody run is not refused.
    w.sched().switch_trap(1);
    w.sched().remove(paused).unwrap();
    w.insert(paused);
    w.sched().throw(paused, b"x", true).unwrap();
    w.sched().kill(paused).unwrap();
    assert_eq!(w.sched().switch_trap(-1), 1);
}

/// Verbs that do not fit where a tasklet stands, and closed channels: refused without a trace.
#[test]
fn scenario_15_what_does_not_fit_leaves_no_trace() {
    let mut w = World::new(GUESTS);
    let blocked = w.spawn("receives");
    assert_eq!(w.run(), RunResult::Deadlock(vec![blocked]));
    let ready = w.spawn("idle");
    let gone = w.spawn("idle");
    w.sched().kill(gone).unwrap();
    type Verb = fn(&mut World, TaskletId, TaskletId) -> Result<(), Error>;
    let refused: [(Verb, TaskletId); 8] = [
        (|w, id, _| w.sched().insert(id), blocked),
        (|w, id, _| w.sched().remove(id), blocked),
        (|w, id, _| w.sched().run_now(id), blocked),
        (|w, id, other| w.sched().switch(id, other), blocked),
        (|w, id, other| w.sched().switch(other, id), blocked),
        (|w, id, _| w.sched().insert(id), gone),
        (|w, id, other| w.sched().switch(other, id), gone),
        (|w, id, _| w.sched().throw(id, b"", true), gone),
    ];
    let before = w.state();
    for (verb, id) in refused {
        verb(&mut w, id, ready).expect_err("it does not fit");
        assert_eq!(w.state(), before);
    }
    let c = w.c;
    w.sched().kill(blocked).unwrap();
    refused_then_done(
        &mut w,
        |w, on| if on { w.sched().close(c).unwrap() } else { w.sched().open(c).unwrap() },
        |error| matches!(error, Error::ChannelClosed { .. }),
        |w| w.sched().try_send(c, Message::Data(vec![1])).map(drop),
    );
    assert_eq!(w.run(), RunResult::Finished);
    assert_eq!(w.log(), [1]);
}

/// The same of a guest's own calls: with a block trap whatever would wait returns -2, moved at each
/// step or not, and of a closed channel -1; nobody is left waiting.
#[test]
fn scenario_15_refused_calls_leave_no_trace() {
    for budget in [Budget::unlimited(), Budget::steps(1)] {
        let mut w = World::new(GUESTS);
        let run = |w: &mut World| loop {
            match w.sched().run(budget).unwrap() {
                RunResult::Interrupted(id) => {
                    w.insert(id);
                    w.move_world();
                }
                other => return other,
            }
        };
        w.spawn("trapped");
        let RunResult::Deadlock(waiting) = run(&mut w) else { panic!("it waits at last") };
        let all = [-2, -2, -2, -2, -2, -2, 0];
        assert_eq!(w.log(), [&[0][..], &all, &all, &[1]].concat());
        let c = w.c;
        assert_eq!(w.sched().waiting_on(c).unwrap(), waiting);
        w.sched().try_send(c, Message::Data(vec![5])).unwrap();
        assert_eq!(run(&mut w), RunResult::Finished);
        assert_eq!(w.log(), [1]);
        w.sched().close(c).unwrap();
        w.spawn("closed");
        assert_eq!(run(&mut w), RunResult::Finished);
        assert_eq!(w.log(), [-1; 6]);
    }
}
