//! Descriptors: the table of what is open, and the calls on them that move no
//! bytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Arc;

use cap_std::fs::Dir;

use crate::wasi::abi::{fdflags, filetype, rights};
use crate::wasi::errno::Errno;
use crate::wasi::limits::FDS_MAX;
use crate::wasi::memory::Call;
use crate::wasi::state::DirEntry;
use crate::wasi::{Answer, DONE, Wasi, sys};

/// Where something lies: a preopened directory and a path inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Index into the preopened directories.
    pub preopen: usize,
    /// With `/` between names; empty for the preopened directory itself.
    pub path: String,
}

/// An open descriptor.
pub(super) struct Descriptor {
    pub kind: Kind,
    /// Its `fdflags`.
    pub flags: u32,
    /// Rights given up, which is from a snapshot of a time when that could be
    /// done. All others are there: what a descriptor can do follows from what
    /// it is and how it was opened.
    pub dropped: u64,
    /// The same for what is opened from here.
    pub dropped_inheriting: u64,
}

pub(super) enum Kind {
    Stdin,
    Stdout,
    Stderr,
    Dir(OpenDir),
    File(OpenFile),
}

pub(super) struct OpenDir {
    pub handle: Arc<Dir>,
    pub place: Place,
    /// Whether it was handed over at the start, under a name the guest can ask
    /// for.
    pub preopened: bool,
    /// The entries, read once when the guest begins to read the directory: a
    /// cookie is an index into them, here and after a move.
    pub listing: Option<Vec<DirEntry>>,
}

pub(super) struct OpenFile {
    pub handle: File,
    pub place: Place,
    pub readable: bool,
    pub writable: bool,
    /// Where the next read or write happens. NB: not the system's own offset,
    /// which could not be told apart from the host's use of the file.
    pub offset: u64,
}

impl Descriptor {
    pub(super) fn new(kind: Kind) -> Descriptor {
        Descriptor { kind, flags: 0, dropped: 0, dropped_inheriting: 0 }
    }

    pub(super) fn require(&self, rights: u64) -> Result<(), Errno> {
        if self.dropped & rights == 0 { Ok(()) } else { Err(Errno::Notcapable) }
    }

    /// The rights it has, and those of what is opened from here.
    fn rights(&self) -> (u64, u64) {
        let (base, inheriting) = match &self.kind {
            Kind::Stdin => (rights::FD_READ, rights::FD_READ),
            Kind::Stdout | Kind::Stderr => (rights::FD_WRITE, rights::FD_WRITE),
            Kind::Dir(dir) if dir.preopened => (rights::PREOPEN, rights::PREOPEN_INHERITING),
            Kind::Dir(_) => {
                let not = rights::FD_SEEK
                    | rights::FD_WRITE
                    | rights::FD_FILESTAT_SET_SIZE
                    | rights::PATH_FILESTAT_SET_SIZE;
                (rights::ALL & !not, rights::ALL & !not)
            }
            Kind::File(file) => {
                let mut not = 0;
                if !file.readable {
                    not |= rights::FD_READ | rights::FD_READDIR;
                }
                if !file.writable {
                    not |= rights::FD_WRITE;
                }
                (rights::ALL & !not, rights::ALL & !not)
            }
        };
        (base & !self.dropped, inheriting & !self.dropped_inheriting)
    }
}

/// The open descriptors by number.
#[derive(Default)]
pub(super) struct Fds {
    open: BTreeMap<u32, Descriptor>,
    /// Invariant: every number below is open, so the search for the lowest
    /// free one need not begin at 0.
    full_below: u32,
}

impl Fds {
    pub(super) fn get(&self, fd: u32) -> Result<&Descriptor, Errno> {
        self.open.get(&fd).ok_or(Errno::Badf)
    }

    pub(super) fn get_mut(&mut self, fd: u32) -> Result<&mut Descriptor, Errno> {
        self.open.get_mut(&fd).ok_or(Errno::Badf)
    }

    /// A file, and the descriptor's flags, if the guest kept `rights` on it.
    pub(super) fn file(&mut self, fd: u32, rights: u64) -> Result<(&mut OpenFile, u32), Errno> {
        let descriptor = self.get_mut(fd)?;
        let required = descriptor.require(rights);
        match &mut descriptor.kind {
            Kind::File(file) => required.map(|()| (file, descriptor.flags)),
            _ => Err(Errno::Badf),
        }
    }

    /// A file that has an offset; standard streams have none.
    fn seekable(&mut self, fd: u32, rights: u64) -> Result<&mut OpenFile, Errno> {
        match self.get(fd)?.kind {
            Kind::Stdin | Kind::Stdout | Kind::Stderr => Err(Errno::Spipe),
            _ => self.file(fd, rights).map(|(file, _)| file),
        }
    }

    /// A directory, if the guest kept `rights` on it.
    pub(super) fn dir(&self, fd: u32, rights: u64) -> Result<&OpenDir, Errno> {
        let descriptor = self.get(fd)?;
        match &descriptor.kind {
            Kind::Dir(dir) => descriptor.require(rights).map(|()| dir),
            _ => Err(Errno::Badf),
        }
    }

    pub(super) fn dir_mut(&mut self, fd: u32) -> Result<&mut OpenDir, Errno> {
        match &mut self.get_mut(fd)?.kind {
            Kind::Dir(dir) => Ok(dir),
            _ => Err(Errno::Badf),
        }
    }

    /// Opens a descriptor under the lowest free number, as POSIX does.
    pub(super) fn insert(&mut self, descriptor: Descriptor) -> Result<u32, Errno> {
        let taken = self.open.range(self.full_below..);
        let free = (self.full_below..)
            .zip(taken.map(|(&fd, _)| Some(fd)).chain(std::iter::repeat(None)))
            .find_map(|(fd, taken)| (taken != Some(fd)).then_some(fd));
        let fd = free.filter(|&fd| fd < FDS_MAX).ok_or(Errno::Mfile)?;
        self.open.insert(fd, descriptor);
        self.full_below = fd + 1;
        Ok(fd)
    }

    /// Whether there can be no more.
    pub(super) fn is_full(&self) -> bool {
        self.open.len() >= FDS_MAX as usize
    }

    /// Opens a descriptor under `fd`, which a snapshot says was its number.
    pub(super) fn insert_at(&mut self, fd: u32, descriptor: Descriptor) {
        self.open.insert(fd, descriptor);
    }

    fn remove(&mut self, fd: u32) -> Result<Descriptor, Errno> {
        let descriptor = self.open.remove(&fd).ok_or(Errno::Badf)?;
        self.full_below = self.full_below.min(fd);
        Ok(descriptor)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Descriptor)> {
        self.open.iter().map(|(&fd, descriptor)| (fd, descriptor))
    }

    /// Every place something is open at, to follow a rename.
    pub(super) fn places_mut(&mut self) -> impl Iterator<Item = &mut Place> {
        self.open.values_mut().filter_map(|descriptor| match &mut descriptor.kind {
            Kind::File(file) => Some(&mut file.place),
            Kind::Dir(dir) if !dir.preopened => Some(&mut dir.place),
            _ => None,
        })
    }
}

impl Wasi {
    pub(super) fn fd_close(&mut self, call: &mut Call<'_>) -> Answer {
        self.fds.remove(call.u32(0))?;
        DONE
    }

    pub(super) fn fd_renumber(&mut self, call: &mut Call<'_>) -> Answer {
        let (from, to) = (call.u32(0), call.u32(1));
        self.fds.get(from)?;
        self.fds.get(to)?;
        if from != to {
            let descriptor = self.fds.remove(from)?;
            self.fds.insert_at(to, descriptor);
        }
        DONE
    }

    pub(super) fn fd_fdstat_get(&mut self, call: &mut Call<'_>) -> Answer {
        let descriptor = self.fds.get(call.u32(0))?;
        let filetype = match &descriptor.kind {
            Kind::Dir(_) => filetype::DIRECTORY,
            Kind::File(file) => {
                sys::filetype(cap_std::fs::Metadata::from_file(&file.handle)?.file_type())
            }
            kind => self.stream_filetype(kind),
        };
        let (base, inheriting) = descriptor.rights();
        let mut bytes = [0; 24];
        bytes[0] = filetype;
        bytes[2..4].copy_from_slice(&(descriptor.flags as u16).to_le_bytes());
        bytes[8..16].copy_from_slice(&base.to_le_bytes());
        bytes[16..24].copy_from_slice(&inheriting.to_le_bytes());
        call.memory.set(call.u32(1), &bytes, 8)?;
        DONE
    }

    /// Terminals are character devices, by which C libraries know them.
    pub(super) fn stream_filetype(&self, kind: &Kind) -> u8 {
        let terminal = match kind {
            _ if self.deterministic => false,
            Kind::Stdin => self.stdin.is_terminal(),
            Kind::Stdout => self.stdout.is_terminal(),
            Kind::Stderr => self.stderr.is_terminal(),
            _ => false,
        };
        if terminal { filetype::CHARACTER_DEVICE } else { filetype::UNKNOWN }
    }

    pub(super) fn fd_fdstat_set_flags(&mut self, call: &mut Call<'_>) -> Answer {
        let flags = call.u32(1);
        let descriptor = self.fds.get_mut(call.u32(0))?;
        descriptor.require(rights::FD_FDSTAT_SET_FLAGS)?;
        // As in wasmtime, which keeps no flags for anything but files and cannot change these.
        let Kind::File(file) = &descriptor.kind else { return Err(Errno::Badf) };
        if flags & (fdflags::DSYNC | fdflags::SYNC | fdflags::RSYNC) != 0 {
            return Err(Errno::Inval);
        }
        sys::set_append(&file.handle, flags & fdflags::APPEND != 0)?;
        descriptor.flags = flags;
        DONE
    }

    /// As in wasmtime, no rights can be given up.
    pub(super) fn fd_fdstat_set_rights(&mut self, call: &mut Call<'_>) -> Answer {
        match self.fds.get(call.u32(0))?.kind {
            Kind::File(_) | Kind::Dir(_) => Err(Errno::Notsup),
            _ => Err(Errno::Badf),
        }
    }

    pub(super) fn fd_prestat_get(&mut self, call: &mut Call<'_>) -> Answer {
        let name = self.preopen_name(call.u32(0)).ok_or(Errno::Badf)?;
        let len = u32::try_from(name.len()).map_err(|_| Errno::Overflow)?;
        let mut bytes = [0; 8];
        bytes[4..8].copy_from_slice(&len.to_le_bytes());
        call.memory.set(call.u32(1), &bytes, 4)?;
        DONE
    }

    pub(super) fn fd_prestat_dir_name(&mut self, call: &mut Call<'_>) -> Answer {
        self.fds.get(call.u32(0))?;
        let name = self.preopen_name(call.u32(0)).ok_or(Errno::Notdir)?;
        if name.len() as u64 > u64::from(call.u32(2)) {
            return Err(Errno::Nametoolong);
        }
        call.memory.write(call.u32(1), name.as_bytes())?;
        DONE
    }

    fn preopen_name(&self, fd: u32) -> Option<&str> {
        match &self.fds.get(fd).ok()?.kind {
            Kind::Dir(dir) if dir.preopened => {
                Some(self.preopens.get(dir.place.preopen)?.guest.as_str())
            }
            _ => None,
        }
    }

    pub(super) fn fd_seek(&mut self, call: &mut Call<'_>) -> Answer {
        const SET: u32 = 0;
        const CUR: u32 = 1;
        const END: u32 = 2;
        let by = call.u64(1).cast_signed();
        let whence = call.u32(2);
        // As in POSIX, asking where one is takes only the right to ask.
        let right = if whence == CUR && by == 0 { rights::FD_TELL } else { rights::FD_SEEK };
        let file = self.fds.seekable(call.u32(0), right)?;
        let from = match whence {
            SET => 0,
            CUR => file.offset,
            END => file.handle.metadata()?.len(),
            _ => return Err(Errno::Inval),
        };
        let offset = from.checked_add_signed(by).ok_or(Errno::Inval)?;
        file.offset = offset;
        call.memory.set_u64(call.u32(3), offset)?;
        DONE
    }

    pub(super) fn fd_tell(&mut self, call: &mut Call<'_>) -> Answer {
        let file = self.fds.seekable(call.u32(0), rights::FD_TELL)?;
        call.memory.set_u64(call.u32(1), file.offset)?;
        DONE
    }

    pub(super) fn fd_sync(&mut self, call: &mut Call<'_>) -> Answer {
        let (file, _) = self.fds.file(call.u32(0), rights::FD_SYNC)?;
        synced(file, file.handle.sync_all())
    }

    pub(super) fn fd_datasync(&mut self, call: &mut Call<'_>) -> Answer {
        let (file, _) = self.fds.file(call.u32(0), rights::FD_DATASYNC)?;
        synced(file, file.handle.sync_data())
    }

    pub(super) fn fd_advise(&mut self, call: &mut Call<'_>) -> Answer {
        let advice = sys::Advice::from_abi(call.u32(3)).ok_or(Errno::Inval)?;
        let (file, _) = self.fds.file(call.u32(0), rights::FD_ADVISE)?;
        sys::advise(&file.handle, call.u64(1), call.u64(2), advice)?;
        DONE
    }

    /// As in wasmtime: few systems can, and C libraries know what to do instead.
    pub(super) fn fd_allocate(&mut self, call: &mut Call<'_>) -> Answer {
        self.fds.file(call.u32(0), rights::FD_ALLOCATE)?;
        Err(Errno::Notsup)
    }

    /// There are no sockets: every descriptor is something else.
    pub(super) fn sock(&mut self, call: &mut Call<'_>) -> Answer {
        self.fds.get(call.u32(0))?;
        Err(Errno::Notsock)
    }
}

/// Windows refuses to sync what is not open for writing; there is nothing to.
fn synced(file: &OpenFile, result: io::Result<()>) -> Answer {
    match result {
        Err(_) if cfg!(windows) && !file.writable => DONE,
        Err(error) => Err(error.into()),
        Ok(()) => DONE,
    }
}

#[cfg(test)]
mod tests;
