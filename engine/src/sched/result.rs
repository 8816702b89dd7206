//! What is told of runs and tasklets.

use super::TaskletId;
use crate::trap::Trap;

/// Why [`Scheduler::run`](super::Scheduler::run) returned.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq)]
pub enum RunResult {
    /// Nothing was ready in the first place, and nothing waits.
    Idle,
    /// All that were ready have ended, or are paused.
    Finished,
    /// This tasklet's budget was used up, or somebody interrupted it through its
    /// [`TaskletHandle`](crate::TaskletHandle). It is paused, all others stay where they are.
    Interrupted(TaskletId),
    /// The budget was used up where one tasklet left the processor to another. All stay queued.
    Expired,
    /// Nothing is ready. These wait on channels, of which somebody outside serves at least one: see
    /// [`ChannelOptions::external`](super::ChannelOptions::external). Of more than 4,096 these are
    /// only the first; [`Scheduler::waiting_on`](super::Scheduler::waiting_on) has all of a channel.
    Blocked(Vec<TaskletId>),
    /// Nothing is ready. These wait on channels that nobody outside serves: as it stands they wait
    /// forever. Of more than 4,096 these are only the first.
    Deadlock(Vec<TaskletId>),
    /// Nothing is ready, and some wait for what comes by itself; the next run looks again.
    Waiting {
        /// First those that wait for the system, for a clock of its or for input, which
        /// [`Tasklet::wait`](crate::Tasklet::wait) blocks for. Then those that sleep or wait with a
        /// timeout, who is due first first.
        tasklets: Vec<TaskletId>,
        /// Nanoseconds until the first of these is due; `None` if there are none.
        next_ns: Option<u64>,
    },
    /// This tasklet has ended with a trap; the others stay where they are.
    Trapped(TaskletId, Trap),
}

/// Where a tasklet stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags {
    /// It is here, and has not ended.
    pub alive: bool,
    /// It stands still until it is inserted.
    pub paused: bool,
    /// It is in line: to run, or on a channel.
    pub scheduled: bool,
    /// It waits on a channel.
    pub blocked: bool,
    /// It waits for the system or for time, or has others run.
    pub waiting: bool,
    /// It is in an atomic section.
    pub atomic: bool,
    /// Whatever would make it wait is refused.
    pub block_trap: bool,
}
