//! Channels as the program outside uses them.

use super::channel::{Channel, ChannelOptions, Direction};
use super::core::Exchange;
use super::limits::{CHANNELS_MAX, MESSAGE_BYTES_MAX, NAME_BYTES_MAX};
use super::seat::{Answer, Message, code};
use super::{ChannelId, Scheduler, TaskletId};
use crate::error::Error;

/// What has become of a message that was offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handed {
    /// This tasklet has it, and is ready.
    To(TaskletId),
    /// Nobody waits for one; here it is back.
    Nobody(Message),
}

impl Scheduler {
    /// Makes a channel. Snapshots of tasklets that were given it refer to it by its name. Those that
    /// guests make have none, and are in the way of no name.
    ///
    /// # Errors
    /// [`Error::ChannelExists`], [`Error::Limit`].
    pub fn channel(&mut self, name: &str, options: ChannelOptions) -> Result<ChannelId, Error> {
        if name.len() > NAME_BYTES_MAX {
            return Err(Error::limit(format!("a name of {} bytes", name.len())));
        }
        if self.names.len() + self.made.len() >= CHANNELS_MAX {
            return Err(Error::limit(format!("more than {CHANNELS_MAX} channels")));
        }
        if self.names.contains_key(name) {
            return Err(Error::ChannelExists { name: name.to_string() });
        }
        let id = self.core.add_channel(options);
        self.names.insert(name.to_string(), id);
        self.channel_names.insert(id, name.to_string());
        Ok(id)
    }

    /// The channel of that name.
    pub fn find_channel(&self, name: &str) -> Option<ChannelId> {
        self.names.get(name).copied()
    }

    /// What a channel is called here.
    pub fn channel_name(&self, id: ChannelId) -> Option<&str> {
        self.channel_names.get(&id).map(String::as_str)
    }

    /// How a channel behaves.
    ///
    /// # Errors
    /// [`Error::NoSuchChannel`].
    pub fn channel_options(&self, id: ChannelId) -> Result<ChannelOptions, Error> {
        self.known(id)?;
        Ok(self.core.channel(id).map(|channel| channel.options).unwrap_or_default())
    }

    /// Whether a channel is closed.
    ///
    /// # Errors
    /// [`Error::NoSuchChannel`].
    pub fn is_closed(&self, id: ChannelId) -> Result<bool, Error> {
        self.known(id)?;
        Ok(self.core.channel(id).is_none_or(|channel| channel.closed))
    }

    /// Changes how a channel behaves, from the next exchange on.
    ///
    /// # Errors
    /// [`Error::NoSuchChannel`].
    pub fn set_channel_options(
        &mut self,
        id: ChannelId,
        options: ChannelOptions,
    ) -> Result<(), Error> {
        self.known(id)?;
        if let Some(channel) = self.core.channel_mut(id) {
            channel.options = options;
        }
        Ok(())
    }

    /// How many wait to send, or if negative to receive.
    ///
    /// # Errors
    /// [`Error::NoSuchChannel`].
    pub fn balance(&self, id: ChannelId) -> Result<i64, Error> {
        self.known(id).map(Channel::balance)
    }

    /// Those who wait on a channel, first come first.
    ///
    /// # Errors
    /// [`Error::NoSuchChannel`].
    pub fn waiting_on(&self, id: ChannelId) -> Result<Vec<TaskletId>, Error> {
        self.known(id)?;
        Ok(self.core.waiting_on(id).collect())
    }

    /// Hands a message to the first who waits for one. Nobody outside can wait for a receiver: if
    /// there is none, the message comes back.
    ///
    /// # Errors
    /// [`Error::NoSuchChannel`], [`Error::ChannelClosed`], [`Error::Limit`].
    pub fn try_send(&mut self, id: ChannelId, message: Message) -> Result<Handed, Error> {
        self.open_one(id)?;
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(Error::limit(format!("a message of {} bytes", message.len())));
        }
        match self.core.exchange_outside(id, Direction::Send) {
            Exchange::Met(receiver, _) => {
                self.seat(receiver)?.deliver(message);
                Ok(Handed::To(receiver))
            }
            _ => Ok(Handed::Nobody(message)),
        }
    }

    /// Takes the message of the first who waits to send one.
    ///
    /// # Errors
    /// [`Error::NoSuchChannel`], [`Error::ChannelClosed`].
    pub fn try_receive(&mut self, id: ChannelId) -> Result<Option<Message>, Error> {
        self.open_one(id)?;
        match self.core.exchange_outside(id, Direction::Receive) {
            Exchange::Met(sender, _) => self.collect(sender).map(Some),
            _ => Ok(None),
        }
    }

    /// Closes a channel: all who wait on it are ready, and are told; so is who uses it from now on.
    ///
    /// # Errors
    /// [`Error::NoSuchChannel`].
    pub fn close(&mut self, id: ChannelId) -> Result<(), Error> {
        self.known(id)?;
        let woken = self.core.close(id);
        self.tell_closed(woken)
    }

    /// Opens a channel that was closed.
    ///
    /// # Errors
    /// [`Error::NoSuchChannel`].
    pub fn open(&mut self, id: ChannelId) -> Result<(), Error> {
        self.known(id)?;
        if let Some(channel) = self.core.channel_mut(id) {
            channel.closed = false;
        }
        Ok(())
    }

    /// Closes a channel for good; its name is free. To tasklets that were given it it stays closed.
    ///
    /// # Errors
    /// [`Error::NoSuchChannel`].
    pub fn remove_channel(&mut self, id: ChannelId) -> Result<(), Error> {
        self.known(id)?;
        let woken = self.core.remove_channel(id);
        if let Some(name) = self.channel_names.remove(&id) {
            self.names.remove(&name);
        }
        self.made.forget(id);
        self.tell_closed(woken)
    }

    pub(super) fn tell_closed(&mut self, woken: Vec<TaskletId>) -> Result<(), Error> {
        for id in woken {
            if !self.dormitory.tell(id, code::CLOSED) {
                self.seat(id)?.answer(Answer::Code(code::CLOSED));
            }
        }
        Ok(())
    }

    /// The message of one who waited to send it, and is told that it was.
    pub(super) fn collect(&mut self, sender: TaskletId) -> Result<Message, Error> {
        let seat = self.seat(sender)?;
        let message = seat.sending();
        seat.answer(Answer::Code(0));
        message.ok_or_else(|| Error::internal(format!("tasklet {sender} has no message")))
    }

    pub(super) fn known(&self, id: ChannelId) -> Result<&Channel, Error> {
        self.core.channel(id).ok_or_else(|| Error::NoSuchChannel { name: id.to_string() })
    }

    fn open_one(&self, id: ChannelId) -> Result<(), Error> {
        if !self.known(id)?.closed {
            return Ok(());
        }
        // One that a guest made has no name.
        let name = self.channel_names.get(&id);
        Err(Error::ChannelClosed { name: name.map_or_else(|| id.to_string(), String::clone) })
    }
}
