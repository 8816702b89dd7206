//! The tasklets that schedulers and executors are measured by.

use anyhow::Result;
use tasklet_engine::{
    CacheMode, ChannelOptions, Engine, EngineOptions, Memories, Module, Scheduler, Spawn,
};

/// Each loops as often as its argument, four bytes, says; `wait` waits for ever.
const WAT: &str = r#"(module
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
    (func (export "nothing"))
    (func (export "wait")
      (i32.store (i32.const 0) (i32.const 1))
      (drop (call $receive (i32.const 0) (i32.const 0) (i32.const 8)))))"#;

/// A module that is compiled.
pub struct Guests {
    engine: Engine,
    pub module: Module,
}

impl Guests {
    pub fn load(memories: Memories) -> Result<Guests> {
        let mut options = EngineOptions::default();
        options.cache = CacheMode::Off;
        options.memories = memories;
        let engine = Engine::new(&options)?;
        let module = Module::load(&engine, &wat::parse_str(WAT)?)?;
        Ok(Guests { engine, module })
    }

    /// A scheduler without tasklets.
    pub fn scheduler(&self) -> Scheduler {
        Scheduler::new(&self.engine)
    }

    /// So many that do the same so many times.
    pub fn alike(&self, sched: &mut Scheduler, export: &str, count: u32, times: u32) -> Result<()> {
        for _ in 0..count {
            sched.spawn(&self.module, Spawn::export(export).argument(&times.to_le_bytes()))?;
        }
        Ok(())
    }

    /// Two that talk, with a channel of a number of their own in either direction.
    pub fn pair(
        &self,
        sched: &mut Scheduler,
        number: u32,
        exports: [&str; 2],
        times: u32,
    ) -> Result<()> {
        let there = sched.channel(&format!("there {number}"), ChannelOptions::default())?;
        let back = sched.channel(&format!("back {number}"), ChannelOptions::default())?;
        for export in exports {
            let spawn = Spawn::export(export).channel("there", there).channel("back", back);
            sched.spawn(&self.module, spawn.argument(&times.to_le_bytes()))?;
        }
        Ok(())
    }
}
