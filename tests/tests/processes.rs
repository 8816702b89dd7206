//! Whole programs through the command line: paused, saved, resumed in a new process each time.
//!
//! The output byte for byte, the exit code and the total of steps are those of the uninterrupted
//! run and of the unmodified module in plain wasmtime.

use anyhow::Context;
use tasklet_engine::Entry;
use tasklet_tests::examples::{self, Example};
use tasklet_tests::parallel::for_all;
use tasklet_tests::processes::{PAUSED, Session, as_plain, in_slices, plain};

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
    let second = session.resume(Some(2_000)).unwrap();
    let both = [&first.output[..], &second.output[..]].concat();
    assert!(!first.output.is_empty() && !second.output.is_empty());
    assert!(expected.as_bytes().starts_with(&both), "{}", String::from_utf8_lossy(&both));
    // The same snapshot once more: the same numbers.
    std::fs::write(session.snapshot(), saved).unwrap();
    let again = session.resume(Some(2_000)).unwrap();
    assert_eq!(again.output, second.output);
    assert_eq!((again.steps(), again.balance()), (second.steps(), second.balance()));
    assert_eq!(again.report["hashes"], second.report["hashes"]);
}
