//! What one scheduler, and one guest that takes part in it, may have.

/// Tasklets in one scheduler.
pub const TASKLETS_MAX: usize = 16 << 20;
/// Channels in one scheduler.
pub const CHANNELS_MAX: usize = 1 << 20;
/// Channels in one scheduler that guests have made: half, so that the program outside has the others.
pub const MADE_TOTAL_MAX: usize = CHANNELS_MAX / 2;
/// Channels that one tasklet has.
pub const GRANTS_MAX: usize = 4096;
/// Those among them that guests have made, at which no more are made: all that a tasklet makes cost
/// each that it spawns as much.
pub const MADE_MAX: usize = 1024;
/// The highest number of a channel that guests have made, so that they never run out.
pub const MADE_NUMBER_MAX: u64 = 1 << 62;
/// Bytes of a channel's name, and of the name of an entry that a guest spawns.
pub const NAME_BYTES_MAX: usize = 1024;
/// Bytes of one message.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Bytes of the argument that a tasklet is spawned with.
pub const ARGUMENT_BYTES_MAX: usize = 1 << 20;
/// Messages of one `send_all`.
pub const SEQUENCE_MAX: u32 = 1 << 20;
/// Steps by which an atomic section may overdraw its slice.
pub const ATOMIC_STEPS_MAX: u64 = 1 << 28;
/// Modules that a scheduler remembers, so that snapshots of them need not be compiled.
pub const MODULES_KEPT_MAX: usize = 1024;
/// Threads of one executor.
pub const WORKERS_MAX: usize = 1024;
/// Tasklets that one worker of an executor takes into its line at once.
pub const LINE_MAX: usize = 256;
/// Events of an executor that nobody has asked for yet; beyond, the oldest is forgotten.
pub const EVENTS_KEPT_MAX: usize = 1 << 16;
/// The largest share of one tasklet in an executor.
pub const SHARE_MAX: u32 = 1 << 16;
/// Ends of tasklets that are remembered; beyond, the oldest is forgotten.
pub const ENDS_KEPT_MAX: usize = 1 << 16;
/// Tasklets that a run names of those that wait on channels when nothing is ready: what it costs to
/// return must not depend on how many are hibernated.
pub const BLOCKED_TOLD_MAX: usize = 4096;
/// Nanoseconds after which a blocking run, in which several wait for the system, asks for them again;
/// so does an executor.
pub const POLL_NS: u64 = 5_000_000;
/// Pairs of modules and channels that hibernated tasklets may have in common; of more, some are there
/// more than once.
pub const KINDS_MAX: usize = 4096;
/// Turns that hibernation waits for after a failure of the store, if no run ends with that.
pub const STORE_RESTS_TURNS: u64 = 1000;
/// Nanoseconds after which a blocking run, in which all wait for time, looks whether one has been
/// interrupted.
pub const INTERRUPT_POLL_NS: u64 = 20_000_000;
