//! What a turn, a message and a tasklet cost in a scheduler: the best of seven rounds each.
//!
//! `cargo run --release -p tasklet-bench --bin scheduler`

use std::time::{Duration, Instant};

use tasklet_engine::{
    Budget, CacheMode, ChannelOptions, Engine, EngineOptions, Module, RunResult, Scheduler, Spawn,
};

const ROUNDS: u32 = 7;
const TURNS: u32 = 100_000;
const TASKLETS: u32 = 1_000;

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
        (br_if $l (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))
    (func (export "nothing")))"#;

fn main() -> anyhow::Result<()> {
    let mut options = EngineOptions::default();
    options.cache = CacheMode::Off;
    let engine = Engine::new(&options)?;
    let module = Module::load(&engine, &wat::parse_str(GUESTS)?)?;
    let mut best = [Duration::MAX; 3];
    for _ in 0..ROUNDS {
        let round =
            [yields(&engine, &module)?, messages(&engine, &module)?, lives(&engine, &module)?];
        for (best, time) in best.iter_mut().zip(round) {
            *best = time.min(*best);
        }
    }
    println!("| one | ns |\n|---|---|");
    let counts = [2 * TURNS, TURNS, TASKLETS];
    let names = ["turn, of two that yield", "message, two turns", "tasklet: spawn, run, drop"];
    for ((name, time), count) in names.iter().zip(best).zip(counts) {
        println!("| {name} | {} |", time.as_nanos() / u128::from(count));
    }
    Ok(())
}

fn yields(engine: &Engine, module: &Module) -> anyhow::Result<Duration> {
    let mut sched = Scheduler::new(engine);
    for _ in 0..2 {
        sched.spawn(module, Spawn::export("yield").argument(&TURNS.to_le_bytes()))?;
    }
    run(&mut sched)
}

fn messages(engine: &Engine, module: &Module) -> anyhow::Result<Duration> {
    let mut sched = Scheduler::new(engine);
    let channel = sched.channel("c", ChannelOptions::default())?;
    for export in ["receive", "send"] {
        let spawn = Spawn::export(export).channel("c", channel);
        sched.spawn(module, spawn.argument(&TURNS.to_le_bytes()))?;
    }
    run(&mut sched)
}

fn lives(engine: &Engine, module: &Module) -> anyhow::Result<Duration> {
    let mut sched = Scheduler::new(engine);
    let begun = Instant::now();
    for _ in 0..TASKLETS {
        sched.spawn(module, Spawn::export("nothing"))?;
        run(&mut sched)?;
    }
    Ok(begun.elapsed())
}

fn run(sched: &mut Scheduler) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let result = sched.run(Budget::unlimited())?;
    anyhow::ensure!(result == RunResult::Finished, "{result:?}");
    Ok(begun.elapsed())
}
