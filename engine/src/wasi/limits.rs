//! Every bound of this layer, in one place.
//!
//! They bound what a guest, or a forged snapshot, can make the host hold; each
//! is far above what the programs we know need.

/// Open descriptors of one tasklet, and one more than the highest number.
pub const FDS_MAX: u32 = 65_536;
/// Preopened directories of one tasklet.
pub const PREOPENS_MAX: usize = 1_024;
/// Bytes of all arguments and environment variables, terminators included.
pub const ARGS_BYTES_MAX: usize = 16 << 20;
/// Bytes of one path as the guest hands it over; hosts stop at 4,096 to 32,767.
pub const PATH_BYTES_MAX: usize = 65_536;
/// Bytes of an array of buffers, or of a path before it is even looked at, as
/// wasmtime has it.
pub const ARRAY_BYTES_MAX: u32 = 128 << 20;
/// Bytes that one `fd_pread` gives at most, as in wasmtime.
pub const PREAD_BYTES_MAX: u32 = 64 << 10;
/// Subscriptions in one `poll_oneoff`: one for each descriptor there can be.
pub const SUBSCRIPTIONS_MAX: u32 = 65_536;
/// Entries of one directory listing.
pub const DIRECTORY_ENTRIES_MAX: usize = 1 << 20;
/// Bytes taken from the process's standard input before the guest asks for them.
pub const STDIN_AHEAD_MAX: usize = 64 << 10;
/// Bytes of standard input carried inside a snapshot.
pub const STDIN_BYTES_MAX: usize = 256 << 20;
/// How long a blocked wait goes without asking whether it was interrupted.
pub const INTERRUPT_POLL_MS: u64 = 50;
