//! What threads are worth: the executor with one and two, against the scheduler alone.
//!
//! `target/release/executor`

#[allow(dead_code, reason = "it belongs to the benchmark of schedulers too")]
mod guests;

use std::time::{Duration, Instant};

use tasklet_engine::{Budget, Executor, ExecutorOptions, Memories, RunResult, Scheduler};

use guests::Guests;

const ROUNDS: u32 = 5;
const PATIENCE: Duration = Duration::from_secs(600);

/// A load: its name, what is counted, how often it happens, and how it is set up.
struct Load {
    name: &'static str,
    of: &'static str,
    count: u64,
    slice: u64,
    spawn: fn(&Guests, &mut Scheduler) -> anyhow::Result<()>,
}

const LOADS: [Load; 5] = [
    Load {
        name: "16 that compute, slices of 100,000 steps",
        of: "turns",
        // A round is 4 steps.
        count: 16 * 8_000_000 / 100_000,
        slice: 100_000,
        spawn: |guests, sched| guests.alike(sched, "count", 16, 2_000_000),
    },
    Load {
        name: "16 that compute, slices of 1,000 steps",
        of: "turns",
        count: 16 * 2_000_000 / 1000,
        slice: 1000,
        spawn: |guests, sched| guests.alike(sched, "count", 16, 500_000),
    },
    Load {
        name: "16 that yield",
        of: "turns",
        count: 16 * 10_000,
        slice: 100_000,
        spawn: |guests, sched| guests.alike(sched, "yield", 16, 10_000),
    },
    Load {
        name: "16 pairs that talk",
        of: "messages",
        count: 16 * 5_000,
        slice: 100_000,
        spawn: |guests, sched| pairs(guests, sched, 16, 5_000),
    },
    Load {
        name: "one pair that talks",
        of: "messages",
        count: 50_000,
        slice: 100_000,
        spawn: |guests, sched| pairs(guests, sched, 1, 50_000),
    },
];

fn main() -> anyhow::Result<()> {
    let guests = Guests::load(Memories::Apart)?;
    println!("thousands a second | | scheduler | 1 thread | 2 threads\n|---|---|---|---|---|");
    for load in &LOADS {
        let mut best = [Duration::MAX; 3];
        for _ in 0..ROUNDS {
            for (workers, best) in best.iter_mut().enumerate() {
                let mut sched = guests.scheduler();
                (load.spawn)(&guests, &mut sched)?;
                *best = run(sched, workers, load.slice)?.min(*best);
            }
        }
        let rate = best.map(|time| load.count as f64 / time.as_secs_f64() / 1000.0);
        let [none, one, two] = rate;
        println!("| {} | {} | {none:.1} | {one:.1} | {two:.1} |", load.name, load.of);
    }
    Ok(())
}

/// By that many workers, or the scheduler alone.
fn run(mut sched: Scheduler, workers: usize, slice: u64) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    if workers == 0 {
        let result = sched.run(Budget::steps(slice).round_robin())?;
        anyhow::ensure!(result == RunResult::Finished, "{result:?}");
        return Ok(begun.elapsed());
    }
    let mut options = ExecutorOptions::default();
    (options.workers, options.slice_steps) = (workers, slice);
    let executor = Executor::start(sched, &options).map_err(|refused| refused.error)?;
    let result = executor.wait(PATIENCE);
    anyhow::ensure!(result == Some(RunResult::Finished), "{result:?}");
    Ok(begun.elapsed())
}

fn pairs(guests: &Guests, sched: &mut Scheduler, count: u32, times: u32) -> anyhow::Result<()> {
    (0..count).try_for_each(|pair| guests.pair(sched, pair, ["receive", "send"], times))
}
