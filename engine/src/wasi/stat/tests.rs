use std::fs;
use std::time::{Duration, SystemTime};

use tempfile::tempdir;

use crate::wasi::testing::{BOTH, Guest, READ};
use crate::wasi::{Clock, Function, Preopen, WasiOptions};

#[test]
fn attributes_are_told() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("f"), b"12345").unwrap();
    let mut guest = Guest::in_dir(dir.path());
    let file = guest.open("f", 0, READ, 0).unwrap();
    let mut guest = guest.moved();
    assert_eq!(guest.call(Function::FdFilestatGet, &[file, 0]), 0);
    assert_eq!(guest.at_path(Function::PathFilestatGet, &[3, 1], "f", &[64]), 0);
    assert_eq!(guest.memory[..64], guest.memory[64..128]);
    assert_eq!((guest.memory[16], guest.u64(24), guest.u64(32)), (4, 1, 5));
    assert_ne!(guest.u64(8), 0, "an inode number");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let age = now - Duration::from_nanos(guest.u64(48));
    assert!(age < Duration::from_secs(60));
    assert_eq!(guest.call(Function::FdFilestatGet, &[3, 0]), 0);
    assert_eq!(guest.memory[16], 3);
    assert_eq!(guest.call(Function::FdFilestatGet, &[0, 0]), 0);
    assert_eq!(guest.memory[..64], [0; 64]);
    assert_eq!(guest.call(Function::FdFilestatGet, &[9, 0]), 8);
    assert_eq!(guest.at_path(Function::PathFilestatGet, &[3, 0], "g", &[64]), 44);
    assert_eq!(guest.at_path(Function::PathFilestatGet, &[3, 2], "f", &[64]), 21);
}

#[test]
fn sizes_change() {
    let dir = tempdir().unwrap();
    let mut guest = Guest::in_dir(dir.path());
    let file = guest.open("f", 1, BOTH, 0).unwrap();
    guest.write(file, b"12345").unwrap();
    assert_eq!(guest.call(Function::FdFilestatSetSize, &[file, 2]), 0);
    assert_eq!(fs::read(dir.path().join("f")).unwrap(), b"12");
    assert_eq!(guest.call(Function::FdFilestatSetSize, &[file, 4]), 0);
    assert_eq!(guest.moved().pread(file, 9, 0).unwrap(), b"12\0\0");
}

#[test]
fn times_change() {
    let dir = tempdir().unwrap();
    let mut guest = Guest::in_dir(dir.path());
    let file = guest.open("f", 1, BOTH, 0).unwrap();
    assert_eq!(guest.call(Function::FdFilestatSetTimes, &[file, 1_000, 2_000_000_000, 0b101]), 0);
    assert_eq!(guest.call(Function::FdFilestatGet, &[file, 0]), 0);
    assert_eq!((guest.u64(40), guest.u64(48)), (1_000, 2_000_000_000));
    let times = [0, 7_000_000_000, 0b100];
    assert_eq!(guest.at_path(Function::PathFilestatSetTimes, &[3, 1], "f", &times), 0);
    assert_eq!(guest.call(Function::FdFilestatGet, &[file, 0]), 0);
    assert_eq!((guest.u64(40), guest.u64(48)), (1_000, 7_000_000_000));
    assert_eq!(guest.call(Function::FdFilestatSetTimes, &[3, 5_000, 0, 0b001]), 0);
    assert_eq!(guest.call(Function::FdFilestatGet, &[3, 0]), 0);
    assert_eq!(guest.u64(40), 5_000);
    assert_eq!(guest.call(Function::FdFilestatSetTimes, &[file, 0, 0, 0b011]), 28);
    assert_eq!(guest.call(Function::FdFilestatSetTimes, &[file, 0, 0, 0x10]), 21);
    assert_eq!(guest.call(Function::FdFilestatSetTimes, &[1, 0, 0, 0]), 8);
}

#[test]
fn now_is_the_guests() {
    let dir = tempdir().unwrap();
    let mut guest = Guest::new(WasiOptions {
        preopens: vec![Preopen {
            host: dir.path().to_owned(),
            guest: ".".into(),
            read_only: false,
        }],
        clock: Clock::Virtual,
        ..WasiOptions::default()
    });
    // In units of 100 ns, which is what Windows keeps.
    guest.steps = 7_700;
    let file = guest.open("f", 1, BOTH, 0).unwrap();
    assert_eq!(guest.call(Function::FdFilestatSetTimes, &[file, 0, 0, 0b1010]), 0);
    assert_eq!(guest.call(Function::FdFilestatGet, &[file, 0]), 0);
    assert_eq!(guest.u64(48), 1_767_225_600_000_007_700);
}
