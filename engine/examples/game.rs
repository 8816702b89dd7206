//! The loop of a game. In the middle of it the world is written down and destroyed; from what was
//! written it goes on.
//!
//! `cargo run --release -p tasklet-engine --example game`

mod outside;

use outside::Outcome;
use serde::{Deserialize, Serialize};
use tasklet_engine::{
    Budget, ChannelOptions, Engine, EngineOptions, Handed, Message, RunResult, Scheduler, Spawn,
    TaskletId,
};

/// What a player can do, as the guest knows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Sets a glider, which flies to the lower right.
    Glider {
        /// The column of its left edge.
        x: u8,
        /// The row of its upper edge.
        y: u8,
    },
    /// Ends the game.
    Stop,
}

/// What a player sees.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct Frame {
    /// Rounds played.
    pub round: u32,
    /// How many cells are alive.
    pub alive: usize,
    /// The world, a character a cell.
    pub rows: Vec<String>,
}

/// A scheduler with the channels of the game.
pub fn console(engine: &Engine) -> Outcome<Scheduler> {
    let mut sched = Scheduler::new(engine);
    let mut external = ChannelOptions::default();
    external.external = true;
    for name in ["commands", "frames"] {
        sched.channel(name, external)?;
    }
    Ok(sched)
}

/// A new game; it waits for the first command.
pub fn game(engine: &Engine) -> Outcome<(Scheduler, TaskletId)> {
    let module = outside::module(engine, "game")?;
    let mut sched = console(engine)?;
    let mut spawn = Spawn::export("game");
    for name in ["commands", "frames"] {
        spawn = spawn.channel(name, sched.find_channel(name).ok_or("it was made above")?);
    }
    let id = sched.spawn(&module, spawn)?;
    sched.run(Budget::unlimited())?;
    Ok((sched, id))
}

/// Gives the game a command, if it waits for one.
pub fn give(sched: &mut Scheduler, command: &Command) -> Outcome<bool> {
    let commands = sched.find_channel("commands").ok_or("the console has it")?;
    let mut bytes = Vec::new();
    ciborium::into_writer(command, &mut bytes)?;
    Ok(matches!(sched.try_send(commands, Message::Data(bytes))?, Handed::To(_)))
}

/// Plays a round.
pub fn frame(sched: &mut Scheduler) -> Outcome<Option<Frame>> {
    let frames = sched.find_channel("frames").ok_or("the console has it")?;
    let result = sched.run(Budget::unlimited())?;
    match (sched.try_receive(frames)?, result) {
        (Some(Message::Data(bytes)), _) => Ok(Some(ciborium::from_reader(&bytes[..])?)),
        (None, RunResult::Finished) => Ok(None),
        (message, result) => Err(format!("{result:?} with {message:?}").into()),
    }
}

fn main() -> Outcome<()> {
    let engine = Engine::new(&EngineOptions::default())?;
    let (mut sched, id) = game(&engine)?;
    give(&mut sched, &Command::Glider { x: 1, y: 1 })?;
    for _ in 0..10 {
        frame(&mut sched)?;
    }
    let saved = sched.dump(id)?;
    drop(sched);
    println!("saved after 10 rounds, in {} bytes", saved.len());

    let mut sched = console(&engine)?;
    let id = sched.load(&saved)?;
    sched.insert(id)?;
    for _ in 0..6 {
        if let Some(Frame { round, alive, rows }) = frame(&mut sched)? {
            println!("round {round}: {alive} alive\n{}\n", rows.join("\n"));
        }
    }
    Ok(())
}
