use tempfile::tempdir;

use crate::wasi::testing::{BOTH, Guest, READ, WRITE};
use crate::wasi::{Errno, Function, Output, RestoreOptions, Stdin, WasiOptions};

#[test]
fn files_are_read_and_written_in_place() {
    let dir = tempdir().unwrap();
    let mut guest = Guest::in_dir(dir.path());
    let file = guest.open("f", 1, BOTH, 0).unwrap();
    assert_eq!(guest.write(file, b"hello world"), Ok(11));
    let mut guest = guest.moved();
    assert_eq!(guest.write(file, b"!"), Ok(1));
    assert_eq!(guest.pwrite(file, b"W", 6), Ok(1));
    assert_eq!(guest.pread(file, 100, 6).unwrap(), b"World!");
    assert_eq!(guest.read(file, 5), Ok(vec![]));
    assert_eq!(std::fs::read(dir.path().join("f")).unwrap(), b"hello World!");
}

/// Symptom: every C program that printed took fewer steps than in wasmtime. Cause: a gathered
/// write took all its buffers at once, where wasmtime takes one and the C library writes the rest
/// with another call. Now one buffer is taken, the first that is not empty.
#[test]
fn one_buffer_is_used_at_a_time() {
    let dir = tempdir().unwrap();
    std::fs::write(dir.path().join("f"), b"abcdef").unwrap();
    let mut guest = Guest::in_dir(dir.path());
    let file = guest.open("f", 0, BOTH, 0).unwrap();
    for (at, value) in [(0, 300u32), (4, 0), (8, 100), (12, 2), (16, 200), (20, 3)] {
        guest.put(at, &value.to_le_bytes());
    }
    assert_eq!(guest.call(Function::FdRead, &[file, 0, 3, 64]), 0);
    assert_eq!(guest.u32(64), 2);
    assert_eq!((&guest.memory[100..102], &guest.memory[200..203]), (&b"ab"[..], &[0; 3][..]));
    assert_eq!(guest.call(Function::FdPwrite, &[file, 0, 3, 6, 64]), 0);
    assert_eq!(std::fs::read(dir.path().join("f")).unwrap(), b"abcdefab");
    assert_eq!(guest.call(Function::FdWrite, &[1, 0, 3, 64]), 0);
    assert_eq!(guest.u32(64), 2);
    assert_eq!(guest.call(Function::FdRead, &[file, 0, 3, u64::from(u32::MAX)]), 21);
    // What is asked for beyond the end of memory only matters where there is so much to read.
    guest.put(4, &u32::MAX.to_le_bytes());
    assert_eq!(guest.call(Function::FdPread, &[file, 0, 1, 100, 64]), 0);
    guest.put(0, &0xffff_u32.to_le_bytes());
    assert_eq!(guest.call(Function::FdPread, &[file, 0, 1, 7, 64]), 0);
    assert_eq!((guest.u32(64), guest.memory[0xffff]), (1, b'b'));
    assert_eq!(guest.call(Function::FdPread, &[file, 0, 1, 6, 64]), 21);
}

#[test]
fn appending_goes_to_the_end() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("log");
    std::fs::write(&path, b"old ").unwrap();
    let mut guest = Guest::in_dir(dir.path());
    let file = guest.open("log", 0, WRITE, 1).unwrap();
    guest.write(file, b"new ").unwrap();
    let mut guest = guest.moved();
    guest.pwrite(file, b"end", 0).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"old new end");
}

#[test]
fn descriptors_do_what_they_were_opened_for() {
    let dir = tempdir().unwrap();
    let mut guest = Guest::in_dir(dir.path());
    let writer = guest.open("f", 1, WRITE, 0).unwrap();
    let reader = guest.open("f", 0, READ, 0).unwrap();
    let mut guest = guest.moved();
    assert_eq!(guest.read(writer, 1), Err(Errno::Badf));
    assert_eq!(guest.pread(writer, 1, 0), Err(Errno::Badf));
    assert_eq!(guest.write(reader, b"x"), Err(Errno::Badf));
    assert_eq!(guest.read(3, 1), Err(Errno::Badf));
    assert_eq!(guest.write(3, b"x"), Err(Errno::Badf));
    assert_eq!(guest.read(1, 1), Err(Errno::Badf));
    assert_eq!(guest.write(0, b"x"), Err(Errno::Badf));
    assert_eq!(guest.pread(0, 1, 0), Err(Errno::Spipe));
    assert_eq!(guest.pwrite(1, b"x", 0), Err(Errno::Spipe));
    assert_eq!(guest.read(77, 1), Err(Errno::Badf));
}

#[test]
fn output_goes_on_and_is_counted() {
    let (stdout, first) = Output::capture();
    let (stderr, errors) = Output::capture();
    let mut guest = Guest::new(WasiOptions { stdout, stderr, ..WasiOptions::default() });
    assert_eq!(guest.write(1, b"one "), Ok(4));
    assert_eq!(guest.write(2, b"oops"), Ok(4));
    let (stdout, second) = Output::capture();
    let mut guest =
        guest.moved_with(RestoreOptions { stdout, ..RestoreOptions::default() }).unwrap();
    assert_eq!(guest.write(1, b"two"), Ok(3));
    assert_eq!((first.bytes(), second.bytes()), (b"one ".to_vec(), b"two".to_vec()));
    assert_eq!(errors.bytes(), b"oops");
    let state = guest.wasi.state().unwrap();
    assert_eq!((state.stdout_bytes, state.stderr_bytes), (7, 4));
}

#[test]
fn a_closed_output_is_an_error() {
    struct Closed;
    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut guest =
        Guest::new(WasiOptions { stdout: Output::new(Closed), ..WasiOptions::default() });
    assert_eq!(guest.write(1, b"x"), Err(Errno::Pipe));
}

#[test]
fn standard_input_of_bytes_travels() {
    let mut guest = Guest::new(WasiOptions {
        stdin: Stdin::Bytes(b"first second".to_vec()),
        ..WasiOptions::default()
    });
    assert_eq!(guest.read(0, 6).unwrap(), b"first ");
    let mut guest = guest.moved();
    assert_eq!(guest.read(0, 100).unwrap(), b"second");
    assert_eq!(guest.moved().read(0, 1), Ok(vec![]));
}
