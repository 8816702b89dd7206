//! The programs: which there are, how much work each is given, where it lies.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A program to run.
#[derive(Debug, Clone)]
pub struct Program {
    /// What the table calls it.
    pub name: String,
    /// Whether it is one of the big ones: interpreters, databases, compressors, parsers.
    pub big: bool,
    /// The module.
    pub wasm: Vec<u8>,
    /// Its arguments, its own name first.
    pub args: Vec<String>,
    /// The folder it sees as `.`, if any.
    pub dir: Option<PathBuf>,
}

/// Where a module lies, and with it who builds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// Checked in among the example programs.
    Example,
    /// Checked in beside its sources in `bench/programs`.
    Kernel,
    /// In the cache, where `bench/programs/build.sh --only KIND` puts it.
    Cache(&'static str),
}

use Source::{Cache, Example, Kernel};

struct Entry {
    name: &'static str,
    source: Source,
    /// Arguments, 50 to 300 ms of work on a machine of 2024; then those of the short form.
    args: [&'static str; 2],
}

const fn entry(
    name: &'static str,
    source: Source,
    long: &'static str,
    short: &'static str,
) -> Entry {
    Entry { name, source, args: [long, short] }
}

const SMALL: &[Entry] = &[
    entry("fib", Example, "37", "15"),
    entry("tak", Kernel, "48", "13"),
    entry("ackermann", Kernel, "30", "1"),
    entry("sieve", Example, "30000000", "20000"),
    entry("stream", Example, "20000 1500", "1000"),
    entry("quicksort", Example, "1500000", "1000"),
    entry("nqueens", Example, "13", "5"),
    entry("simd", Example, "12000000", "100"),
    entry("matmul", Kernel, "20", "1"),
    entry("jacobi", Kernel, "500", "1"),
    entry("cholesky", Kernel, "100", "1"),
    entry("floyd", Kernel, "10", "1"),
    entry("coremark", Kernel, "1500", "2"),
    entry("nbody", Kernel, "1000000", "100"),
    entry("mandelbrot", Kernel, "600", "20"),
    entry("fannkuch", Kernel, "10", "5"),
    entry("trees", Kernel, "14 120", "5"),
    entry("hash", Kernel, "1000000", "100"),
    entry("vm", Kernel, "120000", "100"),
    entry("sha256", Cache("rust"), "30000", "10"),
    entry("blake3", Cache("rust"), "900", "1"),
];

const BIG: &[Entry] = &[
    entry("lua", Example, "bench.lua 100", "bench.lua 4"),
    entry("quickjs", Cache("c"), "quickjs.js 10", "quickjs.js 1"),
    entry("wasmi", Cache("rust"), "31", "8"),
    entry("sqlite", Cache("c"), "8000", "100"),
    entry("zstd", Cache("c"), "1000", "10"),
    entry("bzip2", Cache("c"), "1000", "10"),
    entry("miniz", Cache("rust"), "1000", "10"),
    entry("brotli", Cache("rust"), "600", "10"),
    entry("png", Cache("rust"), "12", "1"),
    entry("json", Example, "900", "2"),
    entry("serde-json", Cache("rust"), "100", "1"),
    entry("regex", Cache("rust"), "3500", "2"),
    entry("markdown", Cache("rust"), "250", "1"),
    entry("words", Cache("cpp"), "60", "1"),
];

/// Where programs are looked for.
#[derive(Debug)]
pub struct Folders {
    /// The folder `guest-examples`.
    pub examples: PathBuf,
    /// The folder `bench/programs`.
    pub programs: PathBuf,
    /// The folder of what is fetched and built.
    pub cache: PathBuf,
}

impl Folders {
    /// The usual ones below the project's folder.
    pub fn new(project: &Path) -> Folders {
        let base = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty());
        let base = base.map_or_else(
            || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache"),
            PathBuf::from,
        );
        Folders {
            examples: project.join("guest-examples"),
            programs: project.join("bench/programs"),
            cache: base.join("tasklet-guests"),
        }
    }

    fn path(&self, name: &str, source: Source) -> PathBuf {
        match (name, source) {
            ("lua", _) => self.examples.join("lua/lua.wasm"),
            (_, Example) => self.examples.join(name).with_extension("wasm"),
            (_, Kernel) => self.programs.join(name).with_extension("wasm"),
            (_, Cache(_)) => self.cache.join("bench").join(name).with_extension("wasm"),
        }
    }

    /// The folder of the script a program is given, if it takes one.
    fn scripts(&self, name: &str) -> Option<PathBuf> {
        match name {
            "lua" => Some(self.examples.join("lua")),
            "quickjs" => Some(self.programs.join("big")),
            _ => None,
        }
    }
}

/// The programs, and of those that are not there, which and how to get them.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Those that are there.
    pub programs: Vec<Program>,
    /// A line for each of the others.
    pub missing: Vec<String>,
}

/// Loads all programs with `only` in their name.
pub fn load(folders: &Folders, only: Option<&str>, short: bool) -> Result<Loaded> {
    let mut loaded = Loaded::default();
    let list =
        SMALL.iter().map(|entry| (entry, false)).chain(BIG.iter().map(|entry| (entry, true)));
    for (entry, big) in list.filter(|(entry, _)| only.is_none_or(|only| entry.name.contains(only)))
    {
        let path = folders.path(entry.name, entry.source);
        if let (Cache(kind), false) = (entry.source, path.exists()) {
            let name = entry.name;
            let line =
                format!("{name}: not there; bench/programs/build.sh --only {kind} builds it");
            loaded.missing.push(line);
            continue;
        }
        let wasm = std::fs::read(&path)
            .with_context(|| format!("cannot read {}; run from the project", path.display()))?;
        let args = entry.args[usize::from(short)].split(' ');
        loaded.programs.push(Program {
            name: entry.name.into(),
            big,
            wasm,
            args: std::iter::once(entry.name).chain(args).map(str::to_owned).collect(),
            dir: folders.scripts(entry.name),
        });
    }
    Ok(loaded)
}
