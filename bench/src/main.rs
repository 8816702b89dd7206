//! `overhead`: what it costs a program to be pausable, counted and movable.
//!
//! Every program runs under plain wasmtime, with wasmtime's own fuel, with epoch interruption,
//! rewritten by Binaryen's Asyncify, and as a tasklet, one after the other and round after round in
//! one process, so that a noisy neighbour hits all alike. What is compared is CPU time of the run
//! alone, as the median over the rounds; compiling is measured apart.

mod asyncify;
mod cpu;
mod measure;
mod pauses;
mod plain;
mod polls;
mod programs;
mod table;
mod tasklet;
mod wasi;
mod yielding;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Parser;

use asyncify::Asyncify;
use programs::Folders;

/// Measures plain wasmtime, its fuel, its epochs, Asyncify and tasklet on the same programs.
///
/// All figures are ratios to plain wasmtime: CPU time of a run under fuel, epoch, asyncify and
/// tasklet; and of tasklet the size of the native code, the CPU time of instrumenting and
/// compiling, and the size of the instrumented module.
#[derive(Debug, Parser)]
struct Options {
    /// Rounds; the median of each is printed.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only programs whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Short inputs: for a smoke test, not for figures.
    #[arg(long)]
    short: bool,
    /// Print the table as Markdown, too.
    #[arg(long)]
    markdown: bool,
    /// Write everything that was measured to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Passes of `wasm-opt` that make the rival asyncify, in their order.
    #[arg(long, default_value = asyncify::PASSES, allow_hyphen_values = true)]
    asyncify: String,
    /// The project's folder.
    #[arg(long, default_value = ".")]
    project: PathBuf,
}

/// Nobody may change the environment of a running process.
fn again_without_backtraces() -> Result<()> {
    let status = std::process::Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env("RUST_BACKTRACE", "0")
        .status()?;
    std::process::exit(status.code().unwrap_or(1))
}

fn main() -> Result<()> {
    let options = Options::parse();
    // With it wasmtime takes backtraces that cost time, and not of all ways the same.
    if std::env::var_os("RUST_BACKTRACE").is_none_or(|value| value != "0") {
        return again_without_backtraces();
    }
    let folders = Folders::new(&options.project);
    let loaded = programs::load(&folders, options.only.as_deref(), options.short)?;
    let (asyncify, without) = match Asyncify::find(&folders, &options.asyncify) {
        Ok(asyncify) => (Some(asyncify), None),
        Err(why) => (None, Some(why)),
    };
    let missing: Vec<&String> = loaded.missing.iter().chain(&without).collect();
    ensure!(
        !loaded.programs.is_empty() || !loaded.missing.is_empty(),
        "no program has that in its name"
    );
    println!("{}", table::head());
    let mut rows = Vec::new();
    for program in &loaded.programs {
        let row = measure::measure(program, options.rounds, asyncify.as_ref())?;
        println!("{}", table::line(&row));
        rows.push(row);
    }
    print!("{}", table::foot(&rows));
    let mut figures = pauses::by_depth(options.short)?;
    if let Some(lua) = loaded.programs.iter().find(|program| program.name == "lua") {
        figures.push(pauses::along(lua)?);
    }
    if let Some(asyncify) = &asyncify {
        figures.extend(pauses::by_depth_asyncified(asyncify, options.short)?);
    }
    for (of, seconds) in &figures {
        println!("pause + resume in {of}: {:.0} ns", seconds * 1e9);
    }
    if options.markdown {
        print!("\n{}", table::markdown(&rows));
    }
    if let Some(path) = &options.json {
        let text = serde_json::to_vec_pretty(&table::json(&rows, &figures))?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if asyncify.is_some() {
        for row in rows.iter().filter(|row| asyncify::TOO_LARGE.contains(&&*row.name)) {
            println!("not measured: asyncify of {}, which is too large for wasm-opt", row.name);
        }
    }
    for line in missing {
        println!("not measured: {line}");
    }
    Ok(())
}
