//! Whole programs through the command line: paused, saved, resumed in a new process each time.
//!
//! The output byte for byte, the exit code and the total of steps are those of the uninterrupted
//! run and of the unmodified module in plain wasmtime.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, ensure};
use serde_json::Value as Json;
use tasklet_engine::Entry;
use tasklet_tests::examples::{self, Example};
use tasklet_tests::parallel::for_all;
use tasklet_tests::plain::{Ending, Observation, Plain};
use tasklet_tests::world::World;
use tempfile::TempDir;

const PAUSED: i32 = 75;
const TRAPPED: i32 = 134;

/// The command line tool. It is of another package, so cargo does not tell where it is: this builds
/// it if need be, in the folder in which this test itself was built.
fn tasklet() -> &'static Path {
    static TOOL: OnceLock<PathBuf> = OnceLock::new();
    TOOL.get_or_init(|| {
        let folder = tasklet_tests::target_dir();
        if let Some(cargo) = std::env::var_os("CARGO") {
            let mut build = Command::new(cargo);
            build.args(["build", "-p", "tasklet-cli"]).current_dir(tasklet_tests::root());
            if folder.ends_with("release") {
                build.arg("--release");
            }
            assert!(build.status().expect("cargo can be started").success());
        }
        folder.join(format!("tasklet{}", std::env::consts::EXE_SUFFIX))
    })
}

/// What all processes share: one cache, which is no other test's.
fn cache() -> &'static Path {
    static CACHE: OnceLock<TempDir> = OnceLock::new();
    CACHE.get_or_init(|| tempfile::tempdir().expect("there is room for files")).path()
}

struct Finished {
    code: i32,
    output: Vec<u8>,
    errors: String,
    report: Json,
}

impl Finished {
    fn steps(&self) -> u64 {
        self.report["steps_used"].as_u64().unwrap_or_else(|| panic!("{}", self.report))
    }

    fn balance(&self) -> i64 {
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
    Ok(Finished { code, output: output.stdout, errors, report })
}

/// An example with a world of its own.
struct Session<'a> {
    example: &'a Example,
    world: World,
    folder: TempDir,
}

impl Session<'_> {
    fn new(example: &Example) -> anyhow::Result<Session<'_>> {
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
            command.arg("--dir").arg(format!("{}::.", folder.display()));
        }
    }

    fn snapshot(&self) -> PathBuf {
        self.folder.path().join("tasklet.cbor")
    }

    fn begin(&self, steps: Option<u64>) -> anyhow::Result<Finished> {
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

    fn resume(&self, steps: u64) -> anyhow::Result<Finished> {
        let mut command = Command::new(tasklet());
        command.arg("resume").arg(self.snapshot());
        self.options(&mut command, Some(steps));
        run(command, self.folder.path(), |_| {})
    }
}

/// The unmodified module in plain wasmtime, in the world the command line makes.
fn plain(example: &Example) -> anyhow::Result<Observation> {
    let mut setup = example.setup()?;
    setup.ticking = false;
    Plain::new(&example.bytes())?.run(&World::new(&setup)?, &example.entry()?)
}

fn as_plain(example: &Example, end: &Finished, plain: &Observation) -> anyhow::Result<()> {
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
fn in_slices(example: &Example, steps: u64, plain: &Observation) -> anyhow::Result<u64> {
    let session = Session::new(example)?;
    let mut end = session.begin(Some(steps))?;
    let mut output = std::mem::take(&mut end.output);
    let mut processes = 1;
    while end.code == PAUSED {
        let granted = processes as i64 * steps as i64;
        ensure!(end.steps() as i64 + end.balance() == granted, "{}", end.report);
        end = session.resume(steps).with_context(|| format!("process {processes}"))?;
        output.append(&mut end.output);
        processes += 1;
        ensure!(processes < 1_000, "it does not end");
    }
    end.output = output;
    as_plain(example, &end, plain).with_context(|| format!("in {processes} processes"))?;
    Ok(processes)
}

/// The main thing: a real interpreter, which nobody here wrote, runs a script with tables, strings,
/// closures, files and input, paused every million steps.
#[test]
fn lua_goes_on_in_a_new_process_every_million_steps() {
    let example = examples::named("lua-demo");
    let plain = plain(&example).unwrap();
    let whole = Session::new(&example).unwrap().begin(None).unwrap();
    as_plain(&example, &whole, &plain).unwrap();
    assert_eq!(Some(&whole.output), example.expected().as_ref());
    let processes = in_slices(&example, 1_000_000, &plain).unwrap();
    // A balance may move the end over the edge of a slice.
    assert!(processes.abs_diff(plain.steps.unwrap().div_ceil(1_000_000)) <= 1, "{processes}");
    println!("{} steps in {processes} processes", plain.steps.unwrap());
}

#[test]
fn every_example_goes_on_in_new_processes() {
    let examples: Vec<_> = examples::all().into_iter().filter(|e| !e.endless).collect();
    let check = |example: &Example| -> anyhow::Result<()> {
        let plain = plain(example)?;
        as_plain(example, &Session::new(example)?.begin(None)?, &plain).context("at once")?;
        // What traps does so within some thousand steps.
        let steps = plain.steps.unwrap_or(3_000);
        in_slices(example, (steps / 4).max(1), &plain).map(drop)
    };
    for_all(&examples, |example| example.name.clone(), check);
}

/// The session with which the README begins.
#[test]
fn the_counter_goes_on_counting() {
    let example = examples::named("counter");
    assert_eq!(example.entry().unwrap(), Entry::Command);
    let session = Session::new(&example).unwrap();
    let expected = String::from_utf8(example.expected().unwrap()).unwrap();
    let first = session.begin(Some(2_000)).unwrap();
    assert_eq!(first.code, PAUSED, "{}", first.errors);
    let saved = std::fs::read(session.snapshot()).unwrap();
    let second = session.resume(2_000).unwrap();
    let both = [&first.output[..], &second.output[..]].concat();
    assert!(!first.output.is_empty() && !second.output.is_empty());
    assert!(expected.as_bytes().starts_with(&both), "{}", String::from_utf8_lossy(&both));
    // The same snapshot once more: the same numbers.
    std::fs::write(session.snapshot(), saved).unwrap();
    let again = session.resume(2_000).unwrap();
    assert_eq!(again.output, second.output);
    assert_eq!((again.steps(), again.balance()), (second.steps(), second.balance()));
    assert_eq!(again.report["hashes"], second.report["hashes"]);
}
