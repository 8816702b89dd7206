//! The measurements.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use tasklet_engine::snapshot::Limits;
use tasklet_engine::{Base, Compressor, SnapshotChain, SnapshotOptions, Tasklet};

use crate::program;

/// What was measured at one size; times in seconds.
#[derive(Debug, Default)]
pub struct Row {
    /// What the size is called.
    pub name: String,
    /// Bytes that the program has touched.
    pub bytes: u64,
    /// Copying as many bytes to where others were, and to memory that is new to the process.
    pub memcpy: f64,
    pub memcpy_new: f64,
    /// Writing to nowhere: finding what differs, and hashing it.
    pub dump: f64,
    /// Writing to a file in the page cache, and the same synced and renamed.
    pub dump_file: f64,
    pub dump_synced: f64,
    /// Opening that file, checking it whole, making the tasklet.
    pub load: f64,
    /// The same without its pages being mapped.
    pub load_copied: f64,
    /// Compressed by Zstandard, and how many times as small it is.
    pub dump_zstd: f64,
    pub load_zstd: f64,
    pub ratio: f64,
    /// Length of the file.
    pub file_bytes: u64,
}

/// What was measured over a base.
#[derive(Debug)]
pub struct Changed {
    /// Pages that were written to since.
    pub pages: u64,
    /// Writing the snapshot, to nowhere.
    pub dump: f64,
    /// Its length.
    pub file_bytes: u64,
    /// The same without a base.
    pub whole: f64,
    /// Whether the kernel noted what was written to; if not, all was compared.
    pub tracked: bool,
}

/// Nowhere, and how much went there.
struct Counted(u64);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The median of the wall-clock times of some rounds.
pub fn median<T>(rounds: usize, mut work: impl FnMut() -> Result<T>) -> Result<f64> {
    let mut all = Vec::new();
    for _ in 0..rounds.max(1) {
        let begin = Instant::now();
        let made = work()?;
        all.push(begin.elapsed().as_secs_f64());
        drop(made);
    }
    Ok(middle(all))
}

/// The median.
pub fn middle(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// Measures one size.
pub fn row(name: &str, bytes: u64, rounds: usize, folder: &Path) -> Result<Row> {
    let module = program::module(bytes)?;
    let mut tasklet = program::paused(&module, bytes)?;
    let mut row = Row { name: name.into(), bytes, ..Row::default() };
    let options = SnapshotOptions::default();
    let path = folder.join("t.cbor");
    row.dump = median(rounds, || Ok(tasklet.dump(&mut io::sink(), &options)?))?;
    let mut written = |synced| -> Result<f64> {
        let times = (0..rounds.max(1)).map(|_| write(&mut tasklet, &path, synced, false));
        Ok(middle(times.collect::<Result<_>>()?))
    };
    (row.dump_file, row.dump_synced) = (written(false)?, written(true)?);
    row.file_bytes = fs::metadata(&path)?.len();
    ensure!(row.file_bytes >= bytes, "the snapshot holds less than was touched");

    let load = |path: &Path, mapped: bool| {
        let files = SnapshotChain::open(path, &[], &Limits::DEFAULT)?;
        let resolved = files.resolve(&Limits::DEFAULT)?;
        let (snapshot, digest) = (&resolved.snapshot, resolved.digest);
        Ok(match mapped {
            true => Tasklet::load_mapped(&module, &resolved, program::host())?,
            false => Tasklet::load(&module, snapshot, digest, program::host())?,
        })
    };
    only_ours(&path)?;
    row.load = median(rounds, || load(&path, true))?;
    row.load_copied = median(rounds, || load(&path, false))?;
    let packed = folder.join("t.zst");
    row.dump_zstd = median(rounds.min(3), || compress(&mut tasklet, &packed))?;
    row.ratio = row.file_bytes as f64 / fs::metadata(&packed)?.len() as f64;
    row.load_zstd = median(rounds.min(3), || load(&packed, false))?;
    let from = fs::read(&path)?;
    let mut to = vec![1; from.len()];
    row.memcpy = median(rounds, || {
        to.copy_from_slice(std::hint::black_box(&from));
        Ok(())
    })?;
    row.memcpy_new = median(rounds, || Ok(from.clone()))?;
    Ok(row)
}

/// Writes it to a file: one that was not there before, or, synced, one that takes the place of the
/// one before, as the command line does it.
fn write(tasklet: &mut Tasklet, path: &Path, synced: bool, track: bool) -> Result<f64> {
    let new = path.with_extension("new");
    if !synced && path.exists() {
        // File systems make a file durable that replaces another.
        fs::remove_file(path)?;
    }
    let begin = Instant::now();
    let mut file = File::create(if synced { &new } else { path })?;
    let mut options = SnapshotOptions::default();
    options.track_changes = track;
    tasklet.dump(&mut file, &options)?;
    if synced {
        file.sync_all()?;
        fs::rename(new, path)?;
    }
    Ok(begin.elapsed().as_secs_f64())
}

fn compress(tasklet: &mut Tasklet, path: &Path) -> Result<()> {
    let mut compressor = Compressor::new(File::create(path)?, 3)?;
    tasklet.dump(&mut compressor, &SnapshotOptions::default())?;
    compressor.finish()?;
    Ok(())
}

/// Keeps others from writing to a file; only such a one is mapped.
#[cfg(unix)]
fn only_ours(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o600))?)
}

/// Elsewhere none is.
#[cfg(not(unix))]
fn only_ours(_: &Path) -> Result<()> {
    Ok(())
}

/// Measures snapshots over a base, after so many pages have been written to.
pub fn over_a_base(
    bytes: u64,
    changed: &[u64],
    rounds: usize,
    folder: &Path,
) -> Result<Vec<Changed>> {
    let module = program::module(bytes)?;
    let options = SnapshotOptions::default();
    let mut rows = Vec::new();
    for &pages in changed {
        let mut tasklet = program::writing(&module, bytes, pages)?;
        let whole = median(1, || Ok(tasklet.dump(&mut io::sink(), &options)?))?;
        let path = folder.join("base.cbor");
        let mut times = Vec::new();
        let mut file_bytes = 0;
        for _ in 0..rounds.max(1) {
            write(&mut tasklet, &path, false, true)?;
            let files = SnapshotChain::open(&path, &[], &Limits::DEFAULT)?;
            let base = files.resolve(&Limits::DEFAULT)?;
            let base = Base { snapshot: &base.snapshot, digest: base.digest };
            program::go_on(&mut tasklet, pages)?;
            let mut options = SnapshotOptions::default();
            options.embed_module = false;
            let mut out = Counted(0);
            let begin = Instant::now();
            tasklet.dump_over(&mut out, &options, Some(base))?;
            times.push(begin.elapsed().as_secs_f64());
            file_bytes = out.0;
        }
        let tracked = tasklet.tracks_changes();
        rows.push(Changed { pages, dump: middle(times), file_bytes, whole, tracked });
    }
    Ok(rows)
}
