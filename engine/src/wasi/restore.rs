//! From live state to plain data and back.
//!
//! Files go by name: nothing else of them can be written down. So when a
//! snapshot is made every open file must still be found under its name, and
//! when it is restored must look as it did. Both are checked here; a state may
//! come from a forger, so reopening creates and truncates nothing, and no path
//! leads out of the directories the user hands over.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::Arc;

use cap_fs_ext::MetadataExt;
use cap_std::fs::Metadata;

use crate::wasi::abi::{Function, fdflags, filetype, rights};
use crate::wasi::args;
use crate::wasi::clock::LiveClock;
use crate::wasi::error::WasiError;
use crate::wasi::facts::settle_stamp;
use crate::wasi::fd::{Descriptor, Fds, Kind, OpenDir, OpenFile, Place};
use crate::wasi::limits::{DIRECTORY_ENTRIES_MAX, FDS_MAX, PREOPENS_MAX, STDIN_BYTES_MAX};
use crate::wasi::output::{Output, Stream};
use crate::wasi::path::{Opened, open_options};
use crate::wasi::random::Random;
use crate::wasi::state::{
    DirEntry, FdKind, FdState, PendingState, PreopenState, Stamp, StdinState, WasiState,
};
use crate::wasi::stdin::{Source, Stdin};
use crate::wasi::{Pending, Preopen, Preopened, Wasi, sys};

/// What a restored guest gets in place of what it had.
#[derive(Debug, Default)]
pub struct RestoreOptions {
    /// Where the guest's directories are on this machine: every one it had,
    /// and no other. One given as read-only becomes so.
    pub preopens: Vec<Preopen>,
    /// Standard input from here on. `None` goes on with what there was, and so
    /// does naming the same file, or `Inherit` where it was inherited.
    pub stdin: Option<Stdin>,
    /// Whether a file of the host that the snapshot names as its standard
    /// input may be opened without being given again in `stdin`. Only for
    /// snapshots one trusts: a forged one could name any file.
    pub reopen_stdin: bool,
    /// Where standard output goes.
    pub stdout: Output,
    /// Where standard error goes.
    pub stderr: Output,
    /// Whether to go on with files that have changed since.
    pub allow_changed_files: bool,
}

impl Wasi {
    /// All that goes into a snapshot.
    ///
    /// # Errors
    ///
    /// If a file the guest has open was removed, replaced, or cannot be
    /// examined, so that no snapshot could find it again.
    pub fn state(&self) -> Result<WasiState, WasiError> {
        let mut fds = std::collections::BTreeMap::new();
        for (fd, descriptor) in self.fds.iter() {
            fds.insert(fd, self.fd_state(fd, descriptor)?);
        }
        let preopens = self.preopens.iter().map(|preopen| PreopenState {
            guest: preopen.guest.clone(),
            read_only: preopen.read_only,
        });
        Ok(WasiState {
            args: self.args.clone(),
            env: self.env.clone(),
            preopens: preopens.collect(),
            fds,
            stdin: self.stdin.state()?,
            stdout_bytes: self.stdout.written,
            stderr_bytes: self.stderr.written,
            clock: self.clock.state(),
            random: self.random.state(),
            pending: self.pending.as_ref().map(|pending| PendingState {
                function: pending.function.name().to_owned(),
                args: pending.args.clone(),
                since_ns: pending.since_ns,
            }),
            exit: self.exit,
        })
    }

    fn fd_state(&self, fd: u32, descriptor: &Descriptor) -> Result<FdState, WasiError> {
        let kind = match &descriptor.kind {
            Kind::Stdin => FdKind::Stdin,
            Kind::Stdout => FdKind::Stdout,
            Kind::Stderr => FdKind::Stderr,
            Kind::Dir(dir) if dir.preopened => {
                FdKind::Preopen { preopen: dir.place.preopen as u32, listing: dir.listing.clone() }
            }
            Kind::Dir(dir) => {
                self.named(fd, &dir.place, dir.handle.dir_metadata())?;
                FdKind::Dir {
                    preopen: dir.place.preopen as u32,
                    path: dir.place.path.clone(),
                    listing: dir.listing.clone(),
                }
            }
            Kind::File(file) => {
                self.named(fd, &file.place, Metadata::from_file(&file.handle))?;
                FdKind::File {
                    preopen: file.place.preopen as u32,
                    path: file.place.path.clone(),
                    read: file.readable,
                    write: file.writable,
                    offset: file.offset,
                    stamp: look(&file.handle).map(|stamp| self.settle_stamp(stamp)).map_err(
                        |source| WasiError::FileUnreadable {
                            fd,
                            path: shown(&self.preopens, &file.place),
                            source,
                        },
                    )?,
                }
            }
        };
        Ok(FdState {
            kind,
            flags: descriptor.flags as u16,
            dropped: descriptor.dropped,
            dropped_inheriting: descriptor.dropped_inheriting,
        })
    }

    /// Checks that `place` still leads to what is open, whose metadata `open`
    /// is.
    fn named(&self, fd: u32, place: &Place, open: io::Result<Metadata>) -> Result<(), WasiError> {
        let path = || shown(&self.preopens, place);
        let open = open.map_err(|source| WasiError::FileUnreadable { fd, path: path(), source })?;
        // NB: some versions of wine forget on which device a file is that was renamed while open.
        let unknown = cfg!(windows) && open.dev() == 0;
        let same =
            |found: Metadata| found.ino() == open.ino() && (unknown || found.dev() == open.dev());
        let found = self
            .preopens
            .get(place.preopen)
            .and_then(|preopen| preopen.dir.metadata(place.relative()).ok());
        if !found.is_some_and(same) {
            return Err(WasiError::FileUnlinked { fd, path: path() });
        }
        Ok(())
    }

    /// A guest's system state as it was when `state` was made.
    ///
    /// # Errors
    ///
    /// If `options` lack something the guest had, a file it had open is
    /// missing or has changed, or `state` contradicts itself.
    pub fn restore(state: WasiState, options: RestoreOptions) -> Result<Wasi, WasiError> {
        Wasi::restore_as(state, options, false)
    }

    /// The same of a guest that was [`deterministic`](Wasi::deterministic).
    ///
    /// # Errors
    ///
    /// As [`restore`](Wasi::restore), and [`WasiError::NotDeterministic`].
    pub fn restore_deterministic(
        state: WasiState,
        options: RestoreOptions,
    ) -> Result<Wasi, WasiError> {
        let wasi = Wasi::restore_as(state, options, true)?;
        wasi.require_inputs()?;
        Ok(wasi)
    }

    fn restore_as(
        state: WasiState,
        options: RestoreOptions,
        deterministic: bool,
    ) -> Result<Wasi, WasiError> {
        args::check(&state.args, &state.env)?;
        let preopens = map_preopens(&state.preopens, options.preopens)?;
        if state.fds.len() as u64 > u64::from(FDS_MAX) {
            return Err(WasiError::Malformed("too many descriptors"));
        }
        let allow_changed = options.allow_changed_files;
        let reopening = Reopening { preopens: &preopens, allow_changed, deterministic };
        let mut fds = Fds::default();
        for (fd, state) in state.fds {
            if fd >= FDS_MAX {
                return Err(WasiError::Malformed("descriptor number beyond the limit"));
            }
            fds.insert_at(fd, reopening.descriptor(fd, state)?);
        }
        if let StdinState::Inherit { ahead, .. } = &state.stdin
            && ahead.0.len() > STDIN_BYTES_MAX
        {
            return Err(WasiError::Malformed("too many bytes of standard input"));
        }
        Ok(Wasi {
            args: state.args,
            env: state.env,
            fds,
            stdin: Source::restore(
                state.stdin,
                options.stdin,
                options.reopen_stdin,
                options.allow_changed_files,
            )?,
            stdout: Stream::new(options.stdout, state.stdout_bytes),
            stderr: Stream::new(options.stderr, state.stderr_bytes),
            clock: LiveClock::restore(&state.clock),
            random: Random::restore(&state.random)?,
            pending: state.pending.map(pending).transpose()?,
            exit: state.exit,
            preopens,
            deterministic,
            failure: None,
            fails_from: None,
            passes: false,
        })
    }
}

/// The state's directories, in its order, where the user has them now.
fn map_preopens(states: &[PreopenState], given: Vec<Preopen>) -> Result<Vec<Preopened>, WasiError> {
    if states.len() > PREOPENS_MAX {
        return Err(WasiError::Malformed("too many directories"));
    }
    let names: BTreeSet<&str> = states.iter().map(|state| state.guest.as_str()).collect();
    if names.len() != states.len() {
        return Err(WasiError::Malformed("a directory's name occurs twice"));
    }
    let mut opened = Preopened::open_all(given)?;
    if let Some(unknown) = opened.iter().find(|given| !names.contains(given.guest.as_str())) {
        return Err(WasiError::PreopenUnknown { guest: unknown.guest.clone() });
    }
    let mut preopens = Vec::new();
    for state in states {
        let Some(index) = opened.iter().position(|given| given.guest == state.guest) else {
            return Err(WasiError::PreopenMissing { guest: state.guest.clone() });
        };
        let mut preopen = opened.swap_remove(index);
        preopen.read_only |= state.read_only;
        preopens.push(preopen);
    }
    Ok(preopens)
}

fn pending(state: PendingState) -> Result<Pending, WasiError> {
    let function = Function::by_name(&state.function)
        .filter(|function| function.params().len() == state.args.len())
        .ok_or(WasiError::Malformed("no such call can wait"))?;
    Ok(Pending { function, args: state.args, since_ns: state.since_ns })
}

/// Opens again what a state says was open.
struct Reopening<'a> {
    preopens: &'a [Preopened],
    allow_changed: bool,
    deterministic: bool,
}

impl Reopening<'_> {
    fn descriptor(&self, fd: u32, state: FdState) -> Result<Descriptor, WasiError> {
        let flags = u32::from(state.flags);
        if flags & !fdflags::ALL != 0 {
            return Err(WasiError::Malformed("descriptor flags that do not exist"));
        }
        let kind = match state.kind {
            FdKind::Stdin => Kind::Stdin,
            FdKind::Stdout => Kind::Stdout,
            FdKind::Stderr => Kind::Stderr,
            FdKind::Preopen { preopen, listing } => {
                let place = self.place(preopen, String::new())?;
                Kind::Dir(OpenDir {
                    handle: self.preopened(&place)?.dir.clone(),
                    place,
                    preopened: true,
                    listing: checked(listing)?,
                })
            }
            FdKind::Dir { preopen, path, listing } => {
                let place = self.place(preopen, path)?;
                Kind::Dir(self.dir(fd, place, checked(listing)?)?)
            }
            FdKind::File { preopen, path, read, write, offset, stamp } => {
                let file = OpenedAs { read, write, offset, stamp };
                Kind::File(self.file(fd, self.place(preopen, path)?, file, flags)?)
            }
        };
        Ok(Descriptor {
            kind,
            flags,
            dropped: state.dropped & rights::ALL,
            dropped_inheriting: state.dropped_inheriting & rights::ALL,
        })
    }

    fn place(&self, preopen: u32, path: String) -> Result<Place, WasiError> {
        let preopen = usize::try_from(preopen).unwrap_or(usize::MAX);
        let place = Place { preopen, path };
        self.preopened(&place)?;
        Ok(place)
    }

    fn preopened(&self, place: &Place) -> Result<&Preopened, WasiError> {
        let preopen = self.preopens.get(place.preopen);
        preopen.ok_or(WasiError::Malformed("a directory that does not exist"))
    }

    fn dir(
        &self,
        fd: u32,
        place: Place,
        listing: Option<Vec<DirEntry>>,
    ) -> Result<OpenDir, WasiError> {
        let opened = self.preopened(&place)?.dir.open_dir(place.relative());
        let handle = opened.map_err(|source| WasiError::FileMissing {
            fd,
            path: shown(self.preopens, &place),
            source,
        })?;
        Ok(OpenDir { handle: Arc::new(handle), place, preopened: false, listing })
    }

    fn file(
        &self,
        fd: u32,
        place: Place,
        state: OpenedAs,
        flags: u32,
    ) -> Result<OpenFile, WasiError> {
        let OpenedAs { read, write, offset, stamp } = state;
        if !read && !write {
            return Err(WasiError::Malformed("a file open for nothing"));
        }
        let preopen = self.preopened(&place)?;
        let path = shown(self.preopens, &place);
        if write && preopen.read_only {
            return Err(WasiError::FileReadOnly { fd, path });
        }
        // NB: never create or truncate: that happened when the guest opened it.
        let mut options = open_options(&preopen.dir, place.relative());
        options.read(read).write(write);
        let missing = |source| WasiError::FileMissing { fd, path: path.clone(), source };
        let changed = |how: String| WasiError::FileChanged { fd, path: path.clone(), how };
        let opened = preopen.dir.open_with(place.relative(), &options);
        let Opened::File(handle) = opened.and_then(Opened::new).map_err(missing)? else {
            return Err(changed("it is a directory now".into()));
        };
        let now = settle_stamp(self.deterministic, look(&handle).map_err(missing)?);
        let same = match (&stamp, &now) {
            (Some(stamp), Some(now)) => stamp.fits(now),
            (stamp, now) => stamp == now,
        };
        if !same && !self.allow_changed {
            return Err(changed(Difference(stamp, now).to_string()));
        }
        if flags & fdflags::APPEND != 0 {
            sys::set_append(&handle, true).map_err(missing)?;
        }
        Ok(OpenFile { handle, place, readable: read, writable: write, offset })
    }
}

/// What a state says of an open file.
struct OpenedAs {
    read: bool,
    write: bool,
    offset: u64,
    stamp: Option<Stamp>,
}

/// What a plain file looks like; nothing for devices and the like.
fn look(file: &std::fs::File) -> io::Result<Option<Stamp>> {
    let metadata = file.metadata()?;
    Ok(metadata.is_file().then(|| sys::stamp(&metadata)))
}

fn checked(listing: Option<Vec<DirEntry>>) -> Result<Option<Vec<DirEntry>>, WasiError> {
    let entries = listing.as_deref().unwrap_or_default();
    if entries.len() > DIRECTORY_ENTRIES_MAX + 2 {
        return Err(WasiError::Malformed("too many directory entries"));
    }
    if entries.iter().any(|entry| entry.filetype > filetype::SYMBOLIC_LINK) {
        return Err(WasiError::Malformed("a file type that does not exist"));
    }
    Ok(listing)
}

/// A place as the guest's user knows it.
fn shown(preopens: &[Preopened], place: &Place) -> String {
    let guest = preopens.get(place.preopen).map_or("?", |preopen| &preopen.guest);
    format!("{}/{}", guest.trim_end_matches('/'), place.path)
}

/// How a file differs from what it was.
struct Difference(Option<Stamp>, Option<Stamp>);

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (Some(then), Some(now)) if then.size != now.size => {
                write!(f, "it had {} bytes and has {}", then.size, now.size)
            }
            (Some(_), Some(_)) => f.write_str("it was written again"),
            (Some(_), None) => f.write_str("it is no plain file any more"),
            _ => f.write_str("it is a plain file now"),
        }
    }
}

#[cfg(test)]
mod tests;
