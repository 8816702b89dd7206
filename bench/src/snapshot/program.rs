//! The program that is written down.

use anyhow::{Result, bail, ensure};
use tasklet_engine::{
    CacheMode, Engine, EngineOptions, Entry, Host, Limits, Module, Outcome, Tasklet, Value,
};

/// Fills memory with words that hold 32 random bits, and then writes to pages for ever.
const PROGRAM: &str = r#"(module
  (memory (export "memory") PAGES)
  (func (export "fill") (param $end i32) (local $at i32) (local $x i64)
    (local.set $x (i64.const 88172645463325252))
    (loop $fill
      (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 13))))
      (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 7))))
      (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 17))))
      (i64.store (local.get $at) (i64.and (local.get $x) (i64.const 0xffffffff)))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $fill (i32.lt_u (local.get $at) (local.get $end)))))
  (func (export "touch") (param $pages i32) (param $apart i32) (local $n i32) (local $x i64)
    (loop $again
      (local.set $n (i32.const 0))
      (local.set $x (i64.add (local.get $x) (i64.const 1)))
      (loop $page
        (i64.store offset=64 (i32.mul (local.get $n) (local.get $apart)) (local.get $x))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br_if $page (i32.lt_u (local.get $n) (local.get $pages))))
      (br $again))))"#;

/// Steps that write to a page once, and more.
const STEPS_FOR_PAGE: u64 = 20;

/// The module, with a memory for so many bytes.
pub fn module(bytes: u64) -> Result<Module> {
    let mut options = EngineOptions::default();
    options.cache = CacheMode::Off;
    let engine = Engine::new(&options)?;
    let pages = bytes.div_ceil(1 << 16);
    let wasm = wat::parse_str(PROGRAM.replace("PAGES", &pages.to_string()))?;
    Ok(Module::load(&engine, &wasm)?)
}

/// What a tasklet is given: nothing.
pub fn host() -> Host {
    Host::builder().limits(Limits::default()).build()
}

/// A tasklet that has touched so many bytes and stands in a loop.
pub fn paused(module: &Module, bytes: u64) -> Result<Tasklet> {
    let args = vec![Value::I32(i32::try_from(bytes)?)];
    let entry = Entry::Invoke { name: "fill".into(), args };
    let mut tasklet = Tasklet::spawn(module, host(), entry)?;
    let outcome = tasklet.run(u64::MAX)?;
    ensure!(matches!(outcome, Outcome::Finished(_)), "it ended with {outcome:?}");
    touch(&mut tasklet, 1, 4096)?;
    Ok(tasklet)
}

/// Begins to write to so many pages, so far apart, and does so at least once.
fn touch(tasklet: &mut Tasklet, pages: u64, apart: u64) -> Result<()> {
    let args = vec![Value::I32(i32::try_from(pages)?), Value::I32(i32::try_from(apart)?)];
    tasklet.call("touch", args)?;
    go_on(tasklet, pages)
}

/// Goes on until it has written to so many pages again.
pub fn go_on(tasklet: &mut Tasklet, pages: u64) -> Result<()> {
    match tasklet.run(STEPS_FOR_PAGE * pages + 100)? {
        Outcome::OutOfBudget => Ok(()),
        other => bail!("it ended with {other:?}"),
    }
}

/// A tasklet of the same kind that writes to so many pages all over its memory.
pub fn writing(module: &Module, bytes: u64, pages: u64) -> Result<Tasklet> {
    let args = vec![Value::I32(i32::try_from(bytes)?)];
    let mut tasklet = Tasklet::spawn(module, host(), Entry::Invoke { name: "fill".into(), args })?;
    tasklet.run(u64::MAX)?;
    touch(&mut tasklet, pages, (bytes / pages) & !4095)?;
    Ok(tasklet)
}
