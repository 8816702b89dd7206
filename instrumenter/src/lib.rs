//! Rewrites a core wasm module so that it counts its steps exactly and can be paused, its
//! continuation written down, and resumed elsewhere.
//!
//! ```
//! let wasm = b"\0asm\x01\0\0\0";
//! let instrumented = tasklet_instrumenter::instrument(wasm, &Default::default())?;
//! assert_eq!(instrumented.metadata.points.len(), 0);
//! # Ok::<(), tasklet_instrumenter::Error>(())
//! ```
//!
//! The pipeline is the list of files: [`facts`](self) (validate, refuse, remember operand types),
//! `parse`, `graph`, `analyse`, `plan`, `rewrite`, `emit`. [`abi`] says what the result looks like
//! from outside, `docs/transform.md` how the code looks inside.
#![deny(missing_docs)]

pub mod abi;
mod analyse;
mod emit;
mod error;
mod facts;
mod features;
mod graph;
mod metadata;
mod parse;
mod plan;
mod rewrite;

pub use error::{Error, ErrorKind, Place as ErrorPlace};
pub use metadata::{
    Export, Field, FunctionInfo, FunctionType, GlobalInfo, MemoryInfo, Metadata, Place, Point,
    PointKind, TableInfo, ValType,
};

use analyse::callgraph;

/// Choices of [`instrument`].
#[non_exhaustive]
#[derive(Debug, Clone, Default)]
pub struct Options {}

/// What [`instrument`] makes.
#[derive(Debug, Clone)]
pub struct Instrumented {
    /// The instrumented module; it holds its metadata in a custom section too.
    pub wasm: Vec<u8>,
    /// The metadata.
    pub metadata: Metadata,
}

/// Native stack for the work: it recurses once per nested block of a function.
const STACK_BYTES: usize = 256 << 20;

/// Instruments a module. The same bytes and options give the same output on every machine.
///
/// # Errors
/// See [`ErrorKind`]; where a part of the module is at fault, the error says which.
pub fn instrument(wasm: &[u8], options: &Options) -> Result<Instrumented, Error> {
    std::thread::scope(|scope| {
        let work = std::thread::Builder::new()
            .name("instrumenter".into())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || instrument_here(wasm, options))
            .map_err(|e| Error::new(ErrorKind::Limit, format!("cannot start a thread: {e}")))?;
        match work.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Checks that a module is valid and uses nothing that is refused, without instrumenting it.
///
/// # Errors
/// As [`instrument`], but for the limits that only show when the code is rewritten.
pub fn check(wasm: &[u8]) -> Result<(), Error> {
    facts::gather(wasm).map(|_| ())
}

fn instrument_here(wasm: &[u8], _options: &Options) -> Result<Instrumented, Error> {
    let facts = facts::gather(wasm)?;
    let mut module = parse::parse(wasm)?;
    let mut metadata = parse::describe(wasm, &module, &facts);
    let mut graphs = Vec::with_capacity(facts.bodies.len());
    let mut summaries = Vec::with_capacity(facts.bodies.len());
    // What the engine starts must be resumable: starting is resuming at the entry.
    let mut started = vec![false; facts.function_types.len()];
    let exported = metadata.exports.iter().map(|export| export.function);
    exported.chain(metadata.start).for_each(|function| started[function as usize] = true);
    for (function, body) in module.funcs.iter_local().map(|(_, f)| f).zip(&facts.bodies) {
        let index = facts.imported_functions + graphs.len() as u32;
        let signature = &facts.types[facts.function_types[index as usize] as usize];
        let built = graph::build::build(function, &module.types, body, signature, &facts.types)
            .map_err(|e| facts.locate(e, index))?;
        summaries.push(callgraph::summarise(&built.graph, started[index as usize]));
        graphs.push(built);
    }
    let can_pause = callgraph::can_pause(
        &summaries,
        facts.imported_functions,
        &facts.function_types,
        facts.types.len(),
        &metadata.referenced_functions,
    );
    drop(summaries);
    let input = rewrite::Input { facts: &facts, graphs, can_pause };
    rewrite::rewrite(&mut module, input, &mut metadata)?;
    let wasm = emit::emit(module, &metadata)?;
    Ok(Instrumented { wasm, metadata })
}
