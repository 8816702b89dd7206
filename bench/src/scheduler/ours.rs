//! Ours: guests of a scheduler.

use anyhow::{Context, Result, ensure};
use tasklet_engine::{Budget, ChannelOptions, Memories, RunResult, Scheduler, Spawn};

use super::cpu;
use super::guests::Guests;

/// Ours, with their memories apart or dense.
pub struct Ours {
    guests: Guests,
}

impl Ours {
    pub fn load(memories: Memories) -> Result<Ours> {
        Ok(Ours { guests: Guests::load(memories)? })
    }

    /// Prints what one turn, one message and one tasklet take, and to make one.
    pub fn times(&self, turns: u32, messages: u32, spawns: u32) -> Result<()> {
        let mut sched = self.guests.scheduler();
        self.guests.alike(&mut sched, "yield", 2, turns / 2)?;
        let begun = cpu::seconds();
        finish(&mut sched)?;
        print("turn", begun, turns / 2 * 2);

        let mut sched = self.guests.scheduler();
        self.guests.pair(&mut sched, 0, ["pong", "ping"], messages / 2)?;
        let begun = cpu::seconds();
        finish(&mut sched)?;
        print("message", begun, messages / 2 * 2);

        self.begin(spawns)?;

        let mut sched = self.guests.scheduler();
        let begun = cpu::seconds();
        for _ in 0..spawns {
            sched.spawn(&self.guests.module, Spawn::export("nothing"))?;
            finish(&mut sched)?;
        }
        print("spawn", begun, spawns);
        Ok(())
    }

    /// Prints what it takes to make a tasklet, apart from running and dropping it. They are made a
    /// few at a time, for to ask for the time takes time itself.
    fn begin(&self, spawns: u32) -> Result<()> {
        const AT_A_TIME: u32 = 32;
        let mut sched = self.guests.scheduler();
        let (mut seconds, mut made) = (0.0, 0);
        // Not the first few, which find no memory that was used before.
        for round in 0..=spawns.div_ceil(AT_A_TIME) {
            let begun = cpu::seconds();
            for _ in 0..AT_A_TIME {
                sched.spawn(&self.guests.module, Spawn::export("nothing"))?;
            }
            if round > 0 {
                seconds += cpu::seconds() - begun;
                made += AT_A_TIME;
            }
            finish(&mut sched)?;
        }
        println!("begin {:.1}", seconds * 1e9 / f64::from(made));
        Ok(())
    }

    /// Prints the memory that each of so many takes, all of which wait.
    pub fn live(&self, count: u32) -> Result<()> {
        let mut sched = self.guests.scheduler();
        let channel = sched.channel("never", ChannelOptions::default())?;
        let before = memory()?;
        for _ in 0..count {
            sched.spawn(&self.guests.module, Spawn::export("wait").channel("never", channel))?;
        }
        let result = sched.run(Budget::unlimited())?;
        let waiting = matches!(&result, RunResult::Deadlock(_));
        let waiting = waiting && sched.waiting_on(channel)?.len() == count as usize;
        ensure!(waiting, "they do not all wait");
        println!("memory {}", (memory()? - before) / u64::from(count));
        // They are many: the system is faster at it.
        std::process::exit(0);
    }
}

fn finish(sched: &mut Scheduler) -> Result<()> {
    let result = sched.run(Budget::unlimited())?;
    ensure!(result == RunResult::Finished, "{result:?}");
    Ok(())
}

fn print(name: &str, begun: f64, count: u32) {
    println!("{name} {:.1}", (cpu::seconds() - begun) * 1e9 / f64::from(count));
}

/// Memory of this process, and the page tables for it, in bytes.
fn memory() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status");
    let status = status.context("how much memory a process has is known on Linux alone")?;
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        kib.with_context(|| format!("no {name} in /proc/self/status"))
    };
    Ok(1024 * (of("VmRSS:")? + of("VmPTE:")?))
}
