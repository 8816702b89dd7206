//! Whether one snapshot follows from another: the slice between them is executed again.
//!
//! What a run does follows from its inputs and its steps. So two snapshots and the inputs are
//! enough to tell whether somebody has executed what he says he has: the first is loaded, given
//! exactly the budget that the second says was granted, and written down again.

mod difference;

use std::time::Duration;

pub use difference::Difference;

use crate::error::Error;
use crate::host::Host;
use crate::module::Module;
use crate::snapshot::{Digest, PauseReason, Snapshot, Status as Written};
use crate::tasklet::{Outcome, Status, Tasklet, Wait};
use crate::{Base, SnapshotOptions};

/// The longest that is waited in all for what happens by the machine's clock.
const WAIT_MAX: Duration = Duration::from_secs(600);

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
    /// So many steps would have to be executed, by the word of the second, and that is more than is
    /// allowed. Nothing was executed.
    TooFar {
        /// Steps between the two.
        steps: u64,
    },
    /// It cannot be told on this machine, or with these inputs.
    Undecided {
        /// Why, and what would help.
        why: String,
    },
}

/// Tells whether `to` follows from `from`, which has been laid over its base if it has one and comes
/// with its digest, by executing the slice again on `host`, which is to give
/// the inputs that were given then: directories with the same files, the same answers of imports.
/// Standard input that came from outside is not asked for again.
///
/// It takes as many steps as lie between the two, by the word of `to`, but no more than `steps_max`.
///
/// # Errors
/// Those of [`Tasklet::load`], of [`Tasklet::run`] and of [`Tasklet::snapshot`].
pub fn verify(
    module: &Module,
    (from, digest): (Snapshot<'_>, Digest),
    to: Claim<'_>,
    host: Host,
    steps_max: u64,
) -> Result<Verdict, Error> {
    let steps = granted(to.snapshot).saturating_sub(granted(&from));
    if steps > steps_max {
        return Ok(Verdict::TooFar { steps });
    }
    if let Some(difference) = difference::of_kind(&from, to.snapshot) {
        return Ok(Verdict::Differs(difference));
    }
    let mut tasklet = Tasklet::load_owned(module, from, digest, host)?;
    if let Some(wasi) = &mut tasklet.store.data_mut().wasi {
        wasi.close_inherited_stdin();
        if waits(to.snapshot) {
            wasi.fail_output_from(to.snapshot.steps_used);
        }
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
    let direct = to.snapshot.parent == Some(digest);
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
    let granted = granted(to);
    let waits = waits(to);
    let behind = match to.status {
        Written::Trapped { .. } => behind_cut(tasklet.module()),
        _ => 0,
    };
    let mut waited = Duration::ZERO;
    loop {
        let budget = granted.saturating_add(behind).saturating_sub(tasklet.granted());
        let outcome = tasklet.run(budget);
        let there = tasklet.steps_used()? == to.steps_used;
        let outcome = match outcome {
            // It failed there, too: by its own word, which is an input as an interrupt is.
            Err(Error::HostFailed { .. }) if waits && tasklet.status.ended().is_none() => {
                if tasklet.steps_used()? >= to.steps_used {
                    return Ok(None);
                }
                if let Some(wasi) = &mut tasklet.store.data_mut().wasi {
                    wasi.let_output_pass();
                }
                continue;
            }
            Err(Error::HostFailed { what }) => {
                return Ok(Some(Verdict::Undecided { why: what }));
            }
            outcome => outcome?,
        };
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
            Outcome::Waiting(Wait::System(wait)) => {
                let wasi = tasklet.store.data().wasi.as_ref();
                let left = wasi.and_then(|wasi| wasi.time_left(&wait)).unwrap_or_default();
                waited = waited.saturating_add(left);
                if waited > WAIT_MAX {
                    let steps = tasklet.steps_used()?;
                    let why = format!(
                        "at step {steps} the program has waited, or waits, for longer than {} \
                         minutes by the machine's clock: the clock of a deterministic run is its \
                         own",
                        WAIT_MAX.as_secs() / 60
                    );
                    return Ok(Some(Verdict::Undecided { why }));
                }
                tasklet.wait();
            }
            Outcome::Trapped(trap) if trap.kind.is_hosts() => {
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

fn granted(snapshot: &Snapshot<'_>) -> u64 {
    snapshot.steps_used.saturating_add_signed(snapshot.balance)
}

fn waits(snapshot: &Snapshot<'_>) -> bool {
    matches!(snapshot.status, Written::Paused { reason: PauseReason::Waiting })
}

fn requested(snapshot: &Snapshot<'_>) -> bool {
    matches!(snapshot.status, Written::Paused { reason: PauseReason::Requested })
}
