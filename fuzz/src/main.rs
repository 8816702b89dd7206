//! Random modules without end: `target/release/tasklet-fuzz oracle`.
//!
//! What is tried follows from the seed alone, and is what the tests of `tests/` try of their seeds.
//! A module that fails is kept in the temporary folder, and its seed printed; in the end the exit
//! code says whether there was any.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Parser, ValueEnum};
use tasklet_tests::campaign::{self, Totals};
use tasklet_tests::hostile;

/// What is to be tried.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Target {
    /// Generated modules: however they are paused, they do what they do in plain wasmtime.
    Oracle,
    /// Damaged modules: each gives a valid module, or an error that says what is wrong.
    Mutate,
}

/// Tries random modules until it is stopped.
#[derive(Debug, Parser)]
struct Arguments {
    target: Target,
    /// The first seed; the others follow it.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// How many seeds; without end if not given.
    #[arg(long)]
    seeds: Option<u64>,
    /// Begin no other seed after so many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Threads; one for each processor if not given.
    #[arg(long)]
    threads: Option<usize>,
}

/// How long it is quiet between two lines of progress.
const QUIET: Duration = Duration::from_secs(10);

/// One target while it is tried.
struct Campaign {
    target: Target,
    totals: Totals,
    /// Damaged modules that were valid all the same.
    valid: AtomicU64,
    tried: AtomicU64,
    failed: AtomicU64,
}

impl Campaign {
    fn new(target: Target) -> Campaign {
        let (valid, tried, failed) = Default::default();
        Campaign { target, totals: Totals::default(), valid, tried, failed }
    }

    fn try_one(&self, seed: u64) {
        let result = match self.target {
            Target::Oracle => campaign::check(seed, &self.totals),
            Target::Mutate => hostile::check(seed).map(|valid| {
                self.valid.fetch_add(valid, Ordering::Relaxed);
            }),
        };
        self.tried.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = result.with_context(|| format!("seed {seed} failed")) {
            self.failed.fetch_add(1, Ordering::Relaxed);
            println!("{error:#}");
        }
    }

    fn report(&self) {
        let get = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let done = match self.target {
            Target::Oracle => {
                let Totals { modules, calls, traps, .. } = &self.totals;
                let (modules, calls, traps) = (get(modules), get(calls), get(traps));
                format!("{modules} modules, {calls} calls, {traps} of them trap")
            }
            Target::Mutate => format!("{} damaged modules were valid", get(&self.valid)),
        };
        println!("{} seeds, {} failed; {done}", get(&self.tried), get(&self.failed));
    }

    /// Tries seeds from `first` on; whether none failed.
    fn run(&self, arguments: &Arguments) -> bool {
        let begun = Instant::now();
        let last = arguments.seeds.map_or(u64::MAX, |seeds| arguments.first.saturating_add(seeds));
        let limit = arguments.seconds.map(Duration::from_secs);
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        let next = AtomicU64::new(arguments.first);
        let work = |reports: bool| {
            let mut reported = Instant::now();
            while limit.is_none_or(|limit| begun.elapsed() < limit) {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= last {
                    break;
                }
                self.try_one(seed);
                if reports && reported.elapsed() > QUIET {
                    reported = Instant::now();
                    self.report();
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..arguments.threads.unwrap_or_else(processors) {
                scope.spawn(|| work(false));
            }
            work(true);
        });
        self.report();
        self.failed.load(Ordering::Relaxed) == 0
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match Campaign::new(arguments.target).run(&arguments) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> (Campaign, bool) {
        let arguments = Arguments::parse_from(line.split(' '));
        let campaign = Campaign::new(arguments.target);
        let held = campaign.run(&arguments);
        (campaign, held)
    }

    #[test]
    fn smoke_oracle() {
        let (campaign, held) = run("fuzz oracle --first 3 --seeds 8 --threads 2");
        assert!(held && campaign.totals.calls.into_inner() > 0);
    }

    #[test]
    fn smoke_mutate() {
        let (campaign, held) = run("fuzz mutate --seeds 8 --threads 2");
        assert!(held && campaign.valid.into_inner() > 0 && campaign.tried.into_inner() == 8);
    }
}
