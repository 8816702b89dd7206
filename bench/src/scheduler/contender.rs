//! Who is measured, and how: a program that prints what it measured of itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Which figures there are, in the order of the table.
pub const NAMES: [&str; 5] = ["turn", "message", "begin", "spawn", "memory"];

/// All that was measured of one contender, in nanoseconds and bytes.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// By [`NAMES`].
    pub measured: [Vec<f64>; NAMES.len()],
}

/// A program, with what it is told first.
pub struct Contender {
    pub name: &'static str,
    program: PathBuf,
    args: &'static [&'static str],
    /// How many figures of time it prints: of rivals, spawns are not measured apart.
    times: usize,
    /// How many turns, messages and spawns take some tenths of a second.
    counts: [u32; 3],
}

/// Ours first.
pub fn all() -> Result<Vec<Contender>> {
    let us = std::env::current_exe().context("cannot find this program")?;
    let rivals = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/rivals/bin");
    let ours = |name, args| Contender {
        name,
        program: us.clone(),
        args,
        times: 4,
        counts: [1_000_000, 500_000, 50_000],
    };
    let rival = |name, program, counts| Contender {
        name,
        program: rivals.join(program),
        args: &[],
        times: 3,
        counts,
    };
    Ok(vec![
        ours("tasklet, apart", &["ours", "apart"]),
        ours("tasklet, dense", &["ours", "dense"]),
        rival("wasmtime fibers", "fibers", [2_000_000, 1_000_000, 50_000]),
        rival("greenlet (Python)", "greenlet", [2_000_000, 2_000_000, 500_000]),
        rival("goroutines (Go)", "goroutines", [5_000_000, 2_000_000, 1_000_000]),
        rival("processes (Erlang)", "erlang", [5_000_000, 5_000_000, 500_000]),
        rival("tokio tasks (Rust)", "tokio", [5_000_000, 5_000_000, 2_000_000]),
    ])
}

impl Contender {
    /// Whether it can be run.
    pub fn is_there(&self) -> bool {
        self.program.exists()
    }

    /// Measures what a turn, a message and a tasklet take, with so many times less of each.
    pub fn measure_times(&self, scale: u32, figures: &mut Figures) -> Result<()> {
        let counts = self.counts.map(|count| (count / scale).max(2).to_string());
        let [turns, messages, spawns] = &counts;
        self.run(&["times", turns, messages, spawns], figures, self.times)
    }

    /// Measures the memory of so many that live at once.
    pub fn measure_memory(&self, count: u32, figures: &mut Figures) -> Result<()> {
        self.run(&["memory", &count.max(1).to_string()], figures, 1)
    }

    fn run(&self, args: &[&str], figures: &mut Figures, expected: usize) -> Result<()> {
        if !self.is_there() {
            return Ok(());
        }
        let output = Command::new(&self.program).args(self.args).args(args).output();
        let output = output.with_context(|| format!("cannot run {}", self.program.display()))?;
        let (text, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "{} failed: {errors}", self.name);
        let mut found = 0;
        for line in text.lines() {
            let (name, value) = line.split_once(' ').unwrap_or((line, ""));
            let at = NAMES.iter().position(|known| *known == name);
            let at = at.with_context(|| format!("{} printed `{line}`", self.name))?;
            figures.measured[at].push(value.trim().parse().context("no number")?);
            found += 1;
        }
        ensure!(found == expected, "{} printed {found} figures: {text}", self.name);
        Ok(())
    }
}
