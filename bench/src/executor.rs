//! What threads are worth: the executor with one and two, against the scheduler alone.
//!
//! `cargo run --release -p tasklet-bench --bin executor`

use std::time::{Duration, Instant};

use tasklet_engine::{
    Budget, CacheMode, ChannelOptions, Engine, EngineOptions, Executor, ExecutorOptions, Module,
    RunResult, Scheduler, Spawn,
};

const ROUNDS: u32 = 5;
const PATIENCE: Duration = Duration::from_secs(600);

/// Each loops as often as its argument, four bytes, says.
const GUESTS: &str = r#"(module
    (import "tasklet" "argument" (func $argument (param i32 i32) (result i32)))
    (import "tasklet" "yield" (func $yield (result i32)))
    (import "tasklet" "send" (func $send (param i32 i32 i32) (result i32)))
    (import "tasklet" "receive" (func $receive (param i32 i32 i32) (result i64)))
    (memory (export "memory") 1)
    (func $times (result i32)
      (drop (call $argument (i32.const 16) (i32.const 4)))
      (i32.load (i32.const 16)))
    (func (export "count") (local $left i32)
      (local.set $left (call $times))
      (loop $l (br_if $l (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))
    (func (export "yield") (local $left i32)
      (local.set $left (call $times))
      (loop $l
        (drop (call $yield))
        (br_if $l (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))
    (func (export "send") (local $left i32)
      (local.set $left (call $times))
      (loop $l
        (drop (call $send (i32.const 0) (i32.const 0) (i32.const 8)))
        (br_if $l (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))
    (func (export "receive") (local $left i32)
      (local.set $left (call $times))
      (loop $l
        (drop (call $receive (i32.const 0) (i32.const 0) (i32.const 8)))
        (br_if $l (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))"#;

/// A load: its name, what is counted, how often it happens, and how it is set up.
struct Load {
    name: &'static str,
    of: &'static str,
    count: u64,
    slice: u64,
    spawn: fn(&mut Scheduler, &Module) -> anyhow::Result<()>,
}

const LOADS: [Load; 5] = [
    Load {
        name: "16 that compute, slices of 100,000 steps",
        of: "turns",
        // A round is 4 steps.
        count: 16 * 8_000_000 / 100_000,
        slice: 100_000,
        spawn: |sched, module| many(sched, module, "count", 16, 2_000_000),
    },
    Load {
        name: "16 that compute, slices of 1,000 steps",
        of: "turns",
        count: 16 * 2_000_000 / 1000,
        slice: 1000,
        spawn: |sched, module| many(sched, module, "count", 16, 500_000),
    },
    Load {
        name: "16 that yield",
        of: "turns",
        count: 16 * 10_000,
        slice: 100_000,
        spawn: |sched, module| many(sched, module, "yield", 16, 10_000),
    },
    Load {
        name: "16 pairs that talk",
        of: "messages",
        count: 16 * 5_000,
        slice: 100_000,
        spawn: |sched, module| pairs(sched, module, 16, 5_000),
    },
    Load {
        name: "one pair that talks",
        of: "messages",
        count: 50_000,
        slice: 100_000,
        spawn: |sched, module| pairs(sched, module, 1, 50_000),
    },
];

fn main() -> anyhow::Result<()> {
    let mut options = EngineOptions::default();
    options.cache = CacheMode::Off;
    let engine = Engine::new(&options)?;
    let module = Module::load(&engine, &wat::parse_str(GUESTS)?)?;
    println!("thousands a second | | scheduler | 1 thread | 2 threads\n|---|---|---|---|---|");
    for load in &LOADS {
        let mut best = [Duration::MAX; 3];
        for _ in 0..ROUNDS {
            for (workers, best) in best.iter_mut().enumerate() {
                let mut sched = Scheduler::new(&engine);
                (load.spawn)(&mut sched, &module)?;
                *best = run(sched, workers, load.slice)?.min(*best);
            }
        }
        let rate = best.map(|time| load.count as f64 / time.as_secs_f64() / 1000.0);
        let [none, one, two] = rate;
        println!("| {} | {} | {none:.1} | {one:.1} | {two:.1} |", load.name, load.of);
    }
    Ok(())
}

/// By that many workers, or the scheduler alone.
fn run(mut sched: Scheduler, workers: usize, slice: u64) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    if workers == 0 {
        let result = sched.run(Budget::steps(slice).round_robin())?;
        anyhow::ensure!(result == RunResult::Finished, "{result:?}");
        return Ok(begun.elapsed());
    }
    let mut options = ExecutorOptions::default();
    (options.workers, options.slice_steps) = (workers, slice);
    let executor = Executor::start(sched, &options).map_err(|refused| refused.error)?;
    let result = executor.wait(PATIENCE);
    anyhow::ensure!(result == Some(RunResult::Finished), "{result:?}");
    Ok(begun.elapsed())
}

fn many(
    sched: &mut Scheduler,
    module: &Module,
    export: &str,
    count: u32,
    times: u32,
) -> anyhow::Result<()> {
    for _ in 0..count {
        sched.spawn(module, Spawn::export(export).argument(&times.to_le_bytes()))?;
    }
    Ok(())
}

fn pairs(sched: &mut Scheduler, module: &Module, count: u32, times: u32) -> anyhow::Result<()> {
    for pair in 0..count {
        let channel = sched.channel(&pair.to_string(), ChannelOptions::default())?;
        for export in ["receive", "send"] {
            let spawn = Spawn::export(export).channel("c", channel);
            sched.spawn(module, spawn.argument(&times.to_le_bytes()))?;
        }
    }
    Ok(())
}
