use std::fs;
use std::path::Path;

use tempfile::tempdir;

use crate::wasi::state::{DirEntry, FdKind, FdState, PendingState, StdinState, WasiState};
use crate::wasi::testing::{BOTH, Guest, READ, WRITE, through_cbor};
use crate::wasi::{
    Errno, Function, Outcome, Preopen, RestoreOptions, Wasi, WasiError, WasiOptions,
};

fn preopen(host: &Path, guest: &str, read_only: bool) -> Preopen {
    Preopen { host: host.to_owned(), guest: guest.into(), read_only }
}

fn options(preopens: Vec<Preopen>) -> RestoreOptions {
    RestoreOptions { preopens, ..RestoreOptions::default() }
}

fn fails(state: &WasiState, options: RestoreOptions) -> WasiError {
    match Wasi::restore(state.clone(), options) {
        Ok(_) => panic!("restored"),
        Err(error) => error,
    }
}

#[test]
fn directories_are_mapped_anew() {
    let (here, there) = (tempdir().unwrap(), tempdir().unwrap());
    let mut guest = Guest::in_dir(here.path());
    let file = guest.open("f", 1, BOTH, 0).unwrap();
    guest.write(file, b"12345").unwrap();
    let mtime = fs::metadata(here.path().join("f")).unwrap().modified().unwrap();
    fs::write(there.path().join("f"), b"12345").unwrap();
    let copy = fs::File::options().write(true).open(there.path().join("f")).unwrap();
    copy.set_modified(mtime).unwrap();
    let mut guest = guest.moved_with(options(vec![preopen(there.path(), "/", false)])).unwrap();
    guest.write(file, b"6").unwrap();
    assert_eq!(fs::read(here.path().join("f")).unwrap(), b"12345");
    assert_eq!(fs::read(there.path().join("f")).unwrap(), b"123456");
}

#[test]
fn every_directory_must_be_given_and_no_other() {
    let dir = tempdir().unwrap();
    let state = Guest::in_dir(dir.path()).wasi.state().unwrap();
    let missing = fails(&state, options(vec![]));
    assert!(missing.to_string().contains("--dir HOST::/"), "{missing}");
    let here = || preopen(dir.path(), "/", false);
    let unknown = fails(&state, options(vec![here(), preopen(dir.path(), "/x", false)]));
    assert!(matches!(unknown, WasiError::PreopenUnknown { guest } if guest == "/x"));
    let twice = fails(&state, options(vec![here(), here()]));
    assert!(matches!(twice, WasiError::PreopenTwice { .. }));
    let gone = fails(&state, options(vec![preopen(&dir.path().join("no"), "/", false)]));
    assert!(matches!(gone, WasiError::PreopenUnusable { .. }));
}

#[test]
fn missing_and_changed_files_are_named() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, b"1").unwrap();
    let mut guest = Guest::in_dir(dir.path());
    guest.open("f", 0, READ, 0).unwrap();
    let state = through_cbor(&guest.wasi.state().unwrap());
    fs::write(&path, b"22").unwrap();
    let changed = fails(&state, guest.options());
    assert_eq!(
        changed.to_string(),
        "`/f` (descriptor 4) has changed since the snapshot was made: it had 1 bytes and has 2"
    );
    let allowed = RestoreOptions { allow_changed_files: true, ..guest.options() };
    assert!(Wasi::restore(state.clone(), allowed).is_ok());
    // Not every Windows takes the name away before all have closed it.
    assert_eq!(guest.call(Function::FdClose, &[4]), 0);
    fs::remove_file(&path).unwrap();
    assert!(matches!(fails(&state, guest.options()), WasiError::FileMissing { fd: 4, .. }));
    fs::create_dir(&path).unwrap();
    assert!(matches!(fails(&state, guest.options()), WasiError::FileChanged { fd: 4, .. }));
}

#[test]
fn same_size_later_time_is_a_change() {
    let dir = tempdir().unwrap();
    let mut guest = Guest::in_dir(dir.path());
    guest.open("f", 1, WRITE, 0).unwrap();
    let state = guest.wasi.state().unwrap();
    let file = fs::File::options().write(true).open(dir.path().join("f")).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let error = fails(&state, guest.options());
    assert!(error.to_string().ends_with("it was written again"), "{error}");
}

/// Symptom: a snapshot taken on Linux found every file changed on Windows, and behind `scp -p`.
/// Cause: times were compared to the nanosecond, which neither keeps.
#[test]
fn a_copy_whose_time_is_cut_is_no_change() {
    use std::time::{Duration, UNIX_EPOCH};
    let dir = tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, b"1").unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    let set = |ns| file.set_modified(UNIX_EPOCH + Duration::from_nanos(ns)).unwrap();
    const NOW: u64 = 1_700_000_001_123_456_700;
    set(NOW);
    let mut guest = Guest::in_dir(dir.path());
    guest.open("f", 0, READ, 0).unwrap();
    let state = guest.wasi.state().unwrap();
    for unit in [1, 1_000, 1_000_000, 1_000_000_000, 2_000_000_000] {
        set(NOW - NOW % unit);
        assert!(Wasi::restore(state.clone(), guest.options()).is_ok(), "cut to {unit} ns");
    }
    for other in [NOW - 100, NOW + 100, NOW - NOW % 1_000 + 1_000, NOW + 1_000_000_000] {
        set(other);
        assert!(Wasi::restore(state.clone(), guest.options()).is_err(), "{other}");
    }
    // And back again, to where the time is whole.
    set(NOW - NOW % 1_000_000_000);
    let guest = guest.moved();
    let state = guest.wasi.state().unwrap();
    set(NOW);
    assert!(Wasi::restore(state, guest.options()).is_ok());
}

#[test]
fn reopening_neither_creates_nor_truncates() {
    let dir = tempdir().unwrap();
    let mut guest = Guest::in_dir(dir.path());
    let file = guest.open("f", 0b1101, BOTH, 0).unwrap();
    guest.write(file, b"kept").unwrap();
    let mut guest = guest.moved();
    assert_eq!(guest.pread(file, 9, 0).unwrap(), b"kept");
    let state = guest.wasi.state().unwrap();
    assert_eq!(guest.call(Function::FdClose, &[file]), 0);
    fs::remove_file(dir.path().join("f")).unwrap();
    fails(&state, guest.options());
    assert!(!dir.path().join("f").exists());
}

#[test]
fn what_has_no_name_cannot_be_captured() {
    let dir = tempdir().unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    let mut guest = Guest::in_dir(dir.path());
    let file = guest.open("f", 1, BOTH, 0).unwrap();
    assert_eq!(guest.at_path(Function::PathUnlinkFile, &[3], "f", &[]), 0);
    if cfg!(windows) && dir.path().join("f").exists() {
        // An old Windows, or wine: the name is there for as long as it is open.
        return;
    }
    let unlinked = guest.wasi.state().unwrap_err();
    assert!(matches!(&unlinked, WasiError::FileUnlinked { fd: 4, path } if path == "/f"));
    fs::write(dir.path().join("f"), b"another").unwrap();
    assert!(guest.wasi.state().is_err(), "another file of that name is not it");
    assert_eq!(guest.call(Function::FdClose, &[file]), 0);
    assert!(guest.wasi.state().is_ok());
    guest.open("d", 0b10, READ, 0).unwrap();
    fs::remove_dir(dir.path().join("d")).unwrap();
    assert!(matches!(guest.wasi.state(), Err(WasiError::FileUnlinked { .. })));
}

#[test]
fn a_directory_may_become_read_only() {
    let dir = tempdir().unwrap();
    let mut guest = Guest::in_dir(dir.path());
    let writer = guest.open("f", 1, WRITE, 0).unwrap();
    let read_only = || options(vec![preopen(dir.path(), "/", true)]);
    let state = guest.wasi.state().unwrap();
    assert!(matches!(fails(&state, read_only()), WasiError::FileReadOnly { fd: 4, .. }));
    guest.call(Function::FdClose, &[writer]);
    guest.open("f", 0, READ, 0).unwrap();
    let mut guest = guest.moved_with(read_only()).unwrap();
    assert_eq!(guest.open("g", 1, WRITE, 0), Err(Errno::Perm));
}

#[test]
fn a_closed_directory_still_holds_its_files() {
    let dir = tempdir().unwrap();
    let mut guest = Guest::in_dir(dir.path());
    let file = guest.open("f", 1, BOTH, 0).unwrap();
    assert_eq!(guest.call(Function::FdClose, &[3]), 0);
    let mut guest = guest.moved();
    assert_eq!(guest.write(file, b"x"), Ok(1));
    assert_eq!(guest.call(Function::FdPrestatGet, &[3, 0]), 8);
}

#[test]
fn exits_are_remembered() {
    let mut guest = Guest::new(WasiOptions::default());
    assert_eq!(guest.outcome(Function::ProcExit, &[3]), Outcome::Exit(3));
    assert_eq!(guest.moved().wasi.state().unwrap().exit, Some(3));
    let mut guest = Guest::new(WasiOptions::default());
    assert_eq!(guest.call(Function::ProcRaise, &[6]), 58);
    assert_eq!(guest.outcome(Function::ProcRaise, &[31]), Outcome::Trap("no such signal"));
    assert_eq!(guest.call(Function::SchedYield, &[]), 0);
}

fn file(path: &str, preopen: u32) -> FdState {
    FdState {
        kind: FdKind::File {
            preopen,
            path: path.into(),
            read: true,
            write: false,
            offset: 0,
            stamp: None,
        },
        flags: 0,
        dropped: 0,
        dropped_inheriting: 0,
    }
}

#[test]
fn forged_states_reach_nothing_outside() {
    let outside = tempdir().unwrap();
    fs::write(outside.path().join("secret"), b"s").unwrap();
    let dir = outside.path().join("inside");
    fs::create_dir(&dir).unwrap();
    let guest = Guest::in_dir(&dir);
    let state = guest.wasi.state().unwrap();
    let absolute = outside.path().join("secret");
    for path in ["../secret", absolute.to_str().unwrap(), "a/../../secret", "\0", ""] {
        let mut forged = state.clone();
        forged.fds.insert(4, file(path, 0));
        let allowed = RestoreOptions { allow_changed_files: true, ..guest.options() };
        fails(&forged, allowed);
    }
    let mut forged = state.clone();
    forged.stdin = StdinState::File {
        path: absolute.to_str().unwrap().into(),
        offset: 0,
        stamp: crate::wasi::state::Stamp { size: 1, mtime_ns: 0 },
    };
    assert!(matches!(fails(&forged, guest.options()), WasiError::StdinNotGiven { .. }));
}

#[test]
fn contradictions_are_malformed() {
    let dir = tempdir().unwrap();
    let guest = Guest::in_dir(dir.path());
    let state = guest.wasi.state().unwrap();
    let malformed = |change: &dyn Fn(&mut WasiState)| {
        let mut forged = state.clone();
        change(&mut forged);
        let error = fails(&forged, guest.options());
        assert!(matches!(error, WasiError::Malformed(_)), "{error}");
    };
    malformed(&|state| drop(state.fds.insert(4, file("f", 1))));
    malformed(&|state| drop(state.fds.insert(65_536, file("f", 0))));
    malformed(&|state| state.fds.get_mut(&1).unwrap().flags = 0x20);
    malformed(&|state| state.preopens.push(state.preopens[0].clone()));
    malformed(&|state| state.random.word = 16);
    malformed(&|state| {
        let pending = PendingState { function: "fd_reed".into(), args: vec![], since_ns: 0 };
        state.pending = Some(pending);
    });
    malformed(&|state| {
        let entry = DirEntry { name: String::new(), ino: 0, filetype: 8 };
        state.fds.get_mut(&3).unwrap().kind =
            FdKind::Preopen { preopen: 0, listing: Some(vec![entry]) };
    });
}

/// Any call on any memory returns, exits or waits, and leaves a state that
/// can be captured or says why not.
#[test]
fn random_calls_never_panic() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("f"), b"content").unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for round in 0..40 {
        let mut guest = Guest::in_dir(dir.path());
        for byte in &mut guest.memory {
            *byte = if next() % 4 == 0 { next() as u8 } else { 0 };
        }
        for (at, name) in [(8, &b"f"[..]), (16, b"d"), (24, b"../f"), (32, b"new")] {
            guest.put(at, name);
        }
        for _ in 0..400 {
            let function = Function::ALL[next() as usize % Function::ALL.len()];
            let mut args: Vec<u64> = function
                .params()
                .iter()
                .map(|_| match next() % 6 {
                    0 => next(),
                    1 => next() % 0x1_0010,
                    2 => u64::from(u32::MAX) - next() % 8,
                    3 => next() % 40,
                    _ => next() % 8,
                })
                .collect();
            // Files of a petabyte would fill the disk of whoever runs this.
            match function {
                Function::FdAllocate => args[1..].iter_mut().for_each(|arg| *arg %= 1 << 16),
                Function::FdFilestatSetSize | Function::FdPwrite => {
                    args[1..].iter_mut().for_each(|arg| *arg %= 1 << 16);
                }
                Function::FdSeek => args[1] %= 1 << 16,
                _ => {}
            }
            guest.steps += 1;
            guest.outcome(function, &args);
        }
        match guest.wasi.state() {
            Ok(state) => {
                through_cbor(&state);
                Wasi::restore(state, guest.options()).unwrap();
            }
            Err(error) => {
                assert!(matches!(error, WasiError::FileUnlinked { .. }), "{round}: {error}")
            }
        }
        guest.wasi.call(Function::FdRead, &[1], &mut [], 0);
    }
}
