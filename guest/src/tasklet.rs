//! What a tasklet does with its own turn, and with others like it.

use core::fmt;
use core::time::Duration;

use crate::error::{Error, checked};
use crate::sys;

/// The number of a tasklet in its scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskletId(u64);

impl TaskletId {
    /// The number.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for TaskletId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of this tasklet. It is another one once the tasklet was dumped and loaded.
pub fn id() -> TaskletId {
    TaskletId(sys::id())
}

/// Copies as much as there is room for of the argument that this tasklet was spawned with, and
/// returns how long the argument is.
pub fn argument_into(room: &mut [u8]) -> usize {
    sys::argument(room)
}

/// The argument that this tasklet was spawned with.
#[cfg(feature = "alloc")]
pub fn argument() -> alloc::vec::Vec<u8> {
    let mut bytes = alloc::vec![0; argument_into(&mut [])];
    argument_into(&mut bytes);
    bytes
}

/// Lets the others run that are ready.
///
/// # Errors
/// [`Error::InCallback`], [`Error::WouldBlock`], [`Error::Thrown`].
pub fn yield_now() -> Result<(), Error> {
    checked(sys::yield_now()).map(drop)
}

/// Pauses this tasklet, until somebody outside inserts it.
///
/// # Errors
/// As [`yield_now`].
pub fn park() -> Result<(), Error> {
    checked(sys::park()).map(drop)
}

/// Waits for so long, while others run.
///
/// # Errors
/// As [`yield_now`].
pub fn sleep(time: Duration) -> Result<(), Error> {
    checked(sys::sleep(nanoseconds(time))).map(drop)
}

pub(crate) fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// How many steps are left of this tasklet's slice; `None` if it has no end.
pub fn steps_left() -> Option<u64> {
    match sys::steps_left() {
        i64::MAX => None,
        left => Some(u64::try_from(left).unwrap_or(0)),
    }
}

/// Makes a tasklet of the same module, with a fresh memory and the same channels, which begins with
/// that exported function: see [`entry!`](crate::entry). It is queued behind all that are ready.
///
/// # Errors
/// [`Error::NoEntry`], [`Error::Limit`], [`Error::InCallback`].
pub fn spawn(entry: &str, argument: &[u8]) -> Result<TaskletId, Error> {
    checked(sys::spawn(entry, argument)).map(TaskletId)
}

/// Which of the two one is after a [`fork`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fork {
    /// The one that called, and the number of the copy.
    Original(TaskletId),
    /// The copy.
    Copy,
}

/// Makes a copy of this tasklet as it stands, memory and all, which goes on here as this one does.
/// It has the same channels, and is queued behind all that are ready.
///
/// # Errors
/// [`Error::Limit`], [`Error::InCallback`].
pub fn fork() -> Result<Fork, Error> {
    Ok(match checked(sys::fork())? {
        0 => Fork::Copy,
        number => Fork::Original(TaskletId(number)),
    })
}

/// Lets all the others run until none is ready any more, each for that many steps at a stretch; 0 is
/// without end. Returns the first that has used them up: it is queued again, and this tasklet goes on.
///
/// # Errors
/// [`Error::Thrown`] with what the scheduler says of it when one of the others has ended with a trap;
/// else as [`yield_now`].
pub fn run(steps: u64) -> Result<Option<TaskletId>, Error> {
    let steps = i64::try_from(steps).unwrap_or(i64::MAX);
    Ok(match checked(sys::run(steps))? {
        0 => None,
        number => Some(TaskletId(number)),
    })
}

/// Exports functions under their names, so that tasklets can begin with them.
///
/// ```
/// tasklet_guest::entry! {
///     /// What it does.
///     fn worker() {
///         let _ = tasklet_guest::yield_now();
///     }
/// }
/// # worker();
/// ```
#[macro_export]
macro_rules! entry {
    ($($(#[$attribute:meta])* $visibility:vis fn $name:ident() $body:block)*) => {$(
        $(#[$attribute])*
        #[cfg_attr(target_family = "wasm", unsafe(export_name = stringify!($name)))]
        $visibility extern "C" fn $name() $body
    )*};
}
