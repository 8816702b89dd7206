//! `overhead`: what it costs a program to be pausable, counted and movable.
//!
//! Every program runs under plain wasmtime, with wasmtime's own fuel, with epoch interruption, and
//! as a tasklet, one after the other and round after round in one process, so that a noisy
//! neighbour hits all alike. What is compared is CPU time of the run alone, as the median over the
//! rounds; compiling is measured apart.

mod cpu;
mod kernels;
mod plain;
mod tasklet;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Parser;

use plain::Plain;
use tasklet::Ours;

/// Measures plain wasmtime, its fuel, its epochs and tasklet on the same programs.
#[derive(Debug, Parser)]
struct Options {
    /// Rounds; the median of each is printed.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Only programs whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Short inputs: for a smoke test, not for figures.
    #[arg(long)]
    short: bool,
    /// The folder with the example programs.
    #[arg(long, default_value = "guest-examples")]
    examples: PathBuf,
}

/// A program to run.
#[derive(Debug)]
pub struct Program {
    name: String,
    wasm: Vec<u8>,
    args: Vec<String>,
    dir: Option<PathBuf>,
    stdin: Vec<u8>,
}

/// What is measured of one way to run one program.
#[derive(Debug, Default)]
struct Column {
    seconds: Vec<f64>,
    compile_seconds: f64,
    code_bytes: usize,
}

const WAYS: [&str; 4] = ["plain", "fuel", "epoch", "tasklet"];

fn main() -> Result<()> {
    let options = Options::parse();
    let mut programs = kernels::programs(options.short)?;
    programs.extend(examples(&options)?);
    if let Some(only) = &options.only {
        programs.retain(|program| program.name.contains(only.as_str()));
    }
    ensure!(!programs.is_empty(), "no program has that in its name");
    println!(
        "{:14} {:>9}  {:>6} {:>6} {:>8}  {:>9} {:>9}  {:>8}",
        "program", "plain ms", "fuel", "epoch", "tasklet", "code size", "compile", "M steps"
    );
    let mut rows = Vec::new();
    for program in &programs {
        rows.push(measure(program, options.rounds)?);
    }
    let mean = |at: usize| {
        let sum: f64 = rows.iter().map(|row: &[f64; 5]| row[at].ln()).sum();
        (sum / rows.len() as f64).exp()
    };
    let worst = |at: usize| rows.iter().map(|row| row[at]).fold(0.0, f64::max);
    for (name, of) in [("geomean", &mean as &dyn Fn(usize) -> f64), ("worst", &worst)] {
        println!(
            "{name:14} {:>9}  {:6.3} {:6.3} {:8.3}  {:9.2} {:9.2}",
            "",
            of(0),
            of(1),
            of(2),
            of(3),
            of(4)
        );
    }
    for program in programs.iter().filter(|program| ["matrix", "lua"].contains(&&*program.name)) {
        let seconds = Ours::compile(program)?.pause_seconds(program, 1_000_000)?;
        println!("pause + resume in {}: {:.0} ns", program.name, seconds * 1e9);
    }
    Ok(())
}

fn examples(options: &Options) -> Result<Vec<Program>> {
    let scale = |short: &str, long: &str| if options.short { short } else { long }.to_owned();
    let list = [
        ("sieve", scale("20000", "9000000")),
        ("stream", scale("1000", "20000 300")),
        ("quicksort", scale("1000", "400000")),
        ("nqueens", scale("5", "11")),
        ("simd", scale("100", "5000000")),
        ("json", scale("2", "400")),
    ];
    let mut programs = Vec::new();
    for (name, arg) in list {
        let path = options.examples.join(format!("{name}.wasm"));
        let wasm = std::fs::read(&path)
            .with_context(|| format!("cannot read {}; run from the project", path.display()))?;
        let mut args = vec![name.to_owned()];
        args.extend(arg.split(' ').map(str::to_owned));
        programs.push(Program { name: name.into(), wasm, args, dir: None, stdin: Vec::new() });
    }
    let lua = options.examples.join("lua");
    let percent = scale("4", "100");
    programs.push(Program {
        name: "lua".into(),
        wasm: std::fs::read(lua.join("lua.wasm"))?,
        args: vec!["lua".into(), "bench.lua".into(), percent],
        dir: Some(lua),
        stdin: Vec::new(),
    });
    Ok(programs)
}

/// Runs one program all ways; prints and returns its ratios: fuel, epoch and tasklet against
/// plain in time, tasklet against plain in code size and compile time.
fn measure(program: &Program, rounds: usize) -> Result<[f64; 5]> {
    let plains = [
        Plain::compile(program, plain::Interruption::None)?,
        Plain::compile(program, plain::Interruption::Fuel)?,
        Plain::compile(program, plain::Interruption::Epoch)?,
    ];
    let ours = Ours::compile(program)?;
    let mut columns: [Column; 4] = Default::default();
    for (column, plain) in columns.iter_mut().zip(&plains) {
        column.compile_seconds = plain.compile_seconds;
        column.code_bytes = plain.code_bytes;
    }
    columns[3].compile_seconds = ours.compile_seconds;
    columns[3].code_bytes = ours.code_bytes;
    let mut steps = None;
    for _ in 0..rounds.max(1) {
        let mut output = None;
        for (way, column) in columns.iter_mut().enumerate() {
            let run = match plains.get(way) {
                Some(plain) => plain.run(program)?,
                None => ours.run(program)?,
            };
            column.seconds.push(run.seconds);
            // A benchmark of wrong results would be worth nothing.
            let same = output.get_or_insert_with(|| run.output.clone()) == &run.output;
            ensure!(same, "{}: {} printed something else", program.name, WAYS[way]);
            if let Some(counted) = run.steps {
                let same = *steps.get_or_insert(counted) == counted;
                ensure!(same, "{}: {} counted other steps", program.name, WAYS[way]);
            }
        }
    }
    let plain = median(&mut columns[0].seconds);
    let ratio = |column: &mut Column| median(&mut column.seconds) / plain;
    let [plain_column, fuel, epoch, ours] = &mut columns;
    let code = ours.code_bytes as f64 / plain_column.code_bytes as f64;
    let compile = ours.compile_seconds / plain_column.compile_seconds;
    let row = [ratio(fuel), ratio(epoch), ratio(ours), code, compile];
    println!(
        "{:14} {:9.1}  {:6.3} {:6.3} {:8.3}  {:9.2} {:9.2}  {:8.1}",
        program.name,
        plain * 1e3,
        row[0],
        row[1],
        row[2],
        row[3],
        row[4],
        steps.unwrap_or(0) as f64 / 1e6
    );
    Ok(row)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
