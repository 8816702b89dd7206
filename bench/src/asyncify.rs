//! The rival Asyncify: Binaryen's pass, over fuel polls added here.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::polls;
use crate::programs::Folders;

/// The version `bench/programs/build.sh` fetches.
const BINARYEN: &str = "132.0.0";

/// Passes, in their order. Optimising before the transformation as well, or by `-O3` behind it,
/// makes the programs no faster.
pub const PASSES: &str = "--asyncify -O2";

const FLAGS: &[&str] = &[
    "--pass-arg=asyncify-imports@tasklet.yield",
    "--enable-sign-ext",
    "--enable-nontrapping-float-to-int",
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-simd",
    "--enable-reference-types",
];

/// Programs with functions so large that `wasm-opt` was not done with them after three minutes of
/// CPU time.
pub const TOO_LARGE: &[&str] = &["wasmi"];

/// The tool, and where its results are kept.
#[derive(Debug)]
pub struct Asyncify {
    wasm_opt: PathBuf,
    kept: PathBuf,
    passes: Vec<String>,
}

impl Asyncify {
    /// Looks for the tool; where there is none, says how to get it.
    pub fn find(folders: &Folders, passes: &str) -> Result<Asyncify, String> {
        let folder = folders.cache.join(format!("binaryen-{BINARYEN}"));
        if !folder.join(".complete").exists() {
            return Err(
                "asyncify: no wasm-opt; bench/programs/build.sh --only asyncify fetches it \
                        (npm and node needed)"
                    .into(),
            );
        }
        let wasm_opt = folder.join("node_modules/binaryen/bin/wasm-opt");
        let passes = passes.split_whitespace().map(str::to_owned).collect();
        Ok(Asyncify { wasm_opt, kept: folders.cache.join("bench/asyncified"), passes })
    }

    /// Adds fuel polls and what unwinds and rewinds; a minute for large programs, so the result is
    /// kept.
    pub fn transform(&self, name: &str, wasm: &[u8]) -> Result<Vec<u8>> {
        let polled = polls::add(wasm)?;
        let mut hash = blake3::Hasher::new();
        hash.update(&polled).update(BINARYEN.as_bytes());
        hash.update(self.passes.join(" ").as_bytes()).update(FLAGS.join(" ").as_bytes());
        let path = self.kept.join(hash.finalize().to_hex().as_str()).with_extension("wasm");
        if !path.exists() {
            eprintln!("{name}: wasm-opt rewrites it, this once");
            std::fs::create_dir_all(&self.kept)?;
            let id = std::process::id();
            let [before, after] =
                ["before", "after"].map(|it| path.with_extension(format!("{id}.{it}")));
            std::fs::write(&before, polled)?;
            let done = Command::new(&self.wasm_opt)
                .args(&self.passes)
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
        Ok(std::fs::read(&path)?)
    }
}
