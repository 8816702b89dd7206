//! A walk of a tree by a tasklet that forks where there is a choice: all ways to put n queens on a
//! board.
//!
//! `cargo build --release --workspace --examples`, and `target/release/examples/tree 6`

mod outside;

use outside::Outcome;
use tasklet_engine::{Engine, EngineOptions, Scheduler};

/// What the guests call their channels.
const CHANNELS: [&str; 1] = ["told"];

/// The tree of a board of that size.
pub(crate) fn tree(engine: &Engine, size: &str) -> Outcome<Scheduler> {
    let module = outside::module(engine, "tree")?;
    outside::begin(engine, &module, "tree", size, &CHANNELS)
}

fn main() -> Outcome<()> {
    let engine = Engine::new(&EngineOptions::default())?;
    let mut sched = tree(&engine, &outside::argument(1, "6"))?;
    let result = outside::run(&mut sched, |line| println!("{line}"))?;
    println!("{result:?}");
    Ok(())
}
