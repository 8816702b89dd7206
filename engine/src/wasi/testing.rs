//! A guest for tests: memory, a few ways to fill it, and a way to move.

use std::sync::Arc;

use crate::wasi::feed::Feed;
use crate::wasi::state::WasiState;
use crate::wasi::stdin::Source;
use crate::wasi::{
    Errno, Function, Outcome, Preopen, RestoreOptions, Wait, Wasi, WasiError, WasiOptions,
};

/// Rights to read, to write, and both, as C libraries ask for them.
pub(super) const READ: u64 = 1 << 1;
pub(super) const WRITE: u64 = 1 << 6;
pub(super) const BOTH: u64 = READ | WRITE;

/// Where `put` leaves paths and buffers, and where results are asked for.
const PATH: usize = 0x400;
const OTHER_PATH: usize = 0x800;
const IOVEC: usize = 0x200;
const RESULT: u64 = 0x100;
const DATA: usize = 0x1000;

/// Guests move between threads.
const _: fn() = || {
    fn send<T: Send>() {}
    send::<Wasi>();
};

pub(super) struct Guest {
    pub wasi: Wasi,
    pub memory: Vec<u8>,
    pub steps: u64,
    pub preopens: Vec<Preopen>,
}

impl Guest {
    pub(super) fn new(options: WasiOptions) -> Guest {
        let preopens = options.preopens.clone();
        Guest { wasi: Wasi::new(options).unwrap(), memory: vec![0; 0x1_0000], steps: 0, preopens }
    }

    /// A guest with `dir` as its only directory, `/`, descriptor 3.
    pub(super) fn in_dir(dir: &std::path::Path) -> Guest {
        Guest::with_dir(dir, false)
    }

    pub(super) fn with_dir(dir: &std::path::Path, read_only: bool) -> Guest {
        Guest::new(WasiOptions {
            preopens: vec![Preopen { host: dir.to_owned(), guest: "/".into(), read_only }],
            ..WasiOptions::default()
        })
    }

    pub(super) fn fed_by(feed: Arc<Feed>) -> Guest {
        let mut guest = Guest::new(WasiOptions::default());
        guest.wasi.stdin = Source::fed_by(feed);
        guest
    }

    pub(super) fn outcome(&mut self, function: Function, args: &[u64]) -> Outcome {
        self.wasi.call(function, args, &mut self.memory, self.steps)
    }

    /// The error number of a call that returns.
    pub(super) fn call(&mut self, function: Function, args: &[u64]) -> u16 {
        match self.outcome(function, args) {
            Outcome::Return(errno) => errno.code(),
            Outcome::Trap(_) => Errno::Fault.code(),
            other => panic!("{} ended with {other:?}", function.name()),
        }
    }

    pub(super) fn waits(&mut self, function: Function, args: &[u64]) -> Wait {
        let before = self.memory.clone();
        let Outcome::Wait(wait) = self.outcome(function, args) else {
            panic!("{} does not wait", function.name());
        };
        assert_eq!(before, self.memory, "a call that waits leaves no trace");
        wait
    }

    pub(super) fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.memory[at..at + 2].try_into().unwrap())
    }

    pub(super) fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.memory[at..at + 4].try_into().unwrap())
    }

    pub(super) fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.memory[at..at + 8].try_into().unwrap())
    }

    pub(super) fn put(&mut self, at: usize, bytes: &[u8]) {
        self.memory[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Pointer and length of a path.
    pub(super) fn path(&mut self, path: &str) -> [u64; 2] {
        self.put(PATH, path.as_bytes());
        [PATH as u64, path.len() as u64]
    }

    /// The same, for a call's second path.
    pub(super) fn other_path(&mut self, path: &str) -> [u64; 2] {
        self.put(OTHER_PATH, path.as_bytes());
        [OTHER_PATH as u64, path.len() as u64]
    }

    /// Opens a path below descriptor 3.
    pub(super) fn open(
        &mut self,
        path: &str,
        oflags: u64,
        rights: u64,
        fdflags: u64,
    ) -> Result<u64, Errno> {
        let [at, len] = self.path(path);
        let args = [3, 1, at, len, oflags, rights, 0, fdflags, RESULT];
        match self.outcome(Function::PathOpen, &args) {
            Outcome::Return(Errno::Success) => Ok(u64::from(self.u32(RESULT as usize))),
            Outcome::Return(errno) => Err(errno),
            other => panic!("{other:?}"),
        }
    }

    /// A call with one path below descriptor 3, between `before` and `after`.
    pub(super) fn at_path(
        &mut self,
        function: Function,
        before: &[u64],
        path: &str,
        after: &[u64],
    ) -> u16 {
        let path = self.path(path);
        self.call(function, &[before, &path, after].concat())
    }

    fn iovec(&mut self, len: usize) -> [u64; 2] {
        self.put(IOVEC, &(DATA as u32).to_le_bytes());
        self.put(IOVEC + 4, &(len as u32).to_le_bytes());
        [IOVEC as u64, 1]
    }

    fn transferred(&mut self, function: Function, args: &[u64]) -> Result<usize, Errno> {
        match self.outcome(function, args) {
            Outcome::Return(Errno::Success) => Ok(self.u32(RESULT as usize) as usize),
            Outcome::Return(errno) => Err(errno),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn write(&mut self, fd: u64, bytes: &[u8]) -> Result<usize, Errno> {
        self.put(DATA, bytes);
        let [at, count] = self.iovec(bytes.len());
        self.transferred(Function::FdWrite, &[fd, at, count, RESULT])
    }

    pub(super) fn pwrite(&mut self, fd: u64, bytes: &[u8], offset: u64) -> Result<usize, Errno> {
        self.put(DATA, bytes);
        let [at, count] = self.iovec(bytes.len());
        self.transferred(Function::FdPwrite, &[fd, at, count, offset, RESULT])
    }

    /// The arguments of a read of `len` bytes.
    pub(super) fn read_args(&mut self, fd: u64, len: usize) -> [u64; 4] {
        let [at, count] = self.iovec(len);
        [fd, at, count, RESULT]
    }

    pub(super) fn read(&mut self, fd: u64, len: usize) -> Result<Vec<u8>, Errno> {
        let args = self.read_args(fd, len);
        let count = self.transferred(Function::FdRead, &args)?;
        Ok(self.memory[DATA..DATA + count].to_vec())
    }

    pub(super) fn pread(&mut self, fd: u64, len: usize, offset: u64) -> Result<Vec<u8>, Errno> {
        let [at, count] = self.iovec(len);
        let count = self.transferred(Function::FdPread, &[fd, at, count, offset, RESULT])?;
        Ok(self.memory[DATA..DATA + count].to_vec())
    }

    /// How to restore this guest with all it has.
    pub(super) fn options(&self) -> RestoreOptions {
        RestoreOptions { preopens: self.preopens.clone(), ..RestoreOptions::default() }
    }

    /// This guest in another life: its state through CBOR and back.
    pub(super) fn moved(self) -> Guest {
        let options = self.options();
        self.moved_with(options).unwrap()
    }

    pub(super) fn moved_with(self, options: RestoreOptions) -> Result<Guest, WasiError> {
        let state = through_cbor(&self.wasi.state()?);
        drop(self.wasi);
        Ok(Guest { wasi: Wasi::restore(state, options)?, ..self })
    }
}

pub(super) fn through_cbor(state: &WasiState) -> WasiState {
    let mut bytes = Vec::new();
    ciborium::into_writer(state, &mut bytes).unwrap();
    let read: WasiState = ciborium::from_reader(&bytes[..]).unwrap();
    assert_eq!(*state, read);
    read
}
