//! Forks: before and now, the first and those behind it, beside copying the same bytes and beside
//! `fork(2)` of a process that has touched as much.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tasklet_engine::snapshot::{Limits, Snapshot};
use tasklet_engine::{SnapshotOptions, Tasklet};

use crate::measure::{median, middle};
use crate::{program, table};

/// What was measured at one size; times in seconds.
#[derive(Debug)]
pub struct Row {
    name: &'static str,
    bytes: u64,
    memcpy: f64,
    memcpy_new: f64,
    /// A dump into memory that is loaded.
    dump_and_load: f64,
    /// A snapshot that borrows the memory, loaded: every byte is copied once.
    copied: f64,
    first: f64,
    /// Where nothing was written since.
    second: f64,
    /// The same, each after 1 % of the pages has been written to, the same ones all over the memory.
    after_writes: f64,
    /// Until the fork has written to every page.
    first_written: f64,
    copied_written: f64,
    /// `fork(2)`, and when the child has written to every page.
    process: Option<f64>,
    /// What each of many forks takes of memory, in bytes; each after 1 % has been written to.
    memory_each: Option<f64>,
}

/// One of how many pages is written to between two forks.
const WRITTEN: u64 = 100;
/// Forks that are made one after the other with writes in between.
const FORKS: usize = 30;

/// Measures one size.
pub fn row(name: &'static str, bytes: u64, rounds: usize) -> Result<Row> {
    let module = program::module(bytes)?;
    let pages = bytes / 4096;
    // It writes to all pages again and again.
    let paused = || program::writing(&module, bytes, pages);
    let options = || {
        let mut options = SnapshotOptions::default();
        options.embed_module = false;
        options
    };
    let copy = |tasklet: &mut Tasklet| -> Result<Tasklet> {
        let snapshot = tasklet.snapshot(&options())?;
        // It is not written, and has no digest; which one is said changes nothing here.
        let digest = snapshot.module.hash;
        Ok(Tasklet::load(&module, &snapshot, digest, program::host())?)
    };
    let mut tasklet = paused()?;
    let dump_and_load = median(rounds, || {
        let mut file = Vec::new();
        tasklet.dump(&mut file, &options())?;
        let (snapshot, digest) = Snapshot::read_slice(&file, &Limits::DEFAULT)?;
        Ok(Tasklet::load(&module, &snapshot, digest, program::host())?)
    })?;
    let copied = median(rounds, || copy(&mut tasklet))?;
    let copied_written = median(rounds, || {
        let mut copied = copy(&mut tasklet)?;
        program::go_on(&mut copied, pages)?;
        Ok(copied)
    })?;
    let (mut first, mut second, mut first_written) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds.max(1) {
        let mut tasklet = paused()?;
        let begin = Instant::now();
        let mut one = tasklet.fork(program::host())?;
        first.push(begin.elapsed().as_secs_f64());
        let begin = Instant::now();
        let other = tasklet.fork(program::host())?;
        second.push(begin.elapsed().as_secs_f64());
        drop(other);
        let begin = Instant::now();
        program::go_on(&mut one, pages)?;
        first_written.push(first[first.len() - 1] + begin.elapsed().as_secs_f64());
    }
    drop(tasklet);
    let (after_writes, memory_each) = after_writes(&module, bytes)?;
    let from = vec![1u8; usize::try_from(bytes)?];
    let mut to = vec![2u8; from.len()];
    let memcpy = median(rounds, || {
        to.copy_from_slice(std::hint::black_box(&from));
        Ok(())
    })?;
    let memcpy_new = median(rounds, || Ok(from.clone()))?;
    drop(to);
    let process = process::fork(&from, rounds)?;
    let (first, second, first_written) = (middle(first), middle(second), middle(first_written));
    Ok(Row {
        name,
        bytes,
        memcpy,
        memcpy_new,
        dump_and_load,
        copied,
        first,
        second,
        after_writes,
        first_written,
        copied_written,
        process,
        memory_each,
    })
}

/// Forks one tasklet again and again, and lets it write to some pages before each. The mean time of
/// a fork behind the first, and the memory that each takes.
fn after_writes(module: &tasklet_engine::Module, bytes: u64) -> Result<(f64, Option<f64>)> {
    let pages = (bytes / 4096 / WRITTEN).max(1);
    let mut tasklet = program::writing(module, bytes, pages)?;
    let mut forks = vec![tasklet.fork(program::host())?];
    let before = resident();
    let mut seconds = 0.0;
    for _ in 0..FORKS {
        program::go_on(&mut tasklet, pages)?;
        let begin = Instant::now();
        forks.push(tasklet.fork(program::host())?);
        seconds += begin.elapsed().as_secs_f64();
    }
    let each = before.zip(resident()).map(|(before, now)| now.saturating_sub(before) as f64);
    ensure!(forks.len() == FORKS + 1, "all are there");
    Ok((seconds / FORKS as f64, each.map(|all| all / FORKS as f64)))
}

/// Memory of this process in bytes, each page counted once however often it is mapped here: those
/// without a file, and those of what forks share.
fn resident() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let status = read("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let anonymous: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some((anonymous << 10) + shared::bytes().unwrap_or(0))
}

#[cfg(target_os = "linux")]
mod shared {
    use std::os::unix::fs::MetadataExt;

    /// What the file takes from which forks have their pages.
    pub fn bytes() -> Option<u64> {
        let files = std::fs::read_dir("/proc/self/fd").ok()?;
        let of_forks = |path: &std::path::PathBuf| {
            let name = std::fs::read_link(path);
            name.is_ok_and(|name| name.to_string_lossy().contains("memfd:tasklet-forks"))
        };
        let file = files.flatten().map(|file| file.path()).find(of_forks)?;
        Some(std::fs::metadata(file).ok()?.blocks() * 512)
    }
}

#[cfg(not(target_os = "linux"))]
mod shared {
    pub fn bytes() -> Option<u64> {
        None
    }
}

#[cfg(unix)]
mod process {
    use std::os::unix::process::CommandExt;
    use std::process::Command;
    use std::time::Instant;

    use anyhow::Result;

    use crate::measure::middle;

    /// `fork(2)` of this process, which has touched these bytes: the time until the child exists.
    #[expect(unsafe_code, reason = "a fork is asked for by way of what runs in the child")]
    pub fn fork(touched: &[u8], rounds: usize) -> Result<Option<f64>> {
        std::hint::black_box(touched);
        let mut times = Vec::new();
        for _ in 0..rounds.max(1) {
            let mut command = Command::new("true");
            // SAFETY: it does nothing. That there is something makes the library fork, where it
            // would else start a process without one.
            unsafe { command.pre_exec(|| Err(std::io::Error::from_raw_os_error(1))) };
            let begin = Instant::now();
            // The child gives up at once, which is what it is asked to do.
            let _ = command.spawn();
            times.push(begin.elapsed().as_secs_f64());
        }
        Ok(Some(middle(times)))
    }
}

#[cfg(not(unix))]
mod process {
    pub fn fork(_: &[u8], _: usize) -> anyhow::Result<Option<f64>> {
        Ok(None)
    }
}

const TITLES: [&str; 11] = [
    "memcpy",
    "to new",
    "dump+load",
    "copied",
    "fork",
    "second",
    "1% written",
    "KiB each",
    "fork, all",
    "copied, all",
    "fork(2)",
];

fn cells(row: &Row) -> Vec<String> {
    let ms = table::milliseconds;
    let kib = row.memory_each.map(|bytes| format!("{:.0}", bytes / 1024.0));
    let none = || "-".to_string();
    vec![
        ms(row.memcpy),
        ms(row.memcpy_new),
        ms(row.dump_and_load),
        ms(row.copied),
        ms(row.first),
        ms(row.second),
        ms(row.after_writes),
        kib.unwrap_or_else(none),
        ms(row.first_written),
        ms(row.copied_written),
        row.process.map_or_else(none, ms),
    ]
}

/// The head of the table for people.
pub fn head() -> String {
    let titles: String = TITLES.iter().map(|title| format!("{title:>12}")).collect();
    format!("{:8}{titles}   (ms)", "touched")
}

/// One row of it.
pub fn line(row: &Row) -> String {
    let cells: String = cells(row).iter().map(|cell| format!("{cell:>12}")).collect();
    format!("{:8}{cells}", row.name)
}

/// The table of the documentation.
pub fn markdown(rows: &[Row]) -> String {
    let mut text = format!("| touched | {} |\n|{}\n", TITLES.join(" | "), "---|".repeat(12));
    for row in rows {
        text.push_str(&format!("| {} | {} |\n", row.name, cells(row).join(" | ")));
    }
    text
}

/// Everything, for other programs.
pub fn json(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        json!({
            "touched_bytes": row.bytes,
            "memcpy_seconds": row.memcpy,
            "memcpy_new_seconds": row.memcpy_new,
            "dump_and_load_seconds": row.dump_and_load,
            "copied_seconds": row.copied,
            "first_seconds": row.first,
            "second_seconds": row.second,
            "after_writes_seconds": row.after_writes,
            "after_writes_bytes_each": row.memory_each,
            "first_written_seconds": row.first_written,
            "copied_written_seconds": row.copied_written,
            "process_seconds": row.process,
        })
    };
    rows.iter().map(row).collect()
}
