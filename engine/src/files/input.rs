//! Inputs that are read as a whole.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// Opens what is to be read to its end: a plain file, or a pipe that somebody writes to. A pipe
/// without a writer, which would have to be waited for without end, is an error after a second, and
/// so is a device, which may have no end, at once.
///
/// # Errors
/// [`io::ErrorKind::IsADirectory`], [`io::ErrorKind::InvalidInput`] for a device or a socket,
/// [`io::ErrorKind::TimedOut`] for a pipe without a writer, and those of opening.
pub fn open_input(path: &Path) -> io::Result<Box<dyn Read>> {
    let kind = fs::metadata(path)?.file_type();
    if kind.is_file() {
        return Ok(Box::new(File::open(path)?));
    }
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    #[cfg(unix)]
    if std::os::unix::fs::FileTypeExt::is_fifo(&kind) {
        return pipe::open(path);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "a device or a socket, not a file or a pipe"))
}

#[cfg(unix)]
mod pipe {
    use std::fs::File;
    use std::io::{self, Cursor, Read};
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;
    use std::thread;
    use std::time::{Duration, Instant};

    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

    /// How long a writer may take to open its end.
    const PATIENCE: Duration = Duration::from_secs(1);

    pub(super) fn open(path: &Path) -> io::Result<Box<dyn Read>> {
        let flags = OFlags::NONBLOCK.bits() as i32;
        let mut file = File::options().read(true).custom_flags(flags).open(path)?;
        let begin = Instant::now();
        let mut first = [0; 1];
        loop {
            // At its end is what nobody writes to, and also what nobody writes to any more.
            match file.read(&mut first) {
                Ok(0) if begin.elapsed() >= PATIENCE => {
                    let what = "a pipe, to which nobody writes";
                    return Err(io::Error::new(io::ErrorKind::TimedOut, what));
                }
                Ok(0) => thread::sleep(Duration::from_millis(10)),
                Ok(_) => {
                    wait_for_bytes(&file)?;
                    return Ok(Box::new(Cursor::new(first).chain(file)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait_for_bytes(&file)?;
                    return Ok(Box::new(file));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// From here on a read waits for the writer.
    fn wait_for_bytes(file: &File) -> io::Result<()> {
        let flags = fcntl_getfl(file)? - OFlags::NONBLOCK;
        Ok(fcntl_setfl(file, flags)?)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(path: &Path) -> Result<Vec<u8>, io::ErrorKind> {
        let mut bytes = Vec::new();
        open_input(path)
            .and_then(|mut input| input.read_to_end(&mut bytes))
            .map_err(|e| e.kind())?;
        Ok(bytes)
    }

    #[test]
    fn what_has_no_end_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()), Err(io::ErrorKind::IsADirectory));
        assert_eq!(read(Path::new("/dev/zero")), Err(io::ErrorKind::InvalidInput));
        assert_eq!(read(&folder.path().join("no")), Err(io::ErrorKind::NotFound));
    }

    #[test]
    fn a_pipe_needs_a_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        assert_eq!(read(&path), Err(io::ErrorKind::TimedOut));
        let late = path.clone();
        let writer = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(100));
            let mut pipe = File::options().write(true).open(late).unwrap();
            for part in ["a", "b", "cd"] {
                std::thread::sleep(std::time::Duration::from_millis(20));
                pipe.write_all(part.as_bytes()).unwrap();
            }
        });
        assert_eq!(read(&path), Ok(b"abcd".to_vec()));
        writer.join().unwrap();
    }
}
