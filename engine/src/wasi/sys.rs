//! The few file operations whose interfaces differ between systems.

use std::fs::File;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use cap_std::fs::Metadata;

use crate::wasi::abi::filetype;
use crate::wasi::state::Stamp;

/// Repeats what a signal interrupted.
fn retry<T>(mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(unix)]
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    retry(|| std::os::unix::fs::FileExt::read_at(file, buffer, offset))
}

#[cfg(windows)]
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    retry(|| std::os::windows::fs::FileExt::seek_read(file, buffer, offset))
}

#[cfg(unix)]
pub(super) fn write_at(file: &File, buffer: &[u8], offset: u64) -> io::Result<usize> {
    retry(|| std::os::unix::fs::FileExt::write_at(file, buffer, offset))
}

#[cfg(windows)]
pub(super) fn write_at(file: &File, buffer: &[u8], offset: u64) -> io::Result<usize> {
    retry(|| std::os::windows::fs::FileExt::seek_write(file, buffer, offset))
}

/// Switches between appending and writing in place. On Unix the system keeps
/// the flag, so that appends of several processes do not overwrite each other.
#[cfg(unix)]
pub(super) fn set_append(file: &File, append: bool) -> io::Result<()> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let mut flags = fcntl_getfl(file)?;
    flags.set(OFlags::APPEND, append);
    Ok(fcntl_setfl(file, flags)?)
}

#[cfg(windows)]
pub(super) fn set_append(_file: &File, _append: bool) -> io::Result<()> {
    Ok(())
}

/// Writes at the end of a file that was set to append.
#[cfg(unix)]
pub(super) fn append(mut file: &File, buffer: &[u8]) -> io::Result<usize> {
    retry(|| io::Write::write(&mut file, buffer))
}

#[cfg(windows)]
pub(super) fn append(file: &File, buffer: &[u8]) -> io::Result<usize> {
    let end = file.metadata()?.len();
    write_at(file, buffer, end)
}

/// How a guest means to use a part of a file, in the order of the witx.
#[derive(Clone, Copy, Debug)]
pub(super) enum Advice {
    Normal,
    Sequential,
    Random,
    WillNeed,
    DontNeed,
    NoReuse,
}

impl Advice {
    pub(super) fn from_abi(value: u32) -> Option<Advice> {
        use Advice::*;
        let all = [Normal, Sequential, Random, WillNeed, DontNeed, NoReuse];
        all.get(usize::try_from(value).ok()?).copied()
    }
}

#[cfg(target_os = "linux")]
pub(super) fn advise(file: &File, offset: u64, len: u64, advice: Advice) -> io::Result<()> {
    use rustix::fs::Advice as Os;
    let advice = match advice {
        Advice::Normal => Os::Normal,
        Advice::Sequential => Os::Sequential,
        Advice::Random => Os::Random,
        Advice::WillNeed => Os::WillNeed,
        Advice::DontNeed => Os::DontNeed,
        Advice::NoReuse => Os::NoReuse,
    };
    let len = std::num::NonZeroU64::new(len);
    Ok(rustix::fs::fadvise(file, offset, len, advice)?)
}

/// Advice changes nothing a guest can see, so ignoring it is always right.
#[cfg(not(target_os = "linux"))]
pub(super) fn advise(_: &File, _offset: u64, _len: u64, _: Advice) -> io::Result<()> {
    Ok(())
}

/// What Windows counts in: the time of a file is written down no finer, so that the same file
/// gives the same snapshot on each system.
const STAMP_UNIT_NS: i64 = 100;

/// By what a later look recognises the file as unchanged.
pub(super) fn stamp(metadata: &std::fs::Metadata) -> Stamp {
    let mtime_ns = match metadata.modified() {
        Ok(time) => signed_ns(time),
        Err(_) => 0,
    };
    let mtime_ns = mtime_ns.saturating_sub(mtime_ns.rem_euclid(STAMP_UNIT_NS));
    Stamp { size: metadata.len(), mtime_ns }
}

fn signed_ns(time: SystemTime) -> i64 {
    let clamp = |ns: u128| i64::try_from(ns).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => clamp(after.as_nanos()),
        Err(before) => -clamp(before.duration().as_nanos()),
    }
}

/// When the file's status last changed, in nanoseconds since 1970; where the
/// system keeps no such time, when it was made.
#[cfg(unix)]
pub(super) fn changed_ns(metadata: &Metadata) -> u64 {
    use cap_std::fs::MetadataExt;
    let seconds = u64::try_from(metadata.ctime()).unwrap_or(0);
    let rest = u64::try_from(metadata.ctime_nsec()).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

#[cfg(not(unix))]
pub(super) fn changed_ns(metadata: &Metadata) -> u64 {
    use crate::wasi::clock::since_epoch_ns;
    metadata.created().map_or(0, |time| since_epoch_ns(time.into_std()))
}

/// What kind of thing a file is, in the numbers of preview 1.
pub(super) fn filetype(kind: cap_std::fs::FileType) -> u8 {
    if kind.is_file() {
        return filetype::REGULAR_FILE;
    } else if kind.is_dir() {
        return filetype::DIRECTORY;
    } else if kind.is_symlink() {
        return filetype::SYMBOLIC_LINK;
    }
    #[cfg(unix)]
    {
        use cap_std::fs::FileTypeExt;
        if kind.is_block_device() {
            return filetype::BLOCK_DEVICE;
        } else if kind.is_char_device() {
            return filetype::CHARACTER_DEVICE;
        } else if kind.is_socket() {
            return filetype::SOCKET_STREAM;
        }
    }
    // Pipes have no number in preview 1.
    filetype::UNKNOWN
}
