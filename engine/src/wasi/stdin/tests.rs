use std::fs;
use std::io::{self, Read};
use std::sync::mpsc;

use tempfile::tempdir;

use crate::wasi::feed::Feed;
use crate::wasi::state::StdinState;
use crate::wasi::testing::{Guest, through_cbor};
use crate::wasi::{Function, Outcome, RestoreOptions, Stdin, Wasi, WasiError, WasiOptions};

/// A reader that blocks until its test sends something, as a terminal does.
struct Typed(mpsc::Receiver<&'static [u8]>);

impl Read for Typed {
    fn read(&mut self, mut buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.recv() {
            Ok(bytes) => io::Write::write(&mut buffer, bytes),
            Err(_) => Ok(0),
        }
    }
}

fn typing() -> (mpsc::Sender<&'static [u8]>, Guest) {
    let (keyboard, typed) = mpsc::channel();
    (keyboard, Guest::fed_by(Feed::blocking(Typed(typed)).unwrap()))
}

/// Reads once there is something, as the engine does.
fn read(guest: &mut Guest, len: usize) -> Vec<u8> {
    loop {
        let args = guest.read_args(0, len);
        match guest.outcome(Function::FdRead, &args) {
            Outcome::Wait(wait) => guest.wasi.block_on(&wait, &|| false),
            Outcome::Return(errno) => {
                assert_eq!(errno.code(), 0);
                let count = guest.u32(0x100) as usize;
                return guest.memory[0x1000..0x1000 + count].to_vec();
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_read_waits_for_input_and_for_its_end() {
    let (keyboard, mut guest) = typing();
    let args = guest.read_args(0, 5);
    let wait = guest.waits(Function::FdRead, &args);
    assert!(wait.stdin && wait.deadline_ns.is_none());
    assert!(!guest.wasi.is_ready(&wait));
    keyboard.send(b"hello world").unwrap();
    assert_eq!(read(&mut guest, 5), b"hello");
    assert_eq!(read(&mut guest, 50), b" world");
    drop(keyboard);
    assert_eq!(read(&mut guest, 5), b"");
    let mut guest = guest.moved();
    assert_eq!(guest.read(0, 5), Ok(vec![]), "the end stays the end");
}

#[test]
fn what_was_read_ahead_travels() {
    let (keyboard, mut guest) = typing();
    keyboard.send(b"one two").unwrap();
    assert_eq!(read(&mut guest, 4), b"one ");
    let state = through_cbor(&guest.wasi.state().unwrap());
    let StdinState::Inherit { ahead, eof } = &state.stdin else {
        panic!("inherited");
    };
    assert_eq!((&ahead.0[..], *eof), (&b"two"[..], false));
    // The original goes on with what it had, and so does the copy.
    assert_eq!(read(&mut guest, 9), b"two");
    let mut copy = Wasi::restore(state, RestoreOptions::default()).unwrap();
    std::mem::swap(&mut copy, &mut guest.wasi);
    assert_eq!(guest.read(0, 9).unwrap(), b"two");
}

#[test]
fn what_arrived_unread_is_claimed_by_a_snapshot() {
    let (keyboard, mut guest) = typing();
    let args = guest.read_args(0, 5);
    let wait = guest.waits(Function::FdRead, &args);
    keyboard.send(b"late").unwrap();
    guest.wasi.block_on(&wait, &|| false);
    let mut guest = guest.moved();
    assert_eq!(read(&mut guest, 9), b"late");
}

#[test]
fn polling_waits_and_then_tells_that_there_is_something() {
    let (keyboard, mut guest) = typing();
    guest.put(8, &[1]);
    let args = [0, 64, 1, 128];
    let wait = guest.waits(Function::PollOneoff, &args);
    keyboard.send(b"abc").unwrap();
    guest.wasi.block_on(&wait, &|| false);
    assert_eq!(guest.call(Function::PollOneoff, &args), 0);
    assert_eq!((guest.u32(128), guest.u64(64 + 16)), (1, 1));
}

#[cfg(all(unix, not(target_vendor = "apple")))]
#[test]
fn a_withdrawn_demand_takes_nothing() {
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    let (mut keyboard, terminal) = UnixStream::pair().unwrap();
    let mut next_reader = terminal.try_clone().unwrap();
    let mut guest = Guest::fed_by(Feed::polled(terminal).unwrap());
    let args = guest.read_args(0, 5);
    let wait = guest.waits(Function::FdRead, &args);
    guest.wasi.state().unwrap();
    keyboard.write_all(b"for the shell").unwrap();
    let mut bytes = [0; 13];
    next_reader.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"for the shell");
    // Asking again sets the thread to work again.
    keyboard.write_all(b"x").unwrap();
    guest.wasi.block_on(&wait, &|| false);
    assert_eq!(read(&mut guest, 5), b"x");
}

fn reading(path: &std::path::Path) -> Guest {
    let mut guest =
        Guest::new(WasiOptions { stdin: Stdin::File(path.to_owned()), ..WasiOptions::default() });
    assert_eq!(guest.read(0, 4).unwrap(), b"0123");
    guest
}

fn given(stdin: Stdin) -> RestoreOptions {
    RestoreOptions { stdin: Some(stdin), ..RestoreOptions::default() }
}

#[test]
fn a_file_goes_on_where_it_was_or_is_replaced() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("input");
    fs::write(&path, b"0123456789").unwrap();
    let not_given = reading(&path).moved_with(RestoreOptions::default());
    let Err(WasiError::StdinNotGiven { offset: 4, .. }) = not_given else {
        panic!("a snapshot opens no file of the host by itself");
    };
    let same = given(Stdin::File(path.clone()));
    let mut same = reading(&path).moved_with(same).unwrap();
    assert_eq!(same.read(0, 3).unwrap(), b"456");
    let trusted = RestoreOptions { reopen_stdin: true, ..RestoreOptions::default() };
    let mut trusted = reading(&path).moved_with(trusted).unwrap();
    assert_eq!(trusted.read(0, 3).unwrap(), b"456");
    let other = dir.path().join("other");
    fs::write(&other, b"abc").unwrap();
    let mut replaced = reading(&path).moved_with(given(Stdin::File(other))).unwrap();
    assert_eq!(replaced.read(0, 9).unwrap(), b"abc");
    let mut replaced = reading(&path).moved_with(given(Stdin::Null)).unwrap();
    assert_eq!(replaced.read(0, 9), Ok(vec![]));
}

#[test]
fn a_changed_or_missing_file_is_an_error() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("input");
    fs::write(&path, b"0123456789").unwrap();
    let state = reading(&path).wasi.state().unwrap();
    let same = || given(Stdin::File(path.clone()));
    fs::write(&path, b"0123changed").unwrap();
    let changed = Wasi::restore(state.clone(), same());
    assert!(matches!(changed, Err(WasiError::FileChanged { .. })));
    let allowed = RestoreOptions { allow_changed_files: true, ..same() };
    assert!(Wasi::restore(state.clone(), allowed).is_ok());
    fs::remove_file(&path).unwrap();
    let missing = Wasi::restore(state, same());
    assert!(matches!(missing, Err(WasiError::StdinUnusable { .. })));
    let directory = Wasi::new(WasiOptions {
        stdin: Stdin::File(dir.path().to_owned()),
        ..WasiOptions::default()
    });
    assert!(matches!(directory, Err(WasiError::StdinUnusable { .. })));
}
