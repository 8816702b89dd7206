//! The seat as a snapshot holds it.

use serde::{Deserialize, Serialize};

use super::{Answer, ChannelName, Request, Seat};
use crate::sched::limits::{
    ARGUMENT_BYTES_MAX, GRANTS_MAX, MESSAGE_BYTES_MAX, NAME_BYTES_MAX, SEQUENCE_MAX,
};
use crate::wasi::Bytes;

/// What of a [`Seat`] goes along: all but its number, which is the scheduler's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeatState {
    pub(crate) channels: Vec<ChannelName>,
    argument: Bytes,
    atomic: bool,
    #[serde(default, skip_serializing_if = "is_off")]
    block_trap: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    thrown: Option<Bytes>,
    asked: Option<Request>,
    #[serde(default, skip_serializing_if = "is_first")]
    turn: u64,
    answer: Option<Answer>,
    sent: u32,
    message: Bytes,
}

fn is_off(flag: &bool) -> bool {
    !flag
}

fn is_first(turn: &u64) -> bool {
    *turn == 0
}

impl Seat {
    pub(crate) fn state(&self) -> SeatState {
        SeatState {
            channels: self.channels.clone(),
            argument: Bytes(self.argument.clone()),
            atomic: self.atomic,
            block_trap: self.block_trap,
            thrown: self.thrown.clone().map(Bytes),
            asked: self.asked.clone(),
            turn: self.asked.as_ref().filter(|asked| asked.is_timed()).map_or(0, |_| self.turn),
            answer: self.answer.clone(),
            sent: self.sent,
            message: Bytes(self.message.clone()),
        }
    }

    /// Takes the place of one that was written down, which is not trusted.
    pub(crate) fn restore(state: SeatState) -> Result<Seat, &'static str> {
        let message_fits = |bytes: &Bytes| bytes.0.len() <= MESSAGE_BYTES_MAX;
        let known = |channel: &u32| (*channel as usize) < state.channels.len();
        if state.channels.len() > GRANTS_MAX {
            return Err("too many channels");
        }
        let long = |name: &str| name.len() > NAME_BYTES_MAX;
        if state.channels.iter().any(|c| long(&c.guest) || long(&c.channel)) {
            return Err("the name of a channel is too long");
        }
        if state.argument.0.len() > ARGUMENT_BYTES_MAX {
            return Err("the argument is too long");
        }
        if state.asked.is_some() && state.answer.is_some() {
            return Err("it asks for something that has been answered");
        }
        let sound = match &state.asked {
            Some(Request::Send { channel, message, .. }) => known(channel) && message_fits(message),
            Some(
                Request::Receive { channel, .. }
                | Request::Balance { channel }
                | Request::Close { channel },
            ) => known(channel),
            Some(Request::Spawn { entry, argument }) => {
                !long(entry) && argument.0.len() <= ARGUMENT_BYTES_MAX
            }
            Some(
                Request::Yield
                | Request::Park
                | Request::Atomic { .. }
                | Request::Fork
                | Request::Sleep { .. }
                | Request::Run { .. },
            )
            | None => true,
        };
        let answered = match &state.answer {
            Some(Answer::Message { bytes, .. } | Answer::Error(bytes)) => message_fits(bytes),
            Some(Answer::Code(_)) | None => true,
        };
        let thrown = state.thrown.as_ref().is_none_or(message_fits);
        if !sound
            || !answered
            || !thrown
            || !message_fits(&state.message)
            || state.sent > SEQUENCE_MAX
        {
            return Err("it asks, or was told, what nobody can");
        }
        Ok(Seat {
            atomic: state.atomic,
            block_trap: state.block_trap,
            thrown: state.thrown.map(|bytes| bytes.0),
            asked: state.asked,
            turn: state.turn,
            answer: state.answer,
            sent: state.sent,
            message: state.message.0,
            ..Seat::new(state.channels, state.argument.0)
        })
    }
}
