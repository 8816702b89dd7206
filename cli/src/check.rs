//! `tasklet check`: whether a module can be paused and moved, and what it is made of.

use std::fmt::Write;

use anyhow::{Error, Result};
use serde_json::{Value as Json, json};
use tasklet_engine::Digest;
use tasklet_engine::wasi::Function;
use tasklet_instrumenter::{self as instrumenter, Instrumented, Metadata, PointKind};

use crate::args::{Check, Format};
use crate::load;
use crate::output;

/// The imports of this module name are the ones we provide.
const WASI: &str = "wasi_snapshot_preview1";

/// Checks it; the exit code.
///
/// # Errors
/// When the module cannot be read or instrumented.
pub fn check(args: &Check) -> Result<i32> {
    let wasm = load::module_bytes(&args.module)?;
    let file = args.module.display().to_string();
    match instrumenter::instrument(&wasm, &instrumenter::Options::default()) {
        Ok(made) => {
            let summary = Summary::new(&wasm, &made);
            output::print(&match args.format {
                Format::Text => summary.text(&file),
                Format::Json => format!("{:#}\n", summary.json(&file)),
            })?;
            Ok(0)
        }
        Err(error) => {
            if args.format == Format::Json {
                output::print(&format!("{:#}\n", refusal(&file, &error)))?;
            }
            Err(Error::new(error).context(format!("cannot instrument `{file}`")))
        }
    }
}

fn refusal(file: &str, error: &instrumenter::Error) -> Json {
    let place = error.place().cloned().unwrap_or_default();
    json!({
        "file": file,
        "ok": false,
        "error": {
            "kind": format!("{:?}", error.kind()).to_ascii_lowercase(),
            "message": error.to_string(),
            "function": place.function,
            "name": place.name,
            "offset": place.offset,
        },
    })
}

/// What a module is made of.
struct Summary<'a> {
    hash: Digest,
    bytes: usize,
    instrumented_bytes: usize,
    metadata: &'a Metadata,
    /// Imports that running it here would miss.
    missing: Vec<String>,
}

impl Summary<'_> {
    fn new<'a>(wasm: &[u8], made: &'a Instrumented) -> Summary<'a> {
        let imports = made.metadata.imports.iter();
        let missing =
            imports.filter(|(module, name)| module != WASI || Function::by_name(name).is_none());
        Summary {
            hash: Digest::of(wasm),
            bytes: wasm.len(),
            instrumented_bytes: made.wasm.len(),
            metadata: &made.metadata,
            missing: missing.map(|(module, name)| format!("{module}::{name}")).collect(),
        }
    }

    fn points(&self, kind: PointKind) -> usize {
        self.metadata.points.iter().filter(|point| point.kind == kind).count()
    }

    fn largest_frame(&self) -> u32 {
        self.metadata.points.iter().map(|point| point.frame_bytes).max().unwrap_or(0)
    }

    fn recursion(&self) -> String {
        match self.metadata.stack_bytes_per_step {
            0 => "none, unless through an import".into(),
            rate => format!("takes up to {rate} bytes of native stack for a step"),
        }
    }

    fn exports(&self) -> Vec<&str> {
        self.metadata.exports.iter().map(|export| export.name.as_str()).collect()
    }

    fn text(&self, file: &str) -> String {
        let metadata = self.metadata;
        let mut text = format!("{file} can be paused at any time, saved and resumed\n");
        let mut line = |name: &str, value: String| {
            let value = output::plain(&value).replace('\n', "\\n");
            writeln!(text, "  {name:<14} {value}").expect("writing to a string");
        };
        line("blake3", self.hash.to_string());
        line("size", format!("{} bytes, instrumented {}", self.bytes, self.instrumented_bytes));
        let (functions, imported) = (metadata.functions.len(), metadata.imported_functions);
        line("functions", format!("{functions}, {imported} of them imported"));
        line(
            "resume points",
            format!(
                "{}: {} function entries, {} loops, {} calls, {} imports",
                metadata.points.len(),
                self.points(PointKind::Entry),
                self.points(PointKind::Loop),
                self.points(PointKind::Call),
                self.points(PointKind::Import),
            ),
        );
        line("largest frame", format!("{} bytes", self.largest_frame()));
        line("recursion", self.recursion());
        for memory in &metadata.memories {
            let most = memory.pages_max.map_or("no maximum".into(), |max| format!("at most {max}"));
            line("memory", format!("{}: {} pages of 64 KiB, {most}", memory.index, memory.pages));
        }
        for table in &metadata.tables {
            line("table", format!("{}: {} elements", table.index, table.elements));
        }
        line("globals", format!("{} that change", metadata.globals.len()));
        line("exports", self.exports().join(", "));
        if !self.missing.is_empty() {
            line("to provide", format!("{} (this program has WASI only)", self.missing.join(", ")));
        }
        text
    }

    fn json(&self, file: &str) -> Json {
        let metadata = self.metadata;
        let memories = metadata.memories.iter().map(|memory| {
            json!({ "index": memory.index, "pages": memory.pages, "pages_max": memory.pages_max })
        });
        let tables = metadata.tables.iter().map(|table| {
            json!({
                "index": table.index,
                "elements": table.elements,
                "elements_max": table.elements_max,
            })
        });
        json!({
            "file": file,
            "ok": true,
            "hash": self.hash.to_string(),
            "bytes": self.bytes,
            "instrumented_bytes": self.instrumented_bytes,
            "functions": metadata.functions.len(),
            "imported_functions": metadata.imported_functions,
            "resume_points": {
                "entry": self.points(PointKind::Entry),
                "loop": self.points(PointKind::Loop),
                "call": self.points(PointKind::Call),
                "import": self.points(PointKind::Import),
            },
            "largest_frame_bytes": self.largest_frame(),
            "stack_bytes_per_step": metadata.stack_bytes_per_step,
            "memories": memories.collect::<Vec<_>>(),
            "tables": tables.collect::<Vec<_>>(),
            "mutable_globals": metadata.globals.len(),
            "exports": self.exports(),
            "missing_imports": self.missing,
        })
    }
}
