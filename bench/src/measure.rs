//! Measuring one program.

use anyhow::{Context, Result, ensure};

use crate::asyncify::{Asyncify, TOO_LARGE};
use crate::cpu;
use crate::plain::{Interruption, Plain};
use crate::programs::Program;
use crate::tasklet::Ours;

/// What compiling took and gave.
#[derive(Debug, Clone, Copy, Default)]
pub struct Compiled {
    /// CPU seconds.
    pub seconds: f64,
    /// Size of the native code.
    pub code_bytes: usize,
    /// Size of the module that was compiled.
    pub wasm_bytes: usize,
}

/// One run.
#[derive(Debug)]
pub struct Run {
    /// CPU seconds.
    pub seconds: f64,
    /// Steps, where they are counted.
    pub steps: Option<u64>,
    /// Standard output.
    pub output: Vec<u8>,
}

/// The ways a program is run.
pub const WAYS: [&str; 5] = ["plain", "fuel", "epoch", "asyncify", "tasklet"];

/// What is measured of one way to run one program.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Median CPU seconds of a run.
    pub seconds: f64,
    /// What compiling took.
    pub compiled: Compiled,
}

/// What is measured of one program.
#[derive(Debug)]
pub struct Row {
    /// The program's name.
    pub name: String,
    /// Whether it is one of the big ones.
    pub big: bool,
    /// By way; none where the rival is not there.
    pub columns: [Option<Column>; 5],
    /// Steps of the run.
    pub steps: u64,
}

enum Runner {
    Plain(Plain),
    Ours(Ours),
}

impl Runner {
    fn run(&self, program: &Program) -> Result<Run> {
        match self {
            Runner::Plain(plain) => plain.run(program),
            Runner::Ours(ours) => ours.run(program),
        }
    }
}

fn runners(
    program: &Program,
    asyncify: Option<&Asyncify>,
) -> Result<[Option<(Runner, Compiled)>; 5]> {
    let plain = |interruption| {
        let (plain, compiled) = Plain::compile(program, interruption)?;
        anyhow::Ok(Some((Runner::Plain(plain), compiled)))
    };
    let asyncify = asyncify.filter(|_| !TOO_LARGE.contains(&&*program.name));
    let asyncified = match asyncify {
        Some(asyncify) => {
            let name = &program.name;
            let module = asyncify.transform(name, &program.wasm).context(name.clone())?;
            let (plain, compiled) = Plain::asyncified(&module)?;
            Some((Runner::Plain(plain), compiled))
        }
        None => None,
    };
    let (ours, compiled) = Ours::measured(&program.wasm)?;
    Ok([
        plain(Interruption::None)?,
        plain(Interruption::Fuel)?,
        plain(Interruption::Epoch)?,
        asyncified,
        Some((Runner::Ours(ours), compiled)),
    ])
}

/// Runs one program all ways, `rounds` times, and compares what the ways print and count.
pub fn measure(program: &Program, rounds: usize, asyncify: Option<&Asyncify>) -> Result<Row> {
    let runners = runners(program, asyncify)?;
    let mut seconds: [Vec<f64>; 5] = Default::default();
    let (mut output, mut steps) = (None, None);
    for round in 0..rounds.max(1) {
        for turn in 0..WAYS.len() {
            // Each round begins with another way: none is always behind the same one.
            let way = (round + turn) % WAYS.len();
            let Some((runner, _)) = &runners[way] else { continue };
            let run = runner.run(program)?;
            seconds[way].push(run.seconds);
            // A benchmark of wrong results would be worth nothing.
            let same = output.get_or_insert_with(|| run.output.clone()) == &run.output;
            ensure!(same, "{}: {} printed something else", program.name, WAYS[way]);
            if let Some(counted) = run.steps {
                let same = *steps.get_or_insert(counted) == counted;
                ensure!(same, "{}: {} counted other steps", program.name, WAYS[way]);
            }
        }
    }
    ensure!(output.is_some_and(|output| !output.is_empty()), "{} printed nothing", program.name);
    let mut columns = [None; 5];
    for ((column, runner), seconds) in columns.iter_mut().zip(&runners).zip(&seconds) {
        *column = runner
            .as_ref()
            .map(|&(_, compiled)| Column { seconds: cpu::median(seconds), compiled });
    }
    let steps = steps.unwrap_or_default();
    Ok(Row { name: program.name.clone(), big: program.big, columns, steps })
}
