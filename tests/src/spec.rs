//! The spec suite as an oracle.
//!
//! **The property.** Every assertion of the suite that holds for the original modules in plain
//! wasmtime holds for the instrumented ones: never pausing, pausing wherever a budget of 1 or of 7
//! ends, and with a snapshot and a restore into a fresh store at every stop. And every call of an
//! export that returns takes as many steps as plain wasmtime takes fuel.
//!
//! The short form takes only some stops of long calls through a snapshot; the full form, all.
//!
//! What is left out is counted, each with its reason: nothing is skipped silently. The counts are
//! the matrix of proposals in `docs/proposals.md`.
//!
//! - [`script`] finds the files and parses them.
//! - [`plain`] is the outside opinion, [`tasklets`] the subject, whose instances are [`living`];
//!   [`links`] is what they can import.
//! - [`values`] compares both with what the assertions say.
//! - [`report`] counts.

pub mod links;
pub mod living;
pub mod plain;
pub mod report;
pub mod script;
pub mod tasklets;
pub mod values;

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use tasklet_engine::Engine;

use living::{Driver, Totals};
use plain::Plain;
use report::Counts;
use script::{Script, Source};
use tasklets::{Modules, Tasklets};

/// The reason of an assertion that plain wasmtime does not hold either.
pub const NOT_HELD: &str = "not held by plain wasmtime";

/// The reason of `assert_exhaustion` where calls are paused.
/// They end by a limit of our own, at the same step however they are paused, but only with millions
/// of frames, too many to stop over and again. `engine/tests/depth.rs` pauses and moves such calls
/// with a lower limit.
pub const EXHAUSTION: &str =
    "calls without end, paused: millions of frames at each of millions of stops";

/// The engine of the tasklets. It never ends a slice before the budget ends.
pub fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let mut options = crate::options();
        options.slice_steps = u64::MAX;
        Engine::new(&options).expect("the options are good on every machine")
    })
}

/// How the tasklets of a script are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Without a pause.
    Never,
    /// A budget of 1 step: a pause at every resume point.
    One,
    /// A budget of 7 steps.
    Seven,
    /// A budget of 1, and at the stops a snapshot and a restore into a fresh store.
    Moved,
}

impl Mode {
    /// All of them.
    pub const ALL: [Mode; 4] = [Mode::Never, Mode::One, Mode::Seven, Mode::Moved];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Never => "never pausing",
            Mode::One => "budget 1",
            Mode::Seven => "budget 7",
            Mode::Moved => "dump and restore",
        }
    }

    /// The steps of a slice.
    pub fn budget(self) -> u64 {
        match self {
            Mode::Never => u64::MAX,
            Mode::One | Mode::Moved => 1,
            Mode::Seven => 7,
        }
    }
}

/// How an assertion fared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As in plain wasmtime.
    Held,
    /// Left out, and why.
    Skipped(String),
    /// Otherwise, and how.
    Failed(String),
}

/// How thorough a run is.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// In [`Mode::Moved`], so many stops of each call go through a snapshot ...
    pub dense: u64,
    /// ... and after them one in so many.
    pub stride: u64,
    /// So many slices of a call have the budget of the mode, those behind a thousand steps.
    pub slices: u64,
}

impl Effort {
    /// The short form, part of the usual tests.
    pub const SHORT: Effort = Effort { dense: 20, stride: 1009, slices: 100_000 };
    /// The full form: every stop.
    pub const FULL: Effort = Effort { dense: u64::MAX, stride: 1, slices: u64::MAX };
}

/// Runs a file in all modes.
pub fn run(source: &Source, effort: Effort) -> Counts {
    let mut counts = Counts::default();
    let parsed = script::lex(&source.text);
    let parsed = parsed.as_ref().map_err(|error| format!("{error:#}")).and_then(|buffer| {
        Script::parse(buffer, &source.text).map_err(|error| format!("{error:#}"))
    });
    match parsed {
        Ok(script) => run_script(source, &script, effort, &mut counts),
        Err(error) => counts.unreadable(source, &error),
    }
    counts
}

/// How the directives of a script fare in one mode, `forge` having changed what is expected: for
/// tests of the oracle itself.
pub fn verdicts(
    text: &str,
    mode: Mode,
    forge: impl Fn(usize, &mut plain::Verdict),
) -> anyhow::Result<Vec<Verdict>> {
    let buffer = script::lex(text)?;
    let script = Script::parse(&buffer, text)?;
    let mut expected = expected(&script);
    (0..).zip(&mut expected).for_each(|(at, verdict)| forge(at, verdict));
    let modules = Modules::new(&script);
    let totals = Arc::new(Totals::default());
    let Effort { dense, stride, slices } = Effort::FULL;
    let driver = Driver { mode, dense, stride, slices, totals };
    let mut tasklets = Tasklets::new(&script, &modules, driver);
    Ok((0..).zip(&expected).map(|(at, expected)| tasklets.step(at, expected)).collect())
}

/// How the directives of a script fare in all modes, which may not differ.
///
/// # Panics
/// When it cannot be read, or fares otherwise in one mode than in another.
pub fn in_all_modes(text: &str) -> Vec<Verdict> {
    let one = |mode| verdicts(text, mode, |_, _| {}).expect("the script can be read");
    let first = one(Mode::Never);
    Mode::ALL.into_iter().for_each(|mode| assert_eq!(one(mode), first, "{}", mode.name()));
    first
}

/// How the directives fare in plain wasmtime.
fn expected(script: &Script<'_>) -> Vec<plain::Verdict> {
    // Twice, so that counting cannot change what holds.
    let (mut plain, mut counting) = (Plain::new(false), Plain::new(true));
    let step = |at| {
        let mut verdict = plain.step(script, at);
        let counted = counting.step(script, at);
        verdict.fuel = counted.fuel.filter(|_| counted.held.is_ok());
        verdict
    };
    (0..script.directives.len()).map(step).collect()
}

fn run_script(source: &Source, script: &Script<'_>, effort: Effort, counts: &mut Counts) {
    let expected = expected(script);
    let modules = Modules::new(script);
    for mode in Mode::ALL {
        let totals = Arc::new(Totals::default());
        let Effort { dense, stride, slices } = effort;
        let driver = Driver { mode, dense, stride, slices, totals: totals.clone() };
        let mut tasklets = Tasklets::new(script, &modules, driver);
        for (at, expected) in expected.iter().enumerate() {
            let directive = &script.directives[at];
            // What only loads a module is the same in all modes.
            if mode != Mode::Never && script::is_static(directive) {
                continue;
            }
            let verdict = tasklets.step(at, expected);
            if let Some(kind) = script::kind(directive) {
                let fuel = expected.fuel.is_some() && verdict == Verdict::Held;
                counts.add(source, script.line(at), mode, kind, verdict, fuel);
            }
        }
        counts.stopped(mode, totals.stops.load(Ordering::Relaxed));
        counts.moved(totals.moves.load(Ordering::Relaxed));
    }
}
