//! Two tasklets and a ball.
//!
//! `cargo build --release --workspace --examples`, and `target/release/examples/ping-pong 3`

mod outside;

use outside::Outcome;
use tasklet_engine::{Engine, EngineOptions, Scheduler};

/// The guest spawns the second player itself: both have the same channels.
pub(crate) fn table(engine: &Engine, rallies: &str) -> Outcome<Scheduler> {
    let module = outside::module(engine, "ping-pong")?;
    outside::begin(engine, &module, "ping", rallies, &["there", "back"])
}

fn main() -> Outcome<()> {
    let engine = Engine::new(&EngineOptions::default())?;
    let mut sched = table(&engine, &outside::argument(1, "3"))?;
    let result = outside::run(&mut sched, |line| println!("{line}"))?;
    println!("{result:?}");
    Ok(())
}
