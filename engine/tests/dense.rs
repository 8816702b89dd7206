//! Memories cut out of few mappings, where many come together: threads, several memories and large
//! ones of one tasklet, limits of the system.

mod common;

use std::process::Command;
use std::sync::mpsc;
use std::thread;

use common::{engine_of, invoke, load, reload};
use tasklet_engine::{
    Error, Host, Limits, Memories, Module, Outcome, SnapshotOptions, Tasklet, Value,
};

fn start(module: &Module, limits: Limits) -> Result<Tasklet, Error> {
    let host = Host::builder().limits(limits).build();
    let mut tasklet = Tasklet::spawn(module, host, invoke("nothing", &[]))?;
    tasklet.run(u64::MAX)?;
    Ok(tasklet)
}

fn call(tasklet: &mut Tasklet, name: &str, args: &[i64]) -> i64 {
    tasklet.call(name, args.iter().copied().map(Value::I64).collect()).expect("it can be called");
    match tasklet.run(u64::MAX).expect("it runs") {
        Outcome::Finished(results) => match results[..] {
            [Value::I64(number)] => number,
            _ => panic!("{results:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// Three memories, one of which is 64-bit. `sums` adds up 64-bit words of all three; `fill` writes to
/// all of them.
const THREE: &str = r#"(module
    (memory $a (export "memory") 1 300)
    (memory $b i64 0 70000)
    (memory $c 2 300)
    (data (memory $c) (i32.const 8) "\07")
    (func (export "nothing"))
    (func (export "fill") (param i64) (result i64)
      (memory.fill $a (i32.const 0) (i32.wrap_i64 (local.get 0))
        (i32.mul (memory.size $a) (i32.const 65536)))
      (memory.fill $b (i64.const 0) (i32.wrap_i64 (local.get 0))
        (i64.mul (memory.size $b) (i64.const 65536)))
      (memory.fill $c (i32.const 0) (i32.wrap_i64 (local.get 0))
        (i32.mul (memory.size $c) (i32.const 65536)))
      (i64.const 0))
    (func (export "grow") (param i64) (result i64)
      (i64.or (i64.extend_i32_s (memory.grow $a (i32.wrap_i64 (local.get 0))))
        (i64.or (memory.grow $b (local.get 0))
          (i64.extend_i32_s (memory.grow $c (i32.wrap_i64 (local.get 0)))))))
    (func (export "grow-b") (param i64) (result i64) (memory.grow $b (local.get 0)))
    (func (export "store-b") (param i64 i64) (result i64)
      (i64.store $b (local.get 0) (local.get 1)) (i64.const 0))
    (func (export "load-b") (param i64) (result i64) (i64.load $b (local.get 0)))
    (func (export "sums") (result i64) (local $at i32) (local $sum i64)
      (loop $l
        (local.set $sum (i64.add (local.get $sum) (i64.add
          (i64.load $a (i32.and (local.get $at) (i32.const 65535)))
          (i64.load $c (local.get $at)))))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br_if $l (i32.lt_u (local.get $at) (i32.shl (memory.size $c) (i32.const 16)))))
      (local.set $at (i32.const 0))
      (if (i64.ne (memory.size $b) (i64.const 0)) (then
        (loop $l
          (local.set $sum (i64.add (local.get $sum)
            (i64.load $b (i64.extend_i32_u (local.get $at)))))
          (local.set $at (i32.add (local.get $at) (i32.const 8)))
          (br_if $l (i64.lt_u (i64.extend_i32_u (local.get $at))
            (i64.shl (memory.size $b) (i64.const 16)))))))
      (local.get $sum)))"#;

/// Each of several memories is its own, as large as it is, and in snapshots what it is elsewhere.
#[test]
fn several_memories_of_one_tasklet_are_apart() {
    let [apart, dense] =
        [Memories::Apart, Memories::Dense].map(|memories| load(&engine_of(memories), THREE));
    let mut both = [&apart, &dense].map(|module| start(module, Limits::default()).unwrap());
    for by in [0, 1, 3, 0, 17, 80] {
        let mut expected = None;
        for tasklet in &mut both {
            call(tasklet, "grow", &[by]);
            let sum = call(tasklet, "sums", &[]);
            let mut bytes = Vec::new();
            tasklet.dump(&mut bytes, &SnapshotOptions::default()).unwrap();
            call(tasklet, "fill", &[by + 1]);
            assert!(*expected.get_or_insert_with(|| (sum, bytes.clone())) == (sum, bytes));
        }
    }
    let again = reload(&mut both[1], Host::empty());
    assert_eq!(again.memories(), both[0].memories());
    // A limit counts for each of them.
    let mut limits = Limits::default();
    limits.memory_bytes = 4 << 16;
    let mut tasklet = start(&dense, limits).unwrap();
    assert_eq!(call(&mut tasklet, "grow", &[2]), 3);
    assert_eq!(call(&mut tasklet, "grow-b", &[2]), 2);
    assert_eq!(call(&mut tasklet, "grow-b", &[1]), -1);
}

/// Larger than any slot: a mapping of its own, which moves as it grows.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[test]
fn a_memory_of_more_than_four_gigabytes_moves_and_goes() {
    let module = load(&engine_of(Memories::Dense), THREE);
    let mut limits = Limits::default();
    limits.memory_bytes = 5 << 30;
    for _ in 0..2 {
        let mut tasklet = start(&module, limits.clone()).unwrap();
        let (mut pages, mut stored) = (0, Vec::new());
        for by in [65_530, 7, 1, 2000] {
            assert_eq!(call(&mut tasklet, "grow-b", &[by]), pages);
            pages += by;
            let last = pages * 65536 - 8;
            assert_eq!(call(&mut tasklet, "load-b", &[last]), 0, "what is new is zero");
            call(&mut tasklet, "store-b", &[last, pages]);
            stored.push((last, pages));
            for (at, value) in &stored {
                assert_eq!(call(&mut tasklet, "load-b", &[*at]), *value);
            }
        }
        assert_eq!(call(&mut tasklet, "grow-b", &[20_000]), -1);
    }
}

/// Tasklets are made, grow and go on many threads at once, and go on others than they were made on.
#[test]
fn nobody_sees_what_another_has_left_on_another_thread() {
    const THREADS: usize = 4;
    let module = load(&engine_of(Memories::Dense), THREE);
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..THREADS).map(|_| mpsc::channel::<(i64, Tasklet)>()).unzip();
    thread::scope(|scope| {
        for (number, receiver) in receivers.into_iter().enumerate() {
            let (module, next) = (&module, senders[(number + 1) % THREADS].clone());
            scope.spawn(move || {
                for round in 0..25 {
                    let mut tasklet = start(module, Limits::default()).unwrap();
                    assert_eq!(call(&mut tasklet, "sums", &[]), 7);
                    call(&mut tasklet, "grow", &[(round * 7 + number as i64) % 23]);
                    assert_eq!(call(&mut tasklet, "sums", &[]), 7);
                    call(&mut tasklet, "fill", &[1]);
                    let sum = call(&mut tasklet, "sums", &[]);
                    // Whoever is next has it, and either goes on with it or lets it go. One that is
                    // done already has nobody's.
                    let _ = next.send((sum, tasklet));
                    while let Ok((sum, mut tasklet)) = receiver.try_recv() {
                        if round % 2 == 0 {
                            assert_eq!(call(&mut tasklet, "sums", &[]), sum);
                        }
                    }
                }
            });
        }
        drop(senders);
    });
}

/// A tasklet keeps all that it needs.
#[test]
fn a_tasklet_outlives_its_engine_and_module() {
    let engine = engine_of(Memories::Dense);
    let module = load(&engine, THREE);
    let mut all: Vec<Tasklet> =
        (0..3).map(|_| start(&module, Limits::default()).unwrap()).collect();
    drop((engine, module));
    for mut tasklet in all.drain(..) {
        call(&mut tasklet, "grow", &[20]);
        assert_eq!(call(&mut tasklet, "sums", &[]), 7);
    }
}

/// Set in a process that has little address space.
const LIMITED: &str = "TASKLET_TEST_LIMITED";

/// The process. Without its variable it is no test.
#[test]
fn limited() {
    if std::env::var_os(LIMITED).is_none() {
        return;
    }
    let module = load(&engine_of(Memories::Dense), THREE);
    let mut all = Vec::new();
    let error = loop {
        match start(&module, Limits::default()) {
            Ok(tasklet) => all.push(tasklet),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::HostFailed { .. }), "{error:?}");
    println!("room for {}", all.len());
    assert!(all.len() > 3);
    // Those that are there are as they were; and there is room again once one has gone.
    let last = all.len() - 1;
    assert_eq!(call(&mut all[last], "sums", &[]), 7);
    assert_eq!(call(&mut all[0], "grow-b", &[60_000]), -1, "there is no room");
    assert_eq!(call(&mut all[0], "sums", &[]), 7);
    all.pop();
    all.push(start(&module, Limits::default()).unwrap());
    println!("that was all");
}

/// Without room a tasklet cannot be made, or its memory not grow; nothing else comes of it.
#[cfg(target_os = "linux")]
#[test]
fn where_there_is_no_room_that_is_said() {
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -v 3000000 && exec \"$0\" \"$@\""]);
    limited.arg(std::env::current_exe().unwrap());
    limited.args(["--exact", "limited", "--nocapture", "--test-threads=1"]).env(LIMITED, "1");
    let output = limited.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = || format!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("that was all"), "{}", failed());
}
