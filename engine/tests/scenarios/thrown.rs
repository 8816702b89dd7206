//! Scenario 14: killing, and throwing into, whatever there is.

use tasklet_engine::{Budget, Error, ErrorKind, Flags, RunResult, Status, TaskletId, TrapKind};

use crate::World;

/// Each tells what the import returned that it stood in, and the error's first byte if that was one.
const VICTIMS: &str = r#"
    (func $report (param i64)
      (call $log (local.get 0))
      (if (i64.eq (local.get 0) (i64.const -8)) (then (call $why))))
    (func (export "receives") (call $report (call $receive (call $c) (i32.const 64) (i32.const 8))))
    (func (export "sends")
      (call $report (i64.extend_i32_s (call $send (call $c) (i32.const 0) (i32.const 1)))))
    (func (export "parks") (call $report (i64.extend_i32_s (call $park))))
    (func (export "sleeps") (call $report (i64.extend_i32_s (call $sleep (i64.const 1000000)))))
    (func (export "counts")
      (drop (call $count (i32.const 300)))
      (call $report (i64.extend_i32_s (call $yield))))
    (func (export "spins") (loop $l (br $l)))
    (func (export "idle") (call $say (i32.const 1)))"#;

const TOLD: i64 = -8;

fn world() -> World {
    World::new(VICTIMS).set_up(|w| w.sched().set_clock(tasklet_engine::VirtualClock::default()))
}

/// One of each kind, brought to where it stands.
fn victim(w: &mut World, kind: &str) -> TaskletId {
    let id = match kind {
        "unstarted" => return w.spawn("idle"),
        "unstarted and paused" => return w.spawn_paused("idle"),
        kind => w.spawn(kind),
    };
    // Nothing wakes one that waits for time while this one is ready.
    let spins = w.spawn("spins");
    assert!(matches!(w.sched().run(Budget::total(500)).unwrap(), RunResult::Interrupted(_)));
    w.sched().kill(spins).unwrap();
    assert!(w.sched().flags(id).alive, "{kind}");
    id
}

const KINDS: [&str; 7] =
    ["unstarted", "unstarted and paused", "receives", "sends", "parks", "sleeps", "counts"];

/// Killed, nothing of it runs any more, wherever it stood, and nobody waits for it; those beside it
/// are as they were.
///
/// Stackless throws `TaskletExit`, which the victim may catch; that is `throw` here. A tasklet that
/// runs cannot be killed by another, for none runs meanwhile.
#[test]
fn scenario_14_kill_matrix() {
    for kind in KINDS {
        let mut w = world();
        let id = victim(&mut w, kind);
        let others = [w.spawn("idle"), w.spawn_paused("idle")];
        let bytes = w.dump(id);
        let copy = w.load(&bytes);
        w.sched().kill(copy).unwrap();
        w.sched().kill(id).unwrap();
        let c = w.c;
        assert_eq!(w.sched().balance(c).unwrap(), 0, "{kind}");
        assert_eq!((w.sched().flags(id), w.sched().end(id)), (Flags::default(), None), "{kind}");
        assert_eq!(w.sched().ready(), [others[0]], "{kind}");
        // The dead are nobody's any more.
        for refused in [w.sched().kill(id), w.sched().insert(id), w.sched().throw(id, b"", true)] {
            assert!(matches!(refused, Err(Error::NoSuchTasklet { id: of }) if of == id));
        }
        w.insert(others[1]);
        assert_eq!(w.run(), RunResult::Finished);
        assert_eq!(w.log(), [1, 1], "{kind}");
        // The dump has outlived it.
        let copy = w.load(&bytes);
        assert!(w.sched().flags(copy).alive);
        w.sched().kill(copy).unwrap();
    }
}

/// Thrown into, at once or pending, moved in between or not: one that has not begun ends, and
/// nothing of it runs; any other is told by the import that it stands in, or the next that waits,
/// and is in no queue any more.
#[test]
fn scenario_14_throw_matrix() {
    for kind in KINDS {
        for (pending, moves) in [(false, false), (false, true), (true, false), (true, true)] {
            let case = format!("{kind}, pending: {pending}, moved: {moves}");
            let mut w = world();
            let id = victim(&mut w, kind);
            let other = w.spawn("idle");
            let was_ready = w.sched().ready() == [id, other];
            w.sched().throw(id, b"error", pending).unwrap();
            let c = w.c;
            assert_eq!(w.sched().waiting_on(c).unwrap(), [], "{case}");
            let first = !pending || was_ready;
            let order = if first { [id, other] } else { [other, id] };
            assert_eq!(w.sched().ready(), order, "{case}");
            if moves {
                w.move_world();
            }
            let thrown = [TOLD, i64::from(b'e')];
            if kind.starts_with("unstarted") {
                let result = w.run();
                let RunResult::Trapped(of, trap) = result else { panic!("{case}: {result:?}") };
                assert_eq!(
                    (of, trap.kind, trap.message.as_str()),
                    (id, TrapKind::Thrown, "thrown: error")
                );
                w.run();
                assert_eq!(w.log(), [1], "{case}: only the other has run");
                continue;
            }
            assert_eq!(w.run(), RunResult::Finished, "{case}");
            let told = w.log();
            // One that counts is told where it waits, which is behind its counting.
            let expected = match first {
                true => [&thrown[..], &[1]].concat(),
                false => [&[1][..], &thrown].concat(),
            };
            assert_eq!(told, expected, "{case}");
            assert_eq!(w.sched().end(id), Some(&Status::Finished(vec![])), "{case}");
        }
    }
}

/// What is refused changes nothing: too long an error, a second one before the first was told.
#[test]
fn scenario_14_refused_throws() {
    let mut w = world();
    let id = victim(&mut w, "receives");
    let before = w.state();
    let long = vec![0; (16 << 20) + 1];
    for pending in [false, true] {
        assert_eq!(w.sched().throw(id, &long, pending).unwrap_err().kind(), ErrorKind::Limit);
        assert_eq!(w.state(), before);
    }
    w.sched().throw(id, b"first", true).unwrap();
    let before = w.state();
    assert!(matches!(w.sched().throw(id, b"second", false), Err(Error::CannotSchedule { .. })));
    assert_eq!(w.state(), before);
    assert_eq!(w.run(), RunResult::Finished);
    assert_eq!(w.log(), [TOLD, i64::from(b'f')]);
}
