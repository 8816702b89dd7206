//! Programs run by the command line tool: paused, saved, resumed in a new process each time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, ensure};
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::examples::Example;
use crate::plain::{Ending, Observation, Plain};
use crate::world::World;

/// The exit code of a program that was paused and saved.
pub const PAUSED: i32 = 75;
const TRAPPED: i32 = 134;

/// A program that pauses more often does not end.
const PROCESSES_MAX: u64 = 10_000;

/// The command line tool. It is of another package, so cargo does not tell where it is: this builds
/// it if need be, in the folder in which this test itself was built.
pub fn tasklet() -> &'static Path {
    static TOOL: OnceLock<PathBuf> = OnceLock::new();
    TOOL.get_or_init(|| {
        let folder = crate::target_dir();
        if let Some(cargo) = std::env::var_os("CARGO") {
            let mut build = Command::new(cargo);
            // NB: of one package alone the dependencies have other features, and are built anew.
            build.args(["build", "--quiet", "--workspace", "--bin", "tasklet"]);
            build.current_dir(crate::root());
            if folder.ends_with("release") {
                build.arg("--release");
            }
            assert!(build.status().expect("cargo can be started").success());
        }
        folder.join(format!("tasklet{}", std::env::consts::EXE_SUFFIX))
    })
}

/// What all processes share: one cache, which is no other test's.
pub fn cache() -> &'static Path {
    static CACHE: OnceLock<TempDir> = OnceLock::new();
    CACHE.get_or_init(|| tempfile::tempdir().expect("there is room for files")).path()
}

/// What a process, or all processes of a run together, left behind.
pub struct Finished {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub output: Vec<u8>,
    /// Standard error, the tool's own words included.
    pub errors: String,
    /// What `--report` wrote, the last time.
    pub report: Json,
    /// How many processes it took.
    pub processes: u64,
    /// The files of the program's folder, if all is over.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Finished {
    /// The steps used.
    pub fn steps(&self) -> u64 {
        self.report["steps_used"].as_u64().unwrap_or_else(|| panic!("{}", self.report))
    }

    /// What is left of those granted.
    pub fn balance(&self) -> i64 {
        self.report["balance"].as_i64().unwrap_or_else(|| panic!("{}", self.report))
    }
}

fn run(
    mut command: Command,
    folder: &Path,
    more: impl FnOnce(&mut Command),
) -> anyhow::Result<Finished> {
    let report = folder.join("report.json");
    command.arg("--report").arg(&report);
    more(&mut command);
    let output = command
        .env("XDG_CACHE_HOME", cache())
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .output()?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = output.status.code().with_context(|| format!("killed: {errors}"))?;
    let report = std::fs::read(report).with_context(|| format!("no report ({code}): {errors}"))?;
    let report = serde_json::from_slice(&report)?;
    let (processes, files) = (1, BTreeMap::new());
    Ok(Finished { code, output: output.stdout, errors, report, processes, files })
}

/// An example with a world of its own.
pub struct Session<'a> {
    example: &'a Example,
    world: World,
    folder: TempDir,
}

impl Session<'_> {
    /// A fresh one.
    pub fn new(example: &Example) -> anyhow::Result<Session<'_>> {
        let world = World::new(&example.setup()?)?;
        Ok(Session { example, world, folder: tempfile::tempdir()? })
    }

    fn options(&self, command: &mut Command, steps: Option<u64>) {
        if let Some(steps) = steps {
            command.arg("--steps").arg(steps.to_string()).arg("-o").arg(self.snapshot());
        }
        match self.example.stdin_path() {
            Some(path) => command.arg("--stdin").arg(path),
            None => command.args(["--stdin", "null"]),
        };
        if let Some(folder) = self.world.folder() {
            let name = &self.world.setup().folder;
            command.arg("--dir").arg(format!("{}::{name}", folder.display()));
        }
    }

    /// Where it is saved.
    pub fn snapshot(&self) -> PathBuf {
        self.folder.path().join("tasklet.cbor")
    }

    /// Runs the program from its beginning.
    pub fn begin(&self, steps: Option<u64>) -> anyhow::Result<Finished> {
        let mut command = Command::new(tasklet());
        command.args(["run", "--seed", "20", "--clock", "virtual"]);
        self.options(&mut command, steps);
        for (name, value) in &self.world.setup().env {
            command.arg("-e").arg(format!("{name}={value}"));
        }
        if let Some(name) = &self.example.invoke {
            command.arg("--invoke").arg(name);
        }
        // Whatever follows the module is the program's own.
        let values = self.example.values.iter().filter_map(|text| Some(text.split_once(':')?.1));
        let after = values.chain(self.example.args.iter().map(String::as_str));
        run(command, self.folder.path(), |command| {
            command.arg(self.example.module()).arg("--").args(after);
        })
    }

    /// Goes on where it was saved.
    pub fn resume(&self, steps: Option<u64>) -> anyhow::Result<Finished> {
        let mut command = Command::new(tasklet());
        command.arg("resume").arg(self.snapshot());
        self.options(&mut command, steps);
        run(command, self.folder.path(), |_| {})
    }
}

/// The unmodified module in plain wasmtime, in the world the command line makes.
pub fn plain(example: &Example) -> anyhow::Result<Observation> {
    let mut setup = example.setup()?;
    setup.ticking = false;
    Plain::new(&example.bytes())?.run(&World::new(&setup)?, &example.entry()?)
}

/// Fails if a run in processes differs from plain wasmtime's.
pub fn as_plain(example: &Example, end: &Finished, plain: &Observation) -> anyhow::Result<()> {
    let (code, mut output) = match &plain.ending {
        Ending::Exited(code) => (*code as i32, plain.traces.output.clone()),
        Ending::Trapped(_) => (TRAPPED, plain.traces.output.clone()),
        Ending::Returned(_) => (0, plain.traces.output.clone()),
    };
    if let Ending::Returned(values) = &plain.ending {
        output.extend(values.iter().flat_map(|value| format!("{value}\n").into_bytes()));
    }
    ensure!(end.code == code, "exit code {}, expected {code}: {}", end.code, end.errors);
    // Real times and random numbers are the machine's; the rest is ours.
    if !example.stdout_varies {
        let (found, wanted) = (String::from_utf8_lossy(&end.output), &output);
        ensure!(end.output == output, "{found:?}, not {:?}", String::from_utf8_lossy(wanted));
    }
    if let Some(steps) = plain.steps {
        ensure!(end.steps() == steps, "{} steps, plain wasmtime has {steps}", end.steps());
    }
    Ok(())
}

/// Runs an example in slices of so many steps, each in its own process; how many there were.
pub fn in_slices(example: &Example, steps: u64, plain: &Observation) -> anyhow::Result<u64> {
    let end = in_processes(&Session::new(example)?, std::iter::repeat(steps))?;
    as_plain(example, &end, plain).with_context(|| format!("in {} processes", end.processes))?;
    Ok(end.processes)
}

/// Runs an example in slices of these steps, each in its own process; the last one without end if
/// there are no more.
pub fn in_processes(
    session: &Session<'_>,
    budgets: impl IntoIterator<Item = u64>,
) -> anyhow::Result<Finished> {
    let mut budgets = budgets.into_iter();
    session.world.remove_what_was_made()?;
    let mut granted = budgets.next();
    let mut end = session.begin(granted)?;
    let (mut output, mut errors) = (std::mem::take(&mut end.output), end.errors.clone());
    let mut processes = 1;
    while end.code == PAUSED {
        let all = granted.context("it paused, but was not told to")?;
        ensure!(end.steps() as i64 + end.balance() == all as i64, "{}", end.report);
        let next = budgets.next();
        end = session.resume(next).with_context(|| format!("process {processes}"))?;
        granted = next.map(|next| all + next);
        output.append(&mut end.output);
        errors += &end.errors;
        processes += 1;
        ensure!(processes < PROCESSES_MAX, "it does not end");
    }
    let files = session.world.traces()?.files;
    Ok(Finished { output, errors, processes, files, ..end })
}
