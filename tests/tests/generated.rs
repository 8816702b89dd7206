//! Random modules against the oracle.
//!
//! `TASKLET_SEEDS=10000 TASKLET_SEED_FIRST=5000` tries more, or others. A module that fails is kept
//! in the temporary folder; the message says where.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use tasklet_engine::{Entry, Module};
use tasklet_tests::generate::{self, Generated};
use tasklet_tests::oracle::{self, Effort, Subject, Tally};
use tasklet_tests::parallel::for_all;
use tasklet_tests::plain;
use tasklet_tests::random::Random;

/// What fits into a minute on two processors.
const SEEDS: u64 = 300;
/// Exports called of each module.
const CALLS_MAX: usize = 4;

const EFFORT: Effort =
    Effort { every_stop_max: 300, single_steps_max: 1_000_000, stops: 40, pauses: 4, places: 2 };

#[derive(Default)]
struct Totals {
    modules: AtomicU64,
    calls: AtomicU64,
    traps: AtomicU64,
    tally: Mutex<Tally>,
}

fn check(seed: u64, generated: Generated, totals: &Totals) -> anyhow::Result<()> {
    let module = Module::load(tasklet_tests::engine(), &generated.wasm)?;
    totals.modules.fetch_add(1, Ordering::Relaxed);
    let mut random = Random::new(seed);
    let begun = std::time::Instant::now();
    for (name, ty) in plain::exports(module.metadata()).into_iter().take(CALLS_MAX) {
        let args = plain::arguments(&ty.params, &mut random);
        let entry = Entry::Invoke { name: name.clone(), args: args.clone() };
        let Some(subject) = Subject::of(module.clone(), generated.setup.clone(), entry)? else {
            return Ok(());
        };
        let tally = oracle::check(&subject, &EFFORT, seed)
            .with_context(|| format!("export {name:?} called with {args:?}"))?;
        totals.calls.fetch_add(1, Ordering::Relaxed);
        let trapped = matches!(subject.run_plain()?.ending, plain::Ending::Trapped(_));
        totals.traps.fetch_add(trapped.into(), Ordering::Relaxed);
        let mut all = totals.tally.lock().unwrap();
        all.runs += tally.runs;
        all.stops += tally.stops;
        all.moves += tally.moves;
        all.steps += tally.steps;
    }
    if begun.elapsed().as_millis() > 1000 {
        println!("seed {seed} took {:?}", begun.elapsed());
    }
    Ok(())
}

#[test]
fn generated_modules_are_the_same_however_they_are_paused() {
    let begun = std::time::Instant::now();
    let totals = Totals::default();
    let seeds: Vec<u64> = generate::seeds(SEEDS).collect();
    let one = |seed: &u64| -> anyhow::Result<()> {
        let Some(generated) = generate::module(*seed)? else { return Ok(()) };
        let wasm = generated.wasm.clone();
        let guarded = std::panic::AssertUnwindSafe(|| check(*seed, generated, &totals));
        let result = std::panic::catch_unwind(guarded).unwrap_or_else(|panic| {
            anyhow::bail!("panicked: {}", tasklet_tests::parallel::message(&*panic))
        });
        result.with_context(|| generate::keep(*seed, &wasm))
    };
    for_all(&seeds, |seed| format!("seed {seed}"), one);
    let Totals { modules, calls, traps, tally } = totals;
    let (modules, calls) = (modules.into_inner(), calls.into_inner());
    println!("{modules} modules, {calls} calls, {traps:?} of them trap, {tally:?}");
    println!("in {:?}", begun.elapsed());
    // A generator that makes nothing tests nothing.
    assert!(modules >= seeds.len() as u64 / 2 && calls >= modules, "{modules} {calls}");
}
