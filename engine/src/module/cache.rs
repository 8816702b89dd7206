//! What is kept on disk: original modules by hash, and their instrumented forms.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use tasklet_instrumenter::{Metadata, abi};

use crate::cache_dir;
use crate::error::Error;
use crate::snapshot::Digest;

/// Original modules by hash, for snapshots that do not embed theirs.
#[derive(Debug, Clone)]
pub struct ModuleCache {
    directory: PathBuf,
}

impl ModuleCache {
    /// The cache in the user's cache directory.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the environment names no such directory.
    pub fn user() -> Result<ModuleCache, Error> {
        let root = cache_dir::user().ok_or_else(|| Error::Unsupported {
            what: "no cache directory: set TASKLET_CACHE_DIR or HOME".into(),
        })?;
        Ok(ModuleCache::at(root.join("modules")))
    }

    /// The cache in a directory, which is created when needed.
    pub fn at(directory: impl Into<PathBuf>) -> ModuleCache {
        ModuleCache { directory: directory.into() }
    }

    /// Keeps a module and returns its hash.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn store(&self, wasm: &[u8]) -> Result<Digest, Error> {
        let hash = Digest::of(wasm);
        let path = self.path(&hash);
        // Contents are checked when found, so that a damaged copy is replaced here only.
        if fs::read(&path).is_ok_and(|kept| Digest::of(&kept) == hash) {
            return Ok(hash);
        }
        cache_dir::write_whole(&path, &[wasm]).map_err(Error::io("cannot write", path))?;
        Ok(hash)
    }

    /// The module with that hash, if a sound copy is kept.
    ///
    /// # Errors
    /// [`Error::Io`] when there is a copy that cannot be read.
    pub fn find(&self, hash: &Digest) -> Result<Option<Vec<u8>>, Error> {
        let path = self.path(hash);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes).filter(|bytes| Digest::of(bytes) == *hash)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("cannot read", path)(error)),
        }
    }

    fn path(&self, hash: &Digest) -> PathBuf {
        self.directory.join(format!("{hash}.wasm"))
    }
}

/// Where the instrumented form of one module is cached: BLAKE3 of the rest, then the module.
///
/// The hash guards against damage, not against an enemy: whoever can write the user's cache can
/// replace wasmtime's compiled code too.
pub(super) struct InstrumentedEntry {
    path: PathBuf,
}

impl InstrumentedEntry {
    pub(super) fn new(root: &Path, hash: Digest) -> InstrumentedEntry {
        let key = format!("{hash}-{}-{:x}.wasm", abi::ABI_VERSION, build_id());
        InstrumentedEntry { path: root.join("instrumented").join(key) }
    }

    pub(super) fn read(&self) -> Option<(Vec<u8>, Metadata)> {
        let mut bytes = fs::read(&self.path).ok()?;
        let body = bytes.get(32..)?;
        if Digest::of(body).0[..] != bytes[..32] {
            return None;
        }
        let metadata = Metadata::from_wasm(body).ok()?;
        bytes.drain(..32);
        Some((bytes, metadata))
    }

    /// A cache that cannot be written costs time only.
    pub(super) fn write(&self, wasm: &[u8]) {
        let _ = cache_dir::write_whole(&self.path, &[&Digest::of(wasm).0, wasm]);
        if let Some(directory) = self.path.parent() {
            let _ = prune(directory, INSTRUMENTED_BYTES_MAX);
        }
    }
}

/// Bytes of all instrumented modules that are kept; builds that are gone leave theirs behind.
const INSTRUMENTED_BYTES_MAX: u64 = 1 << 30;

/// Removes the files that were written first until those left hold no more than `most` bytes.
fn prune(directory: &Path, most: u64) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_file() {
            files.push((metadata.modified()?, metadata.len(), entry.path()));
        }
    }
    files.sort();
    let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, bytes, path) in files {
        if total <= most {
            break;
        }
        // Another process may have been first.
        let _ = fs::remove_file(path);
        total -= bytes;
    }
    Ok(())
}

/// Tells builds of this program apart: the version, and the size and time of the executable, so
/// that a changed transform is never served from the cache of the build before.
fn build_id() -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
    if let Some(file) = std::env::current_exe().ok().and_then(|path| fs::metadata(path).ok()) {
        hasher.update(&file.len().to_le_bytes());
        let modified = file.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        hasher.update(&modified.unwrap_or_default().as_nanos().to_le_bytes());
    }
    let hash = hasher.finalize();
    let (first, _) = hash.as_bytes().split_first_chunk().expect("a digest has 32 bytes");
    u64::from_le_bytes(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_first_goes_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for (age, name) in ["new", "older", "oldest"].into_iter().enumerate() {
            let file = fs::File::create(path(name)).expect("a file");
            file.set_len(100).expect("it can be longer");
            let time = UNIX_EPOCH + std::time::Duration::from_secs(1_000_000 - age as u64);
            file.set_modified(time).expect("it has a time");
        }
        prune(folder.path(), 250).expect("the folder can be read");
        assert!(path("new").exists() && path("older").exists() && !path("oldest").exists());
        prune(folder.path(), 0).expect("the folder can be read");
        assert!(!path("new").exists());
    }
}
