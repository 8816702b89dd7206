//! The process's standard input, read by a thread of its own on demand.
//!
//! A blocking read cannot be given up portably, so it must not happen on the
//! thread that runs guests. The thread reads only when a guest has asked for
//! bytes and there are none, so whatever follows in the process (a shell, the
//! next command of a pipeline) finds unread what no guest wanted. Where the
//! system can say that input is there (all Unixes but Apple's, which cannot for
//! terminals), the read happens under the lock, and a demand that is withdrawn
//! takes nothing any more; elsewhere a read under way at that moment is kept
//! for the process's next reader.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::wasi::errno::Errno;
use crate::wasi::limits::STDIN_AHEAD_MAX;

/// Bytes on their way from a reader thread to guests.
pub(super) struct Feed {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    /// Whether a guest asks for more than `bytes`.
    wanted: bool,
    /// Invariant: at most `STDIN_AHEAD_MAX`, since one read fills it and none
    /// happens before it was emptied.
    bytes: VecDeque<u8>,
    eof: bool,
    error: Option<Errno>,
}

/// What a feed holds at one moment.
pub(super) struct Fed {
    pub bytes: VecDeque<u8>,
    pub eof: bool,
    pub error: Option<Errno>,
}

/// The one feed of this process's standard input: were there two, each would
/// take bytes the other's guest waits for.
static PROCESS: Mutex<Option<Arc<Feed>>> = Mutex::new(None);

impl Feed {
    /// The process's standard input; its thread starts with the first demand
    /// of the first guest and lives as long as the process.
    pub(super) fn process() -> io::Result<Arc<Feed>> {
        let mut process = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(feed) = &*process {
            return Ok(feed.clone());
        }
        #[cfg(all(unix, not(target_vendor = "apple")))]
        let feed = Feed::polled(io::stdin())?;
        #[cfg(not(all(unix, not(target_vendor = "apple"))))]
        let feed = Feed::blocking(io::stdin())?;
        *process = Some(feed.clone());
        Ok(feed)
    }

    /// A feed that never has anything.
    pub(super) fn never() -> Arc<Feed> {
        Arc::new(Feed { inner: Mutex::default(), changed: Condvar::new() })
    }

    fn start(thread: impl FnOnce(&Feed) + Send + 'static) -> io::Result<Arc<Feed>> {
        let feed = Arc::new(Feed { inner: Mutex::default(), changed: Condvar::new() });
        let shared = feed.clone();
        std::thread::Builder::new().name("tasklet-stdin".into()).spawn(move || thread(&shared))?;
        Ok(feed)
    }

    /// A feed whose reads block, outside the lock.
    #[cfg(any(test, not(all(unix, not(target_vendor = "apple")))))]
    pub(super) fn blocking(mut reader: impl io::Read + Send + 'static) -> io::Result<Arc<Feed>> {
        Feed::start(move |feed| {
            let mut buffer = vec![0; STDIN_AHEAD_MAX];
            loop {
                drop(feed.wait_wanted());
                let result = reader.read(&mut buffer);
                if feed.deliver(&mut feed.lock(), &buffer, result) {
                    break;
                }
            }
        })
    }

    /// A feed that reads, under the lock, only what is known to be there.
    #[cfg(all(unix, not(target_vendor = "apple")))]
    pub(super) fn polled<F>(source: F) -> io::Result<Arc<Feed>>
    where
        F: std::os::fd::AsFd + Send + 'static,
    {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        use rustix::io::Errno;
        /// How soon a withdrawn demand is noticed, in nanoseconds.
        const TICK_NS: i64 = 50_000_000;
        Feed::start(move |feed| {
            let mut buffer = vec![0; STDIN_AHEAD_MAX];
            let tick = Timespec { tv_sec: 0, tv_nsec: TICK_NS as _ };
            loop {
                drop(feed.wait_wanted());
                let mut fds = [PollFd::new(&source, PollFlags::IN)];
                let failed = match poll(&mut fds, Some(&tick)) {
                    Ok(0) | Err(Errno::INTR) => continue,
                    Ok(_) => None,
                    Err(error) => Some(error),
                };
                let mut inner = feed.lock();
                if !inner.wanted {
                    continue;
                }
                let result = match failed {
                    None => rustix::io::read(&source, &mut buffer[..]),
                    Some(error) => Err(error),
                };
                let result = result.map_err(io::Error::from);
                if feed.deliver(&mut inner, &buffer, result) {
                    break;
                }
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_wanted(&self) -> MutexGuard<'_, Inner> {
        self.changed
            .wait_while(self.lock(), |inner| !inner.wanted)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what a read returned; true at the end of the input.
    fn deliver(&self, inner: &mut Inner, buffer: &[u8], result: io::Result<usize>) -> bool {
        match result {
            Ok(0) => inner.eof = true,
            Ok(count) => inner.bytes.extend(buffer.iter().take(count)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return false,
            // Somebody left the terminal or pipe non-blocking; ask again, but
            // do not spin.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(5));
                return false;
            }
            Err(error) => inner.error = Some(error.into()),
        }
        inner.wanted = false;
        self.changed.notify_all();
        inner.eof
    }

    /// Takes what is there; asks for more if that is nothing.
    pub(super) fn take_or_ask(&self) -> Fed {
        let mut inner = self.lock();
        let fed = Fed {
            bytes: std::mem::take(&mut inner.bytes),
            eof: inner.eof,
            error: inner.error.take(),
        };
        if fed.bytes.is_empty() && !fed.eof && fed.error.is_none() && !inner.wanted {
            inner.wanted = true;
            self.changed.notify_all();
        }
        fed
    }

    /// Takes what is there and withdraws the demand for more.
    pub(super) fn take_and_withdraw(&self) -> Fed {
        let mut inner = self.lock();
        inner.wanted = false;
        Fed { bytes: std::mem::take(&mut inner.bytes), eof: inner.eof, error: inner.error.take() }
    }

    /// Waits until something has arrived, or `timeout` is over.
    pub(super) fn wait(&self, timeout: Duration) {
        let idle = |inner: &mut Inner| {
            inner.bytes.is_empty() && !inner.eof && inner.error.is_none() && inner.wanted
        };
        drop(self.changed.wait_timeout_while(self.lock(), timeout, idle));
    }
}
