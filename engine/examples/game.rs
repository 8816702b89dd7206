//! The loop of a game. In the middle of it the world is written down and destroyed; from what was
//! written it goes on.
//!
//! `cargo build --release --workspace --examples`, and `target/release/examples/game`

mod outside;

use outside::Outcome;
use serde::{Deserialize, Serialize};
use tasklet_engine::{
    Budget, ChannelOptions, Engine, EngineOptions, Handed, Message, Scheduler, SetOptions,
    SnapshotOptions, Spawn,
};

/// What a player can do, as the guest knows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Command {
    /// Sets a glider, which flies to the lower right.
    Glider {
        /// The column of its left edge.
        x: u8,
        /// The row of its upper edge.
        y: u8,
    },
    /// Lets the world move on.
    Step,
    /// Ends the game.
    Stop,
}

/// What a player sees.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Frame {
    /// Rounds played.
    pub round: u32,
    /// How many cells are alive.
    pub alive: usize,
    /// The world, a character a cell.
    pub rows: Vec<String>,
}

/// A new game, between channels that the program outside serves.
pub(crate) fn game(engine: &Engine) -> Outcome<Scheduler> {
    let module = outside::module(engine, "game")?;
    let mut sched = Scheduler::new(engine);
    let external = ChannelOptions { external: true, ..ChannelOptions::default() };
    let mut spawn = Spawn::export("game");
    for name in ["commands", "frames"] {
        spawn = spawn.channel(name, sched.channel(name, external)?);
    }
    sched.spawn(&module, spawn)?;
    Ok(sched)
}

/// Gives the game a command once it waits for one.
pub(crate) fn give(sched: &mut Scheduler, command: &Command) -> Outcome<()> {
    sched.run(Budget::unlimited())?;
    let commands = sched.find_channel("commands").ok_or("the game has it")?;
    match sched.try_send(commands, Message::encode(command)?)? {
        Handed::To(_) => Ok(()),
        Handed::Nobody(_) => Err("the game does not wait for a command".into()),
    }
}

/// What the game shows.
pub(crate) fn frame(sched: &mut Scheduler) -> Outcome<Frame> {
    sched.run(Budget::unlimited())?;
    let frames = sched.find_channel("frames").ok_or("the game has it")?;
    let message = sched.try_receive(frames)?.ok_or("the game shows nothing")?;
    Ok(message.decode()?)
}

/// Plays some rounds.
fn play(sched: &mut Scheduler, rounds: u32) -> Outcome<()> {
    for _ in 0..rounds {
        give(sched, &Command::Step)?;
        let Frame { round, alive, rows } = frame(sched)?;
        println!("round {round}: {alive} alive\n{}\n", rows.join("\n"));
    }
    Ok(())
}

fn main() -> Outcome<()> {
    let engine = Engine::new(&EngineOptions::default())?;
    let mut sched = game(&engine)?;
    give(&mut sched, &Command::Glider { x: 1, y: 1 })?;
    play(&mut sched, 3)?;
    let mut saved = Vec::new();
    sched.dump_all(&mut saved, &SnapshotOptions::default())?;
    drop(sched);
    println!("saved in {} bytes, destroyed, and loaded\n", saved.len());

    let mut sched = Scheduler::new(&engine);
    sched.load_set(&saved, SetOptions::default())?;
    play(&mut sched, 3)?;
    give(&mut sched, &Command::Stop)?;
    println!("{:?}", sched.run(Budget::unlimited())?);
    Ok(())
}
