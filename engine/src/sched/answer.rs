//! What is done with what guests ask for.

use super::channel::{Direction, Next};
use super::core::{Exchange, Wait};
use super::seat::{Answer, Request, code};
use super::{ChannelId, Scheduler, TaskletId};
use crate::error::{Error, ErrorKind};
use crate::trap::TrapKind;

/// How a turn goes on once a request has been answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// The tasklet goes on.
    Stay,
    /// The next in line runs.
    Leave,
    /// This one runs now.
    HandOver(TaskletId),
    /// As when its budget is used up.
    SliceOver,
}

impl Scheduler {
    /// Answers a tasklet that ran, or lets it wait. What it asks stays where it is until then: it is
    /// large, and to move it takes longer than to answer.
    pub(super) fn answer(&mut self, id: TaskletId) -> Result<After, Error> {
        let seat = self.seat(id)?;
        match &mut seat.asked {
            None => Err(Error::internal(format!("tasklet {id} asks nothing"))),
            // Like `yield`: nobody waits less than a turn.
            Some(Request::Yield | Request::Sleep { ns: 0 }) => {
                seat.answer(Answer::Code(0));
                self.core.requeue(id);
                Ok(After::Leave)
            }
            Some(Request::Park) => {
                self.core.park(id);
                self.tell(id, 0, After::Leave)
            }
            Some(Request::Atomic { before }) => {
                let before = i64::from(*before);
                self.tell(id, before, After::SliceOver)
            }
            Some(Request::Send { .. } | Request::Receive { .. }) => self.exchange(id),
            Some(Request::Sleep { .. } | Request::Run { .. }) => self.wait_on(id),
            Some(Request::Balance { channel }) => {
                let channel = *channel;
                let channel = self.channel_of(id, channel)?;
                let channel = channel.and_then(|id| self.core.channel(id));
                let balance = channel.map_or(0, |channel| channel.balance());
                self.tell(id, balance, After::Stay)
            }
            Some(Request::Close { channel }) => {
                let channel = *channel;
                if let Some(channel) = self.channel_of(id, channel)? {
                    let woken = self.core.close(channel);
                    self.tell_closed(woken)?;
                }
                self.tell(id, 0, After::Stay)
            }
            Some(Request::NewChannel { preference }) => {
                let preference = *preference;
                let number = self.make_channel(id, preference)?;
                self.tell(id, number, After::Stay)
            }
            Some(Request::DropChannel { channel }) => {
                let channel = *channel;
                self.drop_channel(id, channel)?;
                self.tell(id, 0, After::Stay)
            }
            Some(Request::Spawn { entry, argument }) => {
                let (entry, argument) = (std::mem::take(entry), std::mem::take(&mut argument.0));
                seat.asked = None;
                let child = self.spawn_child(id, entry, argument);
                self.answer_child(id, "spawn", child)
            }
            Some(Request::Fork) => {
                seat.asked = None;
                let child = self.fork_current(id);
                self.answer_child(id, "fork", child)
            }
        }
    }

    /// Inserts a paused tasklet. What it was waiting for on a channel it is waiting for again.
    pub(super) fn rejoin(&mut self, id: TaskletId) -> Result<(), Error> {
        match &self.seat(id)?.asked {
            Some(asked) if asked.waits_within() => self.wait_on(id).map(drop),
            Some(asked) if asked.waits_on().is_some() => self.exchange(id).map(drop),
            // Of what it asked otherwise it asks again when it runs.
            _ => {
                self.core.requeue(id);
                Ok(())
            }
        }
    }

    /// Has a paused tasklet wait that waited for the system, for time or for others.
    pub(super) fn wait_again(&mut self, id: TaskletId) -> Result<(), Error> {
        match &self.seat(id)?.asked {
            Some(asked) if asked.waits_within() => self.wait_on(id).map(drop),
            _ => {
                self.wait_outside(id);
                Ok(())
            }
        }
    }

    /// Lets a tasklet that ran, or one that is inserted, wait for time or for others.
    fn wait_on(&mut self, id: TaskletId) -> Result<After, Error> {
        match self.seat(id)?.asked {
            Some(Request::Run { steps }) => self.core.watch(id, steps),
            Some(Request::Sleep { ns }) => {
                let due_ns = self.clock.now_ns().saturating_add(ns);
                self.core.sleep(id, due_ns);
            }
            _ => return Err(Error::internal("a wait for nothing")),
        }
        Ok(After::Leave)
    }

    /// Lets a tasklet that ran, or one that is inserted, send or receive.
    fn exchange(&mut self, id: TaskletId) -> Result<After, Error> {
        let (number, direction, may_wait, timeout) = match &self.seat(id)?.asked {
            Some(Request::Send { channel, may_wait, timeout, .. }) => {
                (*channel, Direction::Send, *may_wait, *timeout)
            }
            Some(Request::Receive { channel, may_wait, timeout }) => {
                (*channel, Direction::Receive, *may_wait, *timeout)
            }
            _ => return Err(Error::internal("an exchange of nothing")),
        };
        let wait = match timeout {
            _ if !may_wait => Wait::Not,
            None => Wait::Forever,
            Some(0) => Wait::Not,
            Some(ns) => Wait::Until(self.clock.now_ns().saturating_add(ns)),
        };
        let channel = self.channel_of(id, number)?;
        if let (Some(call), Some(channel)) = (&mut self.hooks.on_channel, channel) {
            let meets = self.core.channel(channel).is_some_and(|c| c.closed || c.meets(direction));
            call(channel, id, direction, wait != Wait::Not && !meets);
        }
        let exchange = match channel {
            Some(channel) => self.core.exchange(id, channel, direction, wait),
            None => Exchange::Closed,
        };
        match exchange {
            Exchange::Met(partner, next) => {
                if let Err(error) = self.hand(id, partner) {
                    if next == Next::HandOver {
                        self.core.park(partner);
                    }
                    return Err(error);
                }
                Ok(match next {
                    Next::Stay => After::Stay,
                    Next::HandOver => After::HandOver(partner),
                    Next::Ring => After::Leave,
                })
            }
            Exchange::Waits => Ok(After::Leave),
            Exchange::WouldBlock if may_wait => self.refuse(id, code::TIMED_OUT),
            Exchange::WouldBlock => self.refuse(id, code::WOULD_BLOCK),
            Exchange::Closed => self.refuse(id, code::CLOSED),
        }
    }

    /// Hands over the message of two that have met; the first is the one that came second.
    fn hand(&mut self, id: TaskletId, partner: TaskletId) -> Result<(), Error> {
        let seat = self.seat(id)?;
        let (receiver, message) = match seat.sending() {
            Some(message) => {
                seat.answer(Answer::Code(0));
                (partner, message)
            }
            None => (id, self.collect(partner)?),
        };
        self.seat(receiver)?.deliver(message);
        Ok(())
    }

    /// Tells a tasklet of the one that it asked for.
    fn answer_child(
        &mut self,
        id: TaskletId,
        import: &str,
        child: Result<TaskletId, Error>,
    ) -> Result<After, Error> {
        match child {
            Ok(child) => self.tell(id, child.0 as i64, After::Stay),
            Err(Error::NoSuchExport { .. } | Error::Arguments { .. }) => {
                self.tell(id, code::NO_ENTRY, After::Stay)
            }
            Err(error) if error.kind() == ErrorKind::Limit => {
                self.tell(id, code::LIMIT, After::Stay)
            }
            Err(error) if error.kind() == ErrorKind::Internal => Err(error),
            // The parent cannot help it, and its embedder has to know.
            Err(error) => {
                let message = format!("{} `tasklet::{import}`: {error}", TrapKind::Host.text());
                self.member(id)?.tasklet.end_with(TrapKind::Host, message)?;
                Ok(After::Stay)
            }
        }
    }

    fn tell(&mut self, id: TaskletId, code: i64, after: After) -> Result<After, Error> {
        self.seat(id)?.answer(Answer::Code(code));
        Ok(after)
    }

    /// Answers one who cannot exchange; if it was to be inserted, it is.
    fn refuse(&mut self, id: TaskletId, code: i64) -> Result<After, Error> {
        if !self.core.is_running(id) {
            self.core.requeue(id);
        }
        self.tell(id, code, After::Stay)
    }

    fn channel_of(&mut self, id: TaskletId, number: u32) -> Result<Option<ChannelId>, Error> {
        // One that is inserted need not come back for that.
        let given = match self.dormitory.channels(id) {
            Some(given) => given,
            None => &self.member(id)?.channels[..],
        };
        Ok(given.get(number as usize).copied())
    }
}
