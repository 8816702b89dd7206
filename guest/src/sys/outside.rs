//! Where there is no scheduler.

use super::NOT_A_GUEST;

pub(crate) fn id() -> u64 {
    0
}

pub(crate) fn argument(_room: &mut [u8]) -> usize {
    0
}

pub(crate) fn channel(_name: &str) -> i32 {
    NOT_A_GUEST as i32
}

pub(crate) fn rest(_from: usize, _room: &mut [u8]) -> usize {
    0
}

pub(crate) fn steps_left() -> i64 {
    i64::MAX
}

pub(crate) fn balance(_channel: i32) -> i64 {
    NOT_A_GUEST << 32
}

macro_rules! refused {
    ($($name:ident($($parameter:ty),*))*) => {$(
        pub(crate) fn $name($(_: $parameter),*) -> i64 {
            NOT_A_GUEST
        }
    )*};
}

refused! {
    yield_now()
    park()
    sleep(i64)
    run(i64)
    fork()
    atomic(bool)
    block_trap(bool)
    send(i32, &[u8])
    send_error(i32, &[u8])
    try_send(i32, &[u8])
    send_timeout(i32, &[u8], i64)
    receive(i32, &mut [u8])
    try_receive(i32, &mut [u8])
    receive_timeout(i32, &mut [u8], i64)
    close(i32)
    new_channel(i32)
    drop_channel(i32)
    spawn(&str, &[u8])
}

#[cfg(feature = "alloc")]
refused! {
    send_all(i32, &[&[u8]])
}
