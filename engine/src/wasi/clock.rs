//! The guest's clocks: the host's, moved along, or one that ticks with steps.

use std::cell::OnceCell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::wasi::abi::clockid;
use crate::wasi::errno::Errno;
use crate::wasi::memory::Call;
use crate::wasi::state::ClockState;
use crate::wasi::{Answer, DONE, Wasi};

/// Where a guest's time comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// The host's clocks; the monotonic one starts at 0 when the guest first
    /// looks at it, and stands still while the guest lies in a snapshot.
    #[default]
    Host,
    /// One step is one nanosecond, and a sleep is over at once: every run with
    /// the same input sees the same times.
    Virtual,
}

/// What the virtual clock calls now at step 0: 2026-01-01T00:00:00Z. Any fixed
/// moment would do that programs do not take for "unknown" or "long ago".
const VIRTUAL_EPOCH_NS: u64 = 1_767_225_600_000_000_000;

/// What every clock says of its resolution. NB: asking the host would put a
/// value of the host into the guest for nothing; none is coarser than 100 ns.
const RESOLUTION_NS: u64 = 1;

pub(super) enum LiveClock {
    /// Invariant: `base_ns` is what the guest's monotonic clock showed at
    /// `started`, so its time never runs backwards across a move. It starts
    /// when it is first looked at: the time of a guest that never does is no
    /// input of its, and has no place in its snapshot.
    Host {
        base_ns: u64,
        started: OnceCell<Instant>,
    },
    Virtual {
        slept_ns: u64,
    },
}

impl LiveClock {
    pub(super) fn new(clock: Clock) -> LiveClock {
        match clock {
            Clock::Host => LiveClock::Host { base_ns: 0, started: OnceCell::new() },
            Clock::Virtual => LiveClock::Virtual { slept_ns: 0 },
        }
    }

    pub(super) fn restore(state: &ClockState) -> LiveClock {
        match *state {
            ClockState::Host { monotonic_ns } => {
                let started = OnceCell::new();
                if monotonic_ns > 0 {
                    started.get_or_init(Instant::now);
                }
                LiveClock::Host { base_ns: monotonic_ns, started }
            }
            ClockState::Virtual { slept_ns } => LiveClock::Virtual { slept_ns },
        }
    }

    pub(super) fn state(&self) -> ClockState {
        match self {
            LiveClock::Host { base_ns, started } => ClockState::Host {
                monotonic_ns: match started.get() {
                    Some(_) => self.monotonic_ns(0),
                    None => *base_ns,
                },
            },
            LiveClock::Virtual { slept_ns } => ClockState::Virtual { slept_ns: *slept_ns },
        }
    }

    pub(super) fn is_virtual(&self) -> bool {
        matches!(self, LiveClock::Virtual { .. })
    }

    pub(super) fn monotonic_ns(&self, steps: u64) -> u64 {
        match self {
            LiveClock::Host { base_ns, started } => {
                let started = started.get_or_init(Instant::now);
                base_ns.saturating_add(nanoseconds(started.elapsed()))
            }
            LiveClock::Virtual { slept_ns } => slept_ns.saturating_add(steps),
        }
    }

    pub(super) fn realtime_ns(&self, steps: u64) -> u64 {
        match self {
            LiveClock::Host { .. } => since_epoch_ns(SystemTime::now()),
            LiveClock::Virtual { .. } => VIRTUAL_EPOCH_NS.saturating_add(self.monotonic_ns(steps)),
        }
    }

    /// Sleeps a virtual clock until `deadline_ns`; the host's cannot be moved.
    pub(super) fn sleep_until(&mut self, deadline_ns: u64, steps: u64) {
        if let LiveClock::Virtual { slept_ns } = self {
            *slept_ns = (*slept_ns).max(deadline_ns.saturating_sub(steps));
        }
    }

    fn read(&self, id: u32, steps: u64) -> Result<u64, Errno> {
        match id {
            clockid::REALTIME => Ok(self.realtime_ns(steps)),
            clockid::MONOTONIC => Ok(self.monotonic_ns(steps)),
            // No CPU time: wasmtime has none.
            _ => Err(Errno::Badf),
        }
    }
}

/// Nanoseconds since 1970, clamped to what a WASI timestamp can say.
pub(super) fn since_epoch_ns(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, nanoseconds)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Wasi {
    pub(super) fn clock_res_get(&mut self, call: &mut Call<'_>) -> Answer {
        if call.u32(0) > clockid::MONOTONIC {
            return Err(Errno::Badf);
        }
        call.memory.set_u64(call.u32(1), RESOLUTION_NS)?;
        DONE
    }

    pub(super) fn clock_time_get(&mut self, call: &mut Call<'_>) -> Answer {
        let now = self.clock.read(call.u32(0), call.steps)?;
        call.memory.set_u64(call.u32(2), now)?;
        DONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasi::testing::Guest;
    use crate::wasi::{Function, WasiOptions};

    fn time(guest: &mut Guest, id: u64) -> u64 {
        assert_eq!(guest.call(Function::ClockTimeGet, &[id, 0, 64]), 0);
        guest.u64(64)
    }

    #[test]
    fn virtual_clock_ticks_with_steps() {
        let mut guest = Guest::new(WasiOptions { clock: Clock::Virtual, ..WasiOptions::default() });
        guest.steps = 1_000;
        assert_eq!(time(&mut guest, 0), VIRTUAL_EPOCH_NS + 1_000);
        assert_eq!(time(&mut guest, 1), 1_000);
        guest.steps = 1_001;
        assert_eq!(time(&mut guest, 1), 1_001);
        assert_eq!(guest.call(Function::ClockTimeGet, &[2, 0, 64]), 8);
        assert_eq!(guest.call(Function::ClockTimeGet, &[4, 0, 64]), 21);
    }

    #[test]
    fn host_time_never_runs_backwards_across_a_move() {
        let mut guest = Guest::new(WasiOptions::default());
        let before = time(&mut guest, 1);
        std::thread::sleep(Duration::from_millis(5));
        let state = guest.wasi.state().unwrap();
        std::thread::sleep(Duration::from_millis(20));
        let mut guest = guest.moved();
        let after = time(&mut guest, 1);
        assert!(after >= before + 5_000_000, "{before} {after}");
        let ClockState::Host { monotonic_ns } = state.clock else {
            panic!("a host clock");
        };
        assert!(monotonic_ns >= 5_000_000);
        assert!(time(&mut guest, 0) > VIRTUAL_EPOCH_NS);
    }

    #[test]
    fn a_clock_nobody_looks_at_stays_out_of_the_state() {
        let mut guest = Guest::new(WasiOptions::default());
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(guest.wasi.state().unwrap().clock, ClockState::Host { monotonic_ns: 0 });
        time(&mut guest, 1);
        std::thread::sleep(Duration::from_millis(2));
        assert_ne!(guest.wasi.state().unwrap().clock, ClockState::Host { monotonic_ns: 0 });
    }

    #[test]
    fn resolutions_exist() {
        let mut guest = Guest::new(WasiOptions::default());
        for id in 0..2 {
            assert_eq!(guest.call(Function::ClockResGet, &[id, 0]), 0);
            assert_eq!(guest.u64(0), 1);
        }
        assert_eq!(guest.call(Function::ClockResGet, &[3, 0]), 8);
        assert_eq!(guest.call(Function::ClockResGet, &[4, 0]), 21);
        assert_eq!(guest.call(Function::ClockResGet, &[0, u64::MAX]), 21);
    }
}
