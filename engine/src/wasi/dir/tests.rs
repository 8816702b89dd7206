use std::fs;

use tempfile::tempdir;

use crate::wasi::Function;
use crate::wasi::testing::{Guest, READ};

/// The whole entries in the first `used` bytes of memory: cookie, type, name.
fn entries(guest: &Guest, used: usize) -> Vec<(u64, u8, String)> {
    let mut entries = Vec::new();
    let mut at = 0;
    while at + 24 <= used {
        let len = guest.u32(at + 16) as usize;
        let Some(name) = guest.memory[..used].get(at + 24..at + 24 + len) else {
            break;
        };
        let name = String::from_utf8(name.to_vec()).unwrap();
        entries.push((guest.u64(at), guest.memory[at + 20], name));
        at += 24 + len;
    }
    entries
}

fn list(guest: &mut Guest, fd: u64, len: u64, cookie: u64) -> (usize, Vec<(u64, u8, String)>) {
    assert_eq!(guest.call(Function::FdReaddir, &[fd, 0, len, cookie, 0x8000]), 0);
    let used = guest.u32(0x8000) as usize;
    (used, entries(guest, used))
}

fn names(entries: &[(u64, u8, String)]) -> Vec<&str> {
    entries.iter().map(|(_, _, name)| name.as_str()).collect()
}

#[test]
fn entries_are_sorted_dots_first() {
    let dir = tempdir().unwrap();
    for name in ["zeta", "Alpha", "é", "beta"] {
        fs::write(dir.path().join(name), b"").unwrap();
    }
    fs::create_dir(dir.path().join("dir")).unwrap();
    let mut guest = Guest::in_dir(dir.path());
    let (_, all) = list(&mut guest, 3, 4096, 0);
    assert_eq!(names(&all), [".", "..", "Alpha", "beta", "dir", "zeta", "é"]);
    assert_eq!(all.iter().map(|entry| entry.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(all.iter().map(|entry| entry.1).collect::<Vec<_>>(), [3, 3, 4, 4, 3, 4, 4]);
    assert_eq!(list(&mut guest, 3, 4096, 7), (0, vec![]));
    assert_eq!(list(&mut guest, 3, 4096, u64::MAX), (0, vec![]));
}

#[test]
fn one_reading_sees_one_listing_wherever_it_goes_on() {
    let dir = tempdir().unwrap();
    for name in ["a", "b", "c"] {
        fs::write(dir.path().join(name), b"").unwrap();
    }
    let mut guest = Guest::in_dir(dir.path());
    let opened = guest.open(".", 0b10, READ, 0).unwrap();
    for fd in [3, opened] {
        // Room for two entries and a half: the half is cut off, and read again.
        let (used, first) = list(&mut guest, fd, 60, 0);
        assert_eq!((used, names(&first)), (60, vec![".", ".."]));
    }
    fs::remove_file(dir.path().join("b")).unwrap();
    fs::write(dir.path().join("aa"), b"").unwrap();
    let mut guest = guest.moved();
    for fd in [3, opened] {
        let (_, rest) = list(&mut guest, fd, 4096, 2);
        assert_eq!(names(&rest), ["a", "b", "c"]);
        let (_, anew) = list(&mut guest, fd, 4096, 0);
        assert_eq!(names(&anew), [".", "..", "a", "aa", "c"]);
    }
}

#[test]
fn only_directories_have_entries() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("f"), b"").unwrap();
    let mut guest = Guest::in_dir(dir.path());
    let file = guest.open("f", 0, READ, 0).unwrap();
    for fd in [0, file, 99] {
        assert_eq!(guest.call(Function::FdReaddir, &[fd, 0, 100, 0, 200]), 8);
    }
    assert_eq!(guest.call(Function::FdReaddir, &[3, 0xfff0, 0x2_0000, 0, 200]), 21);
    assert_eq!(list(&mut guest, 3, 0, 0), (0, vec![]));
}
