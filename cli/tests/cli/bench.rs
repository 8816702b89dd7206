//! An empty folder to run the binary in.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

pub struct Bench {
    folder: TempDir,
    cache: PathBuf,
}

/// How a run ended.
#[derive(Debug, PartialEq)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Bench {
    pub fn new() -> Bench {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
        Bench { folder: TempDir::new().expect("a folder"), cache }
    }

    /// A bench whose cache of modules is empty.
    pub fn with_own_cache() -> Bench {
        let bench = Bench::new();
        let cache = bench.folder.path().join(".cache");
        Bench { cache, ..bench }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).expect("write a file of a test");
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("read a file of a test")
    }

    /// Names of all files in the folder but the cache's.
    pub fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).expect("list the folder");
        let name = |entry: std::io::Result<fs::DirEntry>| {
            entry.expect("an entry").file_name().into_string().expect("a name in UTF-8")
        };
        let mut names: Vec<String> =
            entries.map(name).filter(|name| name.as_str() != ".cache").collect();
        names.sort();
        names
    }

    /// The binary, to be run in the folder.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tasklet"));
        self.at_home(&mut command).args(args).stdin(Stdio::null());
        command
    }

    /// Lets a command run in the folder, with the cache of this bench.
    pub fn at_home<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .current_dir(self.folder.path())
            .env_remove("TASKLET_CACHE_DIR")
            .env_remove("COLUMNS")
            .env("XDG_CACHE_HOME", &self.cache)
            .env("LOCALAPPDATA", &self.cache)
            .env("HOME", self.cache.join("home"))
    }

    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Run {
        Run::of(self.command(args).output().expect("run the binary"))
    }

    /// The same, with bytes piped in.
    pub fn run_with<S: AsRef<OsStr>>(
        &self,
        stdin: &[u8],
        args: impl IntoIterator<Item = S>,
    ) -> Run {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("run the binary");
        let mut pipe = child.stdin.take().expect("it is piped");
        let bytes = stdin.to_vec();
        // It may end without having read everything.
        let feeder = std::thread::spawn(move || pipe.write_all(&bytes).is_ok());
        let output = child.wait_with_output().expect("wait for the binary");
        feeder.join().expect("feeding does not panic");
        Run::of(output)
    }
}

impl Run {
    pub fn of(output: Output) -> Run {
        Run {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).expect("messages are UTF-8"),
        }
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("output is UTF-8")
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).expect("output is JSON")
    }

    /// Checks the exit code and returns the rest to look at.
    #[track_caller]
    pub fn exits(self, code: i32) -> Run {
        assert_eq!(
            self.code,
            Some(code),
            "{}{}",
            self.stderr,
            String::from_utf8_lossy(&self.stdout)
        );
        self
    }

    /// Checks what is on standard output.
    #[track_caller]
    pub fn prints(self, text: &str) -> Run {
        assert_eq!(self.text(), text, "{}", self.stderr);
        self
    }

    /// Checks that standard error has these words, and no panic.
    #[track_caller]
    pub fn says(self, words: &str) -> Run {
        assert!(self.stderr.contains(words), "not said: {words}\n{}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }
}

/// A program of guest-examples.
pub fn guest(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-examples");
    folder.join(format!("{name}.wasm")).display().to_string()
}

/// Arguments: a template's words, where `@name` stands for a program of guest-examples.
pub fn words(template: &str) -> Vec<String> {
    let word = |word: &str| match word.strip_prefix('@') {
        Some(name) => guest(name),
        None => word.to_string(),
    };
    template.split_whitespace().map(word).collect()
}
