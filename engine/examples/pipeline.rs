//! A pipeline of generators, which sieves prime numbers and grows at its end.
//!
//! `cargo build --release --workspace --examples`, and `target/release/examples/pipeline 50`

mod outside;

use outside::Outcome;
use tasklet_engine::{Engine, EngineOptions, Scheduler};

/// The stages make the channels between them.
pub(crate) fn sieve(engine: &Engine, limit: &str) -> Outcome<Scheduler> {
    let module = outside::module(engine, "pipeline")?;
    outside::begin(engine, &module, "count", limit, &[])
}

fn main() -> Outcome<()> {
    let engine = Engine::new(&EngineOptions::default())?;
    let mut sched = sieve(&engine, &outside::argument(1, "50"))?;
    let result = outside::run(&mut sched, |prime| println!("{prime}"))?;
    println!("{result:?}");
    Ok(())
}
