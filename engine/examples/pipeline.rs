//! A pipeline of generators, which sieves prime numbers and grows at its end.
//!
//! `cargo build --release --workspace --examples`, and `target/release/examples/pipeline 50`

mod outside;

use outside::Outcome;
use tasklet_engine::{Engine, EngineOptions, Scheduler};

/// A guest knows the channels that it is given and no others, so the pipeline is given one for each
/// stage that it could have.
pub(crate) fn sieve(engine: &Engine, limit: &str, stages: usize) -> Outcome<Scheduler> {
    let module = outside::module(engine, "pipeline")?;
    let channels: Vec<String> = (0..stages).map(|stage| stage.to_string()).collect();
    let channels: Vec<&str> = channels.iter().map(String::as_str).collect();
    outside::begin(engine, &module, "count", limit, &channels)
}

fn main() -> Outcome<()> {
    let engine = Engine::new(&EngineOptions::default())?;
    let limit = outside::argument(1, "50");
    // No more numbers than that are prime.
    let stages = limit.parse::<usize>()? / 2 + 2;
    let mut sched = sieve(&engine, &limit, stages)?;
    let result = outside::run(&mut sched, |prime| println!("{prime}"))?;
    println!("{result:?}");
    Ok(())
}
