//! Runs WebAssembly programs that can be paused at any time, written down, and resumed elsewhere.
//!
//! ```no_run
//! use tasklet_engine::{Engine, EngineOptions, Entry, Host, Module, Outcome, SnapshotOptions, Tasklet};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::new(&EngineOptions::default())?;
//! let module = Module::load(&engine, &std::fs::read("program.wasm")?)?;
//! let entry = Entry::invoke("main", []);
//! let mut tasklet = Tasklet::spawn(&module, Host::empty(), entry)?;
//! while tasklet.run(1_000_000)? == Outcome::OutOfBudget {
//!     tasklet.dump(&mut std::fs::File::create("program.tasklet")?, &SnapshotOptions::default())?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! - [`Engine`] compiles, [`Module`] is a compiled program, [`Host`] what it is given.
//! - [`Tasklet`] runs in slices of steps, and between slices can be inspected and captured.
//! - [`Scheduler`] runs many of them in turn, with channels between them.
//! - [`snapshot`] is the file format, of which `docs/snapshot-format.md` is the specification.
//! - [`wasi`] is WASI preview 1 with state that can be written down.
#![deny(missing_docs)]

mod cache_dir;
mod capture;
mod changes;
mod clock;
mod encoding;
mod engine;
mod error;
mod exception;
mod executor;
mod files;
mod host;
mod limits;
mod memories;
mod module;
mod native;
mod pace;
mod restore;
mod sched;
mod sharing;
pub mod snapshot;
mod state;
mod store;
mod target;
mod tasklet;
#[cfg(test)]
mod tests;
mod trap;
mod value;
mod verify;
pub mod wasi;

pub use capture::{Base, SnapshotOptions};
pub use clock::MonotonicClock;
pub use engine::{CacheMode, Engine, EngineOptions};
pub use error::{Error, ErrorKind};
pub use executor::{Event, Executor, ExecutorOptions, NotDrained, NotStarted, Quota};
pub use files::{Compressor, Resolved, SnapshotChain, SnapshotFile, open_input};
pub use host::{
    Deliver, Delivery, Host, HostBuilder, HostCtx, HostError, HostFn, IntoResults, Progress,
    SuspendFn, SuspendFnWith, WasmResults, WasmType,
};
pub use limits::{Limits, STACK_BYTES_MAX};
pub use memories::Memories;
pub use module::{Module, ModuleCache};
#[doc(inline)]
pub use sched::{
    Budget, ChannelId, ChannelName, ChannelOptions, Clock, Current, Direction, Flags, Handed,
    Hibernation, LoadOptions, Loaded, Message, NotPut, Preference, RunResult, Scheduler,
    SetOptions, Spawn, Taken, TaskletId, VirtualClock,
};
pub use snapshot::{Digest, PauseReason, Profile, Snapshot};
pub use store::{DirectoryOptions, DirectoryStore, MemoryStore, Store};
pub use target::Target;
pub use tasklet::{Entry, FrameView, Outcome, Status, Tasklet, TaskletHandle, Wait};
pub use tasklet_instrumenter::{FunctionType, Metadata, Place, PointKind, ValType};
pub use trap::{BACKTRACE_LINES_MAX, Trap, TrapFrame, TrapKind};
pub use value::{Exception, HostObject, Value};
pub use verify::{Claim, Difference, Verdict, verify};

/// The README's Rust is compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// So is that of `docs/host-imports.md`.
#[cfg(doctest)]
#[doc = include_str!("../../docs/host-imports.md")]
struct HostImports;
