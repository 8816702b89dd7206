//! Many modules against the oracle: what the tests do with some seeds, and `fuzz` with all.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, bail};
use tasklet_engine::{Entry, Module};

use crate::generate::{self, Generated};
use crate::oracle::{self, Effort, Subject, Tally};
use crate::plain;
use crate::random::Random;

/// Exports called of each module.
const CALLS_MAX: usize = 4;

const EFFORT: Effort =
    Effort { every_stop_max: 300, single_steps_max: 1_000_000, stops: 40, pauses: 4, places: 2 };

/// What has been tried.
#[derive(Debug, Default)]
pub struct Totals {
    /// Modules.
    pub modules: AtomicU64,
    /// Calls of their exports.
    pub calls: AtomicU64,
    /// Calls that trap.
    pub traps: AtomicU64,
    /// What the oracle did.
    pub tally: Mutex<Tally>,
}

/// The module of a seed against the oracle. A module that fails is kept; the error says where.
pub fn check(seed: u64, totals: &Totals) -> anyhow::Result<()> {
    let Some(generated) = generate::module(seed)? else { return Ok(()) };
    let wasm = generated.wasm.clone();
    let guarded = std::panic::AssertUnwindSafe(|| check_module(seed, generated, totals));
    let result = std::panic::catch_unwind(guarded)
        .unwrap_or_else(|panic| bail!("panicked: {}", crate::parallel::message(&*panic)));
    result.with_context(|| generate::keep(seed, &wasm))
}

fn check_module(seed: u64, generated: Generated, totals: &Totals) -> anyhow::Result<()> {
    let module = Module::load(crate::engine(), &generated.wasm)?;
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
        let mut all = totals.tally.lock().expect("nothing panics while it holds the lock");
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
