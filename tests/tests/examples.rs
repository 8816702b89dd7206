//! Every guest example against the oracle, and against what it is known to print.
//!
//! Those with few steps move into a fresh store at every resume point they meet.

use anyhow::{Context, ensure};
use tasklet_engine::snapshot::{Limits, Snapshot};
use tasklet_engine::wasi::Clock;
use tasklet_engine::{Outcome, SnapshotOptions, Tasklet};
use tasklet_tests::examples::{self, Example};
use tasklet_tests::oracle::{self, Budgets, Effort, Plan, Subject};
use tasklet_tests::parallel::for_all;
use tasklet_tests::plain::{Ending, Observation, Seen};
use tasklet_tests::random::Random;
use tasklet_tests::world::World;

const EFFORT: Effort = Effort {
    every_stop_max: 3_000,
    single_steps_max: 100_000_000,
    stops: 300,
    pauses: 100,
    places: 10,
};

fn effort(steps: u64) -> Effort {
    // A run of the larger ones takes long enough by itself.
    match steps {
        0..1_000_000 => EFFORT,
        1_000_000..20_000_000 => Effort { pauses: 40, places: 5, ..EFFORT },
        _ => Effort { pauses: 15, places: 3, ..EFFORT },
    }
}

fn subject(example: &Example) -> anyhow::Result<Subject> {
    let subject = Subject::new(&example.bytes(), example.setup()?, example.entry()?)?;
    subject.context("it can be instantiated")
}

/// The uninterrupted run is what `examples.json` says.
fn as_listed(example: &Example, end: &Observation) -> anyhow::Result<()> {
    match (&end.ending, &example.trap) {
        (Ending::Returned(values), None) => {
            ensure!(example.exit == 0);
            let wanted: Vec<Seen> = example.results()?.iter().map(Seen::from).collect();
            ensure!(*values == wanted, "it returned {values:?}");
        }
        (Ending::Exited(code), None) => ensure!(*code == example.exit, "it exited with {code}"),
        (Ending::Trapped(kind), Some(text)) => {
            // wasmtime says "undefined element" where the index is beyond the table.
            let text = text.replace("undefined element", "out of bounds table access");
            ensure!(kind.text() == text, "it trapped by {kind:?}");
        }
        (other, expected) => anyhow::bail!("it ended with {other:?}, not with {expected:?}"),
    }
    if let Some(expected) = example.expected() {
        ensure!(end.traces.output == expected, "it printed something else");
    }
    if example.stdout_varies {
        let path = example.stdout.clone().context("it says what to expect")?;
        let expected = std::fs::read(tasklet_tests::root().join("guest-examples").join(path))?;
        ensure!(shape(&end.traces.output) == shape(&expected), "it printed something else");
    }
    Ok(())
}

/// The lengths of the words.
fn shape(text: &[u8]) -> Vec<usize> {
    text.split(u8::is_ascii_whitespace).map(<[u8]>::len).collect()
}

#[test]
fn every_example_is_the_same_however_it_is_paused() {
    let mut examples: Vec<_> = examples::all().into_iter().filter(|e| !e.endless).collect();
    // The longest first, so that no processor is idle at the end.
    examples.sort_by_key(|example| !example.name.starts_with("lua"));
    let check = |example: &Example| -> anyhow::Result<()> {
        let begun = std::time::Instant::now();
        let subject = subject(example)?;
        let plain = subject.run_plain()?;
        as_listed(example, &plain)?;
        let effort = effort(plain.steps.unwrap_or(0));
        let tally = oracle::check_against(&subject, plain, &effort, 1)?;
        println!("{}: {tally:?} in {:?}", example.name, begun.elapsed());
        Ok(())
    };
    for_all(&examples, |example| example.name.clone(), check);
}

/// The endless ones print the numbers they are to print, in whatever slices, moving or not.
#[test]
fn endless_examples_go_on_where_they_were() {
    let examples: Vec<_> = examples::all().into_iter().filter(|e| e.endless).collect();
    assert!(examples.len() >= 3);
    for_all(&examples, |example| example.name.clone(), endless);
}

fn endless(example: &Example) -> anyhow::Result<()> {
    let subject = subject(example)?;
    let expected = example.expected().context("it prints something")?;
    let output = |budgets: Budgets, total: u64, moves: bool| -> anyhow::Result<Vec<u8>> {
        let world = World::new(&subject.setup)?;
        let mut tasklet = Tasklet::spawn(&subject.module, world.host(), subject.entry.clone())?;
        let mut granted = 0;
        while granted < total {
            let budget = match &budgets {
                Budgets::Fixed(budget) => *budget,
                _ => total,
            };
            let budget = budget.min(total - granted);
            ensure!(tasklet.run(budget)? == Outcome::OutOfBudget);
            granted += budget;
            if moves {
                let mut bytes = Vec::new();
                tasklet.dump(&mut bytes, &SnapshotOptions::default())?;
                let (snapshot, digest) = Snapshot::read_from(&mut &bytes[..], &Limits::DEFAULT)?;
                tasklet = Tasklet::load(&subject.module, &snapshot, digest, world.host_again())?;
            }
        }
        Ok(world.traces()?.output)
    };
    for total in [50, 777, 5_000, 60_000] {
        let once = output(Budgets::Fixed(total), total, false)?;
        let common = once.len().min(expected.len());
        ensure!(once[..common] == expected[..common], "it printed something else");
        ensure!(total < 60_000 || !once.is_empty(), "it printed nothing");
        for (budget, moves) in [(1, false), (7, total < 1_000), (1_000, true)] {
            let found = output(Budgets::Fixed(budget), total, moves)?;
            ensure!(found == once, "{total} steps by {budget}: another output");
        }
    }
    let plan =
        Plan { budgets: Budgets::Random(Random::new(5), 2_000), moves: true, stops_max: 300 };
    ensure!(subject.run(plan)?.end.is_none());
    Ok(())
}

/// With the host's clock a sleep is a wait, in which the program can be written down as well: the
/// oracle moves it each time it waits.
#[test]
fn sleeping_and_waiting_programs_move_while_they_wait() {
    let mut example = examples::named("sleep");
    example.args = vec!["4".into(), "20".into()];
    let mut setup = example.setup().unwrap();
    (setup.clock, setup.ticking) = (Clock::Host, false);
    let entry = example.entry().unwrap();
    let subject = Subject::new(&example.bytes(), setup, entry).unwrap().unwrap();
    let plain = subject.run_plain().unwrap();
    let plan = Plan::straight();
    let run = subject.run(plan).unwrap();
    assert!(run.stops >= 4, "it waited {} times", run.stops);
    oracle::same("a run that waits", &plain, &run.end.unwrap()).unwrap();
}

/// The virtual clock shows the same times however a program is paused.
#[test]
fn the_virtual_clock_does_not_notice_pauses() {
    let mut examples: Vec<_> =
        ["clock", "sleep", "lua-stdin"].iter().map(|name| examples::named(name)).collect();
    examples[0].args = vec!["-v".into()];
    let check = |example: &Example| -> anyhow::Result<()> {
        let mut setup = example.setup()?;
        setup.ticking = false;
        let subject = Subject::new(&example.bytes(), setup, example.entry()?)?;
        let subject = subject.context("it can be instantiated")?;
        let straight = subject.run(Plan::straight())?.end.context("it ends")?;
        let effort = Effort { pauses: 20, places: 5, ..EFFORT };
        oracle::check_against(&subject, straight, &effort, 2).map(drop)
    };
    for_all(&examples, |example| example.name.clone(), check);
}
