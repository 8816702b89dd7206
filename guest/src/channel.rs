//! Channels, over which tasklets hand each other messages.

use core::time::Duration;

use crate::error::{Error, Payload, checked};
use crate::sys;
use crate::tasklet::nanoseconds;

#[cfg(feature = "alloc")]
use alloc::vec::Vec;

/// A channel that this tasklet was given, or has made. Who sends and who receives meet: neither goes
/// on before the other has come.
///
/// ```
/// # use tasklet_guest::{Channel, Error, Preference, spawn};
/// # fn ask() -> Result<Vec<u8>, Error> {
/// let channel = Channel::new(Preference::Receiver)?;
/// // What is spawned from now on has it too, under the same number.
/// spawn("answer", &channel.number().to_le_bytes())?;
/// channel.receive()
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Channel(i32);

/// Who goes on at once after an exchange; the other is queued behind all that are ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Preference {
    /// The receiver.
    #[default]
    Receiver,
    /// Whoever completed the exchange.
    Neither,
    /// The sender.
    Sender,
    /// Nobody: both are queued, who has waited first.
    Both,
}

impl Channel {
    /// Makes a channel. Those that this tasklet spawns from now on have it under the same
    /// [number](Channel::number), and nobody else. It is gone once no tasklet has it any more.
    ///
    /// # Errors
    /// [`Error::Limit`] if it has a thousand that were made already: see
    /// [`release`](Channel::release). [`Error::InCallback`].
    pub fn new(preference: Preference) -> Result<Channel, Error> {
        let preference = match preference {
            Preference::Receiver => -1,
            Preference::Neither => 0,
            Preference::Sender => 1,
            Preference::Both => 2,
        };
        let number = sys::new_channel(preference);
        checked(number).map(|number| Channel(number as i32))
    }

    /// The channel that has this number: that of one who has spawned this tasklet, which it had then.
    /// If there is none, whoever uses it fails with [`Error::NoChannel`].
    pub fn numbered(number: u32) -> Channel {
        Channel(number as i32)
    }

    /// Its number, to be told to a tasklet that is spawned.
    pub fn number(self) -> u32 {
        self.0 as u32
    }

    /// Has it no more, for this tasklet has done with it. Others that have it keep it; its number is
    /// given to one that this tasklet makes later.
    ///
    /// # Errors
    /// [`Error::NoChannel`], [`Error::InCallback`].
    pub fn release(self) -> Result<(), Error> {
        checked(sys::drop_channel(self.0)).map(drop)
    }

    /// The channel that this tasklet was given under that name.
    ///
    /// # Errors
    /// [`Error::NoChannel`].
    pub fn named(name: &str) -> Result<Channel, Error> {
        let number = sys::channel(name);
        checked(number.into()).map(|_| Channel(number))
    }

    /// Hands over a message, and waits for a receiver if there is none.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Limit`], [`Error::InCallback`], [`Error::WouldBlock`] in a section
    /// of [`block_trap`](crate::block_trap), [`Error::Thrown`].
    pub fn send(self, message: &[u8]) -> Result<(), Error> {
        checked(sys::send(self.0, message)).map(drop)
    }

    /// Hands over an error: the receiver fails with [`Error::Sent`].
    ///
    /// # Errors
    /// As [`send`](Channel::send).
    pub fn send_error(self, error: &[u8]) -> Result<(), Error> {
        checked(sys::send_error(self.0, error)).map(drop)
    }

    /// Hands over a message if somebody waits for one.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] if nobody does; else as [`send`](Channel::send).
    pub fn try_send(self, message: &[u8]) -> Result<(), Error> {
        checked(sys::try_send(self.0, message)).map(drop)
    }

    /// Hands over a message, and waits for a receiver, but not longer than that.
    ///
    /// # Errors
    /// [`Error::TimedOut`]; else as [`send`](Channel::send).
    pub fn send_timeout(self, message: &[u8], time: Duration) -> Result<(), Error> {
        checked(sys::send_timeout(self.0, message, nanoseconds(time))).map(drop)
    }

    /// Hands over messages one after the other, and returns how many were: all, unless the channel
    /// was closed meanwhile.
    ///
    /// # Errors
    /// As [`send`](Channel::send), if not even the first was handed over.
    #[cfg(feature = "alloc")]
    pub fn send_all(self, messages: &[&[u8]]) -> Result<usize, Error> {
        checked(sys::send_all(self.0, messages)).map(|sent| sent as usize)
    }

    /// Waits for a message and copies as much of it as there is room for. Returns its whole length;
    /// what did not fit is to be had by [`rest`](Channel::rest) until the next message comes.
    ///
    /// # Errors
    /// [`Error::Sent`] if it is an error; else as [`send`](Channel::send).
    pub fn receive_into(self, room: &mut [u8]) -> Result<usize, Error> {
        Received::of(sys::receive(self.0, room))?.into_len()
    }

    /// The same, unless it would have to wait.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] if nobody sends one; else as [`receive_into`](Channel::receive_into).
    pub fn try_receive_into(self, room: &mut [u8]) -> Result<usize, Error> {
        Received::of(sys::try_receive(self.0, room))?.into_len()
    }

    /// The same, but waits no longer than that.
    ///
    /// # Errors
    /// [`Error::TimedOut`]; else as [`receive_into`](Channel::receive_into).
    pub fn receive_into_timeout(self, room: &mut [u8], time: Duration) -> Result<usize, Error> {
        Received::of(sys::receive_timeout(self.0, room, nanoseconds(time)))?.into_len()
    }

    /// Copies of the message that was received last, over whatever channel, what begins at `from`.
    /// Returns how much there is.
    pub fn rest(from: usize, room: &mut [u8]) -> usize {
        sys::rest(from, room)
    }

    /// Waits for a message.
    ///
    /// # Errors
    /// As [`receive_into`](Channel::receive_into).
    #[cfg(feature = "alloc")]
    pub fn receive(self) -> Result<Vec<u8>, Error> {
        whole(|room| sys::receive(self.0, room))
    }

    /// The message of somebody who waits to send one.
    ///
    /// # Errors
    /// As [`try_receive_into`](Channel::try_receive_into).
    #[cfg(feature = "alloc")]
    pub fn try_receive(self) -> Result<Vec<u8>, Error> {
        whole(|room| sys::try_receive(self.0, room))
    }

    /// Waits for a message, but not longer than that.
    ///
    /// # Errors
    /// As [`receive_into_timeout`](Channel::receive_into_timeout).
    #[cfg(feature = "alloc")]
    pub fn receive_timeout(self, time: Duration) -> Result<Vec<u8>, Error> {
        whole(|room| sys::receive_timeout(self.0, room, nanoseconds(time)))
    }

    /// The messages that come, until the channel is closed.
    #[cfg(feature = "alloc")]
    pub fn messages(self) -> Messages {
        Messages { channel: self }
    }

    /// How many wait to send, or if negative to receive.
    ///
    /// # Errors
    /// [`Error::NoChannel`], [`Error::InCallback`].
    pub fn balance(self) -> Result<i64, Error> {
        // A balance can be negative: refusals are below all of them.
        match sys::balance(self.0) {
            refused if refused <= -(1 << 32) => Err(Error::of(refused >> 32)),
            balance => Ok(balance),
        }
    }

    /// Closes it: all who wait on it fail with [`Error::Closed`], and so does who uses it from now
    /// on.
    ///
    /// # Errors
    /// [`Error::InCallback`].
    pub fn close(self) -> Result<(), Error> {
        checked(sys::close(self.0)).map(drop)
    }
}

/// Messages of a channel: [`Channel::messages`].
#[cfg(feature = "alloc")]
#[derive(Debug)]
pub struct Messages {
    channel: Channel,
}

#[cfg(feature = "alloc")]
impl Iterator for Messages {
    type Item = Result<Vec<u8>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.channel.receive() {
            Err(Error::Closed) => None,
            message => Some(message),
        }
    }
}

/// What `receive` tells of a message.
struct Received {
    len: usize,
    is_error: bool,
}

impl Received {
    fn of(code: i64) -> Result<Received, Error> {
        let told = checked(code)?;
        Ok(Received { len: told as u32 as usize, is_error: told >> 32 != 0 })
    }

    fn into_len(self) -> Result<usize, Error> {
        match self.is_error {
            true => Err(Error::Sent(Payload::of_last_message())),
            false => Ok(self.len),
        }
    }
}

/// How much of a message is received in one call; what is longer takes a second one.
#[cfg(feature = "alloc")]
const ROOM: usize = 128;

#[cfg(feature = "alloc")]
fn whole(receive: impl FnOnce(&mut [u8]) -> i64) -> Result<Vec<u8>, Error> {
    let mut room = [0; ROOM];
    let received = Received::of(receive(&mut room))?;
    let begin = &room[..received.len.min(ROOM)];
    let bytes = rest_of(begin.to_vec(), received.len);
    match received.is_error {
        true => Err(Error::Sent(Payload::new(bytes))),
        false => Ok(bytes),
    }
}

/// A message of which that much has been copied, and the rest.
#[cfg(feature = "alloc")]
pub(crate) fn rest_of(mut bytes: Vec<u8>, len: usize) -> Vec<u8> {
    let from = bytes.len();
    if from < len {
        bytes.resize(len, 0);
        sys::rest(from, &mut bytes[from..]);
    }
    bytes
}
