//! Rewrites a module.
//!
//! Every function `[t*] -> [r*]` becomes `[t* i64] -> [r* i64]`: the fuel goes through it in a
//! register. What the outside world sees keeps its type, by wrappers.
//!
//! All index spaces keep the original's indices and what is added comes behind them, so most code
//! is copied byte by byte; only calls of imported functions are redirected, to their wrappers.

pub(crate) mod code;
mod control;
mod function;
mod runtime;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use wasm_encoder::{ExportKind, Instruction};

use crate::abi;
use crate::analyse::callgraph::CanPause;
use crate::analyse::{analyse, stack};
use crate::effort::Effort;
use crate::error::{Error, ErrorKind};
use crate::facts::ModuleFacts;
use crate::graph::build;
use crate::metadata::{FunctionInfo, Metadata, Point, PointKind};
use crate::parallel;
use crate::plan::{self, Plan};
use crate::types::{EXNREF, WasmType};
use code::{Body, block_type};
use function::{Identity, Shared};
use runtime::Kinds;
pub(crate) use runtime::{AddedFunction, Additions};

/// Functions planned before they are rewritten: enough to keep all threads busy, few enough that
/// their plans need little memory.
const BATCH: usize = 512;

/// What becomes of a module.
#[derive(Debug)]
pub(crate) struct Rewritten {
    /// The bodies of the original's functions.
    pub bodies: Vec<Body>,
    /// What is added.
    pub add: Additions,
    /// For every exported function of the original the index of its wrapper.
    pub exported: HashMap<u32, u32>,
    /// Index of the wrapper of the first imported function.
    pub wrappers: u32,
}

/// Rewrites the bodies and completes the metadata's functions and points.
///
/// # Errors
/// When a function exceeds a limit.
pub(crate) fn rewrite(
    wasm: &[u8],
    (facts, effort): (&ModuleFacts, &Effort),
    bodies: Vec<build::Body>,
    can_pause: &CanPause,
    metadata: &mut Metadata,
) -> Result<Rewritten, Error> {
    let areas = runtime::areas(&facts.types);
    metadata.frames_base = areas.frames_base;
    metadata.refs_base = areas.refs_base;
    let mut add = Additions::new(facts);
    let kinds = kinds(facts, &bodies);
    let runtime = runtime::add_state(&mut add, facts, areas, kinds);
    let wrappers = facts.function_types.len() as u32;
    let dropped = (
        runtime::add_drop_records(&mut add, facts.data.len(), abi::DROPPED_DATA),
        runtime::add_drop_records(&mut add, facts.elements.len(), abi::DROPPED_ELEMENTS),
    );
    let payloads = payloads(facts, &mut add);
    let shared = Shared { wasm, facts, runtime, wrappers, dropped, payloads };
    let mut work = Work {
        facts,
        effort,
        can_pause,
        metadata,
        shared: &shared,
        resumables: Vec::new(),
        stack: Vec::with_capacity(bodies.len()),
        values: 0,
    };
    work.import_wrappers(&mut add)?;
    let mut rewritten = Vec::with_capacity(bodies.len());
    let mut bodies = bodies.into_iter();
    loop {
        let batch: Vec<build::Body> = bodies.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            break;
        }
        let first = facts.imported_functions + rewritten.len() as u32;
        rewritten.extend(work.batch(first, batch)?);
    }
    let (resumables, stack) = (work.resumables, work.stack);
    let demand = stack::demand(
        &stack,
        facts.imported_functions,
        &facts.function_types,
        facts.types.len(),
        &metadata.referenced_functions,
    );
    (metadata.stack_bytes_per_step, metadata.stack_bytes_fixed) = (demand.per_step, demand.fixed);
    let exported = wrap_exports((facts, effort), &shared, &mut add)?;
    let references = metadata.points.iter().any(|point| point.references() > 0);
    runtime::add_driver(&mut add, facts, (&runtime, areas), &resumables, references);
    add_droppers(facts, &mut add, dropped);
    let referenced = metadata.referenced_functions.iter().map(|f| shared.callee(*f)).collect();
    add.add_function_table(referenced);
    Ok(Rewritten { bodies: rewritten, add, exported, wrappers })
}

/// The kinds of references that can be in frames or results.
fn kinds(facts: &ModuleFacts, bodies: &[build::Body]) -> Kinds {
    // Function references are always provided for: the engine may rely on the table.
    let mut kinds = Kinds { functions: true, ..Kinds::default() };
    let signatures = facts.types.iter().flat_map(|ty| ty.params.iter().chain(&ty.results));
    signatures.for_each(|ty| kinds.see(*ty));
    for body in bodies {
        body.graph.vars.iter().for_each(|ty| kinds.see(*ty));
    }
    kinds
}

/// For every tag, the types of blocks that leave its payload, without and with the exception.
fn payloads(facts: &ModuleFacts, add: &mut Additions) -> Vec<[wasm_encoder::BlockType; 2]> {
    (0..facts.tags.len() as u32)
        .map(|tag| {
            let plain = facts.tag_type(tag).params.clone();
            let with: Vec<WasmType> = plain.iter().copied().chain([EXNREF]).collect();
            [block_type(&mut add.types, &plain), block_type(&mut add.types, &with)]
        })
        .collect()
}

struct Work<'a> {
    facts: &'a ModuleFacts,
    effort: &'a Effort,
    can_pause: &'a CanPause,
    metadata: &'a mut Metadata,
    shared: &'a Shared<'a>,
    resumables: Vec<runtime::Resumable>,
    /// What the defined functions so far take of the native stack.
    stack: Vec<stack::Summary>,
    /// Values in the frames of all points so far.
    values: usize,
}

impl Work<'_> {
    /// The identity of a function, asked for in the order of the functions.
    fn identity(&mut self, function: u32, resumable: bool) -> Identity {
        let slot = resumable.then_some(self.resumables.len() as u32);
        if resumable {
            let ty = self.facts.function_types[function as usize];
            let function = self.shared.callee(function);
            self.resumables.push(runtime::Resumable { function, ty });
        }
        Identity { slot, first_point: self.metadata.points.len() as u32 }
    }

    fn add_info(&mut self, function: u32, identity: Identity, code_offset: u32) {
        let ty = self.facts.function_types[function as usize];
        self.metadata.functions.push(FunctionInfo {
            ty,
            name: self.facts.names.get(function as usize).cloned().flatten(),
            slot: identity.slot,
            first_point: identity.first_point,
            points: self.metadata.points.len() as u32 - identity.first_point,
            code_offset,
        });
    }

    /// Adds the wrappers of imported functions.
    fn import_wrappers(&mut self, add: &mut Additions) -> Result<(), Error> {
        for function in 0..self.facts.imported_functions {
            let identity = self.identity(function, true);
            let (fields, frame_bytes) =
                runtime::import_wrapper(add, &self.shared.runtime, self.facts, function, identity);
            self.metadata.points.push(Point {
                function,
                kind: PointKind::Import,
                offset: 0,
                frame_bytes,
                callee: None,
                prepaid: 0,
                fields,
            });
            self.add_info(function, identity, 0);
            self.effort.code(add.last_bytes());
            self.effort.check()?;
        }
        Ok(())
    }

    /// Plans and rewrites the functions from index `first` on. How the points are numbered depends
    /// on all functions before, so this is done between the two.
    fn batch(&mut self, first: u32, bodies: Vec<build::Body>) -> Result<Vec<Body>, Error> {
        let (facts, can_pause, shared) = (self.facts, self.can_pause, self.shared);
        let effort = self.effort;
        // The first function that fails is the one that is told of: those behind it need no work.
        let failed = AtomicUsize::new(usize::MAX);
        let planned = parallel::map(
            bodies,
            || (),
            |(), at, body| {
                if failed.load(Ordering::Relaxed) < at {
                    return Err(Error::new(ErrorKind::Internal, "a function before it failed"));
                }
                let function = first + at as u32;
                plan((facts, effort), can_pause, function, &body)
                    .map(|(plan, stack)| (body, plan, stack))
                    .map_err(|e| {
                        failed.fetch_min(at, Ordering::Relaxed);
                        facts.locate(e, function)
                    })
            },
        )?;
        effort.check()?;
        let mut numbered = Vec::with_capacity(planned.len());
        for (function, planned) in (first..).zip(planned) {
            let (body, plan, stack) = planned?;
            self.stack.push(stack);
            self.values += plan.values;
            let limit = abi::limits::module_frame_values(self.shared.wasm.len());
            if self.values > limit {
                let error = plan::too_many("values live at the resume points of the module", limit);
                return Err(facts.locate(error, function));
            }
            let identity = self.identity(function, !plan.points.is_empty());
            self.add_points(function, &body, &plan);
            self.add_info(function, identity, body.code_offset);
            numbered.push((body, plan, identity));
        }
        let rewritten = parallel::map(
            numbered,
            || (),
            |(), at, (body, plan, identity)| {
                effort.check()?;
                let body = function::rewrite(shared, &body.graph, &plan, identity);
                effort.code(body.bytes.len());
                if body.bytes.len() > abi::limits::FUNCTION_BYTES_MAX {
                    let limit = abi::limits::FUNCTION_BYTES_MAX;
                    let error = plan::too_many("bytes when it is rewritten", limit);
                    return Err(facts.locate(error, first + at as u32));
                }
                Ok(body)
            },
        )?;
        effort.check()?;
        rewritten.into_iter().collect()
    }

    fn add_points(&mut self, function: u32, body: &build::Body, plan: &Plan) {
        for point in &plan.points {
            self.metadata.points.push(Point {
                function,
                kind: point.kind,
                offset: point.offset,
                frame_bytes: point.layout.bytes + abi::TRAILER_BYTES,
                callee: point.call.map(|(ty, _)| ty),
                prepaid: point.prepaid,
                fields: point.layout.fields(&body.graph),
            });
        }
    }
}

fn plan(
    (facts, effort): (&ModuleFacts, &Effort),
    can_pause: &CanPause,
    function: u32,
    body: &build::Body,
) -> Result<(Plan, stack::Summary), Error> {
    // Nothing is begun that will not be used.
    effort.check()?;
    let analysis = analyse(&body.graph, facts.catches, effort)?;
    let stack = stack::summarise(&body.graph, &analysis, &facts.types);
    let module = (can_pause, facts);
    let plan = plan::plan(body, &analysis, module, function)?;
    effort.targets(plan.targets);
    Ok((plan, stack))
}

/// Makes a wrapper for every exported function.
fn wrap_exports(
    (facts, effort): (&ModuleFacts, &Effort),
    shared: &Shared<'_>,
    add: &mut Additions,
) -> Result<HashMap<u32, u32>, Error> {
    let mut wrappers = HashMap::new();
    for (name, kind, function) in &facts.exports {
        if *kind == ExportKind::Func && !wrappers.contains_key(function) {
            let signature = facts.signature_of(*function);
            let callee = shared.callee(*function);
            let wrapper = runtime::export_wrapper(add, &shared.runtime, signature, callee, name);
            wrappers.insert(*function, wrapper);
            effort.code(add.last_bytes());
            effort.check()?;
        }
    }
    Ok(wrappers)
}

/// Adds the functions that drop segments again.
fn add_droppers(facts: &ModuleFacts, add: &mut Additions, dropped: (u32, u32)) {
    let drop_data: fn(u32) -> Instruction<'static> = Instruction::DataDrop;
    runtime::add_dropper(add, abi::DROP_DATA, &facts.data, dropped.0, drop_data);
    let drop_element: fn(u32) -> Instruction<'static> = Instruction::ElemDrop;
    runtime::add_dropper(add, abi::DROP_ELEMENTS, &facts.elements, dropped.1, drop_element);
}
