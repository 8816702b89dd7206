//! A chat of ten thousand tasklets, each an instance of its own with a memory of its own.
//!
//! `cargo build --release --workspace --examples`, and `target/release/examples/chat 10000 3`

mod outside;

use std::time::Instant;

use outside::Outcome;
use tasklet_engine::{Engine, EngineOptions, Memories, Scheduler};

/// What the guests call their channels.
const CHANNELS: [&str; 2] = ["hear", "speak"];

/// The guest spawns the members itself.
pub(crate) fn room(engine: &Engine, members: &str, rounds: &str) -> Outcome<Scheduler> {
    let module = outside::module(engine, "chat")?;
    outside::begin(engine, &module, "room", &format!("{members} {rounds}"), &CHANNELS)
}

fn main() -> Outcome<()> {
    let mut options = EngineOptions::default();
    // For many small ones rather than for a few fast ones.
    options.memories = Memories::Dense;
    let engine = Engine::new(&options)?;
    let (members, rounds) = (outside::argument(1, "10000"), outside::argument(2, "3"));
    let mut sched = room(&engine, &members, &rounds)?;
    let begun = Instant::now();
    let result = outside::run(&mut sched, |line| println!("{line}"))?;
    println!("{result:?} after {:?}", begun.elapsed());
    Ok(())
}
