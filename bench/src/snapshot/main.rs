//! `snapshot`: what it costs to write a program down, and to go on with it.
//!
//! A program touches so many bytes of its memory and pauses in a loop. It is then dumped (to
//! nowhere, to a file, and to a file that is synced as the command line does it) and loaded, beside
//! `memcpy` of the same bytes; and it is dumped over a base after it has written to some pages. All
//! is wall-clock time, the median of the rounds; the module is compiled before, as it is where the
//! compile cache is warm. `--forks` has the program forked instead, beside dumping and loading it in
//! memory, copying as many bytes, and `fork(2)`.

mod forks;
mod measure;
mod program;
mod table;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Parser;

/// Measures dumping and loading by the size of the memory that was touched.
#[derive(Debug, Parser)]
struct Options {
    /// Rounds; the median of each is printed.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Small sizes only: for a smoke test, not for figures.
    #[arg(long)]
    short: bool,
    /// Forks instead of files.
    #[arg(long)]
    forks: bool,
    /// Print the tables as Markdown, too.
    #[arg(long)]
    markdown: bool,
    /// Write everything that was measured to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where the snapshots are written; by default a temporary folder in the system's.
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// Bytes that the program touches: those of the published figures of rivals, and a large one.
const SIZES: [(&str, u64); 4] =
    [("132 KB", 132 << 10), ("1.8 MB", 1800 << 10), ("71 MB", 71 << 20), ("512 MB", 512 << 20)];
/// Pages that are written to between two snapshots, in the largest of the sizes.
const CHANGED: [u64; 3] = [10, 1_000, 10_000];

fn main() -> Result<()> {
    let options = Options::parse();
    if options.forks {
        return forks(&options);
    }
    let folder = match &options.folder {
        Some(folder) => tempfile::tempdir_in(folder),
        None => tempfile::tempdir(),
    };
    let folder = folder.context("cannot make a folder for snapshots")?;
    let sizes = if options.short { &SIZES[..2] } else { &SIZES[..] };
    let changed = if options.short { &CHANGED[..1] } else { &CHANGED[..] };
    println!("{}", table::head());
    let mut rows = Vec::new();
    for (name, bytes) in sizes {
        let row = measure::row(name, *bytes, options.rounds, folder.path())?;
        println!("{}", table::line(&row));
        rows.push(row);
    }
    println!("\n{}", table::changed_head());
    let (name, bytes) = sizes[sizes.len() - 1];
    let over = measure::over_a_base(bytes, changed, options.rounds, folder.path())?;
    for row in &over {
        println!("{}", table::changed_line(name, row));
    }
    if options.markdown {
        print!("\n{}", table::markdown(&rows, name, &over));
    }
    if let Some(path) = &options.json {
        let text = serde_json::to_vec_pretty(&table::json(&rows, &over))?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    println!("not measured: CRIU, {}", criu());
    Ok(())
}

/// The table of forks.
fn forks(options: &Options) -> Result<()> {
    let sizes = if options.short { &SIZES[..2] } else { &SIZES[..] };
    println!("{}", forks::head());
    let mut rows = Vec::new();
    for (name, bytes) in sizes {
        let row = forks::row(name, *bytes, options.rounds)?;
        println!("{}", forks::line(&row));
        rows.push(row);
    }
    if options.markdown {
        print!("\n{}", forks::markdown(&rows));
    }
    if let Some(path) = &options.json {
        let text = serde_json::to_vec_pretty(&forks::json(&rows))?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Why the rival that writes down whole processes is not in the table.
fn criu() -> String {
    let output = match Command::new("criu").arg("check").output() {
        Ok(output) => output,
        Err(error) => return format!("which cannot be started: {error}"),
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // That a helper of its has exited says nothing.
    let mut errors = said.lines().filter(|line| line.contains("Error") && !line.contains("exited"));
    let reason = errors.next().unwrap_or("it does not say why");
    match output.status.success() {
        true => "which works here, but wants a process of its own: `criu dump` one by hand".into(),
        false => format!("which does not work on this machine: {reason}"),
    }
}
