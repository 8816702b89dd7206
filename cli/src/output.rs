//! Data on standard output, talk on standard error, and files that are either whole or as before.

mod leftovers;

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use tempfile::{Builder, NamedTempFile};

use crate::exit::Code;
use crate::failure::Failure;

/// The file being written, so that who kills the process can remove it.
static UNFINISHED: Mutex<Option<PathBuf>> = Mutex::new(None);

/// How much is said on standard error.
#[derive(Debug, Clone, Copy)]
pub struct Talk {
    /// -1 errors only, 0 what one wants to know, 1 details.
    pub level: i8,
}

impl Talk {
    /// Says what one wants to know.
    pub fn say(self, text: &str) {
        if self.level >= 0 {
            complain(text);
        }
    }

    /// Says a detail.
    pub fn detail(self, text: &str) {
        if self.level >= 1 {
            complain(text);
        }
    }
}

/// Says something however quiet we are asked to be.
pub fn complain(text: &str) {
    // If nobody listens there is nobody to tell.
    let _ = writeln!(io::stderr(), "tasklet: {}", plain(text));
}

/// Text from a guest or a file without what would control a terminal.
pub fn plain(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => safe.push(c),
            c if c.is_control() => safe.extend(c.escape_default()),
            c => safe.push(c),
        }
    }
    safe
}

/// A path as a shell takes it for one word.
pub fn word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+=:@%,\\".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// Writes data to standard output.
///
/// # Errors
/// [`Code::ClosedPipe`] when its reader has gone, [`Code::Io`] otherwise.
pub fn print(data: &str) -> Result<()> {
    let mut stdout = io::stdout();
    match stdout.write_all(data.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Code::ClosedPipe, "standard output is closed").into())
        }
        Err(error) => {
            Err(Failure::new(Code::Io, "cannot write to standard output").source(error).into())
        }
    }
}

/// Where a file made by us goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// A file.
    File(PathBuf),
}

/// Who may read a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Its owner: a snapshot holds all of the guest's memory.
    Owner,
    /// Whom the umask lets.
    Usual,
}

impl Target {
    /// What `-o` means.
    pub fn new(path: &Path) -> Target {
        if path == Path::new("-") { Target::Stdout } else { Target::File(path.to_owned()) }
    }

    /// Finds out before the work is done whether its result can be written.
    ///
    /// # Errors
    /// [`Code::Usage`] for standard output on a terminal, [`Code::Io`] for a place where no file
    /// can be made.
    pub fn check(&self) -> Result<()> {
        match self {
            Target::Stdout if io::stdout().is_terminal() => {
                let failure =
                    Failure::new(Code::Usage, "the output is binary and would go to the terminal");
                Err(failure.help("give -o FILE, or pipe it into something").into())
            }
            Target::Stdout => Ok(()),
            Target::File(path) if path.is_dir() => {
                let failure = Failure::new(Code::Io, format!("`{}` is a folder", path.display()));
                Err(failure.help("name a file in it").into())
            }
            Target::File(path) => match Place::of(path) {
                Place::Special(path) => File::options().write(true).open(&path).map(drop),
                Place::Plain(path) => temporary(&path, Readers::Owner).map(drop),
            }
            .map_err(|error| unwritable(path, error)),
        }
    }

    /// Lets `write` write it, and returns what that returned and the number of bytes. A file
    /// appears as a whole, on disk, when all has gone well, or else is as it was before.
    ///
    /// # Errors
    /// Those of `write`, and [`Code::Io`].
    pub fn write<T>(
        &self,
        readers: Readers,
        write: impl FnOnce(&mut dyn Write) -> Result<T>,
    ) -> Result<(T, u64)> {
        match self {
            Target::Stdout => {
                let mut out = buffered(io::stdout().lock());
                let value = write(&mut out)?;
                out.flush().map_err(|error| {
                    Failure::new(Code::Io, "cannot write to standard output").source(error)
                })?;
                Ok((value, out.get_ref().count))
            }
            Target::File(path) => match Place::of(path) {
                Place::Special(special) => {
                    let file = File::options().write(true).open(&special);
                    let mut out = buffered(file.map_err(|error| unwritable(path, error))?);
                    let value = write(&mut out)?;
                    out.flush().map_err(|error| unwritable(path, error))?;
                    Ok((value, out.get_ref().count))
                }
                Place::Plain(real) => write_whole(path, &real, readers, write),
            },
        }
    }
}

/// What a path leads to.
enum Place {
    /// A pipe, a device, a directory: nothing to put a file in place of.
    Special(PathBuf),
    /// A file, or nothing yet.
    Plain(PathBuf),
}

impl Place {
    fn of(path: &Path) -> Place {
        // Behind a symbolic link it is the file itself that is replaced.
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        match fs::metadata(&real) {
            Ok(metadata) if !metadata.is_file() => Place::Special(real),
            _ => Place::Plain(real),
        }
    }
}

fn unwritable(path: &Path, error: io::Error) -> anyhow::Error {
    // What tempfile adds is its own name for the file, which nobody knows.
    let cause = error.to_string();
    let cause = cause.split(" at path ").next().unwrap_or_default();
    Failure::new(Code::Io, format!("cannot write `{}`: {cause}", path.display())).into()
}

/// A file beside `path` that is gone when dropped.
fn temporary(path: &Path, readers: Readers) -> io::Result<NamedTempFile> {
    let prefix = leftovers::prefix(path)?;
    let mut builder = Builder::new();
    builder.prefix(&prefix).suffix(leftovers::SUFFIX).rand_bytes(leftovers::RANDOM);
    #[cfg(unix)]
    if readers == Readers::Usual {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    #[cfg(not(unix))]
    let _ = readers;
    leftovers::claimed(|| builder.tempfile_in(directory(path)))
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn write_whole<T>(
    path: &Path,
    real: &Path,
    readers: Readers,
    write: impl FnOnce(&mut dyn Write) -> Result<T>,
) -> Result<(T, u64)> {
    leftovers::remove(real);
    let file = temporary(real, readers).map_err(|error| unwritable(path, error))?;
    let _mark = Unfinished::mark(file.path());
    let mut out = buffered(file);
    let value = write(&mut out)?;
    let place = || -> io::Result<u64> {
        let counted = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        counted.inner.as_file().sync_all()?;
        counted.inner.persist(real).map_err(|error| error.error)?;
        // The new name is on disk only when the directory is.
        #[cfg(unix)]
        File::open(directory(real))?.sync_all()?;
        Ok(counted.count)
    };
    let bytes = place().map_err(|error| unwritable(path, error))?;
    Ok((value, bytes))
}

/// Holds the name of the file being written.
struct Unfinished;

impl Unfinished {
    fn mark(path: &Path) -> Unfinished {
        *UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner) = Some(path.to_owned());
        Unfinished
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        *UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Removes what is half written; for who ends the process at once.
pub fn discard_unfinished() {
    if let Some(path) = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = fs::remove_file(path);
    }
}

fn buffered<W: Write>(inner: W) -> BufWriter<Counted<W>> {
    BufWriter::with_capacity(1 << 18, Counted { inner, count: 0 })
}

/// A writer and how many bytes went through it.
#[derive(Debug)]
pub struct Counted<T> {
    /// The writer.
    pub inner: T,
    /// Bytes so far.
    pub count: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.count += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_shell() {
        for plain in ["a.cbor", "../x/a-b_c+1.cbor", "/é.cbor"] {
            assert_eq!(word(Path::new(plain)), plain);
        }
        assert_eq!(word(Path::new("a b.cbor")), "'a b.cbor'");
        assert_eq!(word(Path::new("it's$HOME")), r"'it'\''s$HOME'");
    }
}
