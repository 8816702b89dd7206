//! Programs that nobody wrote for us, paused at random places, each slice in a new process.
//!
//! `tests/real/run` builds them, runs this and prints its table. It is the property of
//! `tasklet_tests::oracle` at the size of an interpreter or a database: the output, the exit code,
//! the files and the steps are those of the run that is never paused and of the original module in
//! plain wasmtime.

use anyhow::{Context, ensure};
use tasklet_tests::examples::{self, Example};
use tasklet_tests::oracle::{self, Plan, Subject};
use tasklet_tests::parallel::for_all;
use tasklet_tests::plain::Observation;
use tasklet_tests::processes::{Finished, Session, as_plain, in_processes};
use tasklet_tests::random::Random;

fn setting(name: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(name) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number"))
}

/// The programs, or those that `TASKLET_REAL` names.
fn programs() -> Vec<Example> {
    let names = std::env::var("TASKLET_REAL").unwrap_or_default();
    let names: Vec<&str> = names.split_whitespace().collect();
    let mut programs = examples::real();
    let known: Vec<String> = programs.iter().map(|program| program.name.clone()).collect();
    let unknown = names.iter().find(|name| !known.iter().any(|known| known == *name));
    assert_eq!(unknown, None, "the programs are {known:?}");
    programs.retain(|program| names.is_empty() || names.contains(&&*program.name));
    programs
}

/// As many slices as there are to be pauses, at random places.
fn slices(steps: u64, pauses: u64, random: &mut Random) -> Vec<u64> {
    let mut places: Vec<u64> = (0..pauses).map(|_| 1 + random.below(steps - 1)).collect();
    places.sort_unstable();
    places.dedup();
    let before = std::iter::once(0).chain(places.iter().copied());
    places.iter().zip(before).map(|(place, before)| place - before).collect()
}

/// The difference between two runs, if any.
fn same(whole: &Finished, paused: &Finished) -> anyhow::Result<()> {
    ensure!(whole.code == paused.code, "exit codes {}, {}", whole.code, paused.code);
    ensure!(whole.output == paused.output, "the outputs differ");
    ensure!(whole.files == paused.files, "the files differ");
    ensure!(whole.steps() == paused.steps(), "steps {}, {}", whole.steps(), paused.steps());
    Ok(())
}

/// What the original module does in plain wasmtime, and that it does the same instrumented, in as many
/// steps. Both read a clock that ticks with their calls: the command line's ticks with the steps
/// charged, which only a tasklet knows.
fn in_plain_wasmtime(program: &Example) -> anyhow::Result<Observation> {
    let (wasm, setup) = (program.bytes(), program.setup()?);
    let subject = Subject::new(&wasm, setup, program.entry()?)?.context("no instance")?;
    let (mut plain, run) = (subject.run_plain()?, subject.run(Plan::straight())?);
    let mut end = run.end.context("it was given up")?;
    // The guest has seen the inodes of its files, which are others in each folder.
    plain.state.memories.clear();
    end.state.memories.clear();
    oracle::same("tasklet", &plain, &end)?;
    plain.steps = None;
    Ok(plain)
}

/// A program against the oracle: its line of the table.
fn check(program: &Example) -> anyhow::Result<String> {
    let plain = in_plain_wasmtime(program)?;
    // In one folder: Ruby, for one, takes a few steps more or less with other inodes and times.
    let session = Session::new(program)?;
    let whole = in_processes(&session, []).context("never paused")?;
    ensure!(whole.processes == 1 && !whole.output.is_empty(), "{}", whole.errors);
    as_plain(program, &whole, &plain).context("never paused")?;
    ensure!(whole.code == program.exit as i32, "it exited with {}", whole.code);
    let mut random = Random::new(setting("TASKLET_SEED_FIRST", 0));
    let slices = slices(whole.steps(), setting("TASKLET_PAUSES", 200), &mut random);
    let begun = std::time::Instant::now();
    let paused = in_processes(&session, slices)?;
    let what = format!("paused {} times", paused.processes - 1);
    same(&whole, &paused).context(what)?;
    Ok(format!(
        "| {} | {} | {} | {} | {} | yes | yes | {:.0} s |",
        program.name,
        std::fs::metadata(program.module())?.len(),
        whole.steps(),
        paused.processes - 1,
        paused.output.len(),
        begun.elapsed().as_secs_f64()
    ))
}

#[test]
#[ignore = "tests/real/run builds what it needs"]
fn real_programs_go_on_in_new_processes() {
    let head = "program | module bytes | steps | pauses | output bytes | output, exit code and files \
                equal | steps equal, and wasmtime's fuel | time";
    println!("| {head} |\n|---|---|---|---|---|---|---|---|");
    for_all(
        &programs(),
        |program| program.name.clone(),
        |program| {
            ensure!(program.module().exists(), "not there; tests/real/run builds it");
            println!("{}", check(program)?);
            Ok(())
        },
    );
}
