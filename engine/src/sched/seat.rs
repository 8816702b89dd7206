//! A tasklet's seat in a scheduler: what the imports of the module `tasklet` know and do.
//!
//! An import that needs the scheduler *asks*: it leaves a [`Request`], the guest unwinds, the
//! scheduler decides and leaves an [`Answer`], and the import is issued again and returns it. So all
//! that a waiting tasklet waits for is here, as plain data, and a snapshot can hold it.

mod calls;
mod grants;
mod packed;
mod state;
#[cfg(test)]
mod tests;

pub(crate) use calls::{Called, Function, Type};
pub(crate) use grants::{Grant, Grants, Known, Made};
pub(crate) use packed::Packed;
pub(crate) use state::SeatState;

use serde::{Deserialize, Serialize};

use super::TaskletId;
use super::channel::Direction;
use crate::wasi::Bytes;

/// The module name of the imports, and of the state in snapshots.
pub(crate) const NAMESPACE: &str = "tasklet";

/// What imports return when they cannot do what was asked; a guest's C header would name these.
pub(crate) mod code {
    /// The channel is closed.
    pub(crate) const CLOSED: i64 = -1;
    /// It would have to wait, and was told not to.
    pub(crate) const WOULD_BLOCK: i64 = -2;
    /// No such channel.
    pub(crate) const NO_CHANNEL: i64 = -3;
    /// A host import is on the native stack: nothing can wait below it.
    pub(crate) const IN_CALLBACK: i64 = -4;
    /// A limit is exceeded.
    pub(crate) const LIMIT: i64 = -5;
    /// No exported function of that name without parameters and results.
    pub(crate) const NO_ENTRY: i64 = -6;
    /// What it waited for did not come in time.
    pub(crate) const TIMED_OUT: i64 = -7;
    /// Somebody has thrown an error into it, which `rest` reads.
    pub(crate) const THROWN: i64 = -8;
}

/// A channel that a tasklet was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelName {
    /// What the guest calls it; empty if it has no name for it.
    pub guest: String,
    /// What it is called in the scheduler.
    pub channel: String,
}

/// What a receiver is handed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A message.
    Data(Vec<u8>),
    /// An error, which the guest is told apart from a message.
    Error(Vec<u8>),
}

impl Message {
    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }
}

/// What a tasklet asks its scheduler for. Channels are positions among those it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Request {
    /// To let the others run.
    Yield,
    /// To be paused.
    Park,
    /// The atomic section is over, and the slice was already.
    Atomic {
        before: bool,
    },
    Send {
        channel: u32,
        error: bool,
        message: Bytes,
        may_wait: bool,
        /// Nanoseconds that it still waits at most.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout: Option<u64>,
    },
    Receive {
        channel: u32,
        may_wait: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout: Option<u64>,
    },
    /// To wait so many nanoseconds.
    Sleep {
        ns: u64,
    },
    /// That the others run, each so many steps at a stretch; 0 is without end.
    Run {
        steps: u64,
    },
    Balance {
        channel: u32,
    },
    Close {
        channel: u32,
    },
    /// A channel of its own.
    NewChannel {
        preference: i32,
    },
    /// To have a channel no more.
    DropChannel {
        channel: u32,
    },
    Spawn {
        entry: String,
        argument: Bytes,
    },
    /// A copy of itself.
    Fork,
}

impl Request {
    /// The channel by which it would wait, and in which direction.
    pub(crate) fn waits_on(&self) -> Option<(u32, Direction)> {
        match self {
            Request::Send { channel, may_wait: true, .. } => Some((*channel, Direction::Send)),
            Request::Receive { channel, may_wait: true, .. } => {
                Some((*channel, Direction::Receive))
            }
            _ => None,
        }
    }

    /// Whether it waits for what the scheduler alone has: time, or others.
    pub(crate) fn waits_within(&self) -> bool {
        matches!(self, Request::Sleep { .. } | Request::Run { .. })
    }

    /// What is left of the time that it waits; `None` if it does not wait for time.
    pub(crate) fn left_ns(&mut self) -> Option<&mut u64> {
        match self {
            Request::Sleep { ns } => Some(ns),
            Request::Send { timeout, .. } | Request::Receive { timeout, .. } => timeout.as_mut(),
            _ => None,
        }
    }

    fn is_timed(&self) -> bool {
        matches!(
            self,
            Request::Sleep { .. }
                | Request::Send { timeout: Some(_), .. }
                | Request::Receive { timeout: Some(_), .. }
        )
    }
}

/// What the scheduler answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Answer {
    /// What the import returns.
    Code(i64),
    Message {
        error: bool,
        bytes: Bytes,
    },
    /// An error that is no message: what the import returns is [`code::THROWN`].
    Error(Bytes),
}

/// All that a scheduler and its guest have to say to each other.
#[derive(Debug, Default)]
pub(crate) struct Seat {
    pub(crate) id: TaskletId,
    /// Whether the module imports anything of it. If not, a snapshot says nothing of the seat, and
    /// can be resumed without a scheduler.
    pub(crate) linked: bool,
    pub(crate) channels: Grants,
    pub(crate) argument: Vec<u8>,
    /// In an atomic section: no slice ends.
    pub(crate) atomic: bool,
    /// Whatever would wait is refused instead.
    pub(crate) block_trap: bool,
    /// An error that somebody threw, until an import that can wait has returned it.
    pub(crate) thrown: Option<Vec<u8>>,
    /// The slice has ended in the atomic section. Not in snapshots: none is made then.
    pub(crate) overdue: bool,
    /// What is asked, until it is answered.
    pub(crate) asked: Option<Request>,
    /// The answer, until the import has returned it.
    pub(crate) answer: Option<Answer>,
    /// Of those whose waits end at the same time, how many end theirs before it does, as noted for a
    /// set. Means nothing unless it waits for time.
    pub(crate) turn: u64,
    /// Messages of a `send_all` that have been handed over.
    sent: u32,
    /// The message received last, of which the guest may want the rest.
    message: Vec<u8>,
}

impl Seat {
    pub(crate) fn new(channels: Grants, argument: Vec<u8>) -> Seat {
        Seat { channels, argument, ..Seat::default() }
    }

    /// Leaves behind what only its guest can ask for, if that is in its snapshot.
    pub(crate) fn shed(&mut self) {
        if self.linked {
            self.channels = Grants::default();
            self.argument = Vec::new();
            self.message = Vec::new();
        }
    }

    /// Has that again, of the seat that was written down.
    pub(crate) fn take_back(&mut self, written: Seat) {
        if self.linked {
            self.channels = written.channels;
            self.argument = written.argument;
            self.message = written.message;
        }
    }

    /// What it asks has been decided.
    pub(crate) fn answer(&mut self, answer: Answer) {
        self.asked = None;
        self.answer = Some(answer);
    }

    /// The message that it waits to send; it stays until the answer.
    pub(crate) fn sending(&mut self) -> Option<Message> {
        match &mut self.asked {
            Some(Request::Send { error, message, .. }) => {
                let bytes = std::mem::take(&mut message.0);
                Some(if *error { Message::Error(bytes) } else { Message::Data(bytes) })
            }
            _ => None,
        }
    }

    /// It is handed a message.
    pub(crate) fn deliver(&mut self, message: Message) {
        let (error, bytes) = match message {
            Message::Data(bytes) => (false, bytes),
            Message::Error(bytes) => (true, bytes),
        };
        self.answer(Answer::Message { error, bytes: Bytes(bytes) });
    }
}
