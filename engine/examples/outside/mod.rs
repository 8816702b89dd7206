//! What the examples have in common. The guests are those of `guest-examples/tasklets`; they have no
//! system, so what they print are messages to the program outside.
#![allow(dead_code, reason = "no example uses all of it")]

use std::error::Error;

use tasklet_engine::{
    Budget, ChannelOptions, Engine, Message, Module, RunResult, Scheduler, Spawn,
};

pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// One of the guests.
pub fn module(engine: &Engine, name: &str) -> Outcome<Module> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../guest-examples/tasklets");
    Ok(Module::load(engine, &std::fs::read(format!("{folder}/{name}.wasm"))?)?)
}

/// A scheduler with these channels, and `out` to the program outside, and a tasklet that is given
/// all of them under the names that they have, and this argument.
pub fn begin(
    engine: &Engine,
    module: &Module,
    entry: &str,
    argument: &str,
    channels: &[&str],
) -> Outcome<Scheduler> {
    let mut sched = Scheduler::new(engine);
    let mut spawn = Spawn::export(entry).argument(argument.as_bytes());
    for name in channels {
        spawn = spawn.channel(name, sched.channel(name, ChannelOptions::default())?);
    }
    let external = ChannelOptions { external: true, ..ChannelOptions::default() };
    spawn = spawn.channel("out", sched.channel("out", external)?);
    sched.spawn(module, spawn)?;
    Ok(sched)
}

/// Lets them run, and hands on what they say, until nobody has anything more to say.
pub fn run(sched: &mut Scheduler, mut say: impl FnMut(&str)) -> Outcome<RunResult> {
    let out = sched.find_channel("out").ok_or("there is a channel `out`")?;
    loop {
        let result = sched.run(Budget::unlimited())?;
        let mut has_spoken = false;
        while let Some(message) = sched.try_receive(out)? {
            has_spoken = true;
            let (Message::Data(text) | Message::Error(text)) = message;
            say(&String::from_utf8(text)?);
        }
        if !has_spoken || !matches!(result, RunResult::Blocked(_)) {
            return Ok(result);
        }
    }
}

/// An argument of the program's, or what it is without.
pub fn argument(number: usize, default: &str) -> String {
    std::env::args().nth(number).unwrap_or_else(|| default.to_string())
}
