//! Where standard output and standard error go.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use crate::wasi::errno::Errno;

/// Where the guest's standard output or standard error goes.
pub struct Output {
    sink: Box<dyn Write + Send>,
    terminal: bool,
}

impl Output {
    /// Into `sink`, flushed after every call.
    pub fn new(sink: impl Write + Send + 'static) -> Output {
        Output { sink: Box::new(sink), terminal: false }
    }

    /// Nowhere.
    pub fn null() -> Output {
        Output::new(io::sink())
    }

    /// To the process's standard output.
    pub fn stdout() -> Output {
        Output { terminal: io::stdout().is_terminal(), ..Output::new(io::stdout()) }
    }

    /// To the process's standard error.
    pub fn stderr() -> Output {
        Output { terminal: io::stderr().is_terminal(), ..Output::new(io::stderr()) }
    }

    /// Into memory, where the [`Capture`] shows it.
    pub fn capture() -> (Output, Capture) {
        let capture = Capture::default();
        (Output::new(capture.clone()), capture)
    }
}

impl Default for Output {
    fn default() -> Output {
        Output::null()
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("terminal", &self.terminal).finish_non_exhaustive()
    }
}

/// What a guest has written so far; clones show the same bytes.
#[derive(Clone, Debug, Default)]
pub struct Capture {
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Capture {
    /// A copy of all that was written.
    pub fn bytes(&self) -> Vec<u8> {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.clone()
    }
}

impl Write for Capture {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.extend_from_slice(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An output and how many bytes the guest has written to it.
pub(super) struct Stream {
    output: Output,
    pub written: u64,
    /// How much of a write that failed has gone out: it will be issued again.
    begun: usize,
}

impl Stream {
    pub(super) fn new(output: Output, written: u64) -> Stream {
        Stream { output, written, begun: 0 }
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.output.terminal
    }

    /// Writes all of `bytes`. If that fails, a second attempt with the same bytes goes on where
    /// this one has come to: a deterministic guest's write is all or nothing.
    pub(super) fn write_whole(&mut self, bytes: &[u8]) -> io::Result<u32> {
        while let Some(rest) = bytes.get(self.begun..).filter(|rest| !rest.is_empty()) {
            match self.output.sink.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.begun = self.begun.saturating_add(count).min(bytes.len()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.output.sink.flush()?;
        self.begun = 0;
        self.written = self.written.saturating_add(bytes.len() as u64);
        u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput.into())
    }

    /// Writes all of `bytes`, or as much as the sink takes before it fails; an
    /// error only where nothing was taken.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<u32, Errno> {
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            match self.output.sink.write(rest) {
                Ok(0) if done == 0 => return Err(Errno::Io),
                Ok(0) => break,
                Ok(count) => done = done.saturating_add(count).min(bytes.len()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if done == 0 => return Err(error.into()),
                Err(_) => break,
            }
        }
        self.written = self.written.saturating_add(done as u64);
        self.output.sink.flush()?;
        u32::try_from(done).map_err(|_| Errno::Overflow)
    }
}
