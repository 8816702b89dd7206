//! Calls that name files by path, below an open directory.

use std::sync::Arc;

use cap_fs_ext::{
    DirExt, FollowSymlinks, OpenOptionsFollowExt, OpenOptionsMaybeDirExt, OpenOptionsSyncExt,
};
use cap_std::fs::{Dir, File, Metadata, OpenOptions};

use crate::wasi::abi::{fdflags, lookup, oflags, rights};
use crate::wasi::errno::Errno;
use crate::wasi::fd::{Descriptor, Kind, OpenDir, OpenFile, Place};
use crate::wasi::memory::Call;
use crate::wasi::{Answer, DONE, Wasi, sys};

impl Place {
    /// The place `path` leads to from here. Only what means nothing is left
    /// out: with symbolic links about, `a/..` is not always where it began.
    pub(super) fn join(&self, path: &str) -> Place {
        let here = self.path.split('/');
        let names = here.chain(path.split('/'));
        let names: Vec<&str> = names.filter(|name| !matches!(*name, "" | ".")).collect();
        Place { preopen: self.preopen, path: names.join("/") }
    }

    /// The place as a path below its preopened directory.
    pub(super) fn relative(&self) -> &str {
        if self.path.is_empty() { "." } else { &self.path }
    }

    /// Follows a rename of `from` to `to`, of this or of what it lies in.
    fn renamed(&mut self, from: &Place, to: &Place) {
        if self.preopen != from.preopen {
            return;
        }
        if let Some(rest) = self.path.strip_prefix(&from.path)
            && (rest.is_empty() || rest.starts_with('/'))
        {
            *self = to.join(rest);
        }
    }
}

/// Options that open whatever there is, and never wait for a pipe's other end.
pub(super) fn open_options(dir: &Dir, path: &str) -> OpenOptions {
    let mut options = OpenOptions::new();
    // NB: what may be a directory is opened such that Windows lets nobody rename or remove it as
    // long as it is open, and guests do that with files.
    let maybe_dir = !cfg!(windows) || dir.metadata(path).is_ok_and(|metadata| metadata.is_dir());
    options.maybe_dir(maybe_dir).nonblock(true);
    options
}

/// What was opened: a directory or anything else.
pub(super) enum Opened {
    Dir(Dir),
    File(std::fs::File),
}

impl Opened {
    pub(super) fn new(file: File) -> std::io::Result<Opened> {
        let file = file.into_std();
        Ok(if Metadata::from_file(&file)?.is_dir() {
            Opened::Dir(Dir::from_std_file(file))
        } else {
            Opened::File(file)
        })
    }
}

/// What a guest asks `path_open` for.
struct Request {
    path: String,
    follow: bool,
    oflags: u32,
    readable: bool,
    writable: bool,
    flags: u32,
}

impl Request {
    fn read(call: &Call<'_>) -> Result<Request, Errno> {
        let wanted = call.u64(5);
        let writable = wanted & rights::FD_WRITE != 0;
        let request = Request {
            path: call.path(2)?,
            follow: call.u32(1) & lookup::SYMLINK_FOLLOW != 0,
            oflags: call.u32(4),
            // A guest that asks for neither gets to read, as with O_RDONLY.
            readable: !writable || wanted & rights::FD_READ != 0,
            writable,
            flags: call.u32(7),
        };
        Ok(request)
    }

    /// Refuses what wasmtime cannot do.
    fn check(&self) -> Result<(), Errno> {
        if self.flags & (fdflags::DSYNC | fdflags::SYNC | fdflags::RSYNC) != 0 {
            return Err(Errno::Notsup);
        }
        if self.has(oflags::DIRECTORY) && self.oflags != oflags::DIRECTORY {
            return Err(Errno::Inval);
        }
        Ok(())
    }

    fn has(&self, oflag: u32) -> bool {
        self.oflags & oflag != 0
    }

    /// Whether opening alone, or what it leads to, may change a file.
    fn changes(&self) -> bool {
        self.writable || self.has(oflags::CREAT) || self.has(oflags::TRUNC)
    }

    fn options(&self, dir: &Dir) -> OpenOptions {
        let creates = self.has(oflags::CREAT);
        let mut options = open_options(dir, &self.path);
        // NB: the host wants to write where it is to create or truncate; the
        // guest may still only do what it asked for.
        options.read(self.readable).write(self.changes());
        options.create(creates).truncate(self.has(oflags::TRUNC));
        options.create_new(creates && self.has(oflags::EXCL));
        options.follow(if self.follow { FollowSymlinks::Yes } else { FollowSymlinks::No });
        options
    }

    /// What was opened at `place`, unless the guest wanted something else.
    fn kind(&self, file: File, place: Place) -> Result<Kind, Errno> {
        match Opened::new(file)? {
            // Windows opens directories for writing without complaint.
            Opened::Dir(_) if self.writable => Err(Errno::Isdir),
            Opened::Dir(handle) => Ok(Kind::Dir(OpenDir {
                handle: Arc::new(handle),
                place,
                preopened: false,
                listing: None,
            })),
            Opened::File(_) if self.has(oflags::DIRECTORY) => Err(Errno::Notdir),
            Opened::File(handle) => {
                if self.flags & fdflags::APPEND != 0 {
                    sys::set_append(&handle, true)?;
                }
                Ok(Kind::File(OpenFile {
                    handle,
                    place,
                    readable: self.readable,
                    writable: self.writable,
                    offset: 0,
                }))
            }
        }
    }
}

impl Wasi {
    /// Changes below a read-only directory are refused as wasmtime does.
    pub(super) fn permit_changes(&self, preopen: usize) -> Result<(), Errno> {
        match self.preopens.get(preopen) {
            Some(preopen) if !preopen.read_only => Ok(()),
            _ => Err(Errno::Perm),
        }
    }

    pub(super) fn path_open(&mut self, call: &mut Call<'_>) -> Answer {
        let request = Request::read(call)?;
        let parent = self.fds.get(call.u32(0))?;
        let dir = match &parent.kind {
            Kind::Dir(dir) => dir,
            Kind::File(_) => return Err(Errno::Notdir),
            _ => return Err(Errno::Badf),
        };
        request.check()?;
        parent.require(rights::PATH_OPEN)?;
        if request.has(oflags::CREAT) {
            parent.require(rights::PATH_CREATE_FILE)?;
        }
        if request.writable && parent.dropped_inheriting & rights::FD_WRITE != 0 {
            return Err(Errno::Notcapable);
        }
        if request.changes() {
            self.permit_changes(dir.place.preopen)?;
        }
        let file = dir.handle.open_with(&request.path, &request.options(&dir.handle))?;
        let descriptor = Descriptor {
            kind: request.kind(file, dir.place.join(&request.path))?,
            flags: request.flags,
            dropped: parent.dropped_inheriting,
            dropped_inheriting: parent.dropped_inheriting,
        };
        let fd = self.fds.insert(descriptor)?;
        call.memory.set_u32(call.u32(8), fd)?;
        DONE
    }

    pub(super) fn path_create_directory(&mut self, call: &mut Call<'_>) -> Answer {
        let dir = self.fds.dir(call.u32(0), rights::PATH_CREATE_DIRECTORY)?;
        let path = call.path(1)?;
        self.permit_changes(dir.place.preopen)?;
        dir.handle.create_dir(path)?;
        DONE
    }

    pub(super) fn path_remove_directory(&mut self, call: &mut Call<'_>) -> Answer {
        let dir = self.fds.dir(call.u32(0), rights::PATH_REMOVE_DIRECTORY)?;
        let path = call.path(1)?;
        self.permit_changes(dir.place.preopen)?;
        dir.handle.remove_dir(path)?;
        DONE
    }

    pub(super) fn path_unlink_file(&mut self, call: &mut Call<'_>) -> Answer {
        let dir = self.fds.dir(call.u32(0), rights::PATH_UNLINK_FILE)?;
        let path = call.path(1)?;
        self.permit_changes(dir.place.preopen)?;
        match dir.handle.remove_file_or_symlink(&path) {
            // Each system has another number for this.
            Err(_) if dir.handle.symlink_metadata(&path).is_ok_and(|it| it.is_dir()) => {
                Err(Errno::Isdir)
            }
            Err(error) => Err(error.into()),
            Ok(()) => DONE,
        }
    }

    pub(super) fn path_readlink(&mut self, call: &mut Call<'_>) -> Answer {
        let (buffer, len) = (call.u32(3), call.u32(4));
        let dir = self.fds.dir(call.u32(0), rights::PATH_READLINK)?;
        let target = dir.handle.read_link(call.path(1)?)?;
        let target = target.to_str().ok_or(Errno::Ilseq)?.as_bytes();
        let room = usize::try_from(len).unwrap_or(usize::MAX);
        let target = target.get(..room).unwrap_or(target);
        call.memory.write(buffer, target)?;
        call.memory.set_u32(call.u32(5), target.len() as u32)?;
        DONE
    }

    pub(super) fn path_symlink(&mut self, call: &mut Call<'_>) -> Answer {
        let dir = self.fds.dir(call.u32(2), rights::PATH_SYMLINK)?;
        let (target, path) = (call.path(0)?, call.path(3)?);
        self.permit_changes(dir.place.preopen)?;
        DirExt::symlink(&*dir.handle, target, path)?;
        DONE
    }

    pub(super) fn path_link(&mut self, call: &mut Call<'_>) -> Answer {
        let from = self.fds.dir(call.u32(0), rights::PATH_LINK_SOURCE)?;
        let to = self.fds.dir(call.u32(4), rights::PATH_LINK_TARGET)?;
        let (old, new) = (call.path(2)?, call.path(5)?);
        self.permit_changes(from.place.preopen)?;
        self.permit_changes(to.place.preopen)?;
        if call.u32(1) & lookup::SYMLINK_FOLLOW != 0 {
            return Err(Errno::Inval);
        }
        from.handle.hard_link(old, &to.handle, new)?;
        DONE
    }

    pub(super) fn path_rename(&mut self, call: &mut Call<'_>) -> Answer {
        let from = self.fds.dir(call.u32(0), rights::PATH_RENAME_SOURCE)?;
        let to = self.fds.dir(call.u32(3), rights::PATH_RENAME_TARGET)?;
        let (old, new) = (call.path(1)?, call.path(4)?);
        self.permit_changes(from.place.preopen)?;
        self.permit_changes(to.place.preopen)?;
        from.handle.rename(&old, &to.handle, &new)?;
        // What is open there goes by its new name from now on; whether that is
        // so after all is checked when a snapshot is made.
        let (from, to) = (from.place.join(&old), to.place.join(&new));
        for place in self.fds.places_mut() {
            place.renamed(&from, &to);
        }
        DONE
    }
}

#[cfg(test)]
mod tests;
