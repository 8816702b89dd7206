//! `tasklet resume`: goes on with a program that was saved.

use std::path::Path;

use anyhow::Result;
use tasklet_engine::wasi::{RestoreOptions, Stdin};
use tasklet_engine::{Error, Host, ModuleCache, Tasklet};

use crate::args::Resume;
use crate::drive::{self, Slice};
use crate::exit::Code;
use crate::failure::Failure;
use crate::load;
use crate::output::Talk;
use crate::replay;
use crate::signals;

/// Resumes it; the exit code.
///
/// # Errors
/// Whatever keeps it from being run or saved; traps are not among it.
pub fn resume(args: &Resume, talk: Talk) -> Result<i32> {
    let stdin = args.machine.stdin();
    let piped = args.snapshot == Path::new("-");
    if piped && stdin == Some(Stdin::Inherit) {
        let message = "standard input cannot be both the snapshot and the program's input";
        return Err(Failure::new(Code::Usage, message).into());
    }
    let slice = Slice::new(&args.slice, args.machine.no_cache, talk)?;
    signals::install()?;
    let loaded = load::snapshot(&args.snapshot)?;
    let cache = if args.machine.no_cache { None } else { ModuleCache::user().ok() };
    let original = load::original(&loaded.snapshot, args.module.as_deref(), cache.as_ref())?;
    if let Some(outcome) = replay::outcome(&loaded, original.as_deref())? {
        return replay::replay(&loaded, outcome, &slice);
    }
    let wasm = original.ok_or(Error::ModuleNotFound { hash: loaded.snapshot.module.hash })?;
    let module = load::compile(&load::engine(&args.machine)?, &wasm, talk)?;
    drop(wasm);
    let (stdout, stderr) = drive::outputs(&slice);
    // NB: with `-` the guest's input is left as it was: what had been read ahead of it is still
    // its own, and after that our standard input is at its end.
    let system = RestoreOptions {
        preopens: args.machine.dirs.clone(),
        stdin,
        reopen_stdin: false,
        stdout,
        stderr,
        allow_changed_files: args.allow_changed_files,
    };
    let limits = drive::limits(&args.machine);
    let host = Host::builder().wasi_restore(system).limits(limits).build();
    let tasklet = Tasklet::load(&module, &loaded.snapshot, loaded.digest, host)?;
    let parent = Some(loaded.digest);
    drop(loaded);
    drive::drive(tasklet, parent, &slice)
}
