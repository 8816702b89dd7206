//! The deterministic profile, and the verification of what was executed.

mod common;

use common::invoke;
use tasklet_engine::snapshot::{self, Limits as ReadLimits};
use tasklet_engine::wasi::{Clock, RestoreOptions, WasiOptions};
use tasklet_engine::{
    Claim, Digest, Engine, Entry, ErrorKind, Host, Module, Outcome, Snapshot, SnapshotOptions,
    Tasklet, ValType, Value, Verdict, verify,
};

fn engine(deterministic: bool) -> Engine {
    let mut options = common::options();
    options.deterministic = deterministic;
    Engine::new(&options).unwrap()
}

fn module(wat: &str) -> Module {
    Module::load(&engine(true), &wat::parse_str(wat).unwrap()).unwrap()
}

fn system() -> Host {
    let options = WasiOptions { clock: Clock::Virtual, ..WasiOptions::default() };
    Host::builder().wasi(options).build()
}

fn restored() -> Host {
    Host::builder().wasi_restore(RestoreOptions::default()).build()
}

/// Chance, time, memory, tables, globals and calls, for ever.
const PROGRAM: &str = r#"(module
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_time_get"
      (func $time (param i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff"
      (func $poll (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 2 9) (table 3 20 funcref) (global $g (mut i64) (i64.const 0))
    (elem (i32.const 0) $work $rest)
    (func $work (param $n i32) (result i64)
      (drop (call $random (i32.mul (i32.rem_u (local.get $n) (i32.const 300)) (i32.const 400))
                          (i32.const 40)))
      (drop (call $time (i32.const 1) (i64.const 0) (i32.const 64)))
      (i64.load (i32.const 64)))
    (func $rest (param $n i32) (result i64)
      (i64.store (i32.const 1024) (i64.const 9))
      (i64.store (i32.const 1040) (i64.const 1))
      (i64.store (i32.const 1048) (i64.const 50))
      (drop (call $poll (i32.const 1024) (i32.const 1104) (i32.const 1) (i32.const 1200)))
      (i64.extend_i32_u (memory.grow (i32.eqz (i32.rem_u (local.get $n) (i32.const 50))))))
    (func (export "_start") (local $n i32)
      (loop $l
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (global.set $g (i64.add (global.get $g)
          (call_indirect (param i32) (result i64) (local.get $n)
            (i32.and (local.get $n) (i32.const 1)))))
        (br $l))))"#;

type Saved = (Snapshot<'static>, Digest);

fn save(tasklet: &mut Tasklet) -> Saved {
    let mut bytes = Vec::new();
    tasklet.dump(&mut bytes, &SnapshotOptions::default()).unwrap();
    Snapshot::read_from(&mut &bytes[..], &ReadLimits::DEFAULT).unwrap()
}

/// Runs to where the budget ends, through what it waits for.
fn run(tasklet: &mut Tasklet, budget: u64) -> Outcome {
    let end = tasklet.granted() + budget;
    loop {
        match tasklet.run(end.saturating_sub(tasklet.granted())).unwrap() {
            Outcome::Waiting(_) => tasklet.wait(),
            outcome => return outcome,
        }
    }
}

fn claim((snapshot, digest): &Saved) -> Claim<'_> {
    Claim { snapshot, digest: *digest, base: None }
}

fn verdict(module: &Module, from: &Saved, to: &Saved) -> Verdict {
    verify(module, from.clone(), claim(to), restored(), u64::MAX).unwrap()
}

const FOLLOWS: Verdict = Verdict::Follows { direct: true };

#[test]
fn two_runs_have_one_chain_of_hashes() {
    let chain = |module: &Module| {
        let mut tasklet = Tasklet::spawn(module, system(), Entry::Command).unwrap();
        let mut hashes = Vec::new();
        for budget in [1, 10, 333, 1000, 1, 5000, 77, 20_000] {
            assert_eq!(run(&mut tasklet, budget), Outcome::OutOfBudget);
            let (snapshot, digest) = save(&mut tasklet);
            assert_eq!(snapshot.profile, tasklet.profile());
            hashes.push(digest);
            // In a process that is as good as another.
            tasklet = Tasklet::load(module, &snapshot, digest, restored()).unwrap();
        }
        hashes
    };
    assert_eq!(chain(&module(PROGRAM)), chain(&module(PROGRAM)));
}

#[test]
fn every_slice_can_be_verified() {
    let module = module(PROGRAM);
    let mut tasklet = Tasklet::spawn(&module, system(), Entry::Command).unwrap();
    let mut saved = vec![save(&mut tasklet)];
    for budget in 1..120 {
        run(&mut tasklet, budget % 37);
        saved.push(save(&mut tasklet));
    }
    for pair in saved.windows(2) {
        assert_eq!(verdict(&module, &pair[0], &pair[1]), FOLLOWS);
    }
    for (from, to) in [(0, 50), (3, 119), (40, 99), (7, 9)] {
        let verdict = verdict(&module, &saved[from], &saved[to]);
        assert_eq!(verdict, Verdict::Follows { direct: false }, "{from} to {to}");
    }
    assert!(matches!(verdict(&module, &saved[90], &saved[10]), Verdict::Differs(_)));
}

/// A pause that somebody asked for, and a wait, are places like others.
#[test]
fn requested_and_waiting() {
    let mut options = common::options();
    options.deterministic = true;
    // Looks at the flag often.
    options.slice_steps = 90;
    let engine = Engine::new(&options).unwrap();
    let module = Module::load(&engine, &wat::parse_str(PROGRAM).unwrap()).unwrap();
    let mut tasklet = Tasklet::spawn(&module, system(), Entry::Command).unwrap();
    run(&mut tasklet, 100);
    let mut last = save(&mut tasklet);
    for round in 0..30 {
        let handle = tasklet.handle();
        handle.interrupt();
        assert_eq!(tasklet.run(1_000_000).unwrap(), Outcome::Interrupted);
        let asked = save(&mut tasklet);
        assert_eq!(verdict(&module, &last, &asked), FOLLOWS, "round {round}");
        run(&mut tasklet, 61 * round);
        let next = save(&mut tasklet);
        assert_eq!(verdict(&module, &asked, &next), FOLLOWS, "round {round}");
        last = next;
    }
}

#[test]
fn ends_can_be_verified() {
    let module = module(
        r#"(module (global $n (mut i32) (i32.const 0))
        (func (export "count") (param i32) (result i32)
          (loop $l (global.set $n (i32.add (global.get $n) (i32.const 1)))
            (br_if $l (i32.lt_u (global.get $n) (local.get 0))))
          (if (i32.eq (local.get 0) (i32.const 77)) (then unreachable))
          (global.get $n)))"#,
    );
    for (count, trapped) in [(50, false), (77, true)] {
        let entry = invoke("count", &[Value::I32(count)]);
        let mut tasklet = Tasklet::spawn(&module, Host::empty(), entry).unwrap();
        run(&mut tasklet, 100);
        let middle = save(&mut tasklet);
        let outcome = run(&mut tasklet, u64::MAX >> 1);
        assert_eq!(matches!(outcome, Outcome::Trapped(_)), trapped);
        let end = save(&mut tasklet);
        assert_eq!(verdict(&module, &middle, &end), FOLLOWS);
        let mut other = end.clone();
        other.0.status = snapshot::Status::Finished { results: vec![snapshot::Value::I32(51)] };
        let Verdict::Differs(difference) = verdict(&module, &middle, &other) else {
            panic!("another result is found out")
        };
        assert_eq!(difference.place, "status");
        // A trap does not tell the last of its steps, but not that there were as many as one likes.
        for steps in [1 << 30, 1 << 60] {
            let mut other = end.clone();
            other.0.steps_used += steps;
            let Verdict::Differs(difference) = verdict(&module, &middle, &other) else {
                panic!("{steps} steps that were not executed are found out, trapped: {trapped}")
            };
            assert_eq!(difference.place, "steps");
        }
    }
}

/// Each thing that a snapshot says is compared.
#[test]
fn what_was_not_executed_is_found_out() {
    let module = module(PROGRAM);
    let mut tasklet = Tasklet::spawn(&module, system(), Entry::Command).unwrap();
    run(&mut tasklet, 1_000);
    let from = save(&mut tasklet);
    run(&mut tasklet, 5_000);
    let to = save(&mut tasklet);
    assert_eq!(verdict(&module, &from, &to), FOLLOWS);
    let place = |change: &dyn Fn(&mut Snapshot<'static>)| {
        let mut forged = to.clone();
        change(&mut forged.0);
        match verdict(&module, &from, &forged) {
            Verdict::Differs(difference) => difference.place,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(place(&|s| s.globals[0].1 = snapshot::Value::I64(1)), "global 0");
    assert_eq!(place(&|s| s.frames[0].locals[0].1 = snapshot::Value::I32(1)), "frame 0");
    let bytes = place(&|s| {
        let run = s.memories[0].runs.iter_mut().find(|run| run.data != snapshot::PageData::Zero);
        let run = run.unwrap();
        if let snapshot::PageData::Bytes(bytes) = &mut run.data {
            bytes.to_mut()[100] ^= 1;
        }
    });
    assert!(bytes.starts_with("memory 0, byte 0x"), "{bytes}");
    assert_eq!(place(&|s| drop(s.memories[0].runs.pop())).split(',').next(), Some("memory 0"));
    assert_eq!(place(&|s| s.memories[0].pages += 1), "size of memory 0");
    assert_eq!(place(&|s| s.tables[0].size += 1), "table 0");
    let random = place(&|s| {
        let map = s.host[0].1.as_map_mut().unwrap();
        let random = map.iter_mut().find(|(key, _)| key.as_text() == Some("random")).unwrap();
        random.1.as_map_mut().unwrap()[0].1 = 5.into();
    });
    assert_eq!(random, "wasi_snapshot_preview1, random");
    // How much was granted is an input, but what it pays for is not.
    for change in [1u64, 2, 1000] {
        place(&|s| s.steps_used += change);
        place(&|s| s.steps_used -= change);
    }
    place(&|s| s.balance += 1000);
    place(&|s| s.balance -= 1000);
    place(&|s| s.profile.as_mut().unwrap().memory_bytes += 1);
    place(&|s| s.entry.export = "other".into());
    assert_eq!(place(&|s| s.steps_used = 5), "steps");
    let mut forged = to.clone();
    forged.0.parent = Some(Digest([9; 32]));
    assert_eq!(verdict(&module, &from, &forged), Verdict::Follows { direct: false });
}

#[test]
fn nans_are_canonical() {
    let wat = r#"(module (func (export "f") (param f64 f32) (result i64 i32)
        (i64.reinterpret_f64 (f64.sub (f64.div (local.get 0) (local.get 0)) (local.get 0)))
        (i32.reinterpret_f32 (f32.mul (local.get 1) (f32.const 0)))))"#;
    let nan = [Value::F64(0), Value::F32(0xffa0_1234)];
    let mut tasklet = Tasklet::spawn(&module(wat), Host::empty(), invoke("f", &nan)).unwrap();
    let results = vec![Value::I64(0x7ff8_0000_0000_0000), Value::I32(0x7fc0_0000)];
    assert_eq!(tasklet.run(u64::MAX).unwrap(), Outcome::Finished(results));
}

#[test]
fn the_profile_has_to_fit() {
    let wasm = wat::parse_str(PROGRAM).unwrap();
    let (plain, strict) = (engine(false), engine(true));
    let (loose, module) =
        (Module::load(&plain, &wasm).unwrap(), Module::load(&strict, &wasm).unwrap());
    let mut tasklet = Tasklet::spawn(&module, system(), Entry::Command).unwrap();
    run(&mut tasklet, 500);
    let (snapshot, digest) = save(&mut tasklet);
    let refused = |module: &Module, snapshot: &Snapshot<'_>| {
        let error = Tasklet::load(module, snapshot, digest, restored()).unwrap_err();
        (error.kind(), error.to_string())
    };
    let (kind, text) = refused(&loose, &snapshot);
    assert!(kind == ErrorKind::Incompatible && text.contains("engine that is deterministic"));
    let mut without = snapshot.clone();
    without.profile = None;
    let (kind, text) = refused(&module, &without);
    assert!(kind == ErrorKind::Incompatible && text.contains("not of a deterministic run"));
    let profile = snapshot.profile.unwrap();
    // What a forger would like to be given.
    let greedy = [
        snapshot::Profile { memory_bytes: u64::MAX, ..profile },
        snapshot::Profile { stack_bytes: u64::MAX, ..profile },
        snapshot::Profile { table_elements: u64::MAX, ..profile },
        snapshot::Profile { callback_steps: u32::MAX, ..profile },
    ];
    for profile in greedy {
        let forged = Snapshot { profile: Some(profile), ..snapshot.clone() };
        assert_eq!(refused(&module, &forged).0, ErrorKind::Limit);
    }
    let heap = snapshot::Profile { reference_heap_bytes: 1, ..profile };
    let forged = Snapshot { profile: Some(heap), ..snapshot.clone() };
    assert_eq!(refused(&module, &forged).0, ErrorKind::Incompatible);
    // The snapshot's limits count, not those of a host that would give more.
    let small = snapshot::Profile { memory_bytes: 3 << 16, ..profile };
    let forged = Snapshot { profile: Some(small), ..snapshot.clone() };
    let tasklet = Tasklet::load(&module, &forged, digest, restored()).unwrap();
    assert_eq!(tasklet.profile(), Some(small));
}

#[test]
fn a_host_clock_is_refused() {
    let host = Host::builder().wasi(WasiOptions::default()).build();
    let error = Tasklet::spawn(&module(PROGRAM), host, Entry::Command).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
}

/// An import that answers otherwise than it did is told by what comes of it.
#[test]
fn imports_are_inputs() {
    let module = module(
        r#"(module (import "h" "f" (func $f (result i64))) (global $g (mut i64) (i64.const 0))
        (func (export "_start") (loop $l (global.set $g (i64.add (global.get $g) (call $f)))
          (br $l))))"#,
    );
    let host = |answer: i64| {
        let call =
            move |_: &mut tasklet_engine::HostCtx<'_>, _: &[Value]| Ok(vec![Value::I64(answer)]);
        Host::builder().func("h", "f", &[], &[ValType::I64], call).build()
    };
    let mut tasklet = Tasklet::spawn(&module, host(3), Entry::Command).unwrap();
    run(&mut tasklet, 50);
    let from = save(&mut tasklet);
    run(&mut tasklet, 50);
    let to = save(&mut tasklet);
    assert_eq!(verify(&module, from.clone(), claim(&to), host(3), u64::MAX).unwrap(), FOLLOWS);
    let found = verify(&module, from.clone(), claim(&to), host(4), u64::MAX).unwrap();
    assert!(matches!(found, Verdict::Differs(it) if it.place == "global 0"));
}
