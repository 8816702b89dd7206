//! What a pause and a resume cost, snapshots aside.

use anyhow::{Result, ensure};
use tasklet_engine::wasi::Output;
use tasklet_engine::{Outcome, Tasklet};

use crate::cpu;
use crate::programs::Program;
use crate::tasklet::Ours;

/// A recursion DEPTH calls deep, at whose end a loop runs for ever. Each frame holds a value that
/// is used when its callee has returned.
const DEEP: &str = r#"(module
  (memory (export "memory") 1)
  (func $down (param $n i32) (result i32)
    (local $i i32)
    (if (i32.eqz (local.get $n))
      (then (loop $spin
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $spin))))
    (i32.add (local.get $n) (call $down (i32.sub (local.get $n) (i32.const 1)))))
  (func (export "_start") (drop (call $down (i32.const DEPTH)))))"#;

/// Slices that are measured.
const SLICES: u32 = 200_000;

/// For each of some depths of recursion: a name, and the CPU seconds of a pause and a resume in the
/// loop at its end.
pub fn by_depth(short: bool) -> Result<Vec<(String, f64)>> {
    let slices = if short { SLICES / 100 } else { SLICES };
    [0, 10, 1_000, 10_000]
        .into_iter()
        .map(|depth| {
            let wasm = wat::parse_str(DEEP.replace("DEPTH", &depth.to_string()))?;
            let program = Program {
                name: "deep".into(),
                big: false,
                wasm,
                args: vec!["deep".into()],
                dir: None,
            };
            let mut tasklet = Ours::compile(&program.wasm)?.spawn(&program, Output::capture().0)?;
            // More than enough to get to the end of the recursion.
            let outcome = tasklet.run(100 * (depth + 10))?;
            ensure!(outcome == Outcome::OutOfBudget, "the loop ended with {outcome:?}");
            let frames = tasklet.backtrace()?.len() as u64;
            ensure!(frames == depth + 2, "{frames} frames where there should be {}", depth + 2);
            let name = match depth {
                0 => "a shallow loop".into(),
                _ => format!("a loop below {depth} frames"),
            };
            Ok((name, slice_seconds(&mut tasklet, slices)?))
        })
        .collect()
}

/// The same along a whole program, for at most some slices.
pub fn along(program: &Program) -> Result<(String, f64)> {
    let mut tasklet = Ours::compile(&program.wasm)?.spawn(program, Output::capture().0)?;
    Ok((program.name.clone(), slice_seconds(&mut tasklet, SLICES)?))
}

/// CPU seconds of one slice with a budget of 1: a pause, a resume and at most a few steps. The
/// median of ten runs of slices, of which there are fewer when the program ends.
fn slice_seconds(tasklet: &mut Tasklet, slices: u32) -> Result<f64> {
    let mut all = Vec::new();
    for _ in 0..10 {
        let mut done = 0;
        let before = cpu::seconds();
        while done < slices / 10 && tasklet.run(1)? == Outcome::OutOfBudget {
            done += 1;
        }
        if done > 0 {
            all.push((cpu::seconds() - before) / f64::from(done));
        }
    }
    ensure!(!all.is_empty(), "the program never paused");
    Ok(cpu::median(&all))
}
