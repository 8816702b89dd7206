//! How a slice ended: what is told of it, and the exit code.

use std::io::{self, Write};

use anyhow::Result;
use tasklet_engine::{BACKTRACE_LINES_MAX, Digest, Outcome, Trap, TrapKind, Value};

use crate::drive::Slice;
use crate::exit::Code;
use crate::output::{self, Target};
use crate::report;

/// Lines of a backtrace that are shown at its two ends; a stack overflow has thousands.
const INNERMOST_LINES: usize = 50;
const OUTERMOST_LINES: usize = 10;

/// Everything there is to tell of a slice.
#[derive(Debug)]
pub struct Ending {
    /// How it ended.
    pub outcome: Outcome,
    /// Steps of the program's whole life.
    pub steps_used: u64,
    /// Steps of this slice.
    pub steps_slice: u64,
    /// Steps granted but not used; negative if overdrawn.
    pub balance: i64,
    /// Bytes of all memories.
    pub memory_bytes: u64,
    /// The original module, and its length in bytes.
    pub module: (Digest, u64),
    /// The snapshot it began with.
    pub parent: Option<Digest>,
    /// The snapshot that was written, if one was.
    pub saved: Option<Saved>,
}

/// A snapshot that was written.
#[derive(Debug, Clone)]
pub struct Saved {
    /// Where.
    pub target: Target,
    /// Its identity.
    pub digest: Digest,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Whether nothing is left to go on with.
pub fn is_final(outcome: &Outcome) -> bool {
    !matches!(outcome, Outcome::OutOfBudget | Outcome::Interrupted | Outcome::Waiting(_))
}

/// Prints the results of a function that was called, one a line.
///
/// # Errors
/// When standard output cannot be written.
pub fn print_results(results: &[Value], slice: &Slice) -> Result<()> {
    let lines: String = results.iter().map(|value| format!("{value}\n")).collect();
    if slice.stdout_taken() {
        let _ = io::stderr().write_all(lines.as_bytes());
        return Ok(());
    }
    output::print(&lines)
}

/// Tells it to people and, if asked to, to programs; the exit code.
///
/// # Errors
/// When the report cannot be written.
pub fn conclude(ending: &Ending, slice: &Slice) -> Result<i32> {
    tell(ending, slice);
    let code = exit_code(ending);
    if let Some(path) = &slice.report {
        report::write(path, ending, code)?;
    }
    Ok(code)
}

/// The exit code of the process for that of a guest. The system passes on the low eight bits only;
/// a code beyond them must not become 0, which says that all went well.
fn guest_code(code: u32) -> i32 {
    u8::try_from(code).unwrap_or(u8::MAX).into()
}

fn exit_code(ending: &Ending) -> i32 {
    let code = match &ending.outcome {
        Outcome::Finished(_) => return 0,
        Outcome::Exited(code) => return guest_code(*code),
        Outcome::Trapped(_) => Code::Trap,
        _ if ending.saved.is_some() => Code::Paused,
        Outcome::Interrupted => Code::Interrupted,
        _ => Code::OutOfSteps,
    };
    code.number().into()
}

fn tell(ending: &Ending, slice: &Slice) {
    let why = match &ending.outcome {
        Outcome::Trapped(trap) => return tell_trap(trap, ending.steps_used, slice),
        Outcome::Finished(_) => "finished".into(),
        Outcome::Exited(code) => format!("exited with code {code}"),
        Outcome::Interrupted => "interrupted".into(),
        _ => "out of steps".into(),
    };
    let message = format!("{why} after {} steps", ending.steps_used);
    let is_final = is_final(&ending.outcome);
    let Some(saved) = &ending.saved else {
        match is_final {
            true => slice.talk.detail(&message),
            false => output::complain(&format!("{message}; give -o FILE to keep it")),
        }
        return;
    };
    let bytes = saved.bytes;
    let next = match &saved.target {
        Target::Stdout => format!("saved to standard output ({bytes} bytes)"),
        Target::File(path) if is_final => {
            format!("its final state is in `{}` ({bytes} bytes)", path.display())
        }
        Target::File(path) => {
            format!("saved ({bytes} bytes), go on with `tasklet resume {}`", output::word(path))
        }
    };
    slice.talk.say(&format!("{message}; {next}"));
}

/// NB: what a program had left of its steps when it trapped is lost with its stack.
fn tell_trap(trap: &Trap, steps: u64, slice: &Slice) {
    let mut text = format!("the program trapped after at least {steps} steps: {trap}");
    let lines = trap.backtrace.len();
    let left_out = INNERMOST_LINES..lines.saturating_sub(OUTERMOST_LINES);
    for (depth, frame) in trap.backtrace.iter().enumerate() {
        if !left_out.contains(&depth) {
            text.push_str(&format!("\n  {depth:>4}: {frame}"));
        } else if depth == left_out.start && lines < BACKTRACE_LINES_MAX {
            text.push_str(&format!("\n        ... {} more ...", left_out.len()));
        } else if depth == left_out.start {
            // How many is not known here either.
            text.push_str("\n        ... many more ...");
        }
    }
    output::complain(&text);
    if trap.kind == TrapKind::StackOverflow {
        output::complain("help: `--max-stack` says how deep calls may be nested");
    }
    if let Some(Target::File(path)) = &slice.target
        && path.exists()
    {
        slice.talk.say(&format!("`{}` is left as it was", path.display()));
    }
}
