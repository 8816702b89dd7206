//! Memories cut out of few mappings: what a guest sees, counts and leaves in snapshots is as with
//! memories apart, and nobody sees what another has left behind.

mod common;

use common::{engine_of, invoke, load, reload, straight};
use tasklet_engine::snapshot::Limits as ReadLimits;
use tasklet_engine::{
    Host, Limits, Memories, Module, Outcome, SnapshotChain, SnapshotOptions, Tasklet, TrapKind,
    Value,
};

fn call(tasklet: &mut Tasklet, name: &str, args: &[i32]) -> Outcome {
    tasklet.call(name, args.iter().copied().map(Value::I32).collect()).expect("it can be called");
    tasklet.run(u64::MAX).expect("it runs")
}

fn number(outcome: Outcome) -> i32 {
    match outcome {
        Outcome::Finished(results) => match results[..] {
            [Value::I32(number)] => number,
            _ => panic!("{results:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// `sum` adds up all bytes there are; `fill` writes to all of them.
const BYTES: &str = r#"(module (memory (export "memory") 1 1200)
    (data (i32.const 70) "twelve bytes")
    (func (export "nothing"))
    (func (export "fill") (param i32)
      (memory.fill (i32.const 0) (local.get 0) (i32.mul (memory.size) (i32.const 65536))))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
    (func (export "store") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
    (func (export "sum") (result i32) (local $at i32) (local $sum i32)
      (loop $l
        (local.set $sum (i32.add (local.get $sum) (i32.load8_u (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br_if $l (i32.lt_u (local.get $at) (i32.shl (memory.size) (i32.const 16)))))
      (local.get $sum)))"#;

/// What the data of [`BYTES`] add up to.
fn data() -> i32 {
    b"twelve bytes".iter().map(|byte| i32::from(*byte)).sum()
}

fn bytes(module: &Module) -> Tasklet {
    let mut tasklet =
        Tasklet::spawn(module, Host::empty(), invoke("nothing", &[])).expect("it can be made");
    tasklet.run(u64::MAX).expect("it runs");
    tasklet
}

#[test]
fn nobody_sees_what_another_has_left() {
    let engine = engine_of(Memories::Dense);
    let module = load(&engine, BYTES);
    for round in 0..3 {
        // As large as one slot, of several classes, and grown from one to another.
        for grown in [0, 3, 4, 40, 300] {
            let mut one = bytes(&module);
            assert_eq!(number(call(&mut one, "grow", &[grown])), 1);
            assert_eq!(number(call(&mut one, "sum", &[])), data(), "{grown} in round {round}");
            call(&mut one, "fill", &[0x5a]);
            let mut other = bytes(&module);
            assert_eq!(number(call(&mut other, "sum", &[])), data());
            call(&mut other, "fill", &[0x77]);
            assert_eq!(number(call(&mut one, "load", &[65535])), 0x5a);
            drop(one);
            assert_eq!(number(call(&mut other, "grow", &[grown])), 1);
            let sum = number(call(&mut other, "sum", &[]));
            assert_eq!(sum, 0x77 * 65536, "what {grown} pages add is zero");
        }
    }
}

#[test]
fn a_memory_that_moves_keeps_what_it_holds() {
    let engine = engine_of(Memories::Dense);
    let module = load(&engine, BYTES);
    let mut tasklet = bytes(&module);
    let mut size = 1;
    for (step, by) in [1, 1, 1, 1, 11, 1, 47, 200, 1, 900].into_iter().enumerate() {
        let last = size * 65536 - 1 - 4096 * step as i32 % 65536;
        call(&mut tasklet, "store", &[last, 1 + step as i32]);
        let before = number(call(&mut tasklet, "sum", &[]));
        assert_eq!(number(call(&mut tasklet, "grow", &[by])), size);
        size += by;
        assert_eq!(number(call(&mut tasklet, "sum", &[])), before);
        assert_eq!(number(call(&mut tasklet, "load", &[last])), 1 + step as i32);
    }
    // Further than its type allows.
    assert_eq!(number(call(&mut tasklet, "grow", &[1000])), -1);
    assert_eq!(reload(&mut tasklet, Host::empty()).memories(), tasklet.memories());
}

#[test]
fn the_end_of_a_memory_is_its_end_and_not_its_slots() {
    let engine = engine_of(Memories::Dense);
    let module = load(&engine, BYTES);
    for grown in [0, 1, 9] {
        let end = (1 + grown) * 65536;
        for at in [end, end + 1, end + 70000, i32::MAX, -1] {
            let mut tasklet = bytes(&module);
            call(&mut tasklet, "grow", &[grown]);
            assert_eq!(number(call(&mut tasklet, "load", &[end - 1])), 0);
            match call(&mut tasklet, "load", &[at]) {
                Outcome::Trapped(trap) => assert_eq!(trap.kind, TrapKind::MemoryOutOfBounds),
                other => panic!("{at} with {grown} more: {other:?}"),
            }
        }
    }
}

#[test]
fn limits_hold() {
    let engine = engine_of(Memories::Dense);
    let module = load(&engine, BYTES);
    let mut limits = Limits::default();
    limits.memory_bytes = 10 << 16;
    let host = Host::builder().limits(limits).build();
    let mut tasklet = Tasklet::spawn(&module, host, invoke("nothing", &[])).unwrap();
    tasklet.run(u64::MAX).unwrap();
    assert_eq!(number(call(&mut tasklet, "grow", &[9])), 1);
    assert_eq!(number(call(&mut tasklet, "grow", &[1])), -1);
}

/// Goes deep, catches what it throws there, and has a memory that grows.
const DEEP: &str = r#"(module (memory (export "memory") 1) (table 2 100 funcref) (tag $t (param i32))
    (data (i32.const 65530) "end") (elem (i32.const 0) func $down)
    (type $down (func (param i32) (result i32)))
    (func $down (type $down)
      (if (i32.eqz (local.get 0)) (then (throw $t (memory.size))))
      (i32.store (i32.mul (local.get 0) (i32.const 160)) (local.get 0))
      (if (i32.eqz (i32.rem_u (local.get 0) (i32.const 97)))
        (then (drop (memory.grow (i32.const 2)))
          (drop (table.grow 0 (ref.func $down) (i32.const 1)))))
      (i32.add (local.get 0)
        (call_indirect (type $down) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0))))
    (func (export "run") (param i32) (result i32) (local $rounds i32) (local $got i32)
      (local.set $rounds (i32.const 12))
      (loop $l
        (local.set $got (block $caught (result i32)
          (try_table (result i32) (catch $t $caught) (call $down (local.get 0)))))
        (i32.store offset=65000 (i32.const 0) (i32.add (local.get $got) (local.get $rounds)))
        (br_if $l (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))
      (memory.size)))"#;

/// Paused everywhere, the two write the same files, byte for byte.
#[test]
fn snapshots_are_those_of_memories_apart() {
    let [apart, dense] =
        [Memories::Apart, Memories::Dense].map(|memories| load(&engine_of(memories), DEEP));
    let entry = invoke("run", &[Value::I32(400)]);
    let expected = straight(&apart, Host::empty(), &entry);
    common::same(&expected, &straight(&dense, Host::empty(), &entry), u64::MAX);
    for budget in [1009, 20_011] {
        let mut both = [&apart, &dense].map(|module| {
            Tasklet::spawn(module, Host::empty(), entry.clone()).expect("it can be made")
        });
        loop {
            let [a, b] = both.each_mut().map(|it| it.run(budget).expect("it runs"));
            assert_eq!(a, b);
            let [a_bytes, b_bytes] = both.each_mut().map(|tasklet| {
                let mut bytes = Vec::new();
                tasklet.dump(&mut bytes, &SnapshotOptions::default()).expect("it can be written");
                bytes
            });
            assert!(a_bytes == b_bytes, "budget {budget}");
            if a != Outcome::OutOfBudget {
                assert_eq!(a, expected.outcome);
                break;
            }
        }
    }
}

/// A slot of which a part was mapped from a file, and one whose pages were watched.
#[test]
fn slots_of_mapped_and_of_watched_memories_are_used_again() {
    let engine = engine_of(Memories::Dense);
    let module = load(&engine, BYTES);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("saved.tasklet");
    let mut first = bytes(&module);
    call(&mut first, "grow", &[99]);
    call(&mut first, "fill", &[0x33]);
    let mut file = Vec::new();
    first.dump(&mut file, &SnapshotOptions::default()).unwrap();
    std::fs::write(&path, &file).unwrap();
    let full = 100 * 65536 * 0x33;
    for round in 0..3 {
        let chain = SnapshotChain::open(&path, &[], &ReadLimits::DEFAULT).expect("it can be read");
        let resolved = chain.resolve(&ReadLimits::DEFAULT).expect("it is whole");
        let mut loaded = Tasklet::load_mapped(&module, &resolved, Host::empty()).unwrap();
        if round == 1 {
            // Moved away from where the file is.
            assert_eq!(number(call(&mut loaded, "grow", &[500])), 100);
        }
        let mut watched = SnapshotOptions::default();
        watched.track_changes = true;
        let mut before = Vec::new();
        loaded.dump(&mut before, &watched).unwrap();
        assert_eq!(number(call(&mut loaded, "sum", &[])), full);
        drop(loaded);
        for _ in 0..2 {
            let mut next = bytes(&module);
            call(&mut next, "grow", &[99]);
            assert_eq!(number(call(&mut next, "sum", &[])), data(), "round {round}");
        }
    }
}

/// How many mappings this process has, where the system tells.
fn mappings() -> Option<usize> {
    Some(std::fs::read_to_string("/proc/self/maps").ok()?.lines().count())
}

#[test]
fn many_tasklets_take_no_more_mappings_than_one() {
    let engine = engine_of(Memories::Dense);
    let module = load(&engine, BYTES);
    let before = mappings();
    let mut all: Vec<Tasklet> = (0..3000).map(|_| bytes(&module)).collect();
    for (number, tasklet) in (0..).zip(&mut all) {
        call(tasklet, "store", &[5, number % 200]);
    }
    if let (Some(before), Some(now)) = (before, mappings()) {
        // The other tests have some as well; each of these would have two at least.
        assert!(now < before + 1000, "{before} mappings before, {now} now");
    }
    for (position, tasklet) in (0..).zip(&mut all) {
        assert_eq!(number(call(tasklet, "load", &[5])), position % 200);
        assert_eq!(number(call(tasklet, "load", &[6])), 0);
    }
}

/// A page that the module's data filled, that the guest made zero, and that then moved with its
/// memory: in the snapshot it is zero.
#[test]
fn zeros_move_with_a_memory() {
    const GUEST: &str = r#"(module (memory (export "memory") 1 1200)
        (data (i32.const 4096) "data")
        (func (export "nothing"))
        (func (export "clear") (result i32)
          (memory.fill (i32.const 4096) (i32.const 0) (i32.const 4096))
          (memory.grow (i32.const 40)))
        (func (export "load") (result i32) (i32.load8_u (i32.const 4096))))"#;
    for memories in [Memories::Apart, Memories::Dense] {
        let module = load(&engine_of(memories), GUEST);
        let mut tasklet = bytes(&module);
        assert_eq!(number(call(&mut tasklet, "load", &[])), i32::from(b'd'));
        assert_eq!(number(call(&mut tasklet, "clear", &[])), 1);
        let mut again = reload(&mut tasklet, Host::empty());
        assert_eq!(number(call(&mut again, "load", &[])), 0, "{memories:?}");
    }
}
