//! Inputs: modules and snapshots, read and told apart, and compiled.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use tasklet_engine::snapshot::{self, Limits, VERSION};
use tasklet_engine::{CacheMode, Digest, Engine, EngineOptions, Module, ModuleCache, Snapshot};

use crate::args::Machine;
use crate::exit::Code;
use crate::failure::{Failure, unreadable};
use crate::output::{Counted, Talk};

/// How every wasm file begins.
const WASM_MAGIC: &[u8] = b"\0asm";
/// How every snapshot begins.
const SNAPSHOT_MAGIC: &[u8] = b"\xd9\xd9\xf7";

/// Reads a module file.
///
/// # Errors
/// [`Code::NoInput`], [`Code::Io`], and [`Code::Data`] for what is plainly no module.
pub fn module_bytes(path: &Path) -> Result<Vec<u8>> {
    let name = format!("`{}`", path.display());
    let bytes = fs::read(path).map_err(|error| unreadable(&name, error))?;
    let other = |what: &str, help: String| {
        Err(Failure::new(Code::Data, format!("{name} is {what}")).help(help).into())
    };
    if bytes.starts_with(SNAPSHOT_MAGIC) {
        let help = format!("go on with it by `tasklet resume {}`", path.display());
        return other("a snapshot, not a module", help);
    }
    if bytes.is_empty() {
        return other("empty", "a WebAssembly module is needed".into());
    }
    if !bytes.starts_with(WASM_MAGIC) {
        let help = "a module in text form is translated by `wat2wasm` or `wasm-tools parse`".into();
        return other("no WebAssembly module: it does not begin as one", help);
    }
    Ok(bytes)
}

/// A snapshot as it was read.
#[derive(Debug)]
pub struct Loaded {
    /// What it holds.
    pub snapshot: Snapshot<'static>,
    /// Its identity.
    pub digest: Digest,
    /// Its length in bytes.
    pub bytes: u64,
    /// Version of the format that it is in.
    pub version: u64,
}

/// Reads a snapshot file, or from standard input for `-`.
///
/// # Errors
/// [`Code::NoInput`], [`Code::Data`], [`Code::Incompatible`], [`Code::Io`], and [`Code::Usage`]
/// for a terminal.
pub fn snapshot(path: &Path) -> Result<Loaded> {
    if path != Path::new("-") {
        let name = format!("`{}`", path.display());
        let file = File::open(path).map_err(|error| unreadable(&name, error))?;
        return decode(&name, file);
    }
    if io::stdin().is_terminal() {
        let failure = Failure::new(Code::Usage, "a snapshot is binary; this is a terminal");
        return Err(failure.help("give a file, or pipe the snapshot in").into());
    }
    decode("standard input", io::stdin().lock())
}

fn decode(name: &str, input: impl Read) -> Result<Loaded> {
    let mut input = BufReader::with_capacity(1 << 18, input);
    let start = input.fill_buf().map_err(|error| unreadable(name, error))?;
    if start.is_empty() {
        let failure = Failure::new(Code::Data, format!("{name} is empty"));
        return Err(failure.help("whoever should have written a snapshot did not").into());
    }
    if start.starts_with(WASM_MAGIC) {
        let failure = Failure::new(Code::Data, format!("{name} is a module, not a snapshot"));
        return Err(failure.help("start it with `tasklet run`").into());
    }
    let version = snapshot::version(start);
    let mut input = Counted { inner: input, count: 0 };
    let (snapshot, digest) = Snapshot::read_from(&mut input, &Limits::DEFAULT)
        .map_err(|error| anyhow::Error::new(error).context(format!("cannot read {name}")))?;
    Ok(Loaded { snapshot, digest, bytes: input.count, version: version.unwrap_or(VERSION) })
}

/// The engine that the flags ask for.
///
/// # Errors
/// When it cannot be set up on this machine.
pub fn engine(machine: &Machine) -> Result<Engine> {
    let mut options = EngineOptions::default();
    options.deterministic = machine.deterministic;
    options.cache = if machine.no_cache { CacheMode::Off } else { CacheMode::User };
    Ok(Engine::new(&options)?)
}

/// Instruments and compiles a module, saying so on a terminal if that takes long.
///
/// # Errors
/// As [`Module::load`].
pub fn compile(engine: &Engine, wasm: &[u8], talk: Talk) -> Result<Module> {
    const LONG: Duration = Duration::from_secs(1);
    let begin = Instant::now();
    let module = thread::scope(|scope| {
        let (done, wait) = mpsc::channel::<()>();
        scope.spawn(move || {
            let long = wait.recv_timeout(LONG) == Err(mpsc::RecvTimeoutError::Timeout);
            if long && io::stderr().is_terminal() {
                talk.say("compiling...");
            }
        });
        let module = Module::load(engine, wasm);
        drop(done);
        module
    })?;
    talk.detail(&format!(
        "module {}, {} bytes, ready after {} ms",
        module.hash(),
        wasm.len(),
        begin.elapsed().as_millis()
    ));
    Ok(module)
}

/// The original module of a snapshot: the embedded one, else the given one, else the cached one.
///
/// # Errors
/// [`Code::Incompatible`] for another module than the snapshot's, [`Code::NoInput`] when there is
/// none.
pub fn original(
    snapshot: &Snapshot<'static>,
    given: Option<&Path>,
    cache: Option<&ModuleCache>,
) -> Result<Option<Vec<u8>>> {
    let wanted = snapshot.module.hash;
    if let Some(path) = given {
        let bytes = module_bytes(path)?;
        let found = Digest::of(&bytes);
        if found != wanted {
            let message = format!(
                "`{}` is not the module of this snapshot: its BLAKE3 is {found}, not {wanted}",
                path.display()
            );
            let failure = Failure::new(Code::Incompatible, message);
            return Err(failure.help("give the very file that was run").into());
        }
        return Ok(Some(bytes));
    }
    if let Some(bytes) = &snapshot.module.bytes {
        return Ok(Some(bytes.to_vec()));
    }
    Ok(cache.map(|cache| cache.find(&wanted)).transpose()?.flatten())
}
