//! WASI preview 1 with state that can be written down.
//!
//! All 46 functions of `wasi_snapshot_preview1` at the level of the ABI:
//! [`Wasi::call`] takes the raw arguments and the guest's memory. Nothing in it
//! blocks: what has to wait says so with [`Outcome::Wait`], leaving the guest
//! untouched, and is issued again later, if need be after [`Wasi::state`] and
//! [`Wasi::restore`] in another process. A file is known by its preopened
//! directory and path; `cap-std` keeps every path below its directory.
//!
//! It answers as wasmtime does, call by call and error by error, odd ones
//! included: a pointer outside memory or a flag that does not exist ends the
//! guest, rights cannot be given up. `docs/wasi.md` lists the exceptions, and
//! `tests/wasi/run` proves that there are no others.

mod abi;
mod args;
mod clock;
mod dir;
mod errno;
mod error;
mod facts;
mod fd;
mod feed;
pub mod limits;
mod memory;
mod output;
mod path;
mod poll;
mod random;
mod restore;
mod stat;
pub mod state;
mod stdin;
mod sys;
#[cfg(test)]
mod testing;
mod transfer;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;

pub use crate::wasi::abi::{Abi, Function};
pub use crate::wasi::clock::Clock;
pub use crate::wasi::errno::Errno;
pub use crate::wasi::error::WasiError;
pub use crate::wasi::output::{Capture, Output};
pub use crate::wasi::poll::Wait;
pub use crate::wasi::restore::RestoreOptions;
pub(crate) use crate::wasi::state::Bytes;
pub use crate::wasi::state::WasiState;
pub use crate::wasi::stdin::Stdin;

use crate::wasi::clock::LiveClock;
use crate::wasi::fd::{Descriptor, Fds, Kind, OpenDir, Place};
use crate::wasi::limits::PREOPENS_MAX;
use crate::wasi::memory::Call;
use crate::wasi::output::Stream;
use crate::wasi::random::Random;
use crate::wasi::stdin::Source;

/// A directory of the host under a name of the guest's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preopen {
    /// The directory on this machine.
    pub host: PathBuf,
    /// What the guest calls it.
    pub guest: String,
    /// Whether all changes below it are refused.
    pub read_only: bool,
}

/// What a guest is started with.
#[derive(Debug, Default)]
pub struct WasiOptions {
    /// Its arguments, the program's name first.
    pub args: Vec<String>,
    /// Its environment, in order.
    pub env: Vec<(String, String)>,
    /// Its directories, numbered from descriptor 3 in this order.
    pub preopens: Vec<Preopen>,
    /// Its standard input.
    pub stdin: Stdin,
    /// Its standard output.
    pub stdout: Output,
    /// Its standard error.
    pub stderr: Output,
    /// What its random bytes follow from; by default the system's randomness.
    pub seed: Option<u64>,
    /// Its clocks.
    pub clock: Clock,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It returned, with `Success` or an error.
    Return(Errno),
    /// The guest has exited with this code.
    Exit(u32),
    /// It was called in a way that ends the guest, as wasmtime would: with a
    /// pointer out of bounds, or with flags that do not exist.
    Trap(&'static str),
    /// It has to wait. Nothing has changed in the guest; once the wait is over
    /// the same call is to be issued again.
    Wait(Wait),
    /// The host could not do it, which is no answer for a deterministic guest.
    /// Nothing has changed in the guest; the same call is to be issued again
    /// when the host can.
    HostFailed(String),
}

/// What a function's implementation returns.
type Answer = Result<Outcome, Errno>;

const DONE: Answer = Ok(Outcome::Return(Errno::Success));

/// The system state of one guest.
pub struct Wasi {
    args: Vec<String>,
    env: Vec<(String, String)>,
    preopens: Vec<Preopened>,
    fds: Fds,
    stdin: Source,
    stdout: Stream,
    stderr: Stream,
    clock: LiveClock,
    random: Random,
    pending: Option<Pending>,
    exit: Option<u32>,
    /// Whether the guest sees nothing of the host that is not an input.
    deterministic: bool,
    /// What the host could not do, of a call that is about to fail.
    failure: Option<String>,
    /// From where on writes to outputs are to fail, to see whether one did there.
    fails_from: Option<u64>,
    /// Whether the next of them is not to.
    passes: bool,
}

/// A directory of the guest's, open for as long as the guest lives, even if
/// the guest closes its descriptor.
struct Preopened {
    guest: String,
    read_only: bool,
    dir: Arc<Dir>,
}

/// A call that waits, as it will be issued again.
struct Pending {
    function: Function,
    args: Vec<u64>,
    /// When it was first issued, in the guest's monotonic time.
    since_ns: u64,
}

impl Preopened {
    fn open_all(preopens: Vec<Preopen>) -> Result<Vec<Preopened>, WasiError> {
        if preopens.len() > PREOPENS_MAX {
            return Err(WasiError::TooLarge { what: "directories", max: PREOPENS_MAX as u64 });
        }
        let mut names = BTreeSet::new();
        let mut opened = Vec::new();
        for Preopen { host, guest, read_only } in preopens {
            if guest.contains('\0') {
                return Err(WasiError::NulByte { what: format!("the directory name {guest:?}") });
            }
            if !names.insert(guest.clone()) {
                return Err(WasiError::PreopenTwice { guest });
            }
            let dir = match Dir::open_ambient_dir(&host, ambient_authority()) {
                Ok(dir) => Arc::new(dir),
                Err(source) => {
                    return Err(WasiError::PreopenUnusable { host, guest, source });
                }
            };
            opened.push(Preopened { guest, read_only, dir });
        }
        Ok(opened)
    }
}

impl Wasi {
    /// The state of a guest that has not begun.
    ///
    /// # Errors
    ///
    /// If an input cannot be opened, is too large, or cannot be told to a
    /// guest; or if the system has no randomness.
    pub fn new(options: WasiOptions) -> Result<Wasi, WasiError> {
        args::check(&options.args, &options.env)?;
        let preopens = Preopened::open_all(options.preopens)?;
        let mut fds = Fds::default();
        for (fd, kind) in (0..).zip([Kind::Stdin, Kind::Stdout, Kind::Stderr]) {
            fds.insert_at(fd, Descriptor::new(kind));
        }
        for (index, preopen) in preopens.iter().enumerate() {
            let place = Place { preopen: index, path: String::new() };
            let dir =
                OpenDir { handle: preopen.dir.clone(), place, preopened: true, listing: None };
            fds.insert_at(3 + index as u32, Descriptor::new(Kind::Dir(dir)));
        }
        Ok(Wasi {
            args: options.args,
            env: options.env,
            preopens,
            fds,
            stdin: Source::new(options.stdin)?,
            stdout: Stream::new(options.stdout, 0),
            stderr: Stream::new(options.stderr, 0),
            clock: LiveClock::new(options.clock),
            random: Random::new(options.seed)?,
            pending: None,
            exit: None,
            deterministic: false,
            failure: None,
            fails_from: None,
            passes: false,
        })
    }

    /// Keeps from the guest, and from snapshots, what two hosts with the same files do not agree
    /// on: times, numbers of files and devices, sizes of directories, whether something is a
    /// terminal. Before the first call.
    ///
    /// # Errors
    ///
    /// [`WasiError::NotDeterministic`] for the host's clock, and for standard input that is not
    /// given as bytes. A seed is the caller's affair: what it was cannot be told afterwards.
    pub fn deterministic(mut self) -> Result<Wasi, WasiError> {
        self.require_inputs()?;
        self.deterministic = true;
        Ok(self)
    }

    /// Executes one call of `function` with `args` on the guest's `memory`.
    ///
    /// `steps` is what the guest was charged so far: the virtual clock ticks
    /// with it, one step in a nanosecond. 32-bit arguments are taken from the
    /// low half, however they were widened.
    pub fn call(
        &mut self,
        function: Function,
        args: &[u64],
        memory: &mut [u8],
        steps: u64,
    ) -> Outcome {
        if args.len() != function.params().len() {
            return Outcome::Return(Errno::Inval);
        }
        let mut call = Call::new(args, memory, steps);
        if let Some(pending) = self.pending.take()
            && (pending.function, &pending.args[..]) == (function, args)
        {
            call.since_ns = Some(pending.since_ns);
        }
        let outcome = match abi::check(function, args) {
            Err(why) => Outcome::Trap(why),
            Ok(()) => match self.dispatch(function, &mut call) {
                Ok(outcome) => outcome,
                // No system call is handed a pointer of the guest's: this is of our own making.
                Err(Errno::Fault) => Outcome::Trap("a pointer is out of bounds or misaligned"),
                Err(errno) => self.refusal(function, errno),
            },
        };
        match outcome {
            Outcome::Wait(_) => {
                let now_ns = self.clock.monotonic_ns(steps);
                self.pending = Some(Pending {
                    function,
                    args: args.to_vec(),
                    since_ns: call.since_ns.unwrap_or(now_ns),
                });
            }
            Outcome::Exit(code) => self.exit = Some(code),
            Outcome::Return(_) | Outcome::Trap(_) | Outcome::HostFailed(_) => {}
        }
        outcome
    }

    fn dispatch(&mut self, function: Function, call: &mut Call<'_>) -> Answer {
        match function {
            Function::ArgsGet => self.args_get(call),
            Function::ArgsSizesGet => self.args_sizes_get(call),
            Function::EnvironGet => self.environ_get(call),
            Function::EnvironSizesGet => self.environ_sizes_get(call),
            Function::ClockResGet => self.clock_res_get(call),
            Function::ClockTimeGet => self.clock_time_get(call),
            Function::FdAdvise => self.fd_advise(call),
            Function::FdAllocate => self.fd_allocate(call),
            Function::FdClose => self.fd_close(call),
            Function::FdDatasync => self.fd_datasync(call),
            Function::FdFdstatGet => self.fd_fdstat_get(call),
            Function::FdFdstatSetFlags => self.fd_fdstat_set_flags(call),
            Function::FdFdstatSetRights => self.fd_fdstat_set_rights(call),
            Function::FdFilestatGet => self.fd_filestat_get(call),
            Function::FdFilestatSetSize => self.fd_filestat_set_size(call),
            Function::FdFilestatSetTimes => self.fd_filestat_set_times(call),
            Function::FdPread => self.fd_pread(call),
            Function::FdPrestatGet => self.fd_prestat_get(call),
            Function::FdPrestatDirName => self.fd_prestat_dir_name(call),
            Function::FdPwrite => self.fd_pwrite(call),
            Function::FdRead => self.fd_read(call),
            Function::FdReaddir => self.fd_readdir(call),
            Function::FdRenumber => self.fd_renumber(call),
            Function::FdSeek => self.fd_seek(call),
            Function::FdSync => self.fd_sync(call),
            Function::FdTell => self.fd_tell(call),
            Function::FdWrite => self.fd_write(call),
            Function::PathCreateDirectory => self.path_create_directory(call),
            Function::PathFilestatGet => self.path_filestat_get(call),
            Function::PathFilestatSetTimes => self.path_filestat_set_times(call),
            Function::PathLink => self.path_link(call),
            Function::PathOpen => self.path_open(call),
            Function::PathReadlink => self.path_readlink(call),
            Function::PathRemoveDirectory => self.path_remove_directory(call),
            Function::PathRename => self.path_rename(call),
            Function::PathSymlink => self.path_symlink(call),
            Function::PathUnlinkFile => self.path_unlink_file(call),
            Function::PollOneoff => self.poll_oneoff(call),
            Function::ProcExit => Ok(Outcome::Exit(call.u32(0))),
            // There are no signals.
            Function::ProcRaise => Err(Errno::Notsup),
            // The engine ends slices; yielding early would gain a guest nothing.
            Function::SchedYield => DONE,
            Function::RandomGet => self.random_get(call),
            Function::SockAccept
            | Function::SockRecv
            | Function::SockSend
            | Function::SockShutdown => self.sock(call),
        }
    }
}
