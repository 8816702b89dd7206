//! What killed writers have left: files under temporary names, recognised and removed by whoever
//! writes to the same name next.
//!
//! A writer holds a lock on its file for as long as it lives. One that can be locked by another has
//! lost its writer.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use tempfile::NamedTempFile;

/// How a temporary name ends.
pub const SUFFIX: &str = ".tmp";
/// The letters and digits before that, which are chosen at random.
pub const RANDOM: usize = 8;
/// The most entries of a folder that are looked at.
const ENTRIES_MAX: usize = 100_000;
/// The most bytes of a file's name that are in its temporary names: systems allow 255 in all.
const NAME_BYTES_MAX: usize = 200;

/// How the temporary names of a file begin.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for a path that names no file.
pub fn prefix(path: &Path) -> io::Result<OsString> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut prefix = OsString::from(".");
    match name.len() {
        0..=NAME_BYTES_MAX => prefix.push(name),
        _ => {
            let name = name.to_string_lossy();
            prefix.push(&name[..name.floor_char_boundary(NAME_BYTES_MAX)]);
        }
    }
    prefix.push(".tasklet-");
    Ok(prefix)
}

/// Makes a temporary file and the lock on it. Between the two somebody may take it for a leftover,
/// and remove it: then another is made.
///
/// # Errors
/// Those of `make`.
pub fn claimed(mut make: impl FnMut() -> io::Result<NamedTempFile>) -> io::Result<NamedTempFile> {
    const ATTEMPTS: usize = 10;
    for _ in 1..ATTEMPTS {
        let file = make()?;
        match file.as_file().try_lock() {
            Err(TryLockError::WouldBlock) => continue,
            // Where there are no locks nobody removes anything either.
            Ok(()) | Err(TryLockError::Error(_)) if file.path().exists() => return Ok(file),
            _ => {}
        }
    }
    make()
}

/// Removes the leftovers of writers to that path. What cannot be removed is somebody else's trouble.
pub fn remove(path: &Path) {
    let Ok(prefix) = prefix(path) else { return };
    let Ok(entries) = fs::read_dir(super::directory(path)) else { return };
    for entry in entries.take(ENTRIES_MAX).flatten() {
        let name = entry.file_name();
        let middle = (name.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes()))
            .and_then(|rest| rest.strip_suffix(SUFFIX.as_bytes()));
        let is_ours = middle.is_some_and(|random| {
            random.len() == RANDOM && random.iter().all(u8::is_ascii_alphanumeric)
        });
        let is_file = || entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_ours && is_file() && is_abandoned(&entry.path()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether nobody holds the lock.
fn is_abandoned(path: &Path) -> bool {
    File::options().write(true).open(path).is_ok_and(|file| file.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_abandoned_is_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let left = [".t.cbor.tasklet-0aZ9xxYY.tmp", ".t.cbor.tasklet-00000000.tmp"];
        let others = [
            "t.cbor",
            ".t.cbor.tasklet-short.tmp",
            ".t.cbor.tasklet-0aZ9x-YY.tmp",
            ".t.cbor.mine.tmp",
            ".u.cbor.tasklet-0aZ9xxYY.tmp",
        ];
        for name in left.iter().chain(&others) {
            fs::write(path(name), "half").expect("a file");
        }
        let prefix = prefix(&path("t.cbor")).expect("it names a file");
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(SUFFIX).rand_bytes(RANDOM);
        let alive = claimed(|| builder.tempfile_in(folder.path())).expect("a temporary file");
        remove(&path("t.cbor"));
        assert!(left.iter().all(|name| !path(name).exists()));
        assert!(others.iter().all(|name| path(name).exists()) && alive.path().exists());
        let (file, alive) = alive.keep().expect("it stays");
        drop(file);
        remove(&path("t.cbor"));
        assert!(!alive.exists(), "its writer is gone");
    }

    #[test]
    fn long_names_have_room() {
        for length in [1, 200, 201, 255] {
            let name = "ä".repeat(length / 2) + &"x".repeat(length % 2);
            let prefix = prefix(Path::new(&name)).expect("it names a file");
            assert!(prefix.len() + RANDOM + SUFFIX.len() <= 255, "{length}");
        }
    }
}
