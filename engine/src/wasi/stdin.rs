//! Standard input: nothing, bytes, a file, or the process's own.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::wasi::errno::Errno;
use crate::wasi::error::WasiError;
use crate::wasi::feed::{Fed, Feed};
use crate::wasi::limits::STDIN_BYTES_MAX;
use crate::wasi::state::{Bytes, StdinState};
use crate::wasi::sys;

/// Where a guest's standard input comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stdin {
    /// Nowhere: it is at its end.
    #[default]
    Null,
    /// From the process's own, as far as the guest reads it.
    Inherit,
    /// From these bytes; what is left of them travels in a snapshot.
    Bytes(Vec<u8>),
    /// From a plain file of the host; a snapshot names it and how far it was
    /// read.
    File(PathBuf),
}

/// Standard input as it stands.
pub(super) enum Source {
    Null,
    Bytes { bytes: Vec<u8>, position: usize },
    File { path: PathBuf, file: File, offset: u64 },
    Inherit(Inherited),
}

/// The process's standard input. Shared with the feed's other guests, so what
/// is taken from the feed is this guest's alone.
pub(super) struct Inherited {
    /// Behind a lock because writing a snapshot claims what was read ahead.
    ahead: Mutex<Ahead>,
    feed: Option<Arc<Feed>>,
}

#[derive(Default)]
struct Ahead {
    bytes: VecDeque<u8>,
    eof: bool,
    error: Option<Errno>,
}

/// What can be read at this moment without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Available {
    /// So many bytes, more than none.
    Bytes(u64),
    /// The end; or an error, which the next read reports.
    End,
    /// Nothing yet.
    Nothing,
}

impl Source {
    pub(super) fn new(stdin: Stdin) -> Result<Source, WasiError> {
        Ok(match stdin {
            Stdin::Null => Source::Null,
            Stdin::Bytes(bytes) if bytes.len() > STDIN_BYTES_MAX => {
                return Err(WasiError::TooLarge {
                    what: "bytes of standard input",
                    max: STDIN_BYTES_MAX as u64,
                });
            }
            Stdin::Bytes(bytes) => Source::Bytes { bytes, position: 0 },
            Stdin::File(path) => Source::File { file: open(&path)?, path, offset: 0 },
            Stdin::Inherit => Source::inherit(Ahead::default()),
        })
    }

    fn inherit(ahead: Ahead) -> Source {
        Source::Inherit(Inherited { ahead: Mutex::new(ahead), feed: None })
    }

    /// The process's standard input, but from `feed`.
    #[cfg(test)]
    pub(super) fn fed_by(feed: Arc<Feed>) -> Source {
        Source::Inherit(Inherited { ahead: Mutex::default(), feed: Some(feed) })
    }

    /// Goes on where `state` stood; `given` replaces it if it is another.
    pub(super) fn restore(
        state: StdinState,
        given: Option<Stdin>,
        reopen: bool,
        allow_changed: bool,
    ) -> Result<Source, WasiError> {
        match (state, given) {
            (StdinState::Inherit { ahead, eof }, None | Some(Stdin::Inherit)) => {
                Ok(Source::inherit(Ahead { bytes: ahead.0.into(), eof, error: None }))
            }
            (StdinState::File { path, offset, stamp }, given) => {
                let recorded = PathBuf::from(&path);
                match given {
                    Some(Stdin::File(given)) if given == recorded => {}
                    Some(given) => return Source::new(given),
                    None if reopen => {}
                    None => return Err(WasiError::StdinNotGiven { path, offset }),
                }
                let mut file = open(&recorded)?;
                let unusable = |source| WasiError::StdinUnusable { path: recorded.clone(), source };
                let now = sys::stamp(&file.metadata().map_err(unusable)?);
                if !stamp.fits(&now) && !allow_changed {
                    return Err(WasiError::FileChanged {
                        fd: 0,
                        path,
                        how: "its size or time of last change differs".into(),
                    });
                }
                file.seek(SeekFrom::Start(offset)).map_err(unusable)?;
                Ok(Source::File { path: recorded, file, offset })
            }
            (_, Some(given)) => Source::new(given),
            (StdinState::Null, None) => Ok(Source::Null),
            (StdinState::Bytes(bytes), None) => Source::new(Stdin::Bytes(bytes.0)),
        }
    }

    pub(super) fn state(&self) -> Result<StdinState, WasiError> {
        Ok(match self {
            Source::Null => StdinState::Null,
            Source::Bytes { bytes, position } => {
                let rest = bytes.get(*position..).unwrap_or_default();
                StdinState::Bytes(Bytes(rest.to_vec()))
            }
            Source::File { path, file, offset } => {
                let text =
                    path.to_str().ok_or_else(|| WasiError::NotUnicode { path: path.clone() })?;
                let metadata = file
                    .metadata()
                    .map_err(|source| WasiError::StdinUnusable { path: path.clone(), source })?;
                StdinState::File {
                    path: text.to_owned(),
                    offset: *offset,
                    stamp: sys::stamp(&metadata),
                }
            }
            Source::Inherit(inherited) => inherited.state(),
        })
    }

    /// Takes nothing more from the process: who asks for more than is there waits for ever.
    pub(super) fn close_inherited(&mut self) {
        if let Source::Inherit(inherited) = self {
            inherited.feed = Some(Feed::never());
        }
    }

    pub(super) fn is_terminal(&self) -> bool {
        matches!(self, Source::Inherit(_)) && io::stdin().is_terminal()
    }

    /// What can be read now; if that is nothing, the reader is set to work.
    pub(super) fn available(&mut self) -> Available {
        let count = match self {
            Source::Null => 0,
            Source::Bytes { bytes, position } => bytes.len().saturating_sub(*position) as u64,
            Source::File { file, offset, .. } => {
                file.metadata().map_or(0, |m| m.len().saturating_sub(*offset))
            }
            Source::Inherit(inherited) => return inherited.available(),
        };
        if count == 0 { Available::End } else { Available::Bytes(count) }
    }

    /// Reads what is there into `buffer`; `None` if the guest has to wait.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Errno> {
        match self {
            Source::Null => Ok(Some(0)),
            Source::Bytes { bytes, position } => {
                let mut rest = bytes.get(*position..).unwrap_or_default();
                let count = rest.read(buffer)?;
                *position += count;
                Ok(Some(count))
            }
            Source::File { file, offset, .. } => loop {
                match file.read(buffer) {
                    Ok(count) => {
                        *offset = offset.saturating_add(count as u64);
                        return Ok(Some(count));
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error.into()),
                }
            },
            Source::Inherit(inherited) => inherited.read(buffer),
        }
    }

    /// Waits until there may be something to read, or `timeout` is over.
    pub(super) fn wait(&self, timeout: Duration) {
        match self {
            Source::Inherit(Inherited { feed: Some(feed), .. }) => feed.wait(timeout),
            _ => std::thread::sleep(timeout),
        }
    }
}

impl Inherited {
    fn ahead(&self) -> MutexGuard<'_, Ahead> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn available(&mut self) -> Available {
        self.fill();
        let ahead = self.ahead();
        match ahead.bytes.len() {
            0 if ahead.eof || ahead.error.is_some() => Available::End,
            0 => Available::Nothing,
            count => Available::Bytes(count as u64),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Errno> {
        self.fill();
        let mut ahead = self.ahead();
        if !ahead.bytes.is_empty() {
            return Ok(Some(ahead.bytes.read(buffer)?));
        }
        match ahead.error.take() {
            Some(error) => Err(error),
            None if ahead.eof => Ok(Some(0)),
            None => Ok(None),
        }
    }

    /// Takes from the feed if nothing is left from before.
    fn fill(&mut self) {
        let ahead = self.ahead.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !ahead.bytes.is_empty() || ahead.eof || ahead.error.is_some() {
            return;
        }
        if self.feed.is_none() {
            match Feed::process() {
                Ok(feed) => self.feed = Some(feed),
                Err(error) => ahead.error = Some(error.into()),
            }
        }
        if let Some(feed) = &self.feed {
            ahead.take(feed.take_or_ask());
        }
    }

    fn state(&self) -> StdinState {
        let mut ahead = self.ahead();
        if let Some(feed) = &self.feed {
            ahead.take(feed.take_and_withdraw());
        }
        StdinState::Inherit { ahead: Bytes(ahead.bytes.iter().copied().collect()), eof: ahead.eof }
    }
}

impl Ahead {
    fn take(&mut self, fed: Fed) {
        self.bytes.extend(fed.bytes);
        self.eof |= fed.eof;
        self.error = self.error.or(fed.error);
    }
}

/// Opens a plain file; opening a pipe would wait for its other end.
fn open(path: &Path) -> Result<File, WasiError> {
    let plain = || {
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a plain file: pipe it into the process instead",
            ));
        }
        File::open(path)
    };
    plain().map_err(|source| WasiError::StdinUnusable { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
