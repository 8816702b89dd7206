//! Inputs: modules and snapshots, read and told apart, and compiled.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use tasklet_engine::snapshot::Limits;
use tasklet_engine::wasi::Stdin;
use tasklet_engine::wasi::limits::STDIN_BYTES_MAX;
use tasklet_engine::{
    CacheMode, Digest, Engine, EngineOptions, Error, Module, ModuleCache, Resolved, Snapshot,
    SnapshotChain, SnapshotFile,
};

use tasklet_instrumenter::abi::limits::MODULE_BYTES_MAX;

use crate::args::Machine;
use crate::exit::Code;
use crate::failure::{Failure, unreadable};
use crate::output::{self, Talk};

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
    let failed = |error| unreadable(&name, error);
    let mut input = tasklet_engine::open_input(path).map_err(failed)?;
    let mut bytes = Vec::new();
    // What does not begin as one need not end.
    input.by_ref().take(WASM_MAGIC.len() as u64).read_to_end(&mut bytes).map_err(failed)?;
    let other = |what: &str, help: String| {
        Err(Failure::new(Code::Data, format!("{name} is {what}")).help(help).into())
    };
    if bytes.starts_with(SNAPSHOT_MAGIC) {
        let help = format!("go on with it by `tasklet resume {}`", output::word(path));
        return other("a snapshot, not a module", help);
    }
    if bytes.is_empty() {
        return other("empty", "a WebAssembly module is needed".into());
    }
    if !bytes.starts_with(WASM_MAGIC) {
        let help = "a module in text form is translated by `wat2wasm` or `wasm-tools parse`".into();
        return other("no WebAssembly module: it does not begin as one", help);
    }
    let most = MODULE_BYTES_MAX as u64;
    input.take(most + 1 - bytes.len() as u64).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most {
        return other("too large", format!("a module has at most {most} bytes"));
    }
    Ok(bytes)
}

/// What is read of a snapshot at most: as much as a program of these flags can write.
pub fn limits(max_memory: Option<u64>, max_stack: Option<u64>) -> Limits {
    let mut limits = Limits::DEFAULT;
    if let Some(each) = max_memory {
        limits.memory_bytes = each.saturating_mul(limits.memories).max(limits.memory_bytes);
    }
    if let Some(bytes) = max_stack {
        // The least a frame and a value take.
        limits.frames = limits.frames.max(bytes / 16);
        limits.values = limits.values.max(bytes / 8);
    }
    limits
}

/// Opens a snapshot file, or reads it from standard input for `-`, and finds its bases.
///
/// # Errors
/// [`Code::NoInput`], [`Code::Data`], [`Code::Incompatible`], [`Code::Io`], and [`Code::Usage`]
/// for a terminal.
pub fn snapshot(path: &Path, bases: &[PathBuf], limits: &Limits) -> Result<SnapshotChain> {
    let (name, beside, file) = open(path, limits)?;
    SnapshotChain::of(file, Some(&beside), bases, limits).map_err(|error| unread(&name, error))
}

/// The same without its bases.
///
/// # Errors
/// As [`snapshot`].
pub fn snapshot_alone(path: &Path, limits: &Limits) -> Result<SnapshotFile> {
    open(path, limits).map(|(_, _, file)| file)
}

/// Reads what was opened, all of it checked.
///
/// # Errors
/// As [`snapshot`].
pub fn resolve<'a>(chain: &'a SnapshotChain, path: &Path, limits: &Limits) -> Result<Resolved<'a>> {
    chain.resolve(limits).map_err(|error| unread(&shown(path), error))
}

/// What a snapshot is called in messages.
pub fn shown(path: &Path) -> String {
    match path == Path::new("-") {
        true => "standard input".into(),
        false => format!("`{}`", path.display()),
    }
}

/// Says which file it was that cannot be read.
pub fn unread(name: &str, error: Error) -> anyhow::Error {
    match error {
        Error::SnapshotFormat(error) => {
            anyhow::Error::new(error).context(format!("cannot read {name}"))
        }
        Error::Io { path, source, .. } => {
            unreadable(&format!("`{}`", path.display()), source).into()
        }
        error => error.into(),
    }
}

/// The snapshot, what it is called, and the folder it lies in.
fn open(path: &Path, limits: &Limits) -> Result<(String, PathBuf, SnapshotFile)> {
    let name = shown(path);
    if path == Path::new("-") {
        if io::stdin().is_terminal() {
            let failure = Failure::new(Code::Usage, "a snapshot is binary; this is a terminal");
            return Err(failure.help("give a file, or pipe the snapshot in").into());
        }
        let mut input = BufReader::with_capacity(1 << 18, io::stdin().lock());
        let start = input.fill_buf().map_err(|error| unreadable(&name, error))?;
        check_start(&name, start)?;
        let file = SnapshotFile::read(input, limits).map_err(|error| unread(&name, error))?;
        return Ok((name, PathBuf::from("."), file));
    }
    // NB: a pipe gives its first bytes but once, and a device may have no end.
    if fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
        let mut start = Vec::new();
        let begin = File::open(path).and_then(|file| file.take(4).read_to_end(&mut start));
        begin.map_err(|error| unreadable(&name, error))?;
        check_start(&name, &start)?;
    }
    let file = SnapshotFile::open(path, limits).map_err(|error| unread(&name, error))?;
    let beside = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    Ok((name, beside.unwrap_or(Path::new(".")).to_owned(), file))
}

/// Refuses what is plainly something else.
fn check_start(name: &str, start: &[u8]) -> Result<()> {
    if start.is_empty() {
        let failure = Failure::new(Code::Data, format!("{name} is empty"));
        return Err(failure.help("whoever should have written a snapshot did not").into());
    }
    if start.starts_with(WASM_MAGIC) {
        let failure = Failure::new(Code::Data, format!("{name} is a module, not a snapshot"));
        return Err(failure.help("start it with `tasklet run`").into());
    }
    Ok(())
}

/// The engine that the flags ask for.
///
/// # Errors
/// When it cannot be set up on this machine.
pub fn engine(machine: &Machine, deterministic: bool) -> Result<Engine> {
    let mut options = EngineOptions::default();
    options.target = machine.target.unwrap_or_default();
    options.deterministic = deterministic;
    options.cache = if machine.no_cache { CacheMode::Off } else { CacheMode::User };
    Ok(Engine::new(&options)?)
}

/// All of a standard input at once: how much of it is there at some moment must not matter.
///
/// # Errors
/// [`Code::NoInput`] and [`Code::Io`].
pub fn stdin_bytes(stdin: Stdin) -> Result<Stdin> {
    let mut bytes = Vec::new();
    let (name, read) = match &stdin {
        Stdin::File(path) => (format!("`{}`", path.display()), open_any(path)),
        Stdin::Inherit => {
            let all = io::stdin().lock().take(STDIN_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
            all.map_err(|error| unreadable("standard input", error))?;
            return Ok(Stdin::Bytes(bytes));
        }
        _ => return Ok(stdin),
    };
    // One byte more than there can be is refused with a word of the limit.
    read.and_then(|file| file.take(STDIN_BYTES_MAX as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(&name, error))?;
    Ok(Stdin::Bytes(bytes))
}

/// Opens a standard input, which may be a device: of what has no end too much is read at once.
fn open_any(path: &Path) -> io::Result<Box<dyn Read>> {
    match tasklet_engine::open_input(path) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            Ok(Box::new(File::open(path)?))
        }
        opened => opened,
    }
}

/// Instruments and compiles a module. If that takes long, a terminal is told so, and for how long
/// it has been going on.
///
/// # Errors
/// As [`Module::load`].
pub fn compile(engine: &Engine, wasm: &[u8], talk: Talk) -> Result<Module> {
    let begin = Instant::now();
    let module = thread::scope(|scope| {
        let (done, wait) = mpsc::channel::<()>();
        if talk.level >= 0 && io::stderr().is_terminal() {
            scope.spawn(move || tell_progress(&wait, begin, wasm.len()));
        }
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

/// Keeps a line on the terminal up to date until `wait` is closed, and then takes it away.
fn tell_progress(wait: &mpsc::Receiver<()>, begin: Instant, bytes: usize) {
    const EVERY: Duration = Duration::from_secs(1);
    let mut told = false;
    while wait.recv_timeout(EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
        let (megabytes, seconds) = (bytes / 1_000_000, begin.elapsed().as_secs());
        // If nobody listens there is nobody to tell.
        let _ = write!(io::stderr(), "\rtasklet: compiling {megabytes} MB: {seconds} s");
        told = true;
    }
    if told {
        // Back to the start of the line, and clear it.
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
}

/// The original module of a snapshot: the embedded one, else the given one, else the cached one.
///
/// # Errors
/// [`Code::Incompatible`] for another module than the snapshot's, [`Code::NoInput`] when there is
/// none.
pub fn original(
    snapshot: &Snapshot<'_>,
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
