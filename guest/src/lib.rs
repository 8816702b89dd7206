//! For WebAssembly programs that are tasklets of a scheduler: they take turns, talk over
//! channels, make more of themselves, and can be written down and moved wherever they are.
//!
//! ```
//! use tasklet_guest::{Channel, Error, entry, spawn};
//!
//! entry! {
//!     /// Sends back whatever comes, until the channel is closed.
//!     fn echo() {
//!         let Ok(channel) = Channel::named("c") else { return };
//!         while let Ok(message) = channel.receive() {
//!             if channel.send(&message).is_err() {
//!                 return;
//!             }
//!         }
//!     }
//! }
//!
//! # #[allow(dead_code)]
//! fn ask() -> Result<Vec<u8>, Error> {
//!     let channel = Channel::named("c")?;
//!     spawn("echo", b"")?;
//!     channel.send(b"hello")?;
//!     channel.receive()
//! }
//! ```
//!
//! The crate is `no_std`, and needs an allocator only with the feature `alloc`, which is a default.
//! With `cbor` messages are serde values too. A module imports only what it calls, so a program that
//! does not fork runs under a scheduler that cannot.
//!
//! # Elsewhere than in WebAssembly
//!
//! On other targets than `wasm32` there is no scheduler. All of this is there, so that a program can
//! be checked, documented and tested in its other parts; whatever would ask the scheduler fails with
//! [`Error::NotAGuest`], and what cannot fail says what a tasklet without one would be told:
//! [`id`] is 0, [`argument`] is empty, [`steps_left`] has no end.
#![no_std]
#![deny(missing_docs)]

#[cfg(feature = "alloc")]
extern crate alloc;

#[cfg(feature = "cbor")]
mod cbor;
mod channel;
mod error;
mod section;
mod sys;
mod tasklet;

#[cfg(feature = "cbor")]
pub use cbor::{argument_value, decode, encode};
#[cfg(feature = "alloc")]
pub use channel::Messages;
pub use channel::{Channel, Preference};
pub use error::{Error, Payload};
pub use section::{Section, atomic, block_trap};
#[cfg(feature = "alloc")]
pub use tasklet::argument;
pub use tasklet::{
    Fork, TaskletId, argument_into, fork, id, park, run, sleep, spawn, steps_left, yield_now,
};
