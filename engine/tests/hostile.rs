//! Forged snapshots: a typed error, or a tasklet that does what a guest could do to itself. Never
//! a panic, never a hang, never more memory than the limits allow.

mod common;

use common::{invoke, module};
use tasklet_engine::snapshot::{PageData, PageRun, Position, TableRun, Value};
use tasklet_engine::{Digest, ErrorKind, Host, Module, Snapshot, SnapshotOptions, Tasklet};

const PROGRAM: &str = r#"(module (memory 1 3) (table 4 6 funcref)
    (elem (i32.const 1) $walk $other) (data $d "data") (elem $e func $other)
    (global $g (mut i64) (i64.const 1)) (global $r (mut funcref) (ref.null func))
    (func $other (param i32) (result i64) (i64.const 3))
    (func $walk (param $n i32) (result i64) (local $r funcref) (local $v v128)
      (local.set $r (table.get (i32.const 1)))
      (local.set $v (v128.const i64x2 1 2))
      (if (i32.eqz (local.get $n)) (then (return (global.get $g))))
      (i32.store (i32.mul (local.get $n) (i32.const 5000)) (local.get $n))
      (i64.extend_i32_u (local.get $n))
      (call_indirect (param i32) (result i64)
        (i32.sub (local.get $n) (i32.const 1)) (i32.const 1))
      (i64.add)
      (i64.add (i64x2.extract_lane 1 (local.get $v)))
      (global.set $r (local.get $r)))
    (func (export "run") (param i32) (result i64) (local $i i32)
      (memory.init $d (i32.const 9) (i32.const 0) (i32.const 4)) (data.drop $d) (elem.drop $e)
      (loop $l (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                                   (i32.const 5))))
      (call $walk (local.get 0))))"#;

/// Numbers from a seed (xorshift64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// Small, or at an edge.
    fn number(&mut self) -> u64 {
        match self.below(6) {
            0 => u64::MAX >> self.below(64),
            1 => 1 << self.below(64),
            _ => self.next() % 300,
        }
    }

    fn value(&mut self) -> Value {
        match self.below(9) {
            0 => Value::I32(self.number() as i32),
            1 => Value::I64(self.number() as i64),
            2 => Value::F32(self.number() as u32),
            3 => Value::F64(self.number()),
            4 => Value::V128(u128::from(self.number()) << 40),
            5 => Value::FuncRef(None),
            6 => Value::ExternRef((self.below(2) == 0).then(|| self.number() as u32)),
            7 => Value::ExnRef((self.below(2) == 0).then(|| self.number() as u32)),
            _ => Value::FuncRef(Some(self.number() as u32)),
        }
    }

    fn pick<'a, T>(&mut self, list: &'a mut [T]) -> Option<&'a mut T> {
        let at = self.below(list.len());
        list.get_mut(at)
    }
}

fn mutate(snapshot: &mut Snapshot<'static>, random: &mut Random) {
    let number = random.number();
    match random.below(16) {
        0 => snapshot.balance = number as i64,
        1 => snapshot.steps_used = number,
        2 => {
            let (at, value) = (random.below(3), random.value());
            snapshot.globals.truncate(at);
            snapshot.globals.push((number as u32 % 3, value));
        }
        3 => snapshot.dropped_data.push(number as u32),
        4 => snapshot.dropped_elements = vec![number as u32 % 3],
        5 => snapshot.frames.truncate(random.below(8)),
        6 => {
            let at = random.below(snapshot.frames.len());
            if let Some(frame) = snapshot.frames.get(at).cloned() {
                let to = random.below(snapshot.frames.len());
                snapshot.frames.insert(to, frame);
            }
        }
        7 => {
            if let Some(memory) = random.pick(&mut snapshot.memories) {
                memory.pages = number;
            }
        }
        8 => {
            if let Some(memory) = random.pick(&mut snapshot.memories) {
                memory.runs.push(PageRun { first: number, count: 1, data: PageData::Zero });
            }
        }
        9 => {
            let function = number.is_multiple_of(2).then_some(number as u32 % 5);
            if let Some(table) = random.pick(&mut snapshot.tables) {
                table.size = 4 + number % 4;
                table.runs = vec![TableRun { first: number % 7, elements: vec![function] }];
            }
        }
        10 => snapshot.pending.push(tasklet_engine::snapshot::PendingCall {
            function: number as u32 % 5,
            args: vec![random.value()],
        }),
        kind => {
            let value = random.value();
            let Some(frame) = random.pick(&mut snapshot.frames) else { return };
            match kind {
                11 => frame.function = number as u32 % 5,
                12 => frame.at = Position::Call { offset: number as u32 },
                13 => frame.at = Position::Entry,
                14 => frame.operands.push(value),
                _ => match random.pick(&mut frame.locals) {
                    Some(local) => local.1 = value,
                    None => frame.locals.push((number as u32 % 4, value)),
                },
            }
        }
    }
}

fn captured(module: &Module, budget: u64) -> Snapshot<'static> {
    let entry = invoke("run", &[tasklet_engine::Value::I32(9)]);
    let mut tasklet = Tasklet::spawn(module, Host::empty(), entry).unwrap();
    tasklet.run(budget).unwrap();
    let mut bytes = Vec::new();
    tasklet.dump(&mut bytes, &SnapshotOptions::default()).unwrap();
    let limits = tasklet_engine::snapshot::Limits::DEFAULT;
    Snapshot::read_from(&mut &bytes[..], &limits).unwrap().0
}

#[test]
fn mutated_snapshots_are_refused_or_run() {
    let module = module(PROGRAM);
    let (mut refused, mut ran) = (0, 0);
    for seed in 1..=3000u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut snapshot = captured(&module, 20 + random.next() % 200);
        for _ in 0..=random.below(3) {
            mutate(&mut snapshot, &mut random);
        }
        match Tasklet::load(&module, &snapshot, Digest([0; 32]), Host::empty()) {
            Ok(mut tasklet) => {
                ran += 1;
                for _ in 0..20 {
                    tasklet.run(50).expect("a guest can only trap");
                }
                tasklet.snapshot(&SnapshotOptions::default()).expect("it can be captured");
            }
            Err(error) => {
                refused += 1;
                let kind = error.kind();
                let typed = [ErrorKind::Snapshot, ErrorKind::Incompatible, ErrorKind::Limit];
                assert!(typed.contains(&kind), "seed {seed}: {kind:?}: {error}");
            }
        }
    }
    assert!(refused > 500 && ran > 200, "{refused} refused, {ran} ran");
}

#[test]
fn a_call_is_returned_into_by_its_own_type_only() {
    let module = module(PROGRAM);
    let good = captured(&module, 120);
    assert!(good.frames.len() > 2);
    let mut bad = good.clone();
    // `run` and `walk` both return an i64, so leaving one out is the guest's own affair.
    bad.frames.remove(1);
    let load = |snapshot: &_| Tasklet::load(&module, snapshot, Digest([0; 32]), Host::empty());
    assert!(load(&bad).is_ok());
    let mut bad = good;
    bad.frames.last_mut().unwrap().at = Position::Loop { offset: 3 };
    assert_eq!(load(&bad).map(drop).unwrap_err().kind(), ErrorKind::Incompatible);
}
