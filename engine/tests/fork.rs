//! Copies of tasklets that go on where the originals stand.

mod common;
#[path = "fork/memory.rs"]
mod memory;

use common::guests::World;
use tasklet_engine::{
    Budget, ChannelOptions, Direction, ErrorKind, Host, LoadOptions, Message, RunResult, Spawn,
    Status, TaskletId, ValType, Value,
};

const GUESTS: &str = r#"
    (global $global (mut i32) (i32.const 0))
    ;; Writes far and wide, then tells what it finds, each time it is let.
    (func (export "steps") (local $i i32)
      (drop (memory.grow (i32.const 10)))
      (loop $l
        (i32.store (i32.const 500000) (i32.add (i32.load (i32.const 500000)) (i32.const 1)))
        (global.set $global (i32.add (global.get $global) (i32.const 10)))
        (drop (call $park))
        (call $log (i64.add (i64.mul (call $id) (i64.const 1000))
          (i64.extend_i32_s (i32.add (i32.load (i32.const 500000)) (global.get $global)))))
        (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 3)))))
    (func (export "receive")
      (call $log (call $receive (call $c) (i32.const 64) (i32.const 4)))
      (call $say (i32.load8_u (i32.const 64))))
    (func (export "send")
      (i32.store8 (i32.const 64) (i32.const 42))
      (call $say (call $send (call $c) (i32.const 64) (i32.const 1))))
    (func (export "spin") (result i32) (call $count (i32.const 1000)))
    ;; A tree: each of three levels forks, and every leaf sends its path.
    (func (export "tree") (local $level i32)
      (loop $l
        (i32.store8 (i32.add (i32.const 64) (local.get $level))
          (i32.add (i32.const 48) (i64.eqz (call $fork))))
        (br_if $l (i32.lt_s
          (local.tee $level (i32.add (local.get $level) (i32.const 1))) (i32.const 3))))
      (drop (call $send (call $c) (i32.const 64) (i32.const 3))))
    (func (export "fork") (call $log (call $fork)))
"#;

fn run(w: &mut World) -> RunResult {
    w.sched.run(Budget::unlimited()).unwrap()
}

fn world() -> (World, tasklet_engine::ChannelId) {
    let mut w = World::new(GUESTS);
    let c = w.sched.channel("talk", ChannelOptions::default()).unwrap();
    (w, c)
}

#[test]
fn a_fork_has_a_memory_of_its_own() {
    let (mut w, _) = world();
    let id = w.sched.spawn(&w.module, w.of("steps")).unwrap();
    run(&mut w);
    let fork = w.sched.fork(id).unwrap();
    assert_ne!(fork, id);
    assert!(w.sched.flags(fork).paused && w.sched.ready().is_empty());
    let number = |id: TaskletId| id.number() as i64 * 1000;
    // What the one does the other does not see.
    for round in 1..=3 {
        w.sched.insert(id).unwrap();
        run(&mut w);
        assert_eq!(w.log.take(), [number(id) + 11 * round]);
    }
    let late = w.sched.fork(fork).unwrap();
    for round in 1..=3 {
        for one in [fork, late] {
            w.sched.insert(one).unwrap();
            run(&mut w);
            assert_eq!(w.log.take(), [number(one) + 11 * round]);
        }
    }
    assert!(w.sched.tasklets().is_empty());
}

/// A fork is what comes of a dump that is loaded.
#[test]
fn a_fork_is_the_same_tasklet() {
    let (mut w, _) = world();
    let id = w.sched.spawn(&w.module, w.of("spin")).unwrap();
    for _ in 0..20 {
        assert_eq!(w.sched.run(Budget::steps(333)).unwrap(), RunResult::Interrupted(id));
        let fork = w.sched.fork(id).unwrap();
        let (bytes, copy) = (w.sched.dump(id).unwrap(), w.sched.dump(fork).unwrap());
        let again = w.sched.load_with(&bytes, LoadOptions::default().host(w.log.host())).unwrap();
        // `dump` makes a link of the chain of snapshots; the fork was made before.
        assert_eq!(bytes.len(), copy.len());
        for copy in [fork, again] {
            let steps = |w: &mut World, id| w.sched.tasklet_mut(id).unwrap().steps_used().unwrap();
            assert_eq!(steps(&mut w, copy), steps(&mut w, id));
            w.sched.insert(copy).unwrap();
            assert_eq!(run(&mut w), RunResult::Finished);
            assert_eq!(w.sched.end(copy), Some(&Status::Finished(vec![Value::I32(1000)])));
        }
        w.sched.insert(id).unwrap();
    }
}

#[test]
fn a_fork_stands_where_the_original_does() {
    let (mut w, c) = world();
    let of = |w: &World, export: &str| w.of(export).channel("c", c);
    let [ready, other] = [(); 2].map(|()| w.sched.spawn(&w.module, of(&w, "spin")).unwrap());
    let fork = w.sched.fork(ready).unwrap();
    assert_eq!(w.sched.ready(), [ready, other, fork]);
    run(&mut w);
    let [sender, second] = [(); 2].map(|()| w.sched.spawn(&w.module, of(&w, "send")).unwrap());
    run(&mut w);
    let fork = w.sched.fork(sender).unwrap();
    assert_eq!(w.sched.blocked_on(fork), Some((c, Direction::Send)));
    assert_eq!(w.sched.waiting_on(c).unwrap(), [sender, second, fork]);
    for _ in 0..3 {
        assert_eq!(w.sched.try_receive(c).unwrap(), Some(Message::Data(vec![42])));
    }
    assert_eq!(run(&mut w), RunResult::Finished);
    assert_eq!(w.log.take(), [0, 0, 0]);
    let receiver = w.sched.spawn(&w.module, of(&w, "receive")).unwrap();
    run(&mut w);
    let fork = w.sched.fork(receiver).unwrap();
    assert_eq!(w.sched.waiting_on(c).unwrap(), [receiver, fork]);
    w.sched.try_send(c, Message::Data(vec![1])).unwrap();
    // One that was told something and has not heard it yet: both are told.
    let told = w.sched.fork(receiver).unwrap();
    assert_eq!(w.sched.ready(), [receiver, told]);
    w.sched.kill(fork).unwrap();
    assert_eq!(run(&mut w), RunResult::Finished);
    assert_eq!(w.log.take(), [1, 1, 1, 1]);
    assert_eq!(w.sched.fork(fork).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_guest_forks() {
    for budget in
        [Budget::unlimited(), Budget::steps(1).round_robin(), Budget::steps(7).round_robin()]
    {
        let (mut w, c) = world();
        let spawn = w.of("tree").channel("c", c);
        let root = w.sched.spawn(&w.module, spawn).unwrap();
        assert!(matches!(w.sched.run(budget), Ok(RunResult::Deadlock(ids)) if ids.len() == 8));
        let mut paths = Vec::new();
        let senders = w.sched.waiting_on(c).unwrap();
        while let Some(Message::Data(path)) = w.sched.try_receive(c).unwrap() {
            paths.push(String::from_utf8(path).unwrap());
        }
        assert_eq!(paths[senders.iter().position(|id| *id == root).unwrap()], "000");
        paths.sort();
        assert_eq!(paths, ["000", "001", "010", "011", "100", "101", "110", "111"]);
    }
}

/// The original is told the copy's number, the copy 0; the copy runs behind all that are ready.
#[test]
fn who_is_who() {
    let (mut w, _) = world();
    let [first, second] = [(); 2].map(|()| w.sched.spawn(&w.module, w.of("fork")).unwrap());
    assert_eq!(run(&mut w), RunResult::Finished);
    let fork = second.number() as i64 + 1;
    assert_eq!(w.log.take(), [fork, fork + 1, 0, 0]);
    assert!(w.sched.end(first).is_some());
    w.sched.set_tasklets_max(1);
    w.sched.spawn(&w.module, w.of("fork")).unwrap();
    assert_eq!(run(&mut w), RunResult::Finished);
    assert_eq!(w.log.take(), [-5]);
}

/// Which host a fork has: that of the hook, else what of the original's has no state.
#[test]
fn the_host_of_a_fork() {
    let (mut w, _) = world();
    let id = w.sched.spawn(&w.module, w.of("steps")).unwrap();
    run(&mut w);
    let fork = w.sched.fork_with(id, w.log.host()).unwrap();
    assert_eq!(w.sched.fork_with(id, Host::empty()).unwrap_err().kind(), ErrorKind::Import);
    w.sched.child_host(move |of| {
        assert_eq!(of, id);
        Host::builder().func("test", "log", &[ValType::I64], &[], |_, _| Ok(vec![])).build()
    });
    let silent = w.sched.fork(id).unwrap();
    for one in [fork, silent] {
        w.sched.insert(one).unwrap();
        run(&mut w);
    }
    assert_eq!(w.log.take().len(), 1);
    // Where it cannot be copied, the guest cannot help it.
    let (mut w, _) = world();
    let id = w.sched.spawn(&w.module, w.of("fork")).unwrap();
    w.sched.child_host(|_| Host::empty());
    let RunResult::Trapped(of, trap) = run(&mut w) else { panic!("it was copied") };
    assert!(of == id && trap.message.contains("tasklet::fork"), "{trap:?}");
}

/// Below a host import nothing can be copied.
#[test]
fn a_fork_below_a_host_import_is_refused() {
    let main = r#"(func (export "callback") (call $log (call $fork)))
                 (func (export "main") (call $call))"#;
    let import = r#"(import "test" "call" (func $call))"#;
    let wat = format!("(module {import} {} {main})", common::guests::PRELUDE);
    let (mut w, _) = world();
    w.module = tasklet_engine::Module::load(&w.engine, &wat::parse_str(wat).unwrap()).unwrap();
    let host = w.log.builder().func("test", "call", &[], &[], |ctx, _| {
        ctx.call_export("callback", &[])?;
        Ok(vec![])
    });
    w.sched.spawn(&w.module, Spawn::export("main").host(host.build())).unwrap();
    assert_eq!(run(&mut w), RunResult::Finished);
    assert_eq!(w.log.take(), [-4]);
}
