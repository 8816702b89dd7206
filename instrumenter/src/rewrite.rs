//! Rewrites a module.
//!
//! Every function `[t*] -> [r*]` becomes `[t* i64] -> [r* i64]`: the fuel goes through it in a
//! register. What the outside world sees keeps its type, by wrappers.

mod code;
mod control;
mod function;
mod runtime;

use walrus::ir;
use walrus::{
    ConstExpr, ConstOp, ElementItems, ExportItem, FunctionId, FunctionKind, GlobalId, GlobalKind,
    LocalFunction, Module, TypeId, ValType as WasmType,
};

use crate::abi;
use crate::analyse::analyse;
use crate::analyse::callgraph::CanPause;
use crate::error::Error;
use crate::facts::ModuleFacts;
use crate::graph::build::Built;
use crate::metadata::{FunctionInfo, Metadata, Point, PointKind};
use crate::plan::{self, Plan};
use code::Runtime;
use function::{Identity, Shared};
use runtime::{Areas, Resumable};

/// What the rewriting knows when it begins.
#[derive(Debug)]
pub(crate) struct Input<'a> {
    /// Facts about the module.
    pub facts: &'a ModuleFacts,
    /// The graphs of the defined functions.
    pub graphs: Vec<Built>,
    /// Which functions can pause.
    pub can_pause: CanPause,
}

/// Rewrites the module in place and completes the metadata's functions and points.
///
/// # Errors
/// When a function exceeds a limit.
pub(crate) fn rewrite(
    module: &mut Module,
    input: Input<'_>,
    metadata: &mut Metadata,
) -> Result<(), Error> {
    let facts = input.facts;
    let areas = runtime::areas(&facts.types);
    metadata.frames_base = areas.frames_base;
    metadata.refs_base = areas.refs_base;
    let originals: Vec<FunctionId> = module.funcs.iter().map(|function| function.id()).collect();
    name_functions(module, &originals);
    export_state(module, metadata);
    let runtime = runtime::add_state(module, areas);
    let threaded: Vec<TypeId> = facts
        .types
        .iter()
        .map(|ty| module.types.add(&code::threaded(&ty.params), &code::threaded(&ty.results)))
        .collect();
    let dropped = add_drop_records(module, metadata);

    let mut work = Work { module, facts, runtime, metadata, resumables: Vec::new(), values: 0 };
    let callees = work.import_wrappers(&originals);
    let shared = Shared {
        runtime,
        types: &facts.types,
        threaded: &threaded,
        callees: &callees,
        dropped: (&dropped.0, &dropped.1),
    };
    for (defined, built) in input.graphs.into_iter().enumerate() {
        let function = facts.imported_functions + defined as u32;
        work.function(&shared, function, built, &input.can_pause)
            .map_err(|e| facts.locate(e, function))?;
    }
    let resumables = work.resumables;
    redirect(module, &callees, facts.imported_functions);
    wrap_exports(module, facts, &runtime, &callees, &originals);
    module.start = None;
    finish(module, facts, (&runtime, areas), &resumables, &threaded, &callees, metadata);
    Ok(())
}

/// Names function `N` of the original module `N:name`.
fn name_functions(module: &mut Module, originals: &[FunctionId]) {
    for (index, id) in originals.iter().enumerate() {
        let function = module.funcs.get_mut(*id);
        let name = function.name.take().unwrap_or_default();
        function.name = Some(format!("{index}:{name}"));
    }
}

/// Exports the guest's state under the reserved prefix.
fn export_state(module: &mut Module, metadata: &Metadata) {
    let memories: Vec<_> = module.memories.iter().map(|memory| memory.id()).collect();
    for info in &metadata.memories {
        let name = format!("{}{}", abi::MEMORY, info.index);
        module.exports.add(&name, memories[info.index as usize]);
    }
    let globals: Vec<_> = module.globals.iter().map(|global| global.id()).collect();
    for info in &metadata.globals {
        let name = format!("{}{}", abi::GLOBAL, info.index);
        module.exports.add(&name, globals[info.index as usize]);
    }
    let tables: Vec<_> = module.tables.iter().map(|table| table.id()).collect();
    for info in &metadata.tables {
        let name = format!("{}{}", abi::TABLE, info.index);
        module.exports.add(&name, tables[info.index as usize]);
    }
}

/// Adds the globals that record dropped segments, and the functions that drop them again.
fn add_drop_records(module: &mut Module, metadata: &Metadata) -> (Vec<GlobalId>, Vec<GlobalId>) {
    let mut add = |count: u32, prefix: &str| -> Vec<GlobalId> {
        (0..count.div_ceil(64))
            .map(|word| {
                let zero = ConstExpr::Value(ir::Value::I64(0));
                let global = module.globals.add_local(WasmType::I64, true, false, zero);
                module.exports.add(&format!("{prefix}{word}"), global);
                global
            })
            .collect()
    };
    let data = add(metadata.data_segments, abi::DROPPED_DATA);
    let elements = add(metadata.element_segments, abi::DROPPED_ELEMENTS);
    let drops: Vec<_> = module
        .data
        .iter()
        .filter(|segment| segment.is_passive())
        .map(|segment| {
            let index = segment.id().index();
            (index, ir::DataDrop { data: segment.id() }.into(), data[index / 64])
        })
        .collect();
    runtime::add_dropper(module, abi::DROP_DATA, drops.into_iter());
    let drops: Vec<_> = module
        .elements
        .iter()
        .filter(|segment| matches!(segment.kind, walrus::ElementKind::Passive))
        .map(|segment| {
            let index = segment.id().index();
            (index, ir::ElemDrop { elem: segment.id() }.into(), elements[index / 64])
        })
        .collect();
    runtime::add_dropper(module, abi::DROP_ELEMENTS, drops.into_iter());
    (data, elements)
}

struct Work<'a> {
    module: &'a mut Module,
    facts: &'a ModuleFacts,
    runtime: Runtime,
    metadata: &'a mut Metadata,
    resumables: Vec<Resumable>,
    /// Values in the frames of all points so far.
    values: usize,
}

impl Work<'_> {
    fn identity(&self) -> Identity {
        Identity {
            slot: self.resumables.len() as u32,
            first_point: self.metadata.points.len() as u32,
        }
    }

    fn info(&self, function: u32, slot: Option<u32>, first_point: u32) -> FunctionInfo {
        let defined = function.checked_sub(self.facts.imported_functions);
        FunctionInfo {
            ty: self.facts.function_types[function as usize],
            name: self.facts.names.get(function as usize).cloned().flatten(),
            slot,
            first_point,
            points: self.metadata.points.len() as u32 - first_point,
            code_offset: defined.map_or(0, |at| self.facts.bodies[at as usize].code_offset),
        }
    }

    /// Adds the wrappers of imported functions; returns what to call for every function.
    fn import_wrappers(&mut self, originals: &[FunctionId]) -> Vec<FunctionId> {
        let mut callees = originals.to_vec();
        for function in 0..self.facts.imported_functions {
            let ty = self.facts.function_types[function as usize];
            let identity = self.identity();
            let name = format!("tasklet.import.{}", self.metadata.imports[function as usize].1);
            let (wrapper, fields, frame_bytes) = runtime::import_wrapper(
                self.module,
                &self.runtime,
                originals[function as usize],
                &self.facts.types[ty as usize],
                identity,
                &name,
            );
            self.metadata.points.push(Point {
                function,
                kind: PointKind::Import,
                offset: 0,
                frame_bytes,
                callee: None,
                prepaid: 0,
                fields,
            });
            self.resumables.push(Resumable { function: wrapper, ty });
            let info = self.info(function, Some(identity.slot), identity.first_point);
            self.metadata.functions.push(info);
            callees[function as usize] = wrapper;
        }
        callees
    }

    fn function(
        &mut self,
        shared: &Shared<'_>,
        function: u32,
        built: Built,
        can_pause: &CanPause,
    ) -> Result<(), Error> {
        let facts = &self.facts.bodies[(function - self.facts.imported_functions) as usize];
        let analysis = analyse(&built.graph)?;
        let plan = plan::plan(&built.graph, &analysis, can_pause, function, facts.code_offset)?;
        self.values += plan.values;
        if self.values > abi::limits::MODULE_FRAME_VALUES_MAX {
            let limit = abi::limits::MODULE_FRAME_VALUES_MAX;
            return Err(plan::too_many("values live at the resume points of the module", limit));
        }
        let identity = self.identity();
        let id = shared.callees[function as usize];
        let old = self.take_function(id);
        let new = function::rewrite(
            shared,
            (&mut self.module.types, &mut self.module.locals),
            &old,
            &built,
            &plan,
            identity,
        );
        self.module.funcs.get_mut(id).kind = FunctionKind::Local(new);
        self.add_points(function, &built, &plan);
        let slot = (!plan.points.is_empty()).then_some(identity.slot);
        if slot.is_some() {
            let ty = self.facts.function_types[function as usize];
            self.resumables.push(Resumable { function: id, ty });
        }
        let info = self.info(function, slot, identity.first_point);
        self.metadata.functions.push(info);
        Ok(())
    }

    fn take_function(&mut self, id: FunctionId) -> LocalFunction {
        let function = self.module.funcs.get_mut(id);
        let nothing = FunctionKind::Uninitialized(function.ty());
        match std::mem::replace(&mut function.kind, nothing) {
            FunctionKind::Local(function) => function,
            _ => unreachable!("defined functions follow the imported ones"),
        }
    }

    fn add_points(&mut self, function: u32, built: &Built, plan: &Plan) {
        for point in &plan.points {
            self.metadata.points.push(Point {
                function,
                kind: point.kind,
                offset: point.offset,
                frame_bytes: point.layout.bytes + abi::TRAILER_BYTES,
                callee: point.call.map(|(ty, _)| ty),
                prepaid: point.prepaid,
                fields: point.layout.fields(&built.graph),
            });
        }
    }
}

/// Replaces references to imported functions by their wrappers.
fn redirect(module: &mut Module, callees: &[FunctionId], imported: u32) {
    let wrapper = |id: &mut FunctionId| {
        if id.index() < imported as usize {
            *id = callees[id.index()];
        }
    };
    let constant = |expr: &mut ConstExpr| match expr {
        ConstExpr::RefFunc(id) => wrapper(id),
        ConstExpr::Extended(ops) => {
            for op in ops {
                if let ConstOp::RefFunc(id) = op {
                    wrapper(id);
                }
            }
        }
        _ => {}
    };
    for element in module.elements.iter_mut() {
        match &mut element.items {
            ElementItems::Functions(functions) => functions.iter_mut().for_each(wrapper),
            ElementItems::Expressions(_, exprs) => exprs.iter_mut().for_each(constant),
        }
    }
    let globals: Vec<GlobalId> = module.globals.iter().map(|global| global.id()).collect();
    for id in globals {
        if let GlobalKind::Local(expr) = &mut module.globals.get_mut(id).kind {
            constant(expr);
        }
    }
    for table in module.tables.iter_mut() {
        if let Some(expr) = &mut table.init {
            constant(expr);
        }
    }
}

/// Makes every exported function its wrapper.
fn wrap_exports(
    module: &mut Module,
    facts: &ModuleFacts,
    runtime: &Runtime,
    callees: &[FunctionId],
    originals: &[FunctionId],
) {
    let exported: Vec<_> = module
        .exports
        .iter()
        .filter_map(|export| match export.item {
            // Names of the instrumenter's own are refused by the validator's pass.
            ExportItem::Function(id) if !export.name.starts_with(abi::PREFIX) => {
                Some((export.id(), id, export.name.clone()))
            }
            _ => None,
        })
        .collect();
    let mut wrappers: Vec<Option<FunctionId>> = vec![None; originals.len()];
    for (export, function, name) in exported {
        let index = function.index();
        let wrapper = *wrappers[index].get_or_insert_with(|| {
            let ty = &facts.types[facts.function_types[index] as usize];
            let name = format!("tasklet.export.{name}");
            runtime::export_wrapper(module, runtime, callees[index], ty, &name)
        });
        module.exports.get_mut(export).item = ExportItem::Function(wrapper);
    }
}

fn finish(
    module: &mut Module,
    facts: &ModuleFacts,
    (runtime, areas): (&Runtime, Areas),
    resumables: &[Resumable],
    threaded: &[TypeId],
    callees: &[FunctionId],
    metadata: &Metadata,
) {
    let references = metadata.points.iter().any(|point| point.references() > 0);
    let types = &facts.types;
    runtime::add_driver(module, runtime, areas, resumables, types, threaded, references);
    let referenced = metadata.referenced_functions.iter().map(|f| callees[*f as usize]).collect();
    runtime::add_function_table(module, referenced);
}
