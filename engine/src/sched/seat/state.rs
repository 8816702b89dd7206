//! The seat as a snapshot holds it.

use serde::{Deserialize, Serialize};

use super::{Answer, Grant, Grants, Known, Made, Request, Seat};
use crate::sched::channel::{ChannelOptions, Preference};
use crate::sched::limits::{
    ARGUMENT_BYTES_MAX, GRANTS_MAX, MADE_NUMBER_MAX, MESSAGE_BYTES_MAX, NAME_BYTES_MAX,
    SEQUENCE_MAX,
};
use crate::wasi::Bytes;

/// What of a [`Seat`] goes along: all but its number, which is the scheduler's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeatState {
    channels: Vec<Option<GrantState>>,
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

/// A [`Grant`]: one of `channel` and `made`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GrantState {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    guest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made: Option<MadeState>,
}

/// A [`Made`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MadeState {
    number: u64,
    preference: Prefers,
    #[serde(default, skip_serializing_if = "is_off")]
    closed: bool,
    #[serde(default, skip_serializing_if = "is_off")]
    external: bool,
}

/// A [`Preference`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Prefers {
    Receiver,
    Neither,
    Sender,
    Both,
}

impl GrantState {
    fn of(grant: &Grant) -> GrantState {
        let guest = grant.guest.clone();
        match &grant.channel {
            Known::Named(name) => GrantState { guest, channel: Some(name.clone()), made: None },
            Known::Made(made) => {
                let preference = match made.options.preference {
                    Preference::Receiver => Prefers::Receiver,
                    Preference::Neither => Prefers::Neither,
                    Preference::Sender => Prefers::Sender,
                    Preference::Both => Prefers::Both,
                };
                let (number, closed) = (made.number, made.closed);
                let external = made.options.external;
                let made = MadeState { number, preference, closed, external };
                GrantState { guest, channel: None, made: Some(made) }
            }
        }
    }

    fn grant(self) -> Result<Grant, &'static str> {
        let long =
            |name: &Option<String>| name.as_ref().is_some_and(|it| it.len() > NAME_BYTES_MAX);
        if long(&self.guest) || long(&self.channel) {
            return Err("the name of a channel is too long");
        }
        let channel = match (self.channel, self.made) {
            (Some(name), None) => Known::Named(name),
            (None, Some(made)) if (1..=MADE_NUMBER_MAX).contains(&made.number) => {
                let preference = match made.preference {
                    Prefers::Receiver => Preference::Receiver,
                    Prefers::Neither => Preference::Neither,
                    Prefers::Sender => Preference::Sender,
                    Prefers::Both => Preference::Both,
                };
                let options = ChannelOptions { preference, external: made.external };
                Known::Made(Made { number: made.number, options, closed: made.closed })
            }
            (None, Some(_)) => return Err("a channel has a number that none has"),
            _ => return Err("a channel has to be named, or made by a guest"),
        };
        Ok(Grant { guest: self.guest, channel })
    }
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
            channels: self.channels.iter().map(|grant| grant.map(GrantState::of)).collect(),
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
        if state.channels.len() > GRANTS_MAX {
            return Err("too many channels");
        }
        let channels = state.channels.into_iter().map(|it| it.map(GrantState::grant).transpose());
        let channels = Grants::new(channels.collect::<Result<_, _>>()?);
        let known = |channel: &u32| channels.has(*channel);
        let long = |name: &str| name.len() > NAME_BYTES_MAX;
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
                | Request::Close { channel }
                | Request::DropChannel { channel },
            ) => known(channel),
            Some(Request::Spawn { entry, argument }) => {
                !long(entry) && argument.0.len() <= ARGUMENT_BYTES_MAX
            }
            Some(
                Request::Yield
                | Request::Park
                | Request::Atomic { .. }
                | Request::Fork
                | Request::NewChannel { .. }
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
            ..Seat::new(channels, state.argument.0)
        })
    }
}
