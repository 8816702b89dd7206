//! The time that tasklets wait for.

/// A clock that a scheduler measures sleeps and timeouts by. Only differences matter.
pub trait Clock: Send {
    /// Nanoseconds since whenever it began; never less than before.
    fn now_ns(&mut self) -> u64;

    /// Returns when so many nanoseconds have passed.
    fn wait(&mut self, ns: u64);

    /// Whether time passes only by [`wait`](Clock::wait), and that at once. A scheduler then need not
    /// be told to wait.
    fn is_virtual(&self) -> bool {
        false
    }
}

/// A clock that stands still while anybody runs, and jumps to the next who waits when nobody does:
/// what happens then depends on nothing outside. What deterministic engines' schedulers have.
#[derive(Debug, Clone, Copy, Default)]
pub struct VirtualClock {
    now_ns: u64,
}

impl Clock for VirtualClock {
    fn now_ns(&mut self) -> u64 {
        self.now_ns
    }

    fn wait(&mut self, ns: u64) {
        self.now_ns = self.now_ns.saturating_add(ns);
    }

    fn is_virtual(&self) -> bool {
        true
    }
}
