//! What a pause and a resume cost, snapshots aside.

use anyhow::{Result, ensure};
use tasklet_engine::Outcome;
use tasklet_engine::wasi::Output;

use crate::asyncify::Asyncify;
use crate::cpu;
use crate::programs::Program;
use crate::tasklet::Ours;
use crate::yielding::Yielding;

/// A recursion DEPTH calls deep, at whose end a loop runs for ever. Each frame holds a value that
/// is used when its callee has returned. The import and the global are what
/// the fuel polls of Asyncify are added to; its frames go into the memory.
const DEEP: &str = r#"(module
  (import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))
  (global i32 (i32.const 0))
  (memory (export "memory") 16)
  (func $down (param $n i32) (result i32)
    (local $i i32)
    (if (i32.eqz (local.get $n))
      (then (loop $spin
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $spin))))
    (i32.add (local.get $n) (call $down (i32.sub (local.get $n) (i32.const 1)))))
  (func (export "_start") (drop (call $down (i32.const DEPTH)))))"#;

/// Depths that are measured.
const DEPTHS: [u64; 4] = [0, 10, 1_000, 10_000];

/// Slices that are measured.
const SLICES: u32 = 200_000;

fn deep(depth: u64) -> Result<Program> {
    let wasm = wat::parse_str(DEEP.replace("DEPTH", &depth.to_string()))?;
    Ok(Program { name: "deep".into(), big: false, wasm, args: vec!["deep".into()], dir: None })
}

/// More than enough steps to get to the end of the recursion.
fn enough(depth: u64) -> u64 {
    100 * (depth + 10)
}

fn place(depth: u64) -> String {
    match depth {
        0 => "a shallow loop".into(),
        _ => format!("a loop below {depth} frames"),
    }
}

/// For each of some depths of recursion: a name, and the CPU seconds of a pause and a resume in the
/// loop at its end.
pub fn by_depth(short: bool) -> Result<Vec<(String, f64)>> {
    let slices = if short { SLICES / 100 } else { SLICES };
    DEPTHS
        .into_iter()
        .map(|depth| {
            let program = deep(depth)?;
            let mut tasklet = Ours::compile(&program.wasm)?.spawn(&program, Output::capture().0)?;
            let outcome = tasklet.run(enough(depth))?;
            ensure!(outcome == Outcome::OutOfBudget, "the loop ended with {outcome:?}");
            let frames = tasklet.backtrace()?.len() as u64;
            ensure!(frames == depth + 2, "{frames} frames where there should be {}", depth + 2);
            let more = || Ok(tasklet.run(1)? == Outcome::OutOfBudget);
            Ok((place(depth), slice_seconds(more, slices)?))
        })
        .collect()
}

/// The same of Asyncify, whose pauses and resumes go through all frames.
pub fn by_depth_asyncified(asyncify: &Asyncify, short: bool) -> Result<Vec<(String, f64)>> {
    DEPTHS
        .into_iter()
        .map(|depth| {
            let program = deep(depth)?;
            let wasm = asyncify.transform(&program.name, &program.wasm)?;
            let steps = enough(depth) as i64;
            let mut paused = Yielding::start(&wasm, steps).map_err(anyhow::Error::msg)?;
            let slices = SLICES / if short { 100 } else { 1 } / (depth as u32 + 10);
            let seconds = slice_seconds(|| paused.resume(1).map(|()| true), slices)?;
            Ok((format!("{}, asyncify", place(depth)), seconds))
        })
        .collect()
}

/// What it costs on average along a whole program, for at most some slices.
pub fn along(program: &Program) -> Result<(String, f64)> {
    let mut tasklet = Ours::compile(&program.wasm)?.spawn(program, Output::capture().0)?;
    let more = || Ok(tasklet.run(1)? == Outcome::OutOfBudget);
    Ok((program.name.clone(), slice_seconds(more, SLICES)?))
}

/// CPU seconds of one slice with a budget of 1: a pause, a resume and at most a few steps. The
/// median of ten runs of slices, of which there are fewer when the program ends.
fn slice_seconds(mut more: impl FnMut() -> Result<bool>, slices: u32) -> Result<f64> {
    let mut all = Vec::new();
    for _ in 0..10 {
        let mut done = 0;
        let before = cpu::seconds();
        while done < (slices / 10).max(1) && more()? {
            done += 1;
        }
        if done > 0 {
            all.push((cpu::seconds() - before) / f64::from(done));
        }
    }
    ensure!(!all.is_empty(), "the program never paused");
    Ok(cpu::median(&all))
}
