//! The dining philosophers: once with a left-handed one among them, and once all greedy, which the
//! scheduler recognises as a deadlock.
//!
//! `cargo build --release --workspace --examples`, and `target/release/examples/philosophers 2`

mod outside;

use outside::Outcome;
use tasklet_engine::{Engine, EngineOptions, RunResult, Scheduler};

/// What the guests call their channels.
const CHANNELS: [&str; 6] = ["fork0", "fork1", "fork2", "fork3", "fork4", "done"];

/// How often each eats, and " greedily" if they are.
pub(crate) fn dinner(engine: &Engine, how: &str) -> Outcome<Scheduler> {
    let module = outside::module(engine, "philosophers")?;
    outside::begin(engine, &module, "dinner", how, &CHANNELS)
}

fn main() -> Outcome<()> {
    let engine = Engine::new(&EngineOptions::default())?;
    let meals = outside::argument(1, "2");
    let mut sched = dinner(&engine, &meals)?;
    let result = outside::run(&mut sched, |line| println!("{line}"))?;
    println!("{result:?}");

    let mut sched = dinner(&engine, &format!("{meals} greedily"))?;
    let result = outside::run(&mut sched, |line| println!("{line}"))?;
    let RunResult::Deadlock(stuck) = result else { return Err(format!("{result:?}").into()) };
    println!("greedily: a deadlock");
    for id in stuck {
        if let Some((channel, direction)) = sched.blocked_on(id) {
            let channel = sched.channel_name(channel).unwrap_or_default();
            println!("  tasklet {id} waits to {direction:?} on {channel}");
        }
    }
    Ok(())
}
