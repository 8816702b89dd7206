//! An import that the guest waits for: what the host awaits, outside of the guest.

use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::HostError;
use super::suspending::{Attempt, Delivered};

/// What an import comes to, some time.
pub(crate) type Pending = Pin<Box<dyn Future<Output = Result<Delivered, HostError>> + Send>>;

/// What it came to.
pub(super) type Outcome = Result<Delivered, HostError>;

/// How long a thread that blocks goes without a look at whether it is interrupted: interrupts come
/// from signal handlers too, which cannot wake it.
const INTERRUPT_POLL: Duration = Duration::from_millis(50);

/// The import that a tasklet waits for, of which there is at most one.
pub(crate) struct Issued {
    function: u32,
    /// Of a restartable import.
    attempt: Option<Box<dyn Attempt>>,
    phase: Phase,
    signal: Arc<Signal>,
}

enum Phase {
    /// It is in a snapshot, and has not been issued here.
    Written,
    Pending(Pending),
    Done(Outcome),
}

/// Whether an import that is called has been issued already.
pub(super) enum Step {
    /// It is called for the first time here, and what has been written of it.
    Start(Option<Box<dyn Attempt>>),
    /// It has been.
    Issued(Issued),
}

impl Issued {
    /// One that a snapshot holds.
    pub(super) fn written(function: u32, attempt: Box<dyn Attempt>) -> Issued {
        let signal = Arc::default();
        Issued { function, attempt: Some(attempt), phase: Phase::Written, signal }
    }

    /// One that has been issued.
    pub(super) fn pending(
        function: u32,
        attempt: Option<Box<dyn Attempt>>,
        pending: Pending,
    ) -> Issued {
        Issued { function, attempt, phase: Phase::Pending(pending), signal: Arc::default() }
    }

    /// The import's index in the function index space.
    pub(crate) fn function(&self) -> u32 {
        self.function
    }

    pub(crate) fn is_restartable(&self) -> bool {
        self.attempt.is_some()
    }

    /// Whether it has been issued here: what it awaits, or came to, is nowhere else.
    pub(crate) fn is_here(&self) -> bool {
        !matches!(self.phase, Phase::Written)
    }

    /// How far a restartable import has come.
    pub(super) fn attempt(&self) -> Option<&dyn Attempt> {
        self.attempt.as_deref()
    }

    /// Whether the guest can go on.
    pub(crate) fn poll(&mut self) -> bool {
        let Phase::Pending(pending) = &mut self.phase else { return true };
        self.signal.begin();
        let waker = Waker::from(self.signal.clone());
        match pending.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => false,
            Poll::Ready(outcome) => {
                self.phase = Phase::Done(outcome);
                true
            }
        }
    }

    /// Whoever is behind that waker is woken when it is worth asking again; at once, if it is.
    pub(crate) fn wake_by(&mut self, waker: Waker) {
        if !matches!(self.phase, Phase::Pending(_)) || self.signal.tell(&waker) {
            waker.wake();
        }
    }

    /// Whether the guest can go on; whoever is behind that waker is woken when it is worth asking again.
    pub(crate) fn poll_for(&mut self, waker: &Waker) -> bool {
        self.signal.tell(waker);
        self.poll()
    }

    /// Blocks until the guest can go on, or `interrupt` returns true.
    pub(crate) fn block_on(&mut self, interrupt: &dyn Fn() -> bool) {
        while !interrupt() && !self.poll() {
            while !interrupt() && !self.signal.wait(INTERRUPT_POLL) {}
        }
    }

    /// Takes this for what it comes to, instead of what is awaited; `false` if that is there.
    pub(crate) fn answer(&mut self, outcome: Delivered) -> bool {
        if matches!(self.phase, Phase::Done(_)) {
            return false;
        }
        self.phase = Phase::Done(Ok(outcome));
        Waker::from(self.signal.clone()).wake();
        true
    }

    /// What is to be done when the guest calls it.
    pub(super) fn step(issued: Option<Issued>) -> Step {
        match issued {
            None => Step::Start(None),
            Some(Issued { phase: Phase::Written, attempt, .. }) => Step::Start(attempt),
            Some(issued) => Step::Issued(issued),
        }
    }

    /// What it came to, if that is there.
    pub(super) fn ready(self) -> Result<Outcome, Issued> {
        match self.phase {
            Phase::Done(outcome) => Ok(outcome),
            _ => Err(self),
        }
    }
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("function", &self.function).finish_non_exhaustive()
    }
}

/// The waker that futures are polled with: it wakes the thread that blocks, and whoever has asked
/// to be told.
#[derive(Default)]
struct Signal {
    state: Mutex<SignalState>,
    woken: Condvar,
}

#[derive(Default)]
struct SignalState {
    is_woken: bool,
    waker: Option<Waker>,
}

impl Signal {
    fn lock(&self) -> MutexGuard<'_, SignalState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What comes from here on is news.
    fn begin(&self) {
        self.lock().is_woken = false;
    }

    /// Has that waker woken by what comes; whether something has come already.
    fn tell(&self, waker: &Waker) -> bool {
        let mut state = self.lock();
        if !state.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
        state.is_woken
    }

    /// Whether there are news, if need be after that time.
    fn wait(&self, timeout: Duration) -> bool {
        let state = self.lock();
        let waited = self.woken.wait_timeout_while(state, timeout, |state| !state.is_woken);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_woken
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        let waker = {
            let mut state = self.lock();
            state.is_woken = true;
            state.waker.take()
        };
        self.woken.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
