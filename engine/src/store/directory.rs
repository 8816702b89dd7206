//! A store in a directory.
//!
//! Records are appended to *segments*, a few large files, instead of each being a file of its own:
//! ten million small files take an inode and at least a block each, and a minute or more to make,
//! to list and to remove. An index in memory says where the latest record of each number is; it is
//! made anew from the records when the directory is opened. A removal is a record, too.
//!
//! What is not the latest is garbage. Once there is more of it than of the rest, the oldest segment
//! goes: what is alive of it is appended again; and another for each quarter of a segment that is put
//! meanwhile. As this goes round, all that is alive is copied once for at least as many bytes of
//! garbage that are freed, so that a byte that is put costs at most two that are written, and the
//! directory holds at most two and a half times what is alive, and a segment or two.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::Store;
use super::index::{Index, Place};
use super::record::{Header, Kind};
use super::scan::{Found, Scan};
use super::segment::{self, Appended};
use crate::error::Error;
use crate::module::ModuleCache;
use crate::snapshot::Digest;

/// How a [`DirectoryStore`] keeps what it is given.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryOptions {
    /// Bytes from which on the next record begins another file. Default 64 MiB.
    pub segment_bytes: u64,
    /// How hard zstd tries, from 1 to 22; `None` leaves records as they are. Default 1.
    pub compression: Option<i32>,
    /// Opens a directory in spite of damage: what is no record is skipped, up to the next that is.
    /// Of a number whose latest record is skipped so an earlier one comes to light, or none. Damaged
    /// contents are told as always. Default no.
    pub skips_damage: bool,
}

impl Default for DirectoryOptions {
    fn default() -> DirectoryOptions {
        DirectoryOptions { segment_bytes: 64 << 20, compression: Some(1), skips_damage: false }
    }
}

/// A store in a directory, for one process at a time.
///
/// A process that is killed, at any moment, leaves for each number what was put last, or if it was
/// killed while that was being put, what was there before. A failure of power may take more of what
/// was put last, up to the last [`sync`](DirectoryStore::sync) or the last full segment, and leaves
/// what was there before then.
///
/// Whatever else is not as it was written is [`Error::StoreDamaged`]: when the directory is opened, if
/// it is not even known which number has been damaged, and otherwise when that is asked for.
pub struct DirectoryStore {
    directory: PathBuf,
    options: DirectoryOptions,
    modules: ModuleCache,
    index: Index,
    /// All segments, that which is appended to included.
    segments: BTreeSet<u32>,
    appended: Option<Appended>,
    /// Bytes of all segments, and of the records that the index names.
    total_bytes: u64,
    live_bytes: u64,
    /// Garbage is left alone until there are so many bytes.
    compact_from: u64,
    /// Why it could not, until somebody asks.
    failure: Option<Error>,
    torn_bytes: u64,
    skipped_bytes: u64,
    compressor: Option<zstd::bulk::Compressor<'static>>,
    /// Held as long as this is there.
    _lock: File,
}

/// The place of a record in its segment has four bytes.
const OFFSET_MAX: u64 = u32::MAX as u64;

impl DirectoryStore {
    /// Opens the store in a directory, which is made if it is not there. What a killed process has
    /// left half written there goes.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::StoreInUse`] while somebody else has it open;
    /// [`Error::StoreDamaged`] when files there are not what was written.
    pub fn open(directory: impl Into<PathBuf>) -> Result<DirectoryStore, Error> {
        DirectoryStore::open_with(directory, DirectoryOptions::default())
    }

    /// The same with options, which need not be those of before.
    ///
    /// # Errors
    /// As [`open`](DirectoryStore::open), and [`Error::Limit`] for a compression that zstd has not.
    pub fn open_with(
        directory: impl Into<PathBuf>,
        mut options: DirectoryOptions,
    ) -> Result<DirectoryStore, Error> {
        let directory = directory.into();
        options.segment_bytes = options.segment_bytes.min(OFFSET_MAX);
        let compressor = options.compression.map(compressor).transpose()?;
        fs::create_dir_all(&directory).map_err(Error::io("cannot make", &directory))?;
        let lock = lock(&directory)?;
        let modules = directory.join("modules");
        remove_leftovers(&modules)?;
        let mut store = DirectoryStore {
            segments: segments(&directory)?,
            directory,
            options,
            modules: ModuleCache::at(modules),
            index: Index::default(),
            appended: None,
            total_bytes: 0,
            live_bytes: 0,
            compact_from: 0,
            failure: None,
            torn_bytes: 0,
            skipped_bytes: 0,
            compressor,
            _lock: lock,
        };
        let last = store.segments.last().copied();
        for number in store.segments.clone() {
            store.read_segment(number, Some(number) == last)?;
        }
        Ok(store)
    }

    /// Waits until all that was put would outlive a failure of power.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn sync(&mut self) -> Result<(), Error> {
        self.appended.as_ref().map_or(Ok(()), Appended::sync)?;
        sync_directory(&self.directory)
    }

    /// How many numbers have something.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of its segments. The modules are not among them.
    pub fn bytes(&self) -> u64 {
        self.total_bytes
    }

    /// Bytes that were dropped when it was opened: of a record whose writer was killed, or of what had
    /// not been synced when power failed.
    pub fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    /// Bytes that were skipped when it was opened: see [`DirectoryOptions::skips_damage`].
    pub fn skipped_bytes(&self) -> u64 {
        self.skipped_bytes
    }

    /// Takes in what a segment says. Only the last can be torn: all others were synced before
    /// another was begun.
    ///
    /// NB: of the contents only those of the very last record are looked at. Others that are damaged
    /// are so whatever was appended behind them, and whoever asks for them is told.
    fn read_segment(&mut self, number: u32, is_last: bool) -> Result<(), Error> {
        let Some(mut scan) = Scan::open(&self.directory, number)? else {
            let path = segment::path(&self.directory, number);
            if !is_last {
                return Err(segment::damaged(&path, 0, "it has no beginning"));
            }
            self.segments.remove(&number);
            return fs::remove_file(&path).map_err(Error::io("cannot remove", path));
        };
        let mut latest: Option<(u64, Header)> = None;
        let mut end = loop {
            match scan.next()? {
                Found::Record(at, header) => {
                    if let Some((at, header)) = latest.replace((at, header)) {
                        self.note(number, at, &header);
                    }
                }
                Found::End => break scan.position(),
                Found::Short(at) if is_last => break at,
                Found::Damaged(at) if is_last && scan.is_torn(at)? => break at,
                Found::Short(at) | Found::Damaged(at) => {
                    self.skip(&mut scan, at)?;
                    self.skipped_bytes += scan.position() - at;
                }
            }
        };
        match latest {
            Some((at, header)) if is_last && scan.is_torn_record(at, &header)? => end = at,
            Some((at, header)) => self.note(number, at, &header),
            None => {}
        }
        self.torn_bytes += scan.length() - end;
        self.total_bytes += end;
        if is_last {
            self.appended = Some(Appended::open(&self.directory, number, end)?);
        }
        Ok(())
    }

    /// Goes on behind damage, if it may.
    fn skip(&self, scan: &mut Scan, at: u64) -> Result<(), Error> {
        match self.options.skips_damage {
            true => scan.skip(at),
            false => Err(scan.damaged(at)),
        }
    }

    /// A record is the latest of its number.
    fn note(&mut self, segment: u32, offset: u64, header: &Header) {
        let bytes = header.record_bytes();
        let before = match (header.kind, u32::try_from(offset)) {
            (Kind::Plain | Kind::Compressed, Ok(offset)) => {
                self.live_bytes += bytes;
                self.index.insert(header.key, Place { segment, offset, bytes })
            }
            _ => self.index.remove(header.key),
        };
        self.live_bytes -= before.map_or(0, |place| place.bytes);
    }

    fn append(&mut self, header: &Header, contents: &[u8]) -> Result<(), Error> {
        let appended = self.appended()?;
        let (number, at) = (appended.number, appended.append(header, contents)?);
        self.total_bytes += header.record_bytes();
        self.note(number, at, header);
        Ok(())
    }

    /// The segment to append to: another if it is full.
    fn appended(&mut self) -> Result<&mut Appended, Error> {
        let most = self.options.segment_bytes;
        let next = match self.appended.take_if(|appended| appended.bytes() > most) {
            Some(mut full) => {
                if let Err(error) = full.finish() {
                    self.appended = Some(full);
                    return Err(error);
                }
                full.number.checked_add(1)
            }
            None => Some(self.segments.last().map_or(0, |last| last.saturating_add(1))),
        };
        if self.appended.is_none() {
            let next = next.ok_or_else(|| Error::limit("more segments than there are numbers"))?;
            let made = Appended::create(&self.directory, next)?;
            self.total_bytes += made.bytes();
            self.segments.insert(next);
            self.appended = Some(made);
            // It is there now: what is put next goes into it, even if this fails.
            sync_directory(&self.directory)?;
        }
        self.appended.as_mut().ok_or_else(|| Error::internal("a segment that is not there"))
    }

    /// Frees a segment, if there is more garbage than there is of the rest. What was put or removed
    /// is, whatever becomes of that: if it fails, for the disk is full or the oldest segment is
    /// damaged, that is kept for who asks, and it is tried again a segment later.
    ///
    /// NB: one, and the next no sooner than a quarter of a segment later. The oldest may be all
    /// alive, gigabytes of them, and who puts something must not wait for all to be copied.
    fn compact(&mut self) {
        let most = self.options.segment_bytes;
        let garbage = self.total_bytes - self.live_bytes;
        if self.total_bytes < self.compact_from || garbage <= self.live_bytes.max(most) {
            return;
        }
        let current = self.appended.as_ref().map(|appended| appended.number);
        let oldest = self.segments.first().copied().filter(|oldest| Some(*oldest) != current);
        let Some(oldest) = oldest else { return };
        let until_next = match self.free(oldest) {
            Ok(()) => most / 4,
            Err(error) => {
                self.failure = Some(error);
                most
            }
        };
        self.compact_from = self.total_bytes.saturating_add(until_next);
    }

    /// Appends what is alive of the oldest segment, and removes it. What it says was removed is
    /// nowhere any more.
    fn free(&mut self, number: u32) -> Result<(), Error> {
        let path = segment::path(&self.directory, number);
        let Some(mut scan) = Scan::open(&self.directory, number)? else {
            return Err(segment::damaged(&path, 0, "it has no beginning"));
        };
        loop {
            match scan.next()? {
                Found::Record(at, header) => {
                    let here = self.index.get(header.key);
                    if here.is_some_and(|p| p.segment == number && u64::from(p.offset) == at) {
                        // NB: if they are damaged they are copied as they are, and stay damaged: to
                        // keep the whole segment for them would keep all garbage, too.
                        let contents = scan.contents(&header)?;
                        self.append(&header, &contents)?;
                    }
                }
                Found::End => break,
                Found::Short(at) | Found::Damaged(at) => self.skip(&mut scan, at)?,
            }
        }
        self.sync()?;
        fs::remove_file(&path).map_err(Error::io("cannot remove", path))?;
        self.segments.remove(&number);
        self.total_bytes -= scan.position();
        // A removal must not outlive a failure of power if what it is of does.
        sync_directory(&self.directory)
    }
}

impl Store for DirectoryStore {
    fn put(&mut self, key: u64, bytes: &[u8]) -> Result<(), Error> {
        let whole = bytes.len() as u64;
        let compressed = match &mut self.compressor {
            Some(compressor) => compressor.compress(bytes).map_err(|e| Error::Store(e.into()))?,
            None => Vec::new(),
        };
        let (kind, contents) = match self.compressor.is_some() && compressed.len() < bytes.len() {
            true => (Kind::Compressed, &compressed[..]),
            false => (Kind::Plain, bytes),
        };
        self.append(&Header::new(kind, key, contents, whole), contents)?;
        self.compact();
        Ok(())
    }

    fn get(&mut self, key: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(place) = self.index.get(key) else { return Ok(None) };
        let (segment, at) = (place.segment, u64::from(place.offset));
        let (header, contents) = segment::read(&self.directory, segment, at)?;
        let path = || segment::path(&self.directory, segment);
        if header.key != key {
            return Err(segment::damaged(&path(), at, "it is of another number"));
        }
        match header.kind {
            Kind::Compressed => decompress(&contents, header.whole)?
                .ok_or_else(|| segment::damaged(&path(), at, "it cannot be decompressed"))
                .map(Some),
            _ => Ok(Some(contents)),
        }
    }

    fn remove(&mut self, key: u64) -> Result<(), Error> {
        if self.index.get(key).is_none() {
            return Ok(());
        }
        self.append(&Header::new(Kind::Removed, key, &[], 0), &[])?;
        self.compact();
        Ok(())
    }

    fn keys(&mut self) -> Result<Vec<u64>, Error> {
        Ok(self.index.numbers())
    }

    fn put_module(&mut self, _hash: Digest, wasm: &[u8]) -> Result<(), Error> {
        self.modules.store(wasm).map(drop)
    }

    fn get_module(&mut self, hash: Digest) -> Result<Option<Vec<u8>>, Error> {
        self.modules.find(&hash)
    }

    fn take_failure(&mut self) -> Option<Error> {
        self.failure.take()
    }
}

impl std::fmt::Debug for DirectoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DirectoryStore")
            .field("directory", &self.directory)
            .field("entries", &self.index.len())
            .field("bytes", &self.total_bytes)
            .finish_non_exhaustive()
    }
}

fn compressor(level: i32) -> Result<zstd::bulk::Compressor<'static>, Error> {
    if !(1..=22).contains(&level) {
        return Err(Error::limit(format!("a compression of level {level}: 1 to 22")));
    }
    zstd::bulk::Compressor::new(level).map_err(|error| Error::Store(error.into()))
}

/// `None` if these bytes do not decompress to so many.
fn decompress(contents: &[u8], whole: u64) -> Result<Option<Vec<u8>>, Error> {
    let mut bytes = Vec::new();
    segment::reserve(&mut bytes, whole)?;
    let decompressor = zstd::bulk::Decompressor::new();
    let count = decompressor.and_then(|mut zstd| zstd.decompress_to_buffer(contents, &mut bytes));
    Ok(count.is_ok_and(|count| count as u64 == whole).then_some(bytes))
}

/// Keeps other processes out. Whoever is killed lets go of it.
fn lock(directory: &Path) -> Result<File, Error> {
    let path = directory.join("lock");
    let file = File::options().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(Error::io("cannot write", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::StoreInUse { path: directory.to_path_buf() }),
        Err(TryLockError::Error(error)) => Err(Error::io("cannot lock", path)(error)),
    }
}

fn segments(directory: &Path) -> Result<BTreeSet<u32>, Error> {
    let failed = |error| Error::io("cannot read", directory)(error);
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        found.extend(name.to_str().and_then(segment::number));
    }
    Ok(found)
}

/// Removes the temporary files of modules whose writers were killed.
fn remove_leftovers(modules: &Path) -> Result<(), Error> {
    let failed = |error| Error::io("cannot read", modules)(error);
    let entries = match fs::read_dir(modules) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            let path = entry.path();
            fs::remove_file(&path).map_err(Error::io("cannot remove", path))?;
        }
    }
    Ok(())
}

/// Waits until names that came or went would outlive a failure of power.
fn sync_directory(directory: &Path) -> Result<(), Error> {
    // Elsewhere a directory cannot be opened, and a file's name is synced with it.
    if cfg!(unix) {
        let synced = File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(Error::io("cannot write", directory))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
