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
//! The pipeline is the list of files: `facts` (validate, refuse, describe), `graph`, `analyse`,
//! `plan`, `rewrite`, `emit`. [`abi`] says what the result looks like
//! from outside, `docs/transform.md` how the code looks inside.
#![deny(missing_docs)]

pub mod abi;
mod analyse;
mod describe;
mod effort;
mod emit;
mod error;
mod facts;
mod features;
mod graph;
mod metadata;
mod parallel;
mod plan;
mod rewrite;
mod types;

pub use error::{Error, ErrorKind, Place as ErrorPlace};
pub use metadata::{
    Export, Field, FunctionInfo, FunctionType, GlobalInfo, MemoryInfo, Metadata, Place, Point,
    PointKind, TableInfo, TagInfo, ValType,
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

/// Instruments a module. The same bytes and options give the same output on every machine.
///
/// # Errors
/// See [`ErrorKind`]; where a part of the module is at fault, the error says which.
pub fn instrument(wasm: &[u8], _options: &Options) -> Result<Instrumented, Error> {
    let effort = effort::Effort::new(wasm.len());
    let (mut facts, bodies) = read(wasm, &effort)?;
    // One that only throws counts too: the host may catch what comes out of a callback.
    facts.catches = bodies.iter().any(|body| {
        let throws = |block: &graph::Block| matches!(block.end, graph::End::Throw { .. });
        body.graph.handlers.len() > 1 || body.graph.blocks.iter().any(throws)
    });
    let references = bodies.iter().flat_map(|body| body.references.iter().copied()).collect();
    let mut metadata = describe::describe(wasm, &facts, references);
    let can_pause = can_pause(&facts, &bodies, &metadata);
    let rewritten = rewrite::rewrite(wasm, (&facts, &effort), bodies, &can_pause, &mut metadata)?;
    let wasm = emit::emit(wasm, &facts, rewritten, &metadata)?;
    Ok(Instrumented { wasm, metadata })
}

/// Checks that a module is valid and uses nothing that is refused, without instrumenting it.
///
/// # Errors
/// As [`instrument`], but for the limits that only show when the code is rewritten.
pub fn check(wasm: &[u8]) -> Result<(), Error> {
    read(wasm, &effort::Effort::new(wasm.len())).map(|_| ())
}

/// Validates a module and reads it.
fn read(
    wasm: &[u8],
    effort: &effort::Effort,
) -> Result<(facts::ModuleFacts, Vec<graph::build::Body>), Error> {
    let (facts, bodies, refusal) = facts::gather(wasm)?;
    let complete = refusal.is_none();
    let built = parallel::map(bodies, Default::default, |allocations, _, body| {
        if complete {
            graph::build::build((&facts, effort), body, allocations).map(Some)
        } else {
            graph::build::validate(body, allocations).map(|()| None)
        }
    })?;
    // A feature is only refused once the whole module is known to be valid: an invalid module is
    // invalid first.
    let mut valid = Vec::with_capacity(built.len());
    for (function, body) in (facts.imported_functions..).zip(built) {
        valid.push(body.map_err(|e| facts.locate(e, function))?);
    }
    if let Some(refusal) = refusal {
        return Err(refusal);
    }
    effort.check()?;
    let mut bodies = Vec::with_capacity(valid.len());
    for (function, body) in (facts.imported_functions..).zip(valid) {
        if let Some(body) = body {
            bodies.push(body.map_err(|e| facts.locate(e, function))?);
        }
    }
    Ok((facts, bodies))
}

fn can_pause(
    facts: &facts::ModuleFacts,
    bodies: &[graph::build::Body],
    metadata: &Metadata,
) -> callgraph::CanPause {
    // What the engine starts must be resumable: starting is resuming at the entry.
    let mut started = vec![false; facts.function_types.len()];
    let exported = metadata.exports.iter().map(|export| export.function);
    exported.chain(metadata.start).for_each(|function| started[function as usize] = true);
    let summaries: Vec<_> = (facts.imported_functions as usize..)
        .zip(bodies)
        .map(|(function, body)| callgraph::summarise(&body.graph, started[function]))
        .collect();
    callgraph::can_pause(
        &summaries,
        facts.imported_functions,
        &facts.function_types,
        facts.types.len(),
        &metadata.referenced_functions,
    )
}
