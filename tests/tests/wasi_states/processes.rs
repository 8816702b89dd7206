//! Runs of a case by the command line tool, each slice in a process of its own.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::Value as Json;
use tasklet_tests::processes::{PAUSED, tasklet};
use tasklet_tests::states::scene::{ARGS, ENV, INPUT, contents, folder};

use super::moving::{Program, Seen};

/// Runs it in slices of these steps, and the last one to its end.
pub fn run(program: &Program<'_>, slices: &[u64]) -> anyhow::Result<Seen> {
    let (folder, work) = (folder()?, tempfile::tempdir()?);
    let at = |name: &str| work.path().join(name);
    fs::write(at(ARGS[0]), &program.guest.wasm)?;
    // One and the same for all processes, which go on with it where the last one has left it.
    fs::write(at("input"), INPUT)?;
    let stdin = File::open(at("input"))?;
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let mut budgets = slices.iter();
    loop {
        let budget = budgets.next();
        let resumes = at("paused.cbor").exists();
        let mut command = Command::new(tasklet());
        command.current_dir(work.path()).arg(if resumes { "resume" } else { "run" }).arg("--quiet");
        if resumes {
            command.arg("paused.cbor");
        } else {
            begin(program, &mut command);
        }
        for (host, guest) in [("box", "/"), ("ro", "ro:ro")] {
            command.arg("--dir").arg(format!("{}::{guest}", folder.path().join(host).display()));
        }
        command.args(["--report", "report.json", "-o", "paused.cbor"]);
        if let Some(budget) = budget {
            command.args(["--steps", &budget.to_string()]);
        }
        if program.case.deterministic {
            command.args(["--deterministic", "--stdin", "input"]);
        }
        if !resumes {
            command.args([ARGS[0], "--"]).args(&ARGS[1..]);
        }
        let (code, report) = one(command, &stdin, work.path(), &mut output, &mut errors)?;
        if code == PAUSED {
            ensure!(budget.is_some(), "it paused, but was not told to");
            continue;
        }
        let steps = report["steps_used"].as_u64().context("steps")?;
        ensure!(budgets.len() == 0, "it did not pause {} times", slices.len());
        return program.seen(code as u32, output, errors, contents(folder.path())?, steps);
    }
}

fn begin(program: &Program<'_>, command: &mut Command) {
    command.args(["--seed", "1"]);
    if !program.case.deterministic {
        command.args(["--clock", if program.case.host_clock { "host" } else { "virtual" }]);
    }
    for (name, value) in ENV {
        command.args(["-e", &format!("{name}={value}")]);
    }
}

/// One process: its exit code and its report. What it prints goes into files, as it may be no text.
fn one(
    mut command: Command,
    stdin: &File,
    work: &Path,
    output: &mut Vec<u8>,
    errors: &mut Vec<u8>,
) -> anyhow::Result<(i32, Json)> {
    let cache = tasklet_tests::processes::cache();
    command.env("XDG_CACHE_HOME", cache).env("RUST_BACKTRACE", "0").stdin(stdin.try_clone()?);
    let done = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output()?;
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    let code = done.status.code().with_context(|| format!("killed: {said}"))?;
    let mut report = String::new();
    let file = File::open(work.join("report.json"));
    file.with_context(|| format!("no report ({code}): {said}"))?.read_to_string(&mut report)?;
    output.extend(done.stdout);
    errors.extend(done.stderr);
    Ok((code, serde_json::from_str(&report)?))
}
