//! Attributes of files: asking for them and changing them.

use std::fs::FileTimes;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cap_fs_ext::{DirExt, SystemTimeSpec};
use cap_std::fs::Metadata;

use crate::wasi::abi::{fstflags, lookup, rights};
use crate::wasi::errno::Errno;
use crate::wasi::facts::Facts;
use crate::wasi::fd::{Kind, Place};
use crate::wasi::memory::Call;
use crate::wasi::{Answer, DONE, Wasi, sys};

const FILESTAT_BYTES: usize = 64;

/// The times a call sets; what is absent stays as it is.
struct NewTimes {
    accessed: Option<SystemTime>,
    modified: Option<SystemTime>,
}

impl Wasi {
    pub(super) fn fd_filestat_get(&mut self, call: &mut Call<'_>) -> Answer {
        let descriptor = self.fds.get(call.u32(0))?;
        descriptor.require(rights::FD_FILESTAT_GET)?;
        let bytes = match &descriptor.kind {
            Kind::File(file) => self.filestat(&Metadata::from_file(&file.handle)?, &file.place, ""),
            Kind::Dir(dir) => self.filestat(&dir.handle.dir_metadata()?, &dir.place, ""),
            stream => {
                let mut bytes = [0; FILESTAT_BYTES];
                bytes[16] = self.stream_filetype(stream);
                bytes
            }
        };
        call.memory.set(call.u32(1), &bytes, 8)?;
        DONE
    }

    pub(super) fn path_filestat_get(&mut self, call: &mut Call<'_>) -> Answer {
        let follow = call.u32(1) & lookup::SYMLINK_FOLLOW != 0;
        let dir = self.fds.dir(call.u32(0), rights::PATH_FILESTAT_GET)?;
        let path = call.path(2)?;
        let metadata = if follow {
            dir.handle.metadata(&path)?
        } else {
            dir.handle.symlink_metadata(&path)?
        };
        let bytes = self.filestat(&metadata, &dir.place, &path);
        call.memory.set(call.u32(4), &bytes, 8)?;
        DONE
    }

    fn filestat(&self, metadata: &Metadata, place: &Place, path: &str) -> [u8; FILESTAT_BYTES] {
        encode(&self.facts(metadata, place, path), sys::filetype(metadata.file_type()))
    }

    pub(super) fn fd_filestat_set_size(&mut self, call: &mut Call<'_>) -> Answer {
        let (file, _) = self.fds.file(call.u32(0), rights::FD_FILESTAT_SET_SIZE)?;
        let preopen = file.place.preopen;
        self.permit_changes(preopen)?;
        let (file, _) = self.fds.file(call.u32(0), rights::FD_FILESTAT_SET_SIZE)?;
        if !file.writable {
            // As ftruncate: the descriptor is the wrong one, not the right.
            return Err(Errno::Inval);
        }
        file.handle.set_len(call.u64(1))?;
        DONE
    }

    pub(super) fn fd_filestat_set_times(&mut self, call: &mut Call<'_>) -> Answer {
        let times = self.new_times(call, 1)?;
        let descriptor = self.fds.get(call.u32(0))?;
        match &descriptor.kind {
            Kind::File(file) => {
                descriptor.require(rights::FD_FILESTAT_SET_TIMES)?;
                self.permit_changes(file.place.preopen)?;
                let mut changes = FileTimes::new();
                if let Some(time) = times.accessed {
                    changes = changes.set_accessed(time);
                }
                if let Some(time) = times.modified {
                    changes = changes.set_modified(time);
                }
                file.handle.set_times(changes)?;
            }
            Kind::Dir(dir) => {
                descriptor.require(rights::FD_FILESTAT_SET_TIMES)?;
                self.permit_changes(dir.place.preopen)?;
                let (accessed, modified) = times.specs();
                dir.handle.set_times(".", accessed, modified)?;
            }
            _ => return Err(Errno::Badf),
        }
        DONE
    }

    pub(super) fn path_filestat_set_times(&mut self, call: &mut Call<'_>) -> Answer {
        let follow = call.u32(1) & lookup::SYMLINK_FOLLOW != 0;
        let times = self.new_times(call, 4)?;
        let dir = self.fds.dir(call.u32(0), rights::PATH_FILESTAT_SET_TIMES)?;
        let path = call.path(2)?;
        self.permit_changes(dir.place.preopen)?;
        let (accessed, modified) = times.specs();
        if follow {
            dir.handle.set_times(path, accessed, modified)?;
        } else {
            dir.handle.set_symlink_times(path, accessed, modified)?;
        }
        DONE
    }

    /// Arguments `index` and the next two: access time, modification time, and
    /// which of them to set, to what.
    fn new_times(&self, call: &Call<'_>, index: usize) -> Result<NewTimes, Errno> {
        let flags = call.u32(index + 2);
        let time = |given, set, now| match (flags & set != 0, flags & now != 0) {
            (true, true) => Err(Errno::Inval),
            (true, false) => from_epoch_ns(given).map(Some),
            // The guest's idea of now, which may be virtual.
            (false, true) => from_epoch_ns(self.clock.realtime_ns(call.steps)).map(Some),
            (false, false) => Ok(None),
        };
        Ok(NewTimes {
            accessed: time(call.u64(index), fstflags::ATIM, fstflags::ATIM_NOW)?,
            modified: time(call.u64(index + 1), fstflags::MTIM, fstflags::MTIM_NOW)?,
        })
    }
}

impl NewTimes {
    fn specs(&self) -> (Option<SystemTimeSpec>, Option<SystemTimeSpec>) {
        let spec = |time| SystemTimeSpec::Absolute(cap_std::time::SystemTime::from_std(time));
        (self.accessed.map(spec), self.modified.map(spec))
    }
}

fn from_epoch_ns(ns: u64) -> Result<SystemTime, Errno> {
    UNIX_EPOCH.checked_add(Duration::from_nanos(ns)).ok_or(Errno::Overflow)
}

/// A `filestat`. Device and inode numbers are the host's, unless the guest is deterministic.
fn encode(facts: &Facts, filetype: u8) -> [u8; FILESTAT_BYTES] {
    let mut bytes = [0; FILESTAT_BYTES];
    let mut put = |at: usize, value: u64| {
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    };
    put(0, facts.dev);
    put(8, facts.ino);
    put(24, facts.nlink);
    put(32, facts.size);
    put(40, facts.times_ns[0]);
    put(48, facts.times_ns[1]);
    put(56, facts.times_ns[2]);
    bytes[16] = filetype;
    bytes
}

#[cfg(test)]
mod tests;
