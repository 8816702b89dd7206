//! Ours: guests of a scheduler.

use anyhow::{Context, Result, ensure};
use tasklet_engine::{
    Budget, CacheMode, ChannelOptions, Engine, EngineOptions, Memories, Module, RunResult,
    Scheduler, Spawn,
};

use super::cpu;

/// Each loops as often as its argument, four bytes, says; `wait` waits for ever.
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
    (func (export "ping") (local $left i32)
      (local.set $left (call $times))
      (loop $l
        (drop (call $send (i32.const 0) (i32.const 0) (i32.const 8)))
        (drop (call $receive (i32.const 1) (i32.const 0) (i32.const 8)))
        (br_if $l (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))
    (func (export "pong") (local $left i32)
      (local.set $left (call $times))
      (loop $l
        (drop (call $receive (i32.const 0) (i32.const 0) (i32.const 8)))
        (drop (call $send (i32.const 1) (i32.const 0) (i32.const 8)))
        (br_if $l (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))
    (func (export "nothing"))
    (func (export "wait")
      (i32.store (i32.const 0) (i32.const 1))
      (drop (call $receive (i32.const 0) (i32.const 0) (i32.const 8)))))"#;

/// A module that is compiled.
pub struct Guests {
    engine: Engine,
    module: Module,
}

impl Guests {
    pub fn load(memories: Memories) -> Result<Guests> {
        let mut options = EngineOptions::default();
        options.cache = CacheMode::Off;
        options.memories = memories;
        let engine = Engine::new(&options)?;
        let module = Module::load(&engine, &wat::parse_str(GUESTS)?)?;
        Ok(Guests { engine, module })
    }

    /// Prints what one turn, one message and one tasklet take, and to make one.
    pub fn times(&self, turns: u32, messages: u32, spawns: u32) -> Result<()> {
        let mut sched = Scheduler::new(&self.engine);
        for _ in 0..2 {
            let spawn = Spawn::export("yield").argument(&(turns / 2).to_le_bytes());
            sched.spawn(&self.module, spawn)?;
        }
        let begun = cpu::seconds();
        finish(&mut sched)?;
        print("turn", begun, turns / 2 * 2);

        let mut sched = Scheduler::new(&self.engine);
        let there = sched.channel("there", ChannelOptions::default())?;
        let back = sched.channel("back", ChannelOptions::default())?;
        for export in ["pong", "ping"] {
            let spawn = Spawn::export(export).channel("there", there).channel("back", back);
            sched.spawn(&self.module, spawn.argument(&(messages / 2).to_le_bytes()))?;
        }
        let begun = cpu::seconds();
        finish(&mut sched)?;
        print("message", begun, messages / 2 * 2);

        self.begin(spawns)?;

        let mut sched = Scheduler::new(&self.engine);
        let begun = cpu::seconds();
        for _ in 0..spawns {
            sched.spawn(&self.module, Spawn::export("nothing"))?;
            finish(&mut sched)?;
        }
        print("spawn", begun, spawns);
        Ok(())
    }

    /// Prints what it takes to make a tasklet, apart from running and dropping it. They are made a
    /// few at a time, for to ask for the time takes time itself.
    fn begin(&self, spawns: u32) -> Result<()> {
        const AT_A_TIME: u32 = 32;
        let mut sched = Scheduler::new(&self.engine);
        let (mut seconds, mut made) = (0.0, 0);
        // Not the first few, which find no memory that was used before.
        for round in 0..=spawns.div_ceil(AT_A_TIME) {
            let begun = cpu::seconds();
            for _ in 0..AT_A_TIME {
                sched.spawn(&self.module, Spawn::export("nothing"))?;
            }
            if round > 0 {
                seconds += cpu::seconds() - begun;
                made += AT_A_TIME;
            }
            finish(&mut sched)?;
        }
        println!("begin {:.1}", seconds * 1e9 / f64::from(made));
        Ok(())
    }

    /// Prints the memory that each of so many takes, all of which wait.
    pub fn live(&self, count: u32) -> Result<()> {
        let mut sched = Scheduler::new(&self.engine);
        let channel = sched.channel("never", ChannelOptions::default())?;
        let before = memory()?;
        for _ in 0..count {
            sched.spawn(&self.module, Spawn::export("wait").channel("never", channel))?;
        }
        let result = sched.run(Budget::unlimited())?;
        let waiting = matches!(&result, RunResult::Deadlock(_));
        let waiting = waiting && sched.waiting_on(channel)?.len() == count as usize;
        ensure!(waiting, "they do not all wait");
        println!("memory {}", (memory()? - before) / u64::from(count));
        // They are many: the system is faster at it.
        std::process::exit(0);
    }
}

fn finish(sched: &mut Scheduler) -> Result<()> {
    let result = sched.run(Budget::unlimited())?;
    ensure!(result == RunResult::Finished, "{result:?}");
    Ok(())
}

fn print(name: &str, begun: f64, count: u32) {
    println!("{name} {:.1}", (cpu::seconds() - begun) * 1e9 / f64::from(count));
}

/// Memory of this process, and the page tables for it, in bytes.
fn memory() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status");
    let status = status.context("how much memory a process has is known on Linux alone")?;
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        kib.with_context(|| format!("no {name} in /proc/self/status"))
    };
    Ok(1024 * (of("VmRSS:")? + of("VmPTE:")?))
}
