//! The rival Asyncify: Binaryen's pass, over fuel polls added here.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::polls;
use crate::programs::Folders;

/// The version `bench/programs/build.sh` fetches.
const BINARYEN: &str = "132.0.0";

/// Flags of `wasm-opt`, in this order: Binaryen's advice is to optimise behind the pass, and
/// optimising before it as well gave the faster programs.
const FLAGS: &[&str] = &[
    "-O2",
    "--asyncify",
    "--pass-arg=asyncify-imports@tasklet.yield",
    "-O2",
    "--enable-sign-ext",
    "--enable-nontrapping-float-to-int",
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-simd",
    "--enable-reference-types",
];

/// The tool, and where its results are kept.
#[derive(Debug)]
pub struct Asyncify {
    wasm_opt: PathBuf,
    kept: PathBuf,
}

/// What it has made of a program.
#[derive(Debug)]
pub struct Asyncified {
    /// The module.
    pub wasm: Vec<u8>,
}

impl Asyncify {
    /// Looks for the tool; where there is none, says how to get it.
    pub fn find(folders: &Folders) -> Result<Asyncify, String> {
        let folder = folders.cache.join(format!("binaryen-{BINARYEN}"));
        if !folder.join(".complete").exists() {
            return Err("asyncify: no wasm-opt; bench/programs/build.sh --only asyncify fetches it \
                        (npm and node needed)"
                .into());
        }
        let wasm_opt = folder.join("node_modules/binaryen/bin/wasm-opt");
        Ok(Asyncify { wasm_opt, kept: folders.cache.join("bench/asyncified") })
    }

    /// Adds fuel polls and what unwinds and rewinds; a minute for large programs, so the result is
    /// kept.
    pub fn transform(&self, wasm: &[u8]) -> Result<Asyncified> {
        let polled = polls::add(wasm)?;
        let mut hash = blake3::Hasher::new();
        hash.update(&polled).update(FLAGS.join(" ").as_bytes()).update(BINARYEN.as_bytes());
        let path = self.kept.join(hash.finalize().to_hex().as_str()).with_extension("wasm");
        if !path.exists() {
            std::fs::create_dir_all(&self.kept)?;
            let id = std::process::id();
            let [before, after] = ["before", "after"].map(|it| path.with_extension(format!("{id}.{it}")));
            std::fs::write(&before, polled)?;
            let done = Command::new(&self.wasm_opt)
                .args(FLAGS)
                .arg(&before)
                .arg("-o")
                .arg(&after)
                .output()
                .with_context(|| format!("cannot run {}", self.wasm_opt.display()))?;
            std::fs::remove_file(&before)?;
            ensure!(
                done.status.success(),
                "wasm-opt failed: {}",
                String::from_utf8_lossy(&done.stderr)
            );
            std::fs::rename(&after, &path)?;
        }
        Ok(Asyncified { wasm: std::fs::read(&path)? })
    }
}
