//! Resuming what has ended: nothing runs, the outcome is told again.

use anyhow::Result;
use tasklet_engine::snapshot::{Status, WASM_PAGE_BYTES};
use tasklet_engine::{Error, Outcome, Resolved, Trap, TrapFrame, TrapKind, Value};

use crate::drive::Slice;
use crate::ending::{self, Ending, Saved};
use crate::exit::Code;
use crate::failure::Failure;
use crate::names::Names;

/// The outcome of a snapshot, `None` if it can go on. Neither directories nor the module are
/// needed; without the module a backtrace has no names.
///
/// # Errors
/// When its results are references to what only the host that it ran on can make again.
pub fn outcome(loaded: &Resolved<'_>, original: Option<&[u8]>) -> Result<Option<Outcome>> {
    Ok(Some(match &loaded.snapshot.status {
        Status::Paused { .. } => return Ok(None),
        Status::Finished { results } => {
            let plain: Option<Vec<Value>> = results.iter().map(|value| value.plain()).collect();
            Outcome::Finished(plain.ok_or_else(|| {
                Failure::new(Code::Incompatible, "its results are references to a host's objects")
                    .help("`tasklet inspect` shows them")
            })?)
        }
        Status::Exited { code } => Outcome::Exited(*code),
        Status::Trapped { message, backtrace } => {
            let names = original.map(Names::of_module).unwrap_or_default();
            let lines = backtrace.iter().map(|line| TrapFrame {
                function: line.function,
                name: match names.function(line.function) {
                    Some(name) => name.to_string(),
                    None => format!("func[{}]", line.function),
                },
                offset: line.offset,
            });
            let message = message.clone();
            Outcome::Trapped(Trap { kind: TrapKind::Other, message, backtrace: lines.collect() })
        }
    }))
}

/// Tells that outcome again; the exit code.
///
/// # Errors
/// When something cannot be written.
pub fn replay(mut loaded: Resolved<'_>, outcome: Outcome, slice: &Slice) -> Result<i32> {
    let past = match &outcome {
        Outcome::Exited(code) => format!("exited with code {code}"),
        Outcome::Trapped(_) => "trapped".into(),
        _ => "finished".into(),
    };
    slice.talk.say(&format!("there is nothing to resume: the program has already {past}"));
    if let Outcome::Finished(results) = &outcome {
        ending::print_results(results, slice)?;
    }
    let target = slice.target.as_ref().filter(|_| !matches!(outcome, Outcome::Trapped(_)));
    let mut saved = None;
    if let Some(target) = target {
        // The very same snapshot, in the current version and with what it took from a base: nothing
        // has happened since.
        loaded.snapshot.join_runs();
        let (digest, bytes) = slice.write(target, |mut out| {
            Ok(loaded.snapshot.write_to(&mut out).map_err(|e| Error::Write(Box::new(e)))?)
        })?;
        saved = Some(Saved { target: target.clone(), digest, bytes });
    }
    let snapshot = &loaded.snapshot;
    let pages = snapshot.memories.iter().map(|memory| memory.pages);
    let ending = Ending {
        outcome,
        steps_used: snapshot.steps_used,
        steps_slice: 0,
        balance: snapshot.balance,
        memory_bytes: pages.fold(0u64, u64::saturating_add).saturating_mul(WASM_PAGE_BYTES),
        module: (snapshot.module.hash, snapshot.module.size),
        parent: Some(loaded.digest),
        saved,
    };
    ending::conclude(&ending, slice)
}
