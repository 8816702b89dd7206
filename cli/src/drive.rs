//! What running and resuming share: one slice of a tasklet, and what becomes of it.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use tasklet_engine::snapshot::Limits as ReadLimits;
use tasklet_engine::wasi::Output;
use tasklet_engine::{
    Base, Compressor, Digest, Limits, ModuleCache, Outcome, Profile, Resolved, SnapshotChain,
    SnapshotOptions, Status, Tasklet,
};

use crate::args;
use crate::clash::{self, Named};
use crate::ending::{self, Ending, Saved};
use crate::exit::Code;
use crate::failure;
use crate::load;
use crate::output::{self, Readers, Talk, Target};
use crate::signals;

/// How far to go, and what to keep.
#[derive(Debug)]
pub struct Slice {
    steps: Option<u64>,
    /// Where the snapshot goes.
    pub target: Option<Target>,
    embed_module: bool,
    base: Option<PathBuf>,
    compress: Option<i32>,
    use_cache: bool,
    /// Where the report goes.
    pub report: Option<PathBuf>,
    /// How much is said.
    pub talk: Talk,
}

impl Slice {
    /// What the flags say; `inputs` are the files besides a base that are not to be overwritten.
    ///
    /// # Errors
    /// When a file that is to be written at the end cannot be, or must not be.
    pub fn new(
        args: &args::Slice,
        machine: &args::Machine,
        inputs: &[Named<'_>],
        talk: Talk,
    ) -> Result<Slice> {
        let mut inputs = inputs.to_vec();
        inputs.extend(args.base.as_deref().map(|path| ("the base", path)));
        inputs.extend(machine.stdin.as_deref().map(|path| ("the program's input", path)));
        clash::check(&args.outputs(), &inputs)?;
        let target = args.output.as_deref().map(Target::new);
        if let Some(target) = &target {
            target.check()?;
        }
        if let Some(path) = &args.report {
            Target::File(path.clone()).check()?;
        }
        Ok(Slice {
            steps: args.steps,
            target,
            embed_module: !args.no_embed_module,
            base: args.base.clone(),
            compress: args.compress,
            use_cache: !machine.no_cache,
            report: args.report.clone(),
            talk,
        })
    }

    /// The snapshot that is to be the base of the one that is written, if there is to be one.
    ///
    /// # Errors
    /// As [`load::snapshot`].
    pub fn open_base(&self, bases: &[PathBuf], limits: &ReadLimits) -> Result<Option<BaseFiles>> {
        let Some(path) = &self.base else { return Ok(None) };
        let chain = load::snapshot(path, bases, limits)?;
        Ok(Some(BaseFiles { path: path.clone(), chain }))
    }

    /// Writes a snapshot, compressed if the flags say so; what `write` returned and the bytes there.
    ///
    /// # Errors
    /// As [`Target::write`].
    pub fn write<T>(
        &self,
        target: &Target,
        write: impl FnOnce(&mut dyn Write) -> Result<T>,
    ) -> Result<(T, u64)> {
        target.write(Readers::Owner, |out| {
            let Some(level) = self.compress else { return write(out) };
            let mut compressor = Compressor::new(out, level)?;
            let value = write(&mut compressor)?;
            compressor.finish()?;
            Ok(value)
        })
    }

    /// That none of a snapshot's bases is overwritten by the next one.
    ///
    /// # Errors
    /// As [`clash::check`].
    pub fn check_bases(&self, bases: &[PathBuf]) -> Result<()> {
        let Some(Target::File(path)) = &self.target else { return Ok(()) };
        let bases: Vec<Named<'_>> =
            bases.iter().map(|base| ("a base of the snapshot", base.as_path())).collect();
        clash::check(&[("-o", path)], &bases)
    }

    /// Whether standard output is the snapshot's.
    pub fn stdout_taken(&self) -> bool {
        self.target == Some(Target::Stdout)
    }
}

/// The files of a base.
#[derive(Debug)]
pub struct BaseFiles {
    path: PathBuf,
    chain: SnapshotChain,
}

impl BaseFiles {
    /// What is in them.
    ///
    /// # Errors
    /// As [`load::resolve`].
    pub fn resolve(&self, limits: &ReadLimits) -> Result<Resolved<'_>> {
        load::resolve(&self.chain, &self.path, limits)
    }
}

/// What the tasklet may take; `profile` is that of the run that goes on.
pub fn limits(machine: &args::Machine, profile: Option<&Profile>) -> Limits {
    let mut limits = Limits::default();
    limits.memory_bytes = machine.max_memory.unwrap_or(limits.memory_bytes);
    // A run's stack need not be allowed again: it is never large. Its memory must be, for whoever
    // made the snapshot could have written any size.
    let usual = profile.map_or(0, |profile| profile.stack_bytes).max(limits.stack_bytes);
    limits.stack_bytes = machine.max_stack.unwrap_or(usual);
    limits
}

/// Where the guest's standard output and standard error go.
pub fn outputs(slice: &Slice) -> (Output, Output) {
    let stdout = match slice.stdout_taken() {
        true => Output::stderr(),
        // NB: only this one tells the guest that it writes to a terminal.
        false if io::stdout().is_terminal() => Output::stdout(),
        false => Output::new(Piped(io::stdout())),
    };
    (stdout, Output::stderr())
}

/// Standard output whose reader may go away.
struct Piped(io::Stdout);

impl Write for Piped {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        signals::check_pipe(self.0.write(buffer))
    }

    fn flush(&mut self) -> io::Result<()> {
        signals::check_pipe(self.0.flush())
    }
}

/// Runs the tasklet for one slice, saves it, tells what happened; the exit code. `parent` is the
/// snapshot it comes from, `base` what the one that is written is to be over.
///
/// # Errors
/// When it cannot be run or saved; traps are not among it.
pub fn drive(
    mut tasklet: Tasklet,
    parent: Option<Digest>,
    base: Option<&Resolved<'_>>,
    slice: &Slice,
) -> Result<i32> {
    signals::watch(tasklet.handle());
    let before = tasklet.steps_used()?;
    let outcome = match advance(&mut tasklet, slice) {
        Ok(outcome) => outcome,
        Err(error) => {
            rescue(&mut tasklet, &error, base, slice);
            return Err(error);
        }
    };
    if let Outcome::Finished(results) = &outcome {
        ending::print_results(results, slice)?;
    }
    let saved = save(&mut tasklet, &outcome, base, slice)?;
    let steps_used = tasklet.steps_used()?;
    let module = tasklet.module();
    let module = (module.hash(), module.original().len() as u64);
    let ending = Ending {
        outcome,
        steps_used,
        steps_slice: steps_used.saturating_sub(before),
        balance: tasklet.balance()?,
        memory_bytes: tasklet.memories().iter().map(|(_, bytes)| bytes).sum(),
        module,
        parent,
        saved,
    };
    ending::conclude(&ending, slice)
}

/// Runs until the steps are used up or the program ends. Waits are waited for: where the slice
/// ends depends on steps alone.
fn advance(tasklet: &mut Tasklet, slice: &Slice) -> Result<Outcome> {
    // Waiting returns what was not spent; what has been granted says how much that is.
    let end = slice.steps.map(|steps| tasklet.granted().saturating_add(steps));
    loop {
        let budget = end.map_or(u64::MAX, |end| end.saturating_sub(tasklet.granted()));
        match tasklet.run(budget)? {
            Outcome::Waiting(wait) => {
                slice.talk.detail(&format!("waiting for {wait:?}"));
                tasklet.wait();
            }
            outcome => return Ok(outcome),
        }
    }
}

/// Saves what the host has failed, if it can still be gone on with.
fn rescue(
    tasklet: &mut Tasklet,
    error: &anyhow::Error,
    base: Option<&Resolved<'_>>,
    slice: &Slice,
) {
    let paused = matches!(tasklet.status(), Status::Paused(_));
    if failure::code_of(error) != Code::Host || !paused {
        return;
    }
    match save(tasklet, &Outcome::Interrupted, base, slice) {
        Ok(Some(Saved { target: Target::File(path), bytes, .. })) => slice.talk.say(&format!(
            "saved as it stood before that ({bytes} bytes), go on with `tasklet resume {}`",
            output::word(&path)
        )),
        Ok(_) => {}
        Err(error) => output::complain(&format!("{error:#}")),
    }
}

/// Saves it where the flags say; `None` if it was not saved.
fn save(
    tasklet: &mut Tasklet,
    outcome: &Outcome,
    base: Option<&Resolved<'_>>,
    slice: &Slice,
) -> Result<Option<Saved>> {
    let Some(target) = &slice.target else { return Ok(None) };
    // A trap must not cost the last state from which one can go on.
    if matches!(outcome, Outcome::Trapped(_)) {
        return Ok(None);
    }
    let mut options = SnapshotOptions::default();
    // A base that has the module is needed anyway.
    let in_base = base.is_some_and(|base| base.snapshot.module.bytes.is_some());
    options.embed_module = slice.embed_module && !in_base;
    if !slice.embed_module {
        keep_module(tasklet, slice);
    }
    let base = base.map(|base| Base { snapshot: &base.snapshot, digest: base.digest });
    let written = slice.write(target, |mut out| Ok(tasklet.dump_over(&mut out, &options, base)?));
    match written {
        Ok((digest, bytes)) => Ok(Some(Saved { target: target.clone(), digest, bytes })),
        // Files that an ended program left open are nobody's trouble any more.
        Err(error) if ending::is_final(outcome) && failure::code_of(&error) == Code::NotNow => {
            slice.talk.say(&format!("not saved: {error:#}"));
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| match target {
            Target::Stdout => "cannot save the program".to_string(),
            Target::File(path) => format!("cannot save the program to `{}`", path.display()),
        }),
    }
}

/// Puts the module where `resume` will look for it.
fn keep_module(tasklet: &Tasklet, slice: &Slice) {
    let module = tasklet.module();
    let kept = slice.use_cache
        && ModuleCache::user().and_then(|cache| cache.store(module.original())).is_ok();
    if !kept {
        let hash = module.hash();
        slice.talk.say(&format!("module {hash} is not in the cache: resume needs --module"));
    }
}
