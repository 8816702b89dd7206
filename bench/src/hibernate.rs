//! What tasklets take that are in a store, on disk and in memory, and how long they take to go and
//! to come back.
//!
//! `target/release/hibernate --tasklets 10000`

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Parser;
use tasklet_engine::{
    Budget, CacheMode, ChannelOptions, DirectoryStore, Engine, EngineOptions, Handed, Hibernation,
    Memories, Message, Module, RunResult, Scheduler, Spawn, TaskletId,
};

#[derive(Parser)]
struct Args {
    /// How many tasklets.
    #[arg(long, default_value_t = 10_000)]
    tasklets: usize,
    /// How many of them come back at the end.
    #[arg(long, default_value_t = 1000)]
    woken: usize,
    /// Pages of 4 KiB that each has written to, with numbers that are its own.
    #[arg(long, default_value_t = 1)]
    pages: u32,
    /// How many are in memory at once.
    #[arg(long, default_value_t = 1000)]
    batch: usize,
    /// Has the memories of those cut out of few mappings.
    #[arg(long)]
    dense: bool,
    /// Where the store is; by default a temporary directory.
    #[arg(long)]
    directory: Option<PathBuf>,
}

/// Writes to some pages, and then waits for messages.
const GUEST: &str = r#"(module
    (import "tasklet" "id" (func $id (result i64)))
    (import "tasklet" "argument" (func $argument (param i32 i32) (result i32)))
    (import "tasklet" "receive" (func $receive (param i32 i32 i32) (result i64)))
    (memory (export "memory") 16)
    (func (export "main") (local $page i32) (local $end i32)
      (drop (call $argument (i32.const 0) (i32.const 4)))
      (local.set $end (i32.mul (i32.load (i32.const 0)) (i32.const 4096)))
      (loop $l
        (i64.store (local.get $page) (call $id))
        (i64.store offset=512 (local.get $page) (i64.mul (call $id) (i64.const 2654435761)))
        (br_if $l (i32.lt_u
          (local.tee $page (i32.add (local.get $page) (i32.const 4096))) (local.get $end))))
      (loop $l
        (drop (call $receive (i32.const 0) (i32.const 64) (i32.const 8)))
        (br $l))))"#;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let temporary = tempfile::tempdir()?;
    let directory = args.directory.clone().unwrap_or_else(|| temporary.path().to_path_buf());
    let mut options = EngineOptions::default();
    options.cache = CacheMode::Off;
    options.memories = if args.dense { Memories::Dense } else { Memories::Apart };
    let engine = Engine::new(&options)?;
    let module = Module::load(&engine, &wat::parse_str(GUEST)?)?;
    let mut sched = Scheduler::new(&engine);
    sched.set_store(DirectoryStore::open(&directory)?, Hibernation::never())?;
    let channel = sched.channel("c", ChannelOptions { external: true, ..Default::default() })?;
    let one = || Spawn::export("main").channel("c", channel).argument(&args.pages.to_le_bytes());
    // Whatever is allocated once.
    let first = sched.spawn(&module, one())?;
    sched.run(Budget::unlimited())?;
    sched.hibernate(first)?;
    let before = resident();
    let (mut ids, mut leaving) = (Vec::with_capacity(args.tasklets), Duration::ZERO);
    let all = Instant::now();
    while ids.len() < args.tasklets {
        let begun = ids.len();
        for _ in begun..args.tasklets.min(begun + args.batch.max(1)) {
            ids.push(sched.spawn(&module, one())?);
        }
        let result = sched.run(Budget::unlimited())?;
        anyhow::ensure!(matches!(result, RunResult::Blocked(_)), "{result:?}");
        let started = Instant::now();
        for id in &ids[begun..] {
            sched.hibernate(*id)?;
        }
        leaving += started.elapsed();
    }
    let all = all.elapsed();
    let memory = resident().saturating_sub(before);
    let count = args.tasklets;
    println!("{count} tasklets, {} pages each\n\n| one | |\n|---|---|", args.pages);
    println!("| to hibernate | {:.1} us |", micros(leaving, count));
    println!("| to be made, to run, and to hibernate | {:.1} us |", micros(all, count));
    println!("| on disk | {} bytes |", bytes_in(&directory)? / count as u64);
    println!("| in memory | {} bytes |", memory / count as u64);
    messages(&mut sched, channel, count)?;
    wake(&mut sched, &ids, args.woken)?;
    drop(sched);
    let started = Instant::now();
    let store = DirectoryStore::open(&directory)?;
    println!(
        "| to find in a directory that is opened | {:.2} us |",
        micros(started.elapsed(), count)
    );
    anyhow::ensure!(store.len() > count);
    Ok(())
}

/// Some come back, all over the store, because somebody looks at them.
fn wake(sched: &mut Scheduler, ids: &[TaskletId], woken: usize) -> anyhow::Result<()> {
    let step = (ids.len() / woken.max(1)).max(1);
    let chosen: Vec<TaskletId> = ids.iter().copied().step_by(step).collect();
    let started = Instant::now();
    let mut found = 0;
    for id in &chosen {
        if sched.is_hibernated(*id) {
            sched.wake(*id)?;
            found += 1;
        }
    }
    println!("| to wake | {:.1} us |", micros(started.elapsed(), found));
    Ok(())
}

/// A message to each of the first, for which it comes back, runs, and waits again.
fn messages(
    sched: &mut Scheduler,
    channel: tasklet_engine::ChannelId,
    count: usize,
) -> anyhow::Result<()> {
    sched.set_hibernation(Hibernation::after_turns(0));
    let count = count.min(1000);
    let started = Instant::now();
    for _ in 0..count {
        let handed = sched.try_send(channel, Message::Data(vec![1; 8]))?;
        anyhow::ensure!(matches!(handed, Handed::To(_)));
    }
    sched.run(Budget::unlimited())?;
    println!("| to come back for a message, and go | {:.1} us |", micros(started.elapsed(), count));
    Ok(())
}

fn micros(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e6 / count.max(1) as f64
}

/// Bytes of this process in memory, where the system tells.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn bytes_in(directory: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let metadata = entry?.metadata()?;
        bytes += if metadata.is_file() { metadata.len() } else { 0 };
    }
    Ok(bytes)
}
