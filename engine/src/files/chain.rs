//! A snapshot and its bases.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::{Mapping, SnapshotFile};
use crate::error::Error;
use crate::snapshot::{self, Digest, ErrorKind, Limits, Snapshot};

/// The most bases that lie over one another.
const BASES_MAX: usize = 1000;
/// The most files of a directory that are looked at for a base.
const BESIDE_MAX: usize = 100_000;

/// The files of a snapshot and of its bases, the newest first.
#[derive(Debug)]
pub struct SnapshotChain {
    files: Vec<SnapshotFile>,
}

/// A snapshot without a base, made of those of a chain.
#[derive(Debug)]
pub struct Resolved<'a> {
    /// The state as a whole.
    pub snapshot: Snapshot<'a>,
    /// The digest of the newest file.
    pub digest: Digest,
    /// The base that the newest file names, as a whole, and its digest.
    pub base: Option<(Snapshot<'a>, Digest)>,
    /// What the newest file holds itself, if it has a base; if not, that is all of it.
    pub own: Option<Own<'a>>,
    /// The files.
    pub files: &'a SnapshotChain,
}

/// What the newest file of a chain holds itself.
#[derive(Debug)]
pub struct Own<'a> {
    /// Its memories, as they differ from those of its base.
    pub memories: Vec<snapshot::MemoryState<'a>>,
    /// Whether it embeds the module.
    pub embeds_module: bool,
}

impl SnapshotChain {
    /// Opens a file, and its bases. A base is one of `bases`, or else a file beside the snapshot:
    /// the last 32 bytes of a snapshot are its digest, so it is found by that whatever its name
    /// (but not if it is compressed).
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::SnapshotFormat`], and [`Error::BaseNotFound`].
    pub fn open(path: &Path, bases: &[PathBuf], limits: &Limits) -> Result<SnapshotChain, Error> {
        let beside = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let file = SnapshotFile::open(path, limits)?;
        SnapshotChain::of(file, Some(beside.unwrap_or(Path::new("."))), bases, limits)
    }

    /// The same of a file that is open; bases are looked for in `beside`.
    ///
    /// # Errors
    /// As [`open`](SnapshotChain::open).
    pub fn of(
        file: SnapshotFile,
        beside: Option<&Path>,
        bases: &[PathBuf],
        limits: &Limits,
    ) -> Result<SnapshotChain, Error> {
        let given = bases.iter().map(|path| SnapshotFile::open(path, limits));
        let mut given = given.collect::<Result<Vec<_>, _>>()?;
        let (mut files, mut named) = (vec![file], Vec::new());
        while let Some(digest) = files.last().map_or(Ok(None), |file| file.base(limits))? {
            // A hash cannot come back: a file lies that ends with it.
            if named.contains(&digest) {
                return Err(of_base(snapshot::Error::from(ErrorKind::Digest).into(), digest));
            }
            named.push(digest);
            if files.len() > BASES_MAX {
                return Err(Error::limit(format!("more than {BASES_MAX} bases")));
            }
            let found = given.iter().position(|file| file.digest() == Some(digest));
            let next = match (found, beside) {
                (Some(at), _) => Ok(Some(given.swap_remove(at))),
                (None, Some(folder)) => look_beside(folder, digest, limits),
                (None, None) => Ok(None),
            };
            let next = next.map_err(|error| of_base(error, digest))?;
            files.push(next.ok_or(Error::BaseNotFound { digest })?);
        }
        Ok(SnapshotChain { files })
    }

    /// The newest file.
    pub fn newest(&self) -> &SnapshotFile {
        &self.files[0]
    }

    /// The files of the bases, as far as they are files.
    pub fn bases(&self) -> Vec<PathBuf> {
        self.files.iter().skip(1).filter_map(|file| file.path.clone()).collect()
    }

    /// Reads them all, each being checked, and lays them over one another. A snapshot without a
    /// base that was read, and not mapped, is given away: it can be asked for once.
    ///
    /// # Errors
    /// [`Error::SnapshotFormat`].
    pub fn resolve(&self, limits: &Limits) -> Result<Resolved<'_>, Error> {
        let mut base: Option<(Snapshot<'_>, Digest)> = None;
        let (newest, older) = self.files.split_first().expect("a chain has a file");
        if older.is_empty() {
            let (snapshot, digest) = newest.snapshot(limits)?;
            return Ok(Resolved { snapshot, digest, base, own: None, files: self });
        }
        for file in older.iter().rev() {
            let named = file.digest().unwrap_or(Digest([0; 32]));
            let (snapshot, digest) = file.lend(limits).map_err(|error| of_base(error, named))?;
            base = Some((laid(snapshot, base.as_ref())?, digest));
        }
        // What is borrowed takes nothing to have twice.
        let (snapshot, digest) = newest.lend(limits)?;
        let own = Some(Own {
            memories: snapshot.memories.clone(),
            embeds_module: snapshot.module.bytes.is_some(),
        });
        let snapshot = laid(snapshot, base.as_ref())?;
        Ok(Resolved { snapshot, digest, base, own, files: self })
    }

    /// The files that are mapped.
    pub(crate) fn mappings(&self) -> impl Iterator<Item = &Mapping> {
        self.files.iter().filter_map(|file| match &file.input {
            super::Input::Mapped(mapping) => Some(mapping),
            super::Input::Read(..) => None,
        })
    }
}

/// Says that it is the base that is at fault.
fn of_base(error: Error, digest: Digest) -> Error {
    match error {
        Error::SnapshotFormat(source) => Error::BaseUnreadable { digest, source },
        error => error,
    }
}

fn laid<'a>(
    snapshot: Snapshot<'a>,
    base: Option<&(Snapshot<'a>, Digest)>,
) -> Result<Snapshot<'a>, Error> {
    Ok(match base {
        Some((base, digest)) => snapshot.over(base, *digest)?,
        None => snapshot,
    })
}

/// The file of a folder that ends with that digest, as the snapshot of it does.
fn look_beside(
    folder: &Path,
    digest: Digest,
    limits: &Limits,
) -> Result<Option<SnapshotFile>, Error> {
    let entries = fs::read_dir(folder).map_err(Error::io("cannot list", folder))?;
    for entry in entries.take(BESIDE_MAX).flatten() {
        // Links are followed: what lies beside as one is beside.
        let path = entry.path();
        if path.is_file() && ends_with(&path, digest) {
            return SnapshotFile::open(&path, limits).map(Some);
        }
    }
    Ok(None)
}

/// A file that cannot be read is not the one.
fn ends_with(path: &Path, digest: Digest) -> bool {
    let compare = || -> std::io::Result<bool> {
        let mut file = File::open(path)?;
        let mut end = [0; 32];
        file.seek(SeekFrom::End(-32))?;
        file.read_exact(&mut end)?;
        Ok(end == digest.0)
    };
    compare().unwrap_or(false)
}
