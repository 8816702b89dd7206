//! Whether one snapshot follows from another: the slice between them is executed again.
//!
//! What a run does follows from its inputs and its steps. So two snapshots and the inputs are
//! enough to tell whether somebody has executed what he says he has: the first is loaded, given
//! exactly the budget that the second says was granted, and written down again.

mod difference;

pub use difference::Difference;

use crate::error::Error;
use crate::host::Host;
use crate::module::Module;
use crate::snapshot::{Digest, PauseReason, Snapshot, Status as Written};
use crate::tasklet::{Outcome, Status, Tasklet, Wait};
use crate::trap::TrapKind;
use crate::{Base, SnapshotOptions};

/// A snapshot as it was read, and its digest.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The snapshot. If it has a base, that is in [`base`](Claim::base).
    pub snapshot: &'a Snapshot<'a>,
    /// Its digest.
    pub digest: Digest,
    /// Its base with its digest, laid over its own bases.
    pub base: Option<Base<'a>>,
}

/// What verifying has found.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The second follows from the first: everything in it is as executing the slice makes it.
    Follows {
        /// Whether it names the first as its parent. If not, the snapshots between are not known:
        /// that they led here is shown, but not that the parent it names is one of them.
        direct: bool,
    },
    /// It does not: this is the first thing that is otherwise.
    Differs(Difference),
    /// It cannot be told on this machine, or with these inputs.
    Undecided {
        /// Why, and what would help.
        why: String,
    },
}

/// Tells whether `to` follows from `from`, by executing the slice again on `host`, which is to give
/// the inputs that were given then: directories with the same files, the same answers of imports.
/// Standard input that came from outside is not asked for again.
///
/// It takes as many steps as lie between the two, by the word of `to`.
///
/// # Errors
/// Those of [`Tasklet::load`], of [`Tasklet::run`] and of [`Tasklet::snapshot`].
pub fn verify(
    module: &Module,
    from: Claim<'_>,
    to: Claim<'_>,
    host: Host,
) -> Result<Verdict, Error> {
    if let Some(difference) = difference::of_kind(from.snapshot, to.snapshot) {
        return Ok(Verdict::Differs(difference));
    }
    let whole = match from.base {
        Some(base) => Some(from.snapshot.clone().over(base.snapshot, base.digest)?),
        None => None,
    };
    let mut tasklet =
        Tasklet::load(module, whole.as_ref().unwrap_or(from.snapshot), from.digest, host)?;
    if let Some(wasi) = &mut tasklet.store.data_mut().wasi {
        wasi.close_inherited_stdin();
    }
    if let Some(verdict) = go_on(&mut tasklet, to.snapshot)? {
        return Ok(verdict);
    }
    let options = SnapshotOptions {
        embed_module: to.snapshot.module.bytes.is_some(),
        labels: to.snapshot.labels.clone(),
        track_changes: false,
    };
    if to.base.map(|base| base.digest) != to.snapshot.base {
        let what = "the base of a snapshot to be verified is not the one it names";
        return Err(Error::incompatible(what));
    }
    let mut made = tasklet.snapshot_over(&options, to.base)?;
    let direct = to.snapshot.parent == Some(from.digest);
    // Who has stopped in between has written other parents; what they are cannot be made again.
    made.parent = to.snapshot.parent;
    // Both counts are of the last cut, and so no further apart than what can be behind one.
    let near = made.steps_used.abs_diff(to.snapshot.steps_used) <= behind_cut(module);
    if near && difference::same_trap(&made.status, &to.snapshot.status) {
        made.status.clone_from(&to.snapshot.status);
        (made.steps_used, made.balance) = (to.snapshot.steps_used, to.snapshot.balance);
    }
    Ok(match difference::find(&made, to.snapshot) {
        Some(difference) => Verdict::Differs(difference),
        None => Verdict::Follows { direct },
    })
}

/// Executes up to where `to` says it stands; a verdict if that cannot be reached.
fn go_on(tasklet: &mut Tasklet, to: &Snapshot<'_>) -> Result<Option<Verdict>, Error> {
    // What had been granted then tells where a slice that ended for want of steps ends, whatever
    // slices there were in between: what one has left is carried into the next.
    let granted = to.steps_used.saturating_add_signed(to.balance);
    let waits = matches!(to.status, Written::Paused { reason: PauseReason::Waiting });
    let behind = match to.status {
        Written::Trapped { .. } => behind_cut(tasklet.module()),
        _ => 0,
    };
    loop {
        let budget = granted.saturating_add(behind).saturating_sub(tasklet.granted());
        let outcome = tasklet.run(budget)?;
        let there = tasklet.steps_used()? == to.steps_used;
        match outcome {
            Outcome::Waiting(_) if there && waits => return Ok(None),
            Outcome::Waiting(Wait::Import { import, .. }) => {
                let why = format!(
                    "at step {} the program waits for the host import `{import}`, what comes of \
                     which is not in the snapshots",
                    tasklet.steps_used()?
                );
                return Ok(Some(Verdict::Undecided { why }));
            }
            Outcome::Waiting(Wait::System(wait)) if wait.stdin => {
                let why = format!(
                    "at step {} the program waits for its standard input, which is not in the \
                     snapshots: a deterministic run has it there",
                    tasklet.steps_used()?
                );
                return Ok(Some(Verdict::Undecided { why }));
            }
            Outcome::Waiting(_) => tasklet.wait(),
            Outcome::Trapped(trap) if trap.kind == TrapKind::OutOfMemory => {
                return Ok(Some(Verdict::Undecided { why: trap.message }));
            }
            // Somebody asked for a pause: that is an input, and takes what credit there was.
            Outcome::OutOfBudget if there && requested(to) => {
                tasklet.status = Status::Paused(PauseReason::Requested);
                tasklet.fuel = tasklet.fuel.min(0);
                return Ok(None);
            }
            Outcome::Interrupted => {
                let why = "the verification was interrupted".to_string();
                return Ok(Some(Verdict::Undecided { why }));
            }
            _ => return Ok(None),
        }
    }
}

/// The count of a run that trapped is that of the last cut: there are no more steps than this behind
/// it, however far apart the cuts of the engine were that executed it.
fn behind_cut(module: &Module) -> u64 {
    const LEAST: u64 = 1 << 24;
    module.pace().depth_steps.saturating_mul(2).max(LEAST)
}

fn requested(snapshot: &Snapshot<'_>) -> bool {
    matches!(snapshot.status, Written::Paused { reason: PauseReason::Requested })
}
