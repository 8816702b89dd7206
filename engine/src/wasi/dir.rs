//! Reading directories: one listing per reading, sorted, so that a cookie
//! means the same entry however the host orders them and wherever the guest is.

use cap_fs_ext::{DirEntryExt, MetadataExt};
use cap_std::fs::Dir;

use crate::wasi::abi::{filetype, rights};
use crate::wasi::errno::Errno;
use crate::wasi::fd::Kind;
use crate::wasi::limits::DIRECTORY_ENTRIES_MAX;
use crate::wasi::memory::{Call, offset};
use crate::wasi::state::DirEntry;
use crate::wasi::{Answer, DONE, Wasi, sys};

/// Bytes of a `dirent`; the name follows it.
const DIRENT_BYTES: usize = 24;

impl Wasi {
    pub(super) fn fd_readdir(&mut self, call: &mut Call<'_>) -> Answer {
        let (buffer, len, cookie) = (call.u32(1), call.u32(2), call.u64(3));
        let descriptor = self.fds.get_mut(call.u32(0))?;
        let required = descriptor.require(rights::FD_READDIR);
        let Kind::Dir(dir) = &mut descriptor.kind else {
            return Err(Errno::Badf);
        };
        required?;
        if cookie == 0 {
            dir.listing = None;
        }
        if dir.listing.is_none() {
            let (mut entries, place) = (read(&dir.handle)?, dir.place.clone());
            self.settle_listing(&place, &mut entries);
            self.fds.dir_mut(call.u32(0))?.listing = Some(entries);
        }
        let listing = self.fds.dir_mut(call.u32(0))?.listing.as_deref().unwrap_or_default();
        let first = usize::try_from(cookie).unwrap_or(usize::MAX);
        let mut used = 0u32;
        for (entry, next) in listing.iter().skip(first).zip(cookie.saturating_add(1)..) {
            for part in [&encode(entry, next)?[..], entry.name.as_bytes()] {
                // What does not fit is cut off: a full buffer tells the guest
                // to come back with this entry's cookie.
                let room = usize::try_from(len - used).unwrap_or(usize::MAX);
                let part = part.get(..room).unwrap_or(part);
                call.memory.write(offset(buffer, used)?, part)?;
                used += part.len() as u32;
            }
            if used == len {
                break;
            }
        }
        call.memory.set_u32(call.u32(4), used)?;
        DONE
    }
}

/// All entries: `.`, `..`, then the others by the bytes of their names.
fn read(dir: &Dir) -> Result<Vec<DirEntry>, Errno> {
    let mut entries = Vec::new();
    for entry in dir.entries()? {
        let entry = entry?;
        if entries.len() >= DIRECTORY_ENTRIES_MAX {
            return Err(Errno::Overflow);
        }
        entries.push(DirEntry {
            name: entry.file_name().into_string().map_err(|_| Errno::Ilseq)?,
            // An entry that goes away meanwhile was still there to be listed.
            ino: entry.full_metadata().map_or(0, |metadata| metadata.ino()),
            filetype: entry.file_type().map_or(filetype::UNKNOWN, sys::filetype),
        });
    }
    entries.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    // NB: `..` gets the number of `.`: its own may lie outside the sandbox.
    let ino = dir.dir_metadata()?.ino();
    let dots = [".", ".."].map(|name| DirEntry {
        name: name.to_owned(),
        ino,
        filetype: filetype::DIRECTORY,
    });
    entries.splice(0..0, dots);
    Ok(entries)
}

fn encode(entry: &DirEntry, next: u64) -> Result<[u8; DIRENT_BYTES], Errno> {
    let len = u32::try_from(entry.name.len()).map_err(|_| Errno::Overflow)?;
    let mut bytes = [0; DIRENT_BYTES];
    bytes[0..8].copy_from_slice(&next.to_le_bytes());
    bytes[8..16].copy_from_slice(&entry.ino.to_le_bytes());
    bytes[16..20].copy_from_slice(&len.to_le_bytes());
    bytes[20] = entry.filetype;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
