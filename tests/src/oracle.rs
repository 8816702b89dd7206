//! The property that holds for every program, and the check of it.
//!
//! > A run that is never paused == a run that is paused at resume point *k*, written down, read
//! > back into a fresh store and continued, for every *k* and every choice of several: the same
//! > output bytes, files, calls of imports, results or trap, memories, globals, tables and steps.
//! > And == the *original* module in plain wasmtime, whose fuel is the number of steps to the
//! > unit, if it returns or exits.
//!
//! A recursion too deep for plain wasmtime's native stack is left out of the last part: here it goes
//! on, and if it comes to the tasklet's own limit, then at the same step in all runs.
//!
//! Besides, at every stop: what was granted == steps used + balance; a snapshot that is loaded and
//! written again gives the same bytes; and the state at a stop follows from the steps granted
//! alone, however they were cut into slices.

mod subject;

use anyhow::{Context, bail, ensure};
use tasklet_engine::TrapKind;
use tasklet_engine::snapshot::{Limits, Snapshot};

pub use subject::{Budgets, Plan, Run, Subject};

use crate::plain::{Ending, Observation};
use crate::random::Random;

/// Fails if two runs differ in anything, and says in what.
pub fn same(what: &str, expected: &Observation, found: &Observation) -> anyhow::Result<()> {
    if expected == found {
        return Ok(());
    }
    let mut differences = Vec::new();
    let mut differ = |name: &str, differs: bool, text: String| {
        if differs {
            differences.push(format!("{name} {text}"));
        }
    };
    let (e, f) = (expected, found);
    differ("endings", e.ending != f.ending, format!("{:?}, {:?}", e.ending, f.ending));
    differ("steps", e.steps != f.steps, format!("{:?}, {:?}", e.steps, f.steps));
    let text = |o: &Observation| String::from_utf8_lossy(&o.traces.output).into_owned();
    differ("outputs", e.traces.output != f.traces.output, format!("{:?}, {:?}", text(e), text(f)));
    differ("errors", e.traces.errors != f.traces.errors, String::new());
    differ("files", e.traces.files != f.traces.files, String::new());
    let calls = (e.traces.calls, f.traces.calls);
    differ("calls", calls.0 != calls.1, format!("{calls:?}"));
    let globals = (&e.state.globals, &f.state.globals);
    differ("globals", globals.0 != globals.1, format!("{globals:?}"));
    differ("tables", e.state.tables != f.state.tables, String::new());
    for (a, b) in e.state.memories.iter().zip(&f.state.memories) {
        let at = a.iter().zip(b).position(|(a, b)| a != b);
        differ("memories", a != b, format!("of {} and {} bytes at {at:?}", a.len(), b.len()));
    }
    bail!("{what} differs: {}", differences.join("; "))
}

/// How much work to put into one program.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Up to so many steps, it moves at every stop; beyond, about `stops` times a run.
    pub every_stop_max: u64,
    /// Up to so many steps, it is run with a budget of 1.
    pub single_steps_max: u64,
    /// See `every_stop_max`.
    pub stops: u64,
    /// Runs with one pause each, at random places.
    pub pauses: u64,
    /// Places at which two runs cut up differently must be the same to the byte.
    pub places: u64,
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs of the engine.
    pub runs: u64,
    /// Pauses of all runs.
    pub stops: u64,
    /// Moves into a fresh store.
    pub moves: u64,
    /// Steps of one run.
    pub steps: u64,
}

/// Checks the property of a program.
pub fn check(subject: &Subject, effort: &Effort, seed: u64) -> anyhow::Result<Tally> {
    check_against(subject, subject.run_plain()?, effort, seed)
}

/// Checks the property against an end that is known already.
pub fn check_against(
    subject: &Subject,
    mut expected: Observation,
    effort: &Effort,
    seed: u64,
) -> anyhow::Result<Tally> {
    // Times and inodes of files are another in each folder, and the guest may have seen them.
    let seen = |observation: &mut Observation| {
        if subject.setup.files.is_some() {
            observation.state.memories.clear();
        }
    };
    seen(&mut expected);
    if expected.ending == Ending::Trapped(TrapKind::StackOverflow) {
        let run = subject.run(Plan::straight())?;
        expected = run.end.context("only endless programs are given up")?;
        seen(&mut expected);
    }
    let mut tally = Tally::default();
    let mut compare = |plan: Plan| -> anyhow::Result<u64> {
        let what = format!("a run with {plan:?}");
        let run = subject.run(plan).with_context(|| what.clone())?;
        tally.runs += 1;
        tally.stops += run.stops;
        tally.moves += run.moves;
        let mut found = run.end.context("only endless programs are given up")?;
        seen(&mut found);
        same(&what, &expected, &found)?;
        Ok(run.stops)
    };
    compare(Plan::straight())?;
    // The steps of a program that traps are not known, but by how often it stops.
    let steps = match expected.steps {
        Some(steps) if steps > effort.single_steps_max => steps,
        Some(steps) => {
            compare(Plan::fixed(1, false))?;
            steps
        }
        None => compare(Plan::fixed(1, false))?,
    };
    compare(Plan::fixed(u64::MAX - 1, true))?;
    let cut = |budget: u64| budget.max(steps / effort.stops.max(1)).max(1);
    for budget in [1, 7, 1000] {
        let every = steps <= effort.every_stop_max.saturating_mul(budget);
        compare(Plan::fixed(if every { budget } else { cut(budget) }, true))?;
    }
    let mut random = Random::new(seed);
    let budgets = Budgets::Random(random.clone(), 2 * cut(20));
    compare(Plan { budgets, moves: true, stops_max: u64::MAX })?;
    for _ in 0..effort.pauses.min(steps) {
        compare(Plan::pause_at(random.below(steps + 1)))?;
    }
    if subject.setup.files.is_none() {
        for _ in 0..effort.places.min(steps) {
            same_at(subject, random.below(steps + 1), &mut random)?;
        }
    }
    tally.steps = steps;
    Ok(tally)
}

/// The snapshot at a stop follows from the steps granted, not from the slices.
fn same_at(subject: &Subject, k: u64, random: &mut Random) -> anyhow::Result<()> {
    // Before its first slice a tasklet is not yet out of budget.
    let mut slices = vec![0];
    let mut left = k;
    while left > 0 {
        let slice = 1 + random.below(left.min(1 + k / 8));
        slices.push(slice);
        left -= slice;
    }
    let at_once = subject.stop_at(vec![k])?;
    let again = subject.stop_at(vec![k])?;
    ensure!(at_once == again, "two runs to {k} give different snapshots");
    let sliced = subject.stop_at(slices.clone())?;
    if at_once != sliced {
        let read = |bytes: &Option<Vec<u8>>| -> anyhow::Result<_> {
            let Some(bytes) = bytes else { return Ok(None) };
            let (snapshot, _) = Snapshot::read_from(&mut &bytes[..], &Limits::DEFAULT)?;
            let Snapshot { steps_used, balance, status, frames, .. } = snapshot;
            Ok(Some((steps_used, balance, status, frames)))
        };
        let (once, sliced) = (read(&at_once)?, read(&sliced)?);
        bail!("the snapshot at {k} is {once:?}, and {sliced:?} if slices are {slices:?}");
    }
    Ok(())
}
