use std::fs;

use tempfile::tempdir;

use crate::wasi::testing::{BOTH, Guest, READ, WRITE};
use crate::wasi::{Errno, Function};

#[test]
fn open_flags_mean_what_posix_says() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("f"), b"content").unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    let mut guest = Guest::in_dir(dir.path());
    assert_eq!(guest.open("missing", 0, READ, 0), Err(Errno::Noent));
    assert_eq!(guest.open("f", 0b101, BOTH, 0), Err(Errno::Exist));
    assert_eq!(guest.open("f", 0b10, READ, 0), Err(Errno::Notdir));
    assert_eq!(guest.open("f", 0b11, READ, 0), Err(Errno::Inval));
    assert_eq!(guest.open("d", 0, BOTH, 0), Err(Errno::Isdir));
    assert_eq!(guest.open("", 0, READ, 0), Err(Errno::Noent));
    assert_eq!(guest.open("f", 0, READ, 0b10), Err(Errno::Notsup), "no synchronous files");
    assert_eq!(guest.open("f\0g", 0, READ, 0), Err(Errno::Inval));
    assert!(guest.open("d", 0b10, READ, 0).is_ok());
    assert!(guest.open("f", 0b1000, BOTH, 0).is_ok());
    assert_eq!(fs::read(dir.path().join("f")).unwrap(), b"");
    let [at, len] = guest.path("f");
    assert_eq!(guest.call(Function::PathOpen, &[1, 0, at, len, 0, READ, 0, 0, 0]), 8);
    let file = guest.open("f", 0, READ, 0).unwrap();
    let [at, len] = guest.path("f");
    assert_eq!(guest.call(Function::PathOpen, &[file, 0, at, len, 0, READ, 0, 0, 0]), 54);
    assert_eq!(guest.call(Function::PathOpen, &[3, 0, 0xffff, 9, 0, READ, 0, 0, 0]), 21);
}

#[test]
fn directories_open_below_directories() {
    let dir = tempdir().unwrap();
    let mut guest = Guest::in_dir(dir.path());
    assert_eq!(guest.at_path(Function::PathCreateDirectory, &[3], "a", &[]), 0);
    assert_eq!(guest.at_path(Function::PathCreateDirectory, &[3], "a", &[]), 20);
    assert_eq!(guest.at_path(Function::PathCreateDirectory, &[3], "a/b", &[]), 0);
    let a = guest.open("./a/", 0b10, READ, 0).unwrap();
    let mut guest = guest.moved();
    let [at, len] = guest.path("b");
    assert_eq!(guest.call(Function::PathOpen, &[a, 0, at, len, 2, READ, 0, 0, 0]), 0);
    let b = u64::from(guest.u32(0));
    let mut guest = guest.moved();
    let [at, len] = guest.path("c");
    assert_eq!(guest.call(Function::PathOpen, &[b, 0, at, len, 1, BOTH, 0, 0, 0]), 0);
    let c = u64::from(guest.u32(0));
    guest.write(c, b"deep").unwrap();
    let mut guest = guest.moved();
    assert_eq!(guest.pread(c, 9, 0).unwrap(), b"deep");
    assert_eq!(fs::read(dir.path().join("a/b/c")).unwrap(), b"deep");
}

#[test]
fn removing() {
    let dir = tempdir().unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    fs::write(dir.path().join("d/f"), b"").unwrap();
    let mut guest = Guest::in_dir(dir.path());
    assert_eq!(guest.at_path(Function::PathRemoveDirectory, &[3], "d", &[]), 55);
    assert_eq!(guest.at_path(Function::PathRemoveDirectory, &[3], "d/f", &[]), 54);
    assert_eq!(guest.at_path(Function::PathUnlinkFile, &[3], "d", &[]), 31);
    assert_eq!(guest.at_path(Function::PathUnlinkFile, &[3], "d/f", &[]), 0);
    assert_eq!(guest.at_path(Function::PathUnlinkFile, &[3], "d/f", &[]), 44);
    assert_eq!(guest.at_path(Function::PathRemoveDirectory, &[3], "d", &[]), 0);
    assert_eq!(guest.at_path(Function::PathRemoveDirectory, &[9], "d", &[]), 8);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// Whether there are symbolic links: on Windows only some users may make them, and versions of wine
/// say they did and have not.
fn links_can_be_made() -> bool {
    #[cfg(windows)]
    {
        let dir = tempdir().unwrap();
        let link = dir.path().join("l");
        let made = std::os::windows::fs::symlink_file("f", &link).is_ok();
        made && fs::read_link(&link).is_ok()
    }
    #[cfg(not(windows))]
    true
}

#[test]
fn links() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("f"), b"x").unwrap();
    let mut guest = Guest::in_dir(dir.path());
    let old = guest.path("f");
    let new = guest.other_path("hard");
    assert_eq!(guest.call(Function::PathLink, &[3, 0, old[0], old[1], 3, new[0], new[1]]), 0);
    assert_eq!(guest.call(Function::PathLink, &[3, 1, old[0], old[1], 3, new[0], new[1]]), 28);
    assert_eq!(fs::read(dir.path().join("hard")).unwrap(), b"x");
    if !links_can_be_made() {
        return;
    }
    let new = guest.other_path("soft");
    assert_eq!(guest.call(Function::PathSymlink, &[old[0], old[1], 3, new[0], new[1]]), 0);
    assert_eq!(guest.at_path(Function::PathReadlink, &[3], "soft", &[0, 100, 120]), 0);
    assert_eq!((guest.u32(120), guest.memory[0]), (1, b'f'));
    assert_eq!(guest.at_path(Function::PathReadlink, &[3], "f", &[0, 100, 120]), 28);
    let file = guest.open("soft", 0, READ, 0).unwrap();
    assert_eq!(guest.moved().read(file, 9).unwrap(), b"x");
}

#[test]
fn a_link_is_not_followed_where_the_guest_says_so() {
    if !links_can_be_made() {
        return;
    }
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("f"), b"x").unwrap();
    let mut guest = Guest::in_dir(dir.path());
    let target = guest.path("f");
    let link = guest.other_path("l");
    assert_eq!(guest.call(Function::PathSymlink, &[target[0], target[1], 3, link[0], link[1]]), 0);
    let [at, len] = guest.path("l");
    assert_eq!(guest.call(Function::PathOpen, &[3, 0, at, len, 0, READ, 0, 0, 0]), 32);
    assert_eq!(guest.call(Function::PathFilestatGet, &[3, 0, at, len, 0]), 0);
    assert_eq!(guest.memory[16], 7);
    assert_eq!(guest.call(Function::PathFilestatGet, &[3, 1, at, len, 0]), 0);
    assert_eq!(guest.memory[16], 4);
}

#[test]
fn no_path_leads_out() {
    let outside = tempdir().unwrap();
    fs::write(outside.path().join("secret"), b"s").unwrap();
    let dir = outside.path().join("inside");
    fs::create_dir(&dir).unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("../secret", dir.join("out")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret"), dir.join("absolute")).unwrap();
        std::os::unix::fs::symlink("..", dir.join("up")).unwrap();
    }
    let absolute = outside.path().join("secret");
    let absolute = absolute.to_str().unwrap();
    let mut guest = Guest::in_dir(&dir);
    for path in ["../secret", "x/../../secret", absolute, "out", "absolute", "up/secret", ".."] {
        let refused = guest.open(path, 0, READ, 0).unwrap_err();
        assert!(matches!(refused, Errno::Perm | Errno::Noent), "{path}: {refused:?}");
        assert_ne!(guest.at_path(Function::PathUnlinkFile, &[3], "../secret", &[]), 0);
        assert_ne!(guest.at_path(Function::PathFilestatGet, &[3, 1], path, &[0]), 0, "{path}");
    }
    assert_eq!(guest.open("../secret", 0, READ, 0), Err(Errno::Perm));
    assert_eq!(guest.open("../new", 1, BOTH, 0), Err(Errno::Perm));
    let target = guest.path("/etc");
    let link = guest.other_path("l");
    assert_eq!(guest.call(Function::PathSymlink, &[target[0], target[1], 3, link[0], link[1]]), 63);
    assert!(outside.path().join("secret").exists());
}

#[test]
fn read_only_means_no_change() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("f"), b"x").unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    for moves in [false, true] {
        let mut guest = Guest::with_dir(dir.path(), true);
        if moves {
            // Given as writable now; the guest was started without that.
            guest.preopens[0].read_only = false;
            guest = guest.moved();
        }
        assert_eq!(guest.open("f", 0, BOTH, 0), Err(Errno::Perm));
        assert_eq!(guest.open("f", 0b1000, READ, 0), Err(Errno::Perm));
        assert_eq!(guest.open("g", 1, READ, 0), Err(Errno::Perm));
        assert_eq!(guest.at_path(Function::PathCreateDirectory, &[3], "e", &[]), 63);
        assert_eq!(guest.at_path(Function::PathRemoveDirectory, &[3], "d", &[]), 63);
        assert_eq!(guest.at_path(Function::PathUnlinkFile, &[3], "f", &[]), 63);
        let (old, new) = (guest.path("f"), guest.other_path("g"));
        assert_eq!(guest.call(Function::PathRename, &[3, old[0], old[1], 3, new[0], new[1]]), 63);
        assert_eq!(guest.call(Function::PathLink, &[3, 0, old[0], old[1], 3, new[0], new[1]]), 63);
        assert_eq!(guest.call(Function::PathSymlink, &[old[0], old[1], 3, new[0], new[1]]), 63);
        let times = [3, 1, old[0], old[1], 0, 0, 0b101];
        assert_eq!(guest.call(Function::PathFilestatSetTimes, &times), 63);
        let file = guest.open("f", 0, READ, 0).unwrap();
        assert_eq!(guest.write(file, b"y"), Err(Errno::Badf));
        assert_eq!(guest.call(Function::FdFilestatSetSize, &[file, 0]), 63);
        assert_eq!(guest.call(Function::FdFilestatSetTimes, &[file, 0, 0, 0b101]), 63);
        assert_eq!(guest.call(Function::FdFilestatSetTimes, &[3, 0, 0, 0b101]), 63);
        assert_eq!(guest.read(file, 9).unwrap(), b"x");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}

#[test]
fn open_files_go_by_their_new_names() {
    let dir = tempdir().unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    let mut guest = Guest::in_dir(dir.path());
    let file = guest.open("d/f", 1, BOTH, 0).unwrap();
    let sibling = guest.open("dx", 1, WRITE, 0).unwrap();
    guest.write(file, b"x").unwrap();
    // Windows does not rename a folder in which something is open.
    let (folder, renames) = if cfg!(windows) { ("d", 1) } else { ("e", 2) };
    for (old, new) in [("d/f", "d/g"), ("d", "e")].into_iter().take(renames) {
        let (old, new) = (guest.path(old), guest.other_path(new));
        assert_eq!(guest.call(Function::PathRename, &[3, old[0], old[1], 3, new[0], new[1]]), 0);
    }
    let mut guest = guest.moved();
    guest.write(file, b"y").unwrap();
    guest.write(sibling, b"z").unwrap();
    assert_eq!(fs::read(dir.path().join(folder).join("g")).unwrap(), b"xy");
    assert_eq!(fs::read(dir.path().join("dx")).unwrap(), b"z");
    let (old, new) = (guest.path("none"), guest.other_path("x"));
    assert_eq!(guest.call(Function::PathRename, &[3, old[0], old[1], 3, new[0], new[1]]), 44);
}
