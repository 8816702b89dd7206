//! The imports themselves. Those that a program does not call do not become imports of its module.
#![expect(unsafe_code, reason = "imports are foreign functions")]

// SAFETY: these are the types that docs/scheduler.md of the project gives the imports. Those that
// take addresses read or write the bytes they are told and no others.
#[link(wasm_import_module = "tasklet")]
unsafe extern "C" {
    #[link_name = "id"]
    safe fn raw_id() -> i64;
    #[link_name = "argument"]
    fn raw_argument(at: *mut u8, room: usize) -> i32;
    #[link_name = "channel"]
    fn raw_channel(name: *const u8, len: usize) -> i32;
    #[link_name = "yield"]
    safe fn raw_yield() -> i32;
    #[link_name = "park"]
    safe fn raw_park() -> i32;
    #[link_name = "sleep"]
    safe fn raw_sleep(ns: i64) -> i32;
    #[link_name = "atomic"]
    safe fn raw_atomic(on: i32) -> i32;
    #[link_name = "block_trap"]
    safe fn raw_block_trap(on: i32) -> i32;
    #[link_name = "steps_left"]
    safe fn raw_steps_left() -> i64;
    #[link_name = "run"]
    safe fn raw_run(steps: i64) -> i64;
    #[link_name = "fork"]
    safe fn raw_fork() -> i64;
    #[link_name = "send"]
    fn raw_send(channel: i32, at: *const u8, len: usize) -> i32;
    #[link_name = "send_error"]
    fn raw_send_error(channel: i32, at: *const u8, len: usize) -> i32;
    #[link_name = "try_send"]
    fn raw_try_send(channel: i32, at: *const u8, len: usize) -> i32;
    #[link_name = "send_timeout"]
    fn raw_send_timeout(channel: i32, at: *const u8, len: usize, ns: i64) -> i32;
    #[cfg(feature = "alloc")]
    #[link_name = "send_all"]
    fn raw_send_all(channel: i32, list: *const Range, count: usize) -> i32;
    #[link_name = "receive"]
    fn raw_receive(channel: i32, at: *mut u8, room: usize) -> i64;
    #[link_name = "try_receive"]
    fn raw_try_receive(channel: i32, at: *mut u8, room: usize) -> i64;
    #[link_name = "receive_timeout"]
    fn raw_receive_timeout(channel: i32, at: *mut u8, room: usize, ns: i64) -> i64;
    #[link_name = "rest"]
    fn raw_rest(from: usize, at: *mut u8, room: usize) -> i32;
    #[link_name = "balance"]
    safe fn raw_balance(channel: i32) -> i64;
    #[link_name = "close"]
    safe fn raw_close(channel: i32) -> i32;
    #[link_name = "new_channel"]
    safe fn raw_new_channel(preference: i32) -> i32;
    #[link_name = "drop_channel"]
    safe fn raw_drop_channel(channel: i32) -> i32;
    #[link_name = "spawn"]
    fn raw_spawn(name: *const u8, len: usize, argument: *const u8, argument_len: usize) -> i64;
}

/// A message of `send_all`, as the host reads it.
#[cfg(feature = "alloc")]
#[repr(C)]
struct Range {
    at: *const u8,
    len: usize,
}

pub(crate) fn id() -> u64 {
    raw_id() as u64
}

pub(crate) fn argument(room: &mut [u8]) -> usize {
    // SAFETY: the range is that of a slice.
    let len = unsafe { raw_argument(room.as_mut_ptr(), room.len()) };
    len as u32 as usize
}

pub(crate) fn channel(name: &str) -> i32 {
    // SAFETY: the range is that of a slice.
    unsafe { raw_channel(name.as_ptr(), name.len()) }
}

pub(crate) fn yield_now() -> i64 {
    raw_yield().into()
}

pub(crate) fn park() -> i64 {
    raw_park().into()
}

pub(crate) fn sleep(ns: i64) -> i64 {
    raw_sleep(ns).into()
}

pub(crate) fn atomic(on: bool) -> i64 {
    raw_atomic(on.into()).into()
}

pub(crate) fn block_trap(on: bool) -> i64 {
    raw_block_trap(on.into()).into()
}

pub(crate) fn steps_left() -> i64 {
    raw_steps_left()
}

pub(crate) fn run(steps: i64) -> i64 {
    raw_run(steps)
}

pub(crate) fn fork() -> i64 {
    raw_fork()
}

pub(crate) fn send(channel: i32, message: &[u8]) -> i64 {
    // SAFETY: the range is that of a slice.
    unsafe { raw_send(channel, message.as_ptr(), message.len()) }.into()
}

pub(crate) fn send_error(channel: i32, error: &[u8]) -> i64 {
    // SAFETY: the range is that of a slice.
    unsafe { raw_send_error(channel, error.as_ptr(), error.len()) }.into()
}

pub(crate) fn try_send(channel: i32, message: &[u8]) -> i64 {
    // SAFETY: the range is that of a slice.
    unsafe { raw_try_send(channel, message.as_ptr(), message.len()) }.into()
}

pub(crate) fn send_timeout(channel: i32, message: &[u8], ns: i64) -> i64 {
    // SAFETY: the range is that of a slice.
    unsafe { raw_send_timeout(channel, message.as_ptr(), message.len(), ns) }.into()
}

#[cfg(feature = "alloc")]
pub(crate) fn send_all(channel: i32, messages: &[&[u8]]) -> i64 {
    let range = |message: &&[u8]| Range { at: message.as_ptr(), len: message.len() };
    let list: alloc::vec::Vec<Range> = messages.iter().map(range).collect();
    // SAFETY: the list is a slice of ranges, each of a slice.
    unsafe { raw_send_all(channel, list.as_ptr(), list.len()) }.into()
}

pub(crate) fn receive(channel: i32, room: &mut [u8]) -> i64 {
    // SAFETY: the range is that of a slice.
    unsafe { raw_receive(channel, room.as_mut_ptr(), room.len()) }
}

pub(crate) fn try_receive(channel: i32, room: &mut [u8]) -> i64 {
    // SAFETY: the range is that of a slice.
    unsafe { raw_try_receive(channel, room.as_mut_ptr(), room.len()) }
}

pub(crate) fn receive_timeout(channel: i32, room: &mut [u8], ns: i64) -> i64 {
    // SAFETY: the range is that of a slice.
    unsafe { raw_receive_timeout(channel, room.as_mut_ptr(), room.len(), ns) }
}

pub(crate) fn rest(from: usize, room: &mut [u8]) -> usize {
    // SAFETY: the range is that of a slice.
    let len = unsafe { raw_rest(from, room.as_mut_ptr(), room.len()) };
    len as u32 as usize
}

pub(crate) fn balance(channel: i32) -> i64 {
    raw_balance(channel)
}

pub(crate) fn close(channel: i32) -> i64 {
    raw_close(channel).into()
}

pub(crate) fn new_channel(preference: i32) -> i64 {
    raw_new_channel(preference).into()
}

pub(crate) fn drop_channel(channel: i32) -> i64 {
    raw_drop_channel(channel).into()
}

pub(crate) fn spawn(entry: &str, argument: &[u8]) -> i64 {
    // SAFETY: both ranges are those of slices.
    unsafe { raw_spawn(entry.as_ptr(), entry.len(), argument.as_ptr(), argument.len()) }
}
