//! Actors that talk in a ring and write to a board, in a process that can be left in the middle of it:
//!
//!     actors whole COUNT         runs all of it and prints how it ended
//!     actors begin COUNT FILE    runs half of it and writes everything to a file
//!     actors further FILE FILE   goes on from there for a while and writes everything to another
//!     actors go-on FILE          goes on from there and prints how it ended
//!
//! How it ended is a hash of how each has. What they say depends on the order in which they come to
//! the board, so it tells whether every line was kept. `tests/actors/tests` and
//! `tests/cross/scheduler` compare.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use tasklet_engine::{
    Budget, ChannelOptions, Engine, EngineOptions, Entry, Memories, Module, Preference, RunResult,
    Scheduler, SetOptions, SnapshotOptions, Spawn, Status, TaskletId, Value,
};

/// Made of `actor.wat`.
const GUEST: &[u8] = include_bytes!("actor.wasm");

/// How often each hears from the one before; it writes to the board every other time.
const ROUNDS: usize = 4;
/// The steps for each before all is written for the first time, and from then to the second.
const STEPS: [usize; 2] = [60, 30];
/// How many begin a round of their own: one in so many.
const BEGINS: usize = 7;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let began = Instant::now();
    let mut options = EngineOptions::default();
    // Ten thousand mappings of 4 GiB are more than an emulator of another machine can keep.
    options.memories = Memories::Dense;
    if let Ok(target) = std::env::var("TASKLET_TESTS_TARGET") {
        options.target = target.parse()?;
    }
    let engine = Engine::new(&options)?;
    let mut sched = Scheduler::new(&engine);
    match args[..] {
        ["whole", count] => {
            let all = spawn(&mut sched, &engine, count.parse()?)?;
            finish(&mut sched, &all)?;
        }
        ["begin", count, file] => {
            let all = spawn(&mut sched, &engine, count.parse()?)?;
            talk(&mut sched, all.len(), STEPS[0])?;
            dump(&mut sched, file)?;
        }
        ["further", from, to] => {
            let all = load(&mut sched, from)?;
            talk(&mut sched, all.len(), STEPS[1])?;
            dump(&mut sched, to)?;
        }
        ["go-on", file] => {
            let all = load(&mut sched, file)?;
            finish(&mut sched, &all)?;
        }
        _ => bail!("actors whole COUNT, begin COUNT FILE, further FILE FILE, or go-on FILE"),
    }
    eprintln!("all in {:?}", began.elapsed());
    Ok(())
}

/// The board, and a ring of actors.
fn spawn(sched: &mut Scheduler, engine: &Engine, count: usize) -> anyhow::Result<Vec<TaskletId>> {
    let module = Module::load(engine, GUEST)?;
    // Nobody waits for the board to have read it, so that a long line forms.
    let late = ChannelOptions { preference: Preference::Sender, ..ChannelOptions::default() };
    let board = sched.channel("board", late)?;
    let ring = (0..count).map(|n| sched.channel(&format!("{n}"), ChannelOptions::default()));
    let ring = ring.collect::<Result<Vec<_>, _>>()?;
    let invoke = |name: &str, args: &[i32]| {
        let args = args.iter().copied().map(Value::I32).collect();
        Spawn::new(Entry::Invoke { name: name.into(), args }).channel("board", board)
    };
    let mut all = Vec::with_capacity(count + 1);
    for n in 0..count {
        let begins = i32::from(n % BEGINS == 0);
        let actor = invoke("actor", &[begins, ROUNDS as i32]);
        let actor = actor.channel("in", ring[n]).channel("out", ring[(n + 1) % count]);
        all.push(sched.spawn(&module, actor)?);
    }
    let messages = (count * ROUNDS.div_ceil(2)) as i32;
    all.push(sched.spawn(&module, invoke("board", &[messages]))?);
    Ok(all)
}

fn dump(sched: &mut Scheduler, file: &str) -> anyhow::Result<()> {
    let mut out = BufWriter::new(File::create(file)?);
    let dumping = Instant::now();
    sched.dump_all(&mut out, &SnapshotOptions::default())?;
    out.flush()?;
    eprintln!("dumped in {:?}", dumping.elapsed());
    Ok(())
}

fn load(sched: &mut Scheduler, file: &str) -> anyhow::Result<Vec<TaskletId>> {
    let bytes = std::fs::read(file)?;
    let loading = Instant::now();
    let loaded = sched.load_set(&bytes, SetOptions::default())?;
    eprintln!("loaded {} bytes in {:?}", bytes.len(), loading.elapsed());
    Ok(loaded.tasklets.into_iter().map(|(_, id)| id).collect())
}

/// Runs for that many steps each, after which many are in the middle of everything, and nobody has
/// ended.
fn talk(sched: &mut Scheduler, count: usize, steps: usize) -> anyhow::Result<()> {
    let result = sched.run(Budget::total((count * steps) as u64).soft())?;
    ensure!(result == RunResult::Expired, "{result:?}");
    let all = sched.tasklets();
    ensure!(all.len() == count, "{} of {count} are left", all.len());
    let blocked = all.iter().filter(|id| sched.flags(**id).blocked).count();
    let board = sched.find_channel("board").context("there is a board")?;
    let (ready, board) = (sched.run_count(), sched.balance(board)?);
    eprintln!("{ready} are ready, {blocked} wait, {board} of them at the board");
    ensure!(ready > 1 && blocked > count / 4, "nobody talks");
    Ok(())
}

fn finish(sched: &mut Scheduler, all: &[TaskletId]) -> anyhow::Result<()> {
    let result = sched.run(Budget::unlimited())?;
    ensure!(result == RunResult::Finished, "{result:?}");
    let mut hasher = blake3::Hasher::new();
    for id in all {
        let Some(Status::Finished(results)) = sched.end(*id) else { bail!("{id} has no end") };
        let [Value::I64(heard)] = results[..] else { bail!("{id} returned {results:?}") };
        hasher.update(&id.number().to_le_bytes());
        hasher.update(&heard.to_le_bytes());
    }
    println!("{} tasklets: {}", all.len(), hasher.finalize());
    Ok(())
}
