//! Deep recursion against plain wasmtime, against the oracle, and at random: whatever functions
//! look like, it is the tasklet's own limit that ends a recursion and never the native stack.

use std::fmt::Write;

use tasklet_engine::{
    Engine, EngineOptions, Entry, Host, Limits, Module, Outcome, Tasklet, TrapKind, Value,
};
use tasklet_tests::generate;
use tasklet_tests::oracle::{self, Effort, Subject};
use tasklet_tests::parallel::for_all;
use tasklet_tests::plain::Ending;
use tasklet_tests::random::Random;
use tasklet_tests::world::Setup;

const SEEDS: u64 = 60;
const EFFORT: Effort =
    Effort { every_stop_max: 0, single_steps_max: 0, stops: 12, pauses: 3, places: 3 };

fn subject(wat: &str, args: &[i32]) -> Subject {
    let wasm = wat::parse_str(wat).expect("the test's text is a module");
    let args = args.iter().map(|arg| Value::I32(*arg)).collect();
    let entry = Entry::Invoke { name: "run".into(), args };
    Subject::new(&wasm, Setup::default(), entry).unwrap().expect("it can be instantiated")
}

#[test]
fn ackermann_is_what_plain_wasmtime_says() {
    let wat = r#"(module (func $a (export "run") (param i32 i32) (result i32)
      (if (result i32) (i32.eqz (local.get 0))
        (then (i32.add (local.get 1) (i32.const 1)))
        (else (if (result i32) (i32.eqz (local.get 1))
          (then (call $a (i32.sub (local.get 0) (i32.const 1)) (i32.const 1)))
          (else (call $a (i32.sub (local.get 0) (i32.const 1))
            (call $a (local.get 0) (i32.sub (local.get 1) (i32.const 1))))))))))"#;
    for args in [[2, 400], [3, 8]] {
        let subject = subject(wat, &args);
        assert!(matches!(subject.run_plain().unwrap().ending, Ending::Returned(_)));
        oracle::check(&subject, &EFFORT, 1).unwrap();
    }
}

/// Both in a recursion and in a loop of it that calls back and forth.
#[test]
fn an_endless_recursion_ends_at_the_same_step_in_every_slicing() {
    let wat = r#"(module (memory 1) (table 2 funcref) (elem (i32.const 0) $a $b)
      (type $t (func (param i32) (result i32)))
      (func $a (type $t) (local i32)
        (local.set 1 (i32.and (local.get 0) (i32.const 3)))
        (loop $l (br_if $l (i32.gt_s (local.tee 1 (i32.sub (local.get 1) (i32.const 1)))
          (i32.const 0))))
        (i32.add (local.get 0) (call_indirect (type $t)
          (i32.add (local.get 0) (i32.const 1)) (i32.and (local.get 0) (i32.const 1)))))
      (func $b (type $t)
        (memory.fill (i32.const 8) (local.get 0) (i32.and (local.get 0) (i32.const 4095)))
        (i32.store (i32.const 0) (local.get 0))
        (i32.xor (local.get 0) (call $a (i32.add (local.get 0) (i32.const 1)))))
      (func (export "run") (param i32) (result i32) (call $a (local.get 0))))"#;
    let subject = subject(wat, &[0]);
    assert_eq!(
        subject.run_plain().unwrap().ending,
        Ending::Trapped(TrapKind::StackOverflow),
        "plain wasmtime overflows too"
    );
    oracle::check(&subject, &EFFORT, 2).unwrap();
}

/// Functions that call one another for ever, with many values alive across the calls.
fn recursive(random: &mut Random) -> String {
    const TYPES: [&str; 6] = ["i32", "i32", "i64", "f32", "f64", "v128"];
    let mut pick = |most: u64| -> Vec<&'static str> {
        let count = random.below(most);
        (0..count).map(|_| *random.choose(&TYPES)).collect()
    };
    let count = 1 + pick(4).len();
    let shapes: Vec<_> = (0..count).map(|_| (pick(24), pick(12), pick(60))).collect();
    let mut wat = String::from("(module (memory 1)\n");
    for (name, (params, results, locals)) in shapes.iter().enumerate() {
        let export = if name == 0 { "(export \"run\")" } else { "" };
        let (p, r, l) = (params.join(" "), results.join(" "), locals.join(" "));
        writeln!(wat, "(func $f{name} {export} (param {p}) (result {r}) (local {l})").unwrap();
        let all: Vec<&str> = params.iter().chain(locals).copied().collect();
        let load = |ty: &str, at: u64| format!("({ty}.load offset={at} (i32.const 8))");
        for (local, ty) in all.iter().enumerate() {
            if !random.one_in(4) {
                let value = load(ty, random.below(900) * 16);
                writeln!(wat, "(local.set {local} {value})").unwrap();
            }
        }
        let value = |ty: &str, random: &mut Random| {
            let fitting = (0..all.len()).filter(|at| all[*at] == ty).collect::<Vec<_>>();
            match fitting.is_empty() || random.one_in(3) {
                true => load(ty, random.below(900) * 16),
                false => format!("(local.get {})", random.choose(&fitting)),
            }
        };
        let calls = 1 + random.below(3);
        for _ in 0..calls {
            let callee = random.below(count as u64) as usize;
            let args: Vec<String> = shapes[callee].0.iter().map(|ty| value(ty, random)).collect();
            writeln!(wat, "(call $f{callee} {})", args.join(" ")).unwrap();
            for ty in shapes[callee].1.iter().rev() {
                let fitting = (0..all.len()).filter(|at| all[*at] == *ty).collect::<Vec<_>>();
                match fitting.is_empty() {
                    true => writeln!(wat, "(drop)").unwrap(),
                    false => writeln!(wat, "(local.set {})", random.choose(&fitting)).unwrap(),
                }
            }
        }
        // All of them are alive until here.
        for (local, ty) in all.iter().enumerate() {
            writeln!(wat, "({ty}.store offset={} (i32.const 8) (local.get {local}))", local * 16)
                .unwrap();
        }
        for ty in results {
            writeln!(wat, "{}", value(ty, random)).unwrap();
        }
        // One value that is no result as it is, or the call could be the function's last.
        writeln!(wat, "(drop (i32.load (i32.const 0))))").unwrap();
    }
    wat.push(')');
    wat
}

#[test]
fn random_recursions_never_overflow_the_native_stack() {
    const LIMIT: u64 = 4 << 20;
    let engines = [1 << 20, EngineOptions::default().stack_bytes].map(|stack_bytes| {
        let mut options = tasklet_tests::options();
        options.stack_bytes = stack_bytes;
        Engine::new(&options).unwrap()
    });
    let seeds: Vec<u64> = generate::seeds(SEEDS).collect();
    let one = |seed: &u64| -> anyhow::Result<()> {
        let wasm = wat::parse_str(recursive(&mut Random::new(*seed)))?;
        let mut ends = Vec::new();
        for engine in &engines {
            let module = Module::load(engine, &wasm)?;
            let mut limits = Limits::default();
            limits.stack_bytes = LIMIT;
            let host = Host::builder().limits(limits).build();
            let (_, ty) = module.exports().next().expect("it exports `run`");
            let args = ty.params.iter().map(|ty| Value::zero(*ty)).collect();
            let entry = Entry::Invoke { name: "run".into(), args };
            let mut tasklet = Tasklet::spawn(&module, host, entry)?;
            let Outcome::Trapped(trap) = tasklet.run(u64::MAX)? else {
                anyhow::bail!("it is endless")
            };
            let ours = trap.message.ends_with(&format!("exceed the limit of {LIMIT}"));
            anyhow::ensure!(ours, "{}; kept: {}", trap.message, generate::keep(*seed, &wasm));
            ends.push((trap, tasklet.steps_used()?));
        }
        anyhow::ensure!(ends[0] == ends[1], "the native stack makes a difference");
        Ok(())
    };
    for_all(&seeds, |seed| format!("seed {seed}"), one);
}
