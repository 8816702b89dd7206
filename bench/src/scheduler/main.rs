//! What a turn, a message and a tasklet cost, and what memory each takes: ours in each profile, and
//! rivals, in one run.
//!
//! `target/release/scheduler`. `bench/rivals/setup` gets the rivals; one
//! that is not there is named, and left out. Each contender is a process of its own, and all take
//! turns, round by round. What is printed are medians of CPU time: the machine may have other work.

mod contender;
#[path = "../cpu.rs"]
#[allow(dead_code, reason = "it belongs to the other benchmarks too")]
mod cpu;
#[path = "../guests.rs"]
mod guests;
mod ours;
mod table;

use clap::{Parser, Subcommand};
use tasklet_engine::Memories;

use contender::{Contender, Figures};

/// What a turn, a message and a tasklet cost, and what memory each takes.
#[derive(Parser)]
struct Arguments {
    /// How often each is measured.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// How many are alive when their memory is measured.
    #[arg(long, default_value_t = 10_000)]
    tasklets: u32,
    /// Little of everything, to see that it works.
    #[arg(long)]
    short: bool,
    /// Only contenders whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Prints the table of the documentation.
    #[arg(long)]
    markdown: bool,
    #[command(subcommand)]
    run: Option<Run>,
}

/// One contender, as the others are: what it prints is read.
#[derive(Subcommand)]
enum Run {
    /// Ours, with memories `apart` or `dense`.
    #[command(hide = true)]
    Ours {
        memories: String,
        #[command(subcommand)]
        what: What,
    },
}

#[derive(Subcommand)]
enum What {
    Times { turns: u32, messages: u32, spawns: u32 },
    Memory { count: u32 },
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(Run::Ours { memories, what }) = arguments.run {
        let memories = match &*memories {
            "dense" => Memories::Dense,
            "apart" => Memories::Apart,
            other => anyhow::bail!("there are no memories `{other}`"),
        };
        let guests = ours::Ours::load(memories)?;
        return match what {
            What::Times { turns, messages, spawns } => guests.times(turns, messages, spawns),
            What::Memory { count } => guests.live(count),
        };
    }
    let mut contenders = contender::all()?;
    if let Some(only) = &arguments.only {
        contenders.retain(|contender| contender.name.contains(only));
    }
    let rounds = if arguments.short { 1 } else { arguments.rounds.max(1) };
    let scale = if arguments.short { 100 } else { 1 };
    let mut figures: Vec<Figures> = vec![Figures::default(); contenders.len()];
    for round in 0..rounds {
        for turn in 0..contenders.len() {
            // Each round begins with another: none is always behind the same one.
            let at = (round + turn) % contenders.len();
            contenders[at].measure_times(scale, &mut figures[at])?;
        }
    }
    for (contender, figures) in contenders.iter().zip(&mut figures) {
        contender.measure_memory(arguments.tasklets / scale, figures)?;
    }
    let names: Vec<&str> = contenders.iter().map(|contender| contender.name).collect();
    print!("{}", table::text(&names, &figures, arguments.markdown));
    for missing in contenders.iter().filter(|contender: &&Contender| !contender.is_there()) {
        println!("{} is not there: bench/rivals/setup gets it", missing.name);
    }
    Ok(())
}
