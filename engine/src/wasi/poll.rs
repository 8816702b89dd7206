//! Waiting: `poll_oneoff`, and what it means for a call to be issued again.
//!
//! A call that would block returns [`Outcome::Wait`] and leaves no trace in
//! the guest. It is issued again, in this process or another, once the wait is
//! over. What makes that safe is the time of its first issue, which is part of
//! the state: a sleep of a second is over a second of guest time after it
//! began, however often it was begun anew.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::wasi::abi::clockid;
use crate::wasi::errno::Errno;
use crate::wasi::fd::Kind;
use crate::wasi::limits::{INTERRUPT_POLL_MS, SUBSCRIPTIONS_MAX};
use crate::wasi::memory::{Call, offset};
use crate::wasi::stdin::Available;
use crate::wasi::{Answer, DONE, Outcome, Wasi};

/// What a guest waits for; over as soon as one of them is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// A moment in the guest's monotonic time, in nanoseconds.
    pub deadline_ns: Option<u64>,
    /// Bytes on standard input, or its end.
    pub stdin: bool,
}

const SUBSCRIPTION_BYTES: u32 = 48;
const EVENT_BYTES: u32 = 32;

const EVENT_CLOCK: u8 = 0;
const EVENT_FD_READ: u8 = 1;
const EVENT_FD_WRITE: u8 = 2;

const ABSTIME: u16 = 1;
const HANGUP: u16 = 1;

struct Subscription {
    userdata: u64,
    on: On,
}

enum On {
    Clock { id: u32, timeout_ns: u64, absolute: bool },
    Read { fd: u32 },
    Write { fd: u32 },
}

struct Event {
    userdata: u64,
    kind: u8,
    nbytes: u64,
    flags: u16,
}

/// How a subscription stands.
enum Standing {
    Ready(Event),
    Until(u64),
    Stdin,
}

impl Wasi {
    pub(super) fn poll_oneoff(&mut self, call: &mut Call<'_>) -> Answer {
        let (subscriptions, events, count) = (call.u32(0), call.u32(1), call.u32(2));
        if count == 0 {
            return Err(Errno::Inval);
        }
        if count > SUBSCRIPTIONS_MAX {
            return Err(Errno::Nomem);
        }
        let mut ready = Vec::new();
        let mut wait = Wait::default();
        for index in 0..count {
            let at = offset(subscriptions, index * SUBSCRIPTION_BYTES)?;
            let subscription = Subscription::read(call, at)?;
            match self.standing(call, &subscription)? {
                Standing::Ready(event) => ready.push(event),
                Standing::Until(deadline_ns) => {
                    let first = wait.deadline_ns.unwrap_or(u64::MAX);
                    wait.deadline_ns = Some(first.min(deadline_ns));
                }
                Standing::Stdin => wait.stdin = true,
            }
        }
        if ready.is_empty() {
            match wait.deadline_ns {
                Some(deadline_ns) if self.clock.is_virtual() => {
                    self.clock.sleep_until(deadline_ns, call.steps);
                    return self.poll_oneoff(call);
                }
                _ => return Ok(Outcome::Wait(wait)),
            }
        }
        let mut at = events;
        let mut written = 0;
        for event in &ready {
            call.memory.set(at, &event.encode(), 8)?;
            at = offset(at, EVENT_BYTES)?;
            written += 1;
        }
        call.memory.set_u32(call.u32(3), written)?;
        DONE
    }

    fn standing(
        &mut self,
        call: &mut Call<'_>,
        subscription: &Subscription,
    ) -> Result<Standing, Errno> {
        match subscription.on {
            On::Clock { id, timeout_ns, absolute } => {
                let now_ns = self.clock.monotonic_ns(call.steps);
                let since_ns = *call.since_ns.get_or_insert(now_ns);
                let deadline_ns = match (id, absolute) {
                    (clockid::REALTIME | clockid::MONOTONIC, false) => {
                        since_ns.saturating_add(timeout_ns)
                    }
                    (clockid::MONOTONIC, true) => timeout_ns,
                    // The host's calendar goes on while a guest lies in a
                    // snapshot, so this is worked out anew at each issue.
                    (clockid::REALTIME, true) => {
                        let left_ns = timeout_ns.saturating_sub(self.clock.realtime_ns(call.steps));
                        now_ns.saturating_add(left_ns)
                    }
                    // Nothing computes while it sleeps: it would never end.
                    _ => return Err(Errno::Inval),
                };
                if deadline_ns > now_ns {
                    return Ok(Standing::Until(deadline_ns));
                }
                Ok(subscription.ready(EVENT_CLOCK, 0, 0))
            }
            On::Read { fd } => self.standing_read(fd, subscription),
            On::Write { fd } => match &self.fds.get(fd)?.kind {
                Kind::Stdout | Kind::Stderr | Kind::File(_) => {
                    Ok(subscription.ready(EVENT_FD_WRITE, 1, 0))
                }
                _ => Err(Errno::Badf),
            },
        }
    }

    /// As in wasmtime, the number of bytes there are is 1 whatever it is.
    fn standing_read(&mut self, fd: u32, subscription: &Subscription) -> Result<Standing, Errno> {
        let at_end = match &self.fds.get(fd)?.kind {
            Kind::Stdin if self.stdin.available() == Available::Nothing => {
                return Ok(Standing::Stdin);
            }
            Kind::Stdin => false,
            Kind::File(file) => file.handle.metadata()?.len() <= file.offset,
            _ => return Err(Errno::Badf),
        };
        Ok(subscription.ready(EVENT_FD_READ, 1, if at_end { HANGUP } else { 0 }))
    }

    /// Whether the call that waits would not wait again.
    pub fn is_ready(&mut self, wait: &Wait) -> bool {
        let timed_out = wait.deadline_ns.is_some_and(|deadline_ns| {
            self.clock.is_virtual() || self.clock.monotonic_ns(0) >= deadline_ns
        });
        timed_out || wait.stdin && self.stdin.available() != Available::Nothing
    }

    /// How long until the wait is over by its deadline, if it has one.
    pub fn time_left(&self, wait: &Wait) -> Option<Duration> {
        let deadline_ns = wait.deadline_ns?;
        if self.clock.is_virtual() {
            return Some(Duration::ZERO);
        }
        let left_ns = deadline_ns.saturating_sub(self.clock.monotonic_ns(0));
        Some(Duration::from_nanos(left_ns))
    }

    /// Blocks the calling thread until the wait is over, or `interrupt`, which
    /// is asked at least every 50 ms, returns true.
    pub fn block_on(&mut self, wait: &Wait, interrupt: &dyn Fn() -> bool) {
        let longest = Duration::from_millis(INTERRUPT_POLL_MS);
        while !interrupt() && !self.is_ready(wait) {
            let timeout = self.time_left(wait).unwrap_or(longest).min(longest);
            if wait.stdin {
                self.stdin.wait(timeout);
            } else {
                std::thread::sleep(timeout);
            }
        }
    }
}

impl Subscription {
    fn read(call: &Call<'_>, at: u32) -> Result<Subscription, Errno> {
        let memory = &call.memory;
        let field = |by| offset(at, by);
        let userdata = memory.u64(at)?;
        let on = match memory.u8(field(8)?)? {
            EVENT_CLOCK => {
                let flags = memory.u16(field(40)?)?;
                if flags & !ABSTIME != 0 {
                    return Err(Errno::Inval);
                }
                On::Clock {
                    id: memory.u32(field(16)?)?,
                    timeout_ns: memory.u64(field(24)?)?,
                    absolute: flags & ABSTIME != 0,
                }
            }
            EVENT_FD_READ => On::Read { fd: memory.u32(field(16)?)? },
            EVENT_FD_WRITE => On::Write { fd: memory.u32(field(16)?)? },
            _ => return Err(Errno::Inval),
        };
        Ok(Subscription { userdata, on })
    }

    fn ready(&self, kind: u8, nbytes: u64, flags: u16) -> Standing {
        Standing::Ready(Event { userdata: self.userdata, kind, nbytes, flags })
    }
}

impl Event {
    fn encode(&self) -> [u8; EVENT_BYTES as usize] {
        let mut bytes = [0; EVENT_BYTES as usize];
        bytes[0..8].copy_from_slice(&self.userdata.to_le_bytes());
        bytes[10] = self.kind;
        bytes[16..24].copy_from_slice(&self.nbytes.to_le_bytes());
        bytes[24..26].copy_from_slice(&self.flags.to_le_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests;
