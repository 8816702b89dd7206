//! What of the host a guest can see besides its inputs, and what a deterministic one sees instead.

use cap_fs_ext::MetadataExt;
use cap_std::fs::Metadata;

use crate::wasi::error::WasiError;
use crate::wasi::fd::Place;
use crate::wasi::state::{DirEntry, Stamp};
use crate::wasi::stdin::Source;
use crate::wasi::{Errno, Function, Outcome, Wasi, sys};

impl Wasi {
    /// That nothing the guest has is another in each run.
    pub(super) fn require_inputs(&self) -> Result<(), WasiError> {
        if !self.clock.is_virtual() {
            return Err(WasiError::NotDeterministic {
                what: "the host's clock: give a virtual one",
            });
        }
        if !matches!(self.stdin, Source::Null | Source::Bytes { .. }) {
            let what = "standard input as it comes: give its bytes, or none";
            return Err(WasiError::NotDeterministic { what });
        }
        Ok(())
    }

    /// Keeps the process's standard input from the guest, which waits if it asks for it.
    pub(crate) fn close_inherited_stdin(&mut self) {
        self.stdin.close_inherited();
    }

    /// What a call comes to that is refused. That a disk is full, or broken, or that the system has
    /// no more of something, is told to a deterministic guest by no host.
    pub(super) fn refusal(&mut self, function: Function, errno: Errno) -> Outcome {
        let is_hosts = match errno {
            Errno::Io | Errno::Nospc | Errno::Dquot | Errno::Fbig | Errno::Nfile => true,
            Errno::Mfile => !self.fds.is_full(),
            _ => false,
        };
        match self.failure.take() {
            Some(why) => Outcome::HostFailed(why),
            None if self.deterministic && is_hosts => {
                Outcome::HostFailed(format!("{}: {}", function.name(), errno.message()))
            }
            None => Outcome::Return(errno),
        }
    }

    /// Makes writes to outputs fail from so many charged steps on, as one did on a host whose
    /// snapshot is to be verified.
    pub(crate) fn fail_output_from(&mut self, steps: u64) {
        self.fails_from = Some(steps);
    }

    /// Lets the write pass that has just been made to fail: it is issued again.
    pub(crate) fn let_output_pass(&mut self) {
        self.passes = true;
    }

    /// Times of a deterministic guest's files, numbers and counts of links are all the same.
    pub(super) fn facts(&self, metadata: &Metadata, place: &Place, path: &str) -> Facts {
        if !self.deterministic {
            return Facts::of(metadata);
        }
        let size = if metadata.is_dir() { 0 } else { metadata.len() };
        Facts { ino: self.file_number(place, path), nlink: 1, size, ..Facts::default() }
    }

    /// The number of what a path leads to: programs take files with the same number for one. It
    /// follows from the path, which is all that hosts agree on; a link has one of its own.
    fn file_number(&self, place: &Place, path: &str) -> u64 {
        let mut names: Vec<&str> = Vec::new();
        for name in place.path.split('/').chain(path.split('/')) {
            match name {
                "" | "." => {}
                ".." => drop(names.pop()),
                name => names.push(name),
            }
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.preopens.get(place.preopen).map_or("", |dir| &dir.guest).as_bytes());
        for name in names {
            hasher.update(&[0]).update(name.as_bytes());
        }
        let hash = hasher.finalize();
        let (first, _) = hash.as_bytes().split_first_chunk().expect("a digest has 32 bytes");
        u64::from_le_bytes(*first)
    }

    /// Makes a listing what a deterministic guest is told.
    pub(super) fn settle_listing(&self, place: &Place, entries: &mut [DirEntry]) {
        if self.deterministic {
            for entry in entries {
                let inside = if entry.name == ".." { "." } else { &entry.name };
                entry.ino = self.file_number(place, inside);
            }
        }
    }

    /// By what a file is recognised.
    pub(super) fn settle_stamp(&self, stamp: Option<Stamp>) -> Option<Stamp> {
        settle_stamp(self.deterministic, stamp)
    }
}

/// A deterministic guest's files are recognised by their size alone: what it writes itself, it
/// writes at another time in each run.
pub(super) fn settle_stamp(deterministic: bool, stamp: Option<Stamp>) -> Option<Stamp> {
    let mtime_ns = |stamp: Stamp| if deterministic { 0 } else { stamp.mtime_ns };
    stamp.map(|stamp| Stamp { mtime_ns: mtime_ns(stamp), ..stamp })
}

/// What is told of a file besides its kind.
#[derive(Default)]
pub(super) struct Facts {
    pub dev: u64,
    pub ino: u64,
    pub nlink: u64,
    pub size: u64,
    /// When it was accessed, modified, and changed otherwise.
    pub times_ns: [u64; 3],
}

impl Facts {
    fn of(metadata: &Metadata) -> Facts {
        let time = |time: std::io::Result<cap_std::time::SystemTime>| {
            time.map_or(0, |time| crate::wasi::clock::since_epoch_ns(time.into_std()))
        };
        Facts {
            dev: metadata.dev(),
            ino: metadata.ino(),
            nlink: metadata.nlink(),
            size: metadata.len(),
            times_ns: [
                time(metadata.accessed()),
                time(metadata.modified()),
                sys::changed_ns(metadata),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasi::testing::Guest;
    use crate::wasi::{Clock, Function, Preopen, Stdin, WasiOptions};

    fn options(dir: &std::path::Path) -> WasiOptions {
        WasiOptions {
            preopens: vec![Preopen { host: dir.to_owned(), guest: "/".into(), read_only: false }],
            clock: Clock::Virtual,
            seed: Some(0),
            ..WasiOptions::default()
        }
    }

    /// What a guest is told of a directory with a file and a folder, and its state.
    fn told(dir: &std::path::Path) -> (Vec<u8>, String) {
        std::fs::create_dir(dir.join("folder")).unwrap();
        std::fs::write(dir.join("file"), "five!").unwrap();
        let mut guest = Guest::new(options(dir));
        guest.wasi = guest.wasi.deterministic().unwrap();
        let mut all = Vec::new();
        for path in ["file", "folder", ".", "folder/../file"] {
            guest.memory[0x400..0x400 + path.len()].copy_from_slice(path.as_bytes());
            let args = [3, 0, 0x400, path.len() as u64, 0x100];
            assert_eq!(guest.call(Function::PathFilestatGet, &args), 0);
            all.extend_from_slice(&guest.memory[0x100..0x140]);
        }
        assert_eq!(guest.call(Function::FdReaddir, &[3, 0x2000, 0x1000, 0, 0x100]), 0);
        let used = guest.u64(0x100) as u32 as usize;
        all.extend_from_slice(&guest.memory[0x2000..0x2000 + used]);
        (all, format!("{:?}", guest.wasi.state().unwrap()))
    }

    #[test]
    fn two_hosts_tell_the_same() {
        let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        std::thread::sleep(std::time::Duration::from_millis(10));
        std::fs::write(two.path().join("x"), "").unwrap();
        std::fs::remove_file(two.path().join("x")).unwrap();
        let (one, two) = (told(one.path()), told(two.path()));
        assert_eq!(one, two);
        let numbers: Vec<&[u8]> = one.0[..256].chunks(64).map(|stat| &stat[8..16]).collect();
        assert_eq!(numbers[0], numbers[3], "one file by two paths");
        assert!(numbers[0] != numbers[1] && numbers[1] != numbers[2]);
        assert_eq!(one.0[32..40], 5u64.to_le_bytes());
    }

    #[test]
    fn what_is_no_input_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let good = || options(folder.path());
        let refused =
            |options| Wasi::new(options).unwrap().deterministic().err().map(|e| e.to_string());
        assert_eq!(refused(good()), None);
        assert_eq!(refused(WasiOptions { stdin: Stdin::Bytes(vec![1]), ..good() }), None);
        let clock = refused(WasiOptions { clock: Clock::Host, ..good() }).unwrap();
        assert!(clock.contains("virtual"), "{clock}");
        let stdin = refused(WasiOptions { stdin: Stdin::Inherit, ..good() }).unwrap();
        assert!(stdin.contains("standard input"), "{stdin}");
    }
}
