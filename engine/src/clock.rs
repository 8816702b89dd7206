//! The host's clock.

use std::time::{Duration, Instant};

use crate::sched::Clock;

/// The host's monotonic clock: what schedulers have unless told otherwise.
#[derive(Debug, Clone, Copy)]
pub struct MonotonicClock {
    began: Instant,
}

impl Default for MonotonicClock {
    fn default() -> MonotonicClock {
        MonotonicClock { began: Instant::now() }
    }
}

impl Clock for MonotonicClock {
    fn now_ns(&mut self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn wait(&mut self, ns: u64) {
        std::thread::sleep(Duration::from_nanos(ns));
    }
}
