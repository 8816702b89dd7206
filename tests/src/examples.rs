//! The guest examples, as `guest-examples/examples.json` lists them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use serde::Deserialize;
use tasklet_engine::wasi::Clock;
use tasklet_engine::{Entry, ValType, Value};

use crate::world::Setup;

/// One run of a program; the fields are explained in `guest-examples/README.md`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "they have their own documentation")]
pub struct Example {
    pub name: String,
    pub wasm: PathBuf,
    #[serde(default)]
    pub args: Vec<String>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    pub stdin: Option<PathBuf>,
    pub files: Option<BTreeMap<String, PathBuf>>,
    #[serde(default = "here")]
    pub folder: String,
    pub stdout: Option<PathBuf>,
    #[serde(default)]
    pub stdout_varies: bool,
    #[serde(default)]
    pub endless: bool,
    #[serde(default)]
    pub exit: u32,
    pub trap: Option<String>,
    pub invoke: Option<String>,
    #[serde(default)]
    pub values: Vec<String>,
    #[serde(default)]
    pub results: Vec<String>,
}

fn here() -> String {
    ".".into()
}

fn folder() -> PathBuf {
    crate::root().join("guest-examples")
}

/// All of them.
pub fn all() -> Vec<Example> {
    let text = std::fs::read(folder().join("examples.json")).expect("examples.json is there");
    serde_json::from_slice(&text).expect("examples.json is as its README says")
}

/// Programs that nobody wrote for us: those of `tests/real/programs.json`. Their paths are below the
/// root, or with `cache:` below the folder of what is fetched and built.
pub fn real() -> Vec<Example> {
    let root = crate::root();
    let text = std::fs::read(root.join("tests/real/programs.json")).expect("it is checked in");
    let mut all: Vec<Example> = serde_json::from_slice(&text).expect("as examples.json");
    let whole = |path: &mut PathBuf| match path.to_string_lossy().strip_prefix("cache:") {
        Some(below) => *path = cache().join(below),
        None => *path = root.join(&*path),
    };
    for example in &mut all {
        let sources = example.files.iter_mut().flat_map(BTreeMap::values_mut);
        sources.chain([&mut example.wasm]).chain(example.stdin.as_mut()).for_each(whole);
    }
    all
}

/// Where `build.sh` and its like put what is not checked in.
fn cache() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|path| !path.is_empty());
    let base = variable("XDG_CACHE_HOME").map(PathBuf::from);
    let base =
        base.unwrap_or_else(|| PathBuf::from(variable("HOME").unwrap_or_default()).join(".cache"));
    base.join("tasklet-guests")
}

/// The one of that name.
pub fn named(name: &str) -> Example {
    let found = all().into_iter().find(|example| example.name == name);
    found.unwrap_or_else(|| panic!("there is no example {name}"))
}

/// The programs, each once: path below the folder and bytes.
pub fn programs() -> Vec<(PathBuf, Vec<u8>)> {
    let mut paths: Vec<PathBuf> = all().into_iter().map(|example| example.wasm).collect();
    paths.sort();
    paths.dedup();
    let read = |path: PathBuf| {
        let bytes = std::fs::read(folder().join(&path)).expect("programs are checked in");
        (path, bytes)
    };
    paths.into_iter().map(read).collect()
}

impl Example {
    /// Its program.
    pub fn module(&self) -> PathBuf {
        folder().join(&self.wasm)
    }

    /// The bytes of its program.
    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.module()).expect("programs are checked in")
    }

    /// Where its standard input comes from.
    pub fn stdin_path(&self) -> Option<PathBuf> {
        self.stdin.as_ref().map(|path| folder().join(path))
    }

    /// The files in its folder: name and source.
    pub fn files(&self) -> Option<Vec<(String, PathBuf)>> {
        let files = self.files.as_ref()?;
        Some(files.iter().map(|(name, source)| (name.clone(), folder().join(source))).collect())
    }

    /// What it must print, if that is the same each time.
    pub fn expected(&self) -> Option<Vec<u8>> {
        let path = self.stdout.as_ref().filter(|_| !self.stdout_varies)?;
        Some(std::fs::read(folder().join(path)).expect("expected outputs are checked in"))
    }

    /// What its world is like; with clocks such that runs can be compared.
    pub fn setup(&self) -> anyhow::Result<Setup> {
        let program = self.wasm.file_name().context("a file")?.to_string_lossy().into_owned();
        let args = std::iter::once(program).chain(self.args.iter().cloned()).collect();
        let stdin = self.stdin_path().map(std::fs::read).transpose()?.unwrap_or_default();
        Ok(Setup {
            wasi: true,
            args,
            env: self.env.clone().into_iter().collect(),
            stdin,
            files: self.files(),
            folder: self.folder.clone(),
            clock: Clock::Virtual,
            ticking: true,
            ..Setup::default()
        })
    }

    /// Where it begins.
    pub fn entry(&self) -> anyhow::Result<Entry> {
        let Some(name) = &self.invoke else { return Ok(Entry::Command) };
        let args = self.values.iter().map(|text| value(text)).collect::<Result<_, _>>()?;
        Ok(Entry::Invoke { name: name.clone(), args })
    }

    /// What it must return.
    pub fn results(&self) -> anyhow::Result<Vec<Value>> {
        self.results.iter().map(|text| value(text)).collect()
    }
}

/// A value such as `i64:21`.
fn value(text: &str) -> anyhow::Result<Value> {
    let (ty, number) = text.split_once(':').with_context(|| format!("{text} has no type"))?;
    let ty = match ty {
        "i32" => ValType::I32,
        "i64" => ValType::I64,
        "f32" => ValType::F32,
        "f64" => ValType::F64,
        other => anyhow::bail!("{other} is no type"),
    };
    Value::parse(ty, number).with_context(|| format!("{text} is no value"))
}
