//! Where tasklets are that are hibernated: bytes by number, outside of memory.

mod directory;
mod index;
mod record;
mod scan;
mod segment;

use std::collections::{BTreeMap, HashMap};

pub use directory::{DirectoryOptions, DirectoryStore};

use crate::error::Error;
use crate::snapshot::Digest;

/// Keeps snapshots by number, and the modules that they are of by hash, once each.
///
/// A [`Scheduler`](crate::Scheduler) puts the tasklets there that it hibernates, and gets them when
/// they are needed. What was put under a number stays until something else is, or it is removed. An
/// operation that fails has changed nothing, but for taking room.
///
/// Errors that are not the engine's own go into [`Error::Store`].
pub trait Store: Send {
    /// Keeps these bytes under that number, in place of what is there.
    ///
    /// # Errors
    /// [`Error::Io`], or whatever the store's are.
    fn put(&mut self, key: u64, bytes: &[u8]) -> Result<(), Error>;

    /// The bytes under that number, if there are any.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::StoreDamaged`], or whatever the store's are.
    fn get(&mut self, key: u64) -> Result<Option<Vec<u8>>, Error>;

    /// Forgets what is under that number; nothing if nothing is.
    ///
    /// # Errors
    /// [`Error::Io`], or whatever the store's are.
    fn remove(&mut self, key: u64) -> Result<(), Error>;

    /// The numbers under which there is something, ascending.
    ///
    /// # Errors
    /// Whatever the store's are.
    fn keys(&mut self) -> Result<Vec<u64>, Error>;

    /// Keeps a module.
    ///
    /// # Errors
    /// [`Error::Io`], or whatever the store's are.
    fn put_module(&mut self, hash: Digest, wasm: &[u8]) -> Result<(), Error>;

    /// The module of that hash, if it is kept.
    ///
    /// # Errors
    /// [`Error::Io`], or whatever the store's are.
    fn get_module(&mut self, hash: Digest) -> Result<Option<Vec<u8>>, Error>;

    /// What has gone wrong since this was asked last, if it is nothing that an operation has failed
    /// by: that garbage cannot be freed, say. A [`Scheduler`](crate::Scheduler) ends a run with it,
    /// once. By default nothing has.
    fn take_failure(&mut self) -> Option<Error> {
        None
    }
}

/// A store in memory, for tests, and for tasklets that are smaller as snapshots.
#[derive(Debug, Default)]
pub struct MemoryStore {
    entries: BTreeMap<u64, Vec<u8>>,
    modules: HashMap<Digest, Vec<u8>>,
}

impl MemoryStore {
    /// A store with nothing in it.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }
}

impl Store for MemoryStore {
    fn put(&mut self, key: u64, bytes: &[u8]) -> Result<(), Error> {
        self.entries.insert(key, bytes.to_vec());
        Ok(())
    }

    fn get(&mut self, key: u64) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.entries.get(&key).cloned())
    }

    fn remove(&mut self, key: u64) -> Result<(), Error> {
        self.entries.remove(&key);
        Ok(())
    }

    fn keys(&mut self) -> Result<Vec<u64>, Error> {
        Ok(self.entries.keys().copied().collect())
    }

    fn put_module(&mut self, hash: Digest, wasm: &[u8]) -> Result<(), Error> {
        self.modules.insert(hash, wasm.to_vec());
        Ok(())
    }

    fn get_module(&mut self, hash: Digest) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.modules.get(&hash).cloned())
    }
}
