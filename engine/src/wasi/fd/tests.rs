use tempfile::tempdir;

use crate::wasi::testing::{BOTH, Guest, READ, WRITE};
use crate::wasi::{Errno, Function, Preopen, Wasi, WasiOptions};

#[test]
fn the_lowest_free_number_is_opened_and_closed_ones_are_bad() {
    let dir = tempdir().unwrap();
    let mut guest = Guest::in_dir(dir.path());
    let first = guest.open("a", 1, BOTH, 0).unwrap();
    let second = guest.open("b", 1, BOTH, 0).unwrap();
    assert_eq!((first, second), (4, 5));
    assert_eq!(guest.call(Function::FdClose, &[first]), 0);
    assert_eq!(guest.call(Function::FdClose, &[first]), 8);
    assert_eq!(guest.open("a", 0, READ, 0), Ok(4));
    assert_eq!(guest.open("a", 0, READ, 0), Ok(6));
    assert_eq!(guest.call(Function::FdClose, &[0]), 0);
    let mut guest = guest.moved();
    assert_eq!(guest.open("a", 0, READ, 0), Ok(0));
    assert_eq!(guest.open("a", 0, READ, 0), Ok(7));
}

#[test]
fn renumber_replaces() {
    let dir = tempdir().unwrap();
    let mut guest = Guest::in_dir(dir.path());
    let a = guest.open("a", 1, BOTH, 0).unwrap();
    let b = guest.open("b", 1, BOTH, 0).unwrap();
    guest.write(a, b"from a").unwrap();
    assert_eq!(guest.call(Function::FdRenumber, &[a, b]), 0);
    assert_eq!(guest.call(Function::FdRenumber, &[a, b]), 8);
    assert_eq!(guest.call(Function::FdRenumber, &[b, 99]), 8);
    assert_eq!(guest.call(Function::FdRenumber, &[b, b]), 0);
    assert_eq!(guest.read(a, 1), Err(Errno::Badf));
    let mut guest = guest.moved();
    assert_eq!(guest.pread(b, 10, 0).unwrap(), b"from a");
    assert_eq!(guest.call(Function::FdRenumber, &[b, 1]), 0);
    assert_eq!(guest.write(1, b"!"), Ok(1));
    assert_eq!(guest.moved().pread(1, 10, 0).unwrap(), b"from a!");
}

#[test]
fn fdstat_tells_kind_flags_and_rights() {
    let dir = tempdir().unwrap();
    let mut guest = Guest::in_dir(dir.path());
    assert_eq!(guest.call(Function::FdFdstatGet, &[0, 0]), 0);
    assert_eq!((guest.memory[0], guest.u64(8)), (0, READ));
    assert_eq!(guest.call(Function::FdFdstatGet, &[1, 0]), 0);
    assert_eq!((guest.memory[0], guest.u64(8)), (0, WRITE));
    assert_eq!(guest.call(Function::FdFdstatGet, &[3, 0]), 0);
    assert_eq!(guest.memory[0], 3);
    assert_ne!(guest.u64(8) & 1 << 13, 0, "path_open");
    assert_ne!(guest.u64(16) & BOTH, 0);
    let file = guest.open("f", 1, WRITE, 0b101).unwrap();
    let mut guest = guest.moved();
    assert_eq!(guest.call(Function::FdFdstatGet, &[file, 0]), 0);
    assert_eq!((guest.memory[0], guest.u16(2)), (4, 0b101));
    assert_eq!(guest.u64(8) & BOTH, WRITE);
    assert_eq!(guest.call(Function::FdFdstatGet, &[9, 0]), 8);
}

#[test]
fn flags_can_be_set() {
    let dir = tempdir().unwrap();
    let mut guest = Guest::in_dir(dir.path());
    let file = guest.open("f", 1, BOTH, 0).unwrap();
    guest.write(file, b"0123").unwrap();
    assert_eq!(guest.call(Function::FdSeek, &[file, 0, 0, 0]), 0);
    assert_eq!(guest.call(Function::FdFdstatSetFlags, &[file, 1]), 0);
    let mut guest = guest.moved();
    guest.write(file, b"45").unwrap();
    assert_eq!(guest.call(Function::FdTell, &[file, 0]), 0);
    assert_eq!(guest.u64(0), 6);
    assert_eq!(guest.call(Function::FdFdstatSetFlags, &[file, 0b10010]), 28);
    assert_eq!(guest.call(Function::FdFdstatSetFlags, &[file, 0]), 0);
    assert_eq!(guest.pwrite(file, b"x", 0), Ok(1));
    assert_eq!(guest.pread(file, 9, 0).unwrap(), b"x12345");
    assert_eq!(guest.call(Function::FdFdstatSetFlags, &[file, 32]), 21);
    // As in wasmtime; Go programs try at every start.
    for other in 0..4 {
        assert_eq!(guest.call(Function::FdFdstatSetFlags, &[other, 4]), 8);
    }
}

/// Nobody can any more, but a snapshot of a time when one could is honoured.
#[test]
fn rights_that_were_given_up_stay_so() {
    let dir = tempdir().unwrap();
    let mut guest = Guest::in_dir(dir.path());
    let file = guest.open("f", 1, BOTH, 0).unwrap();
    for fd in [file, 3] {
        assert_eq!(guest.call(Function::FdFdstatSetRights, &[fd, READ, READ]), 58);
    }
    assert_eq!(guest.call(Function::FdFdstatSetRights, &[1, 0, 0]), 8);
    assert_eq!(guest.write(file, b"x"), Ok(1));
    let mut state = guest.wasi.state().unwrap();
    for (fd, dropped) in [(file as u32, !READ), (3, !(1 << 13))] {
        let state = state.fds.get_mut(&fd).unwrap();
        state.dropped = dropped & ((1 << 30) - 1);
        state.dropped_inheriting = !READ & ((1 << 30) - 1);
    }
    guest.wasi = Wasi::restore(state, guest.options()).unwrap();
    assert_eq!(guest.write(file, b"x"), Err(Errno::Notcapable));
    assert_eq!(guest.pread(file, 1, 0), Err(Errno::Notcapable));
    assert_eq!(guest.open("f", 0, WRITE, 0), Err(Errno::Notcapable));
    assert_eq!(guest.open("g", 1, READ, 0), Err(Errno::Notcapable));
    let again = guest.open("f", 0, READ, 0).unwrap();
    assert_eq!(guest.call(Function::FdSync, &[again]), 76);
}

#[test]
fn preopened_directories_have_names() {
    let dir = tempdir().unwrap();
    let preopen = |guest: &str| Preopen {
        host: dir.path().to_owned(),
        guest: guest.into(),
        read_only: false,
    };
    let guest = Guest::new(WasiOptions {
        preopens: vec![preopen("/data"), preopen("/other")],
        ..WasiOptions::default()
    });
    let mut guest = guest.moved();
    assert_eq!(guest.call(Function::FdPrestatGet, &[4, 0]), 0);
    assert_eq!((guest.u32(0), guest.u32(4)), (0, 6));
    assert_eq!(guest.call(Function::FdPrestatDirName, &[4, 0, 6]), 0);
    assert_eq!(&guest.memory[..6], b"/other");
    assert_eq!(guest.call(Function::FdPrestatDirName, &[4, 0, 5]), 37);
    assert_eq!(guest.call(Function::FdPrestatGet, &[0, 0]), 8);
    assert_eq!(guest.call(Function::FdPrestatGet, &[5, 0]), 8);
    assert_eq!(guest.call(Function::FdPrestatDirName, &[1, 0, 9]), 54);
}

#[test]
fn seek_and_tell() {
    let dir = tempdir().unwrap();
    let mut guest = Guest::in_dir(dir.path());
    let file = guest.open("f", 1, BOTH, 0).unwrap();
    guest.write(file, b"0123456789").unwrap();
    let back = (-3i64).cast_unsigned();
    assert_eq!(guest.call(Function::FdSeek, &[file, back, 2, 0]), 0);
    assert_eq!(guest.u64(0), 7);
    let mut guest = guest.moved();
    assert_eq!(guest.read(file, 2).unwrap(), b"78");
    assert_eq!(guest.call(Function::FdSeek, &[file, back, 1, 0]), 0);
    assert_eq!(guest.u64(0), 6);
    assert_eq!(guest.call(Function::FdSeek, &[file, back, 0, 0]), 28);
    assert_eq!(guest.call(Function::FdSeek, &[file, 0, 3, 0]), 21);
    assert_eq!(guest.call(Function::FdSeek, &[file, 1 << 40, 0, 0]), 0);
    assert_eq!(guest.read(file, 1), Ok(vec![]));
    assert_eq!(guest.call(Function::FdTell, &[file, 0]), 0);
    assert_eq!(guest.u64(0), 1 << 40);
    assert_eq!(guest.call(Function::FdSeek, &[file, u64::MAX / 2, 1, 0]), 0);
    assert_eq!(guest.call(Function::FdSeek, &[1, 0, 0, 0]), 70);
    assert_eq!(guest.call(Function::FdTell, &[0, 0]), 70);
    assert_eq!(guest.call(Function::FdSeek, &[3, 0, 0, 0]), 8);
    assert_eq!(guest.call(Function::FdTell, &[9, 0]), 8);
}

#[test]
fn sync_advise_allocate() {
    let dir = tempdir().unwrap();
    let mut guest = Guest::in_dir(dir.path());
    let file = guest.open("f", 1, BOTH, 0).unwrap();
    assert_eq!(guest.call(Function::FdSync, &[file]), 0);
    assert_eq!(guest.call(Function::FdDatasync, &[file]), 0);
    assert_eq!(guest.call(Function::FdSync, &[3]), 8);
    for advice in 0..6 {
        assert_eq!(guest.call(Function::FdAdvise, &[file, 0, 0, advice]), 0);
    }
    assert_eq!(guest.call(Function::FdAdvise, &[file, 0, 0, 6]), 21);
    assert_eq!(guest.call(Function::FdAllocate, &[file, 0, 5]), 58);
    assert_eq!(guest.call(Function::FdAllocate, &[3, 0, 5]), 8);
}

#[test]
fn nothing_is_a_socket() {
    let mut guest = Guest::new(WasiOptions::default());
    assert_eq!(guest.call(Function::SockAccept, &[0, 0, 0]), 57);
    assert_eq!(guest.call(Function::SockRecv, &[0; 6]), 57);
    assert_eq!(guest.call(Function::SockSend, &[1, 0, 0, 0, 0]), 57);
    assert_eq!(guest.call(Function::SockShutdown, &[9, 0]), 8);
}
