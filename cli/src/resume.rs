//! `tasklet resume`: goes on with a program that was saved.

use std::path::Path;

use anyhow::Result;
use tasklet_engine::wasi::{RestoreOptions, Stdin};
use tasklet_engine::{Error, Host, ModuleCache, Profile, Tasklet};

use crate::args::Resume;
use crate::clash::{self, Named};
use crate::drive::{self, Slice};
use crate::exit::Code;
use crate::failure::Failure;
use crate::load;
use crate::output::Talk;
use crate::replay;
use crate::signals;

/// That the flags do not contradict what a deterministic run was started with.
fn check_profile(args: &Resume, profile: Option<&Profile>) -> Result<()> {
    let Some(profile) = profile else {
        if args.deterministic {
            let message = "the program was not started with --deterministic";
            let failure = Failure::new(Code::Incompatible, message);
            return Err(failure.help("start it again with it: it cannot begin later").into());
        }
        return Ok(());
    };
    let limits = [
        ("--max-memory", args.machine.max_memory, profile.memory_bytes),
        ("--max-stack", args.machine.max_stack, profile.stack_bytes),
    ];
    for (flag, given, had) in limits {
        if let Some(given) = given.filter(|&given| given != had) {
            let message =
                format!("{flag} is {given}, but the deterministic run was started with {had}");
            let failure = Failure::new(Code::Incompatible, message);
            return Err(failure.help(format!("leave out {flag}: it is in the snapshot")).into());
        }
    }
    Ok(())
}

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
    let mut inputs: Vec<Named<'_>> = Vec::new();
    inputs.extend(args.module.as_deref().map(|path| ("the module", path)));
    inputs.extend(args.find_base.iter().map(|path| ("a base", path.as_path())));
    let slice = Slice::new(&args.slice, &args.machine, &inputs, talk)?;
    // The snapshot itself may be replaced, but only by another.
    let report = args.slice.report.as_deref().map(|path| ("--report", path));
    clash::check(report.as_slice(), &[("the snapshot", &args.snapshot)])?;
    signals::install()?;
    let limits = load::limits(args.machine.max_memory, args.machine.max_stack);
    let files = load::snapshot(&args.snapshot, &args.find_base, &limits)?;
    let loaded = load::resolve(&files, &args.snapshot, &limits)?;
    slice.check_bases(&files.bases())?;
    // Before anything runs whose result could then not be saved.
    let base_files = slice.open_base(&args.find_base, &limits)?;
    let base = base_files.as_ref().map(|files| files.resolve(&limits)).transpose()?;
    let cache = if args.machine.no_cache { None } else { ModuleCache::user().ok() };
    let original = load::original(&loaded.snapshot, args.module.as_deref(), cache.as_ref())?;
    if let Some(outcome) = replay::outcome(&loaded, original.as_deref())? {
        return replay::replay(loaded, outcome, &slice);
    }
    let wasm = original.ok_or(Error::ModuleNotFound { hash: loaded.snapshot.module.hash })?;
    let profile = loaded.snapshot.profile;
    check_profile(args, profile.as_ref())?;
    let engine = load::engine(&args.machine, profile.is_some())?;
    let module = load::compile(&engine, &wasm, talk)?;
    drop(wasm);
    let (stdout, stderr) = drive::outputs(&slice);
    // NB: with `-` the guest's input is left as it was: what had been read ahead of it is still
    // its own, and after that our standard input is at its end.
    let stdin = match profile {
        Some(_) => stdin.map(load::stdin_bytes).transpose()?,
        None => stdin,
    };
    let system = RestoreOptions {
        preopens: args.machine.dirs.clone(),
        stdin,
        reopen_stdin: false,
        stdout,
        stderr,
        allow_changed_files: args.allow_changed_files,
    };
    let allowed = drive::limits(&args.machine, profile.as_ref());
    let host = Host::builder().wasi_restore(system).limits(allowed).build();
    let parent = Some(loaded.digest);
    let tasklet = if args.map {
        Tasklet::load_mapped(&module, &loaded, host)?
    } else {
        Tasklet::load_owned(&module, loaded.snapshot, loaded.digest, host)?
    };
    drop(files);
    drive::drive(tasklet, parent, base.as_ref(), &slice)
}
