//! Writing a paused or ended tasklet down, in terms of its original module.

mod references;

use std::io::Write;
use std::sync::Arc;

use tasklet_instrumenter::{Place, Point, PointKind};
use wasmtime::{Global, Ref, RootScope, Val};

use self::references::References;

use crate::error::Error;
use crate::host::{IMPORT_NAMESPACE, ImportRecord, WASI_NAMESPACE, written_import};
use crate::module::Image;
use crate::sched;
use crate::snapshot::{
    self, Digest, Frame, HostValue, MemoryState, ModuleRef, PAGE_BYTES, PendingCall, Position,
    RefType, Snapshot, TableRun, TableState, TrapFrame, Value, diff_pages_within,
};
use crate::state::Context;
use crate::tasklet::{RawFrame, Started, Status, Tasklet, add_paused_frames, read, walk};
use crate::trap::TrapFrame as TrapFrameView;
use crate::value;

/// How a snapshot is made.
#[non_exhaustive]
#[derive(Debug, Clone)]
pub struct SnapshotOptions {
    /// Whether the original module goes into the snapshot. Without it, who loads the snapshot has
    /// to have the module, by its hash.
    pub embed_module: bool,
    /// Words for people and tools, without effect; names are unique.
    pub labels: Vec<(String, String)>,
    /// Whether to note from here on which pages are written to, where the kernel can: the next
    /// snapshot over this one then costs what they do, however large the memory is. The first write
    /// to each page costs a fault. Elsewhere the memory is compared with the base.
    pub track_changes: bool,
}

impl Default for SnapshotOptions {
    fn default() -> SnapshotOptions {
        SnapshotOptions { embed_module: true, labels: Vec::new(), track_changes: false }
    }
}

/// An earlier snapshot that another is to be written over, with nothing in it that has not changed
/// since.
#[derive(Debug, Clone, Copy)]
pub struct Base<'a> {
    /// The snapshot, laid over its own bases if it had any: [`Snapshot::over`].
    pub snapshot: &'a Snapshot<'a>,
    /// Its digest.
    pub digest: Digest,
}

impl Tasklet {
    /// The tasklet as a snapshot, which borrows the memories. Equal tasklets give equal snapshots.
    ///
    /// # Errors
    /// [`Error::InsideHostImport`] while it waits for an import that is not restartable,
    /// [`Error::NoCodec`] and [`Error::Codec`] when it holds an object of the host's that cannot be
    /// written down, [`Error::Unsupported`] when it holds a reference to a function that is not the
    /// module's, and before the first call, [`Error::Wasi`] when an open file can no longer be named.
    pub fn snapshot(&mut self, options: &SnapshotOptions) -> Result<Snapshot<'_>, Error> {
        self.snapshot_over(options, None)
    }

    /// The same over a base: of the memories only what differs from those of `base`, an earlier
    /// snapshot of the same module. Who loads it needs the base, too.
    ///
    /// # Errors
    /// Those of [`snapshot`](Tasklet::snapshot), and [`Error::Incompatible`] when the base is of
    /// another module, has a base itself or has larger memories.
    pub fn snapshot_over(
        &mut self,
        options: &SnapshotOptions,
        base: Option<Base<'_>>,
    ) -> Result<Snapshot<'_>, Error> {
        base.map_or(Ok(()), |base| self.check_base(base.snapshot))?;
        let written = self.all_but_memories(options)?;
        let image = self.image()?;
        // From here on the store is only looked at: the memories are lent out.
        let this = &*self;
        let original = this.module.original();
        let bytes = options.embed_module.then(|| original.into());
        Ok(Snapshot {
            module: ModuleRef { bytes, ..written.module },
            base: base.map(|base| base.digest),
            memories: this.memory_states(&image, base),
            ..written
        })
    }

    /// A snapshot in which neither the memories nor the module's bytes are.
    pub(crate) fn all_but_memories(
        &mut self,
        options: &SnapshotOptions,
    ) -> Result<Snapshot<'static>, Error> {
        if let (Status::Trapped(trap), Some(_)) = (&self.status, self.profile())
            && trap.kind.is_hosts()
        {
            return Err(Error::lost(&trap.message));
        }
        let import = self.pending_import()?;
        // In the order in which references are numbered.
        let mut references = References::new(self.store.data().codecs.clone());
        let entry = self.entry(&mut references)?;
        let status = self.written_status(&mut references)?;
        let frames = self.frames(&mut references)?;
        let pending = self.pending(&mut references)?;
        let globals = self.globals(&mut references)?;
        let image = self.image()?;
        let tables = self.tables(&mut references, &image)?;
        let (steps_used, balance) = (self.steps_used()?, self.balance()?);
        let exports = self.exports.clone();
        let dropped_data = self.dropped(&exports.dropped_data);
        let dropped_elements = self.dropped(&exports.dropped_elements);
        let host = self.host(import)?;
        let size = self.module.original().len() as u64;
        let module = ModuleRef { hash: self.module.hash(), size, bytes: None };
        Ok(Snapshot {
            module,
            cost_table: self.module.metadata().cost_table,
            parent: self.parent,
            base: None,
            profile: self.profile(),
            steps_used,
            balance,
            status,
            entry,
            pending,
            frames,
            memories: Vec::new(),
            globals,
            tables,
            objects: references.objects,
            exceptions: references.exceptions,
            dropped_data,
            dropped_elements,
            host,
            labels: options.labels.clone(),
        })
    }

    /// Writes a snapshot and returns its digest, which the next one names as its parent.
    ///
    /// # Errors
    /// Those of [`snapshot`](Tasklet::snapshot), and [`Error::Write`].
    pub fn dump(
        &mut self,
        out: &mut impl Write,
        options: &SnapshotOptions,
    ) -> Result<Digest, Error> {
        self.dump_over(out, options, None)
    }

    /// Writes a [`snapshot_over`](Tasklet::snapshot_over) a base, and returns its digest.
    ///
    /// # Errors
    /// Those of [`snapshot_over`](Tasklet::snapshot_over), and [`Error::Write`].
    pub fn dump_over(
        &mut self,
        out: &mut impl Write,
        options: &SnapshotOptions,
        base: Option<Base<'_>>,
    ) -> Result<Digest, Error> {
        let snapshot = self.snapshot_over(options, base)?;
        let digest = snapshot.write_to(out).map_err(|error| Error::Write(Box::new(error)))?;
        drop(snapshot);
        self.parent = Some(digest);
        if options.track_changes {
            self.track(digest);
        }
        Ok(digest)
    }

    /// Notes what is written to since that snapshot.
    fn track(&mut self, digest: Digest) {
        let mut changes = std::mem::take(&mut self.store.data_mut().changes);
        changes.track(digest, self.exports.memories.iter().map(|memory| memory.data(&self.store)));
        self.store.data_mut().changes = changes;
    }

    /// Whether the kernel notes what is written to: after a dump that asked for it, where it can.
    pub fn tracks_changes(&self) -> bool {
        self.store.data().changes.is_tracking()
    }

    fn check_base(&self, base: &Snapshot<'_>) -> Result<(), Error> {
        let refused = |what: &str| Err(Error::incompatible(format!("as a base: {what}")));
        if base.module.hash != self.module.hash() {
            return refused("it is of another module");
        }
        if base.base.is_some() {
            return refused("it has a base itself: lay it over that first");
        }
        let sizes = self.exports.memories.iter().map(|memory| memory.size(&self.store));
        let mut memories = self.module.metadata().memories.iter().zip(sizes).zip(&base.memories);
        let fit =
            memories.all(|((info, size), below)| info.index == below.index && below.pages <= size);
        if !fit || base.memories.len() != self.exports.memories.len() {
            return refused("it has other or larger memories");
        }
        Ok(())
    }

    fn entry(&mut self, references: &mut References) -> Result<snapshot::Entry, Error> {
        let Some(Started { export, args }) = &self.entry else {
            let what = "a snapshot of a tasklet that was given no call yet: call an export first, \
                        or spawn it with one";
            return Err(Error::Unsupported { what: what.into() });
        };
        let place = || format!("`{export}`, argument");
        let args = references.values(&mut self.store, args, &place)?;
        Ok(snapshot::Entry { export: export.clone(), args })
    }

    fn written_status(&mut self, references: &mut References) -> Result<snapshot::Status, Error> {
        Ok(match &self.status {
            Status::Paused(reason) => snapshot::Status::Paused { reason: *reason },
            Status::Finished(results) => snapshot::Status::Finished {
                results: references.values(&mut self.store, results, &|| "result".to_string())?,
            },
            Status::Exited(code) => snapshot::Status::Exited { code: *code },
            Status::Trapped(trap) => snapshot::Status::Trapped {
                message: trap.message.clone(),
                backtrace: (trap.backtrace.iter())
                    .map(|frame| TrapFrame { function: frame.function, offset: frame.offset })
                    .collect(),
            },
        })
    }

    /// Outermost first.
    fn frames(&mut self, references: &mut References) -> Result<Vec<Frame>, Error> {
        let raw = walk(&mut self.store)?;
        raw.iter().rev().map(|frame| self.frame(frame, references)).collect()
    }

    fn frame(&mut self, raw: &RawFrame, references: &mut References) -> Result<Frame, Error> {
        let mut values = read(&mut self.store, raw)?;
        // Locals come before operands.
        values.sort_by_key(|(place, _)| *place);
        let metadata = self.module.metadata();
        let point = &metadata.points[raw.point as usize];
        let frame = || TrapFrameView::of(metadata, point.function, None);
        let mut locals = Vec::new();
        let mut operands = Vec::new();
        for (place, value) in values {
            match place {
                Place::Local(index) => {
                    let place = || format!("local {index} of {}", frame());
                    let value = references.value(&mut self.store, &value, &place)?;
                    locals.push((index, value));
                }
                Place::Operand(index) => {
                    let place = || format!("operand {index} of {}", frame());
                    let value = references.value(&mut self.store, &value, &place)?;
                    operands.push((index, value));
                }
            }
        }
        if !(0u32..).zip(&operands).all(|(at, (index, _))| at == *index) {
            return Err(Error::internal(format!("operands are missing at {:#x}", point.offset)));
        }
        let operands = operands.into_iter().map(|(_, value)| value).collect();
        Ok(Frame { function: point.function, at: position(point), locals, operands })
    }

    fn pending(&mut self, references: &mut References) -> Result<Vec<PendingCall>, Error> {
        let mut pending = Vec::with_capacity(self.queue.len());
        for call in &self.queue {
            let function = call.function;
            let place = || format!("a pending call of function {function}, argument");
            let args = references.values(&mut self.store, &call.args, &place)?;
            pending.push(PendingCall { function, args });
        }
        Ok(pending)
    }

    fn globals(&mut self, references: &mut References) -> Result<Vec<(u32, Value)>, Error> {
        let exports = self.exports.clone();
        let mut globals = Vec::with_capacity(exports.globals.len());
        for (global, info) in exports.globals.iter().zip(&self.module.metadata().globals) {
            let mut scope = RootScope::new(&mut self.store);
            let value = global.get(&mut scope);
            let value = value::from_wasm(&mut scope, &value)?;
            let place = || format!("global {}", info.index);
            globals.push((info.index, references.value(&mut scope, &value, &place)?));
        }
        Ok(globals)
    }

    /// What memories and tables began with.
    pub(crate) fn image(&mut self) -> Result<Arc<Image>, Error> {
        if let Some(image) = &self.store.data().image {
            return Ok(image.clone());
        }
        let exports = self.exports.clone();
        let infos = self.module.metadata().globals.iter().zip(&exports.globals);
        let values: Vec<Val> = infos
            .filter(|(info, _)| info.import.is_some())
            .map(|(info, global)| match value::null_of(info.ty) {
                // Neither memories nor tables of functions depend on what these were.
                Some(null) => null.into(),
                None => global.get(&mut self.store),
            })
            .collect();
        let image = self.module.image(&values)?;
        self.store.data_mut().image = Some(image.clone());
        Ok(image)
    }

    fn tables(
        &mut self,
        references: &mut References,
        image: &Image,
    ) -> Result<Vec<TableState>, Error> {
        let exports = self.exports.clone();
        let module = self.module.clone();
        let map = self.store.function_map();
        let infos = &module.metadata().tables;
        let mut tables = Vec::with_capacity(exports.tables.len());
        for (position, (table, info)) in exports.tables.iter().zip(infos).enumerate() {
            let size = table.size(&self.store);
            let initial = &image.tables[position];
            let kind = RefType::of(info.element);
            let kind = kind.ok_or_else(|| Error::internal("a table that cannot be written"))?;
            let mut runs = TableRuns::default();
            for element in 0..size {
                let mut scope = RootScope::new(&mut self.store);
                let reference = table.get(&mut scope, element);
                let reference = reference.ok_or_else(|| Error::internal("a table has shrunk"))?;
                let now = match reference {
                    Ref::Func(function) => map.index(&mut scope, function)?,
                    reference if reference.is_null() => None,
                    reference => {
                        let value = value::from_wasm(&mut scope, &reference.into())?;
                        let place = || format!("element {element} of table {}", info.index);
                        index(references.value(&mut scope, &value, &place)?)
                    }
                };
                let before = initial.get(element as usize).copied().flatten();
                if now != before {
                    runs.add(element, now);
                }
            }
            tables.push(TableState { index: info.index, element: kind, size, runs: runs.done });
        }
        Ok(tables)
    }

    /// The indices of the bits that are set.
    fn dropped(&mut self, bitmap: &[Global]) -> Vec<u32> {
        let mut dropped = Vec::new();
        for (base, &global) in (0u32..).step_by(64).zip(bitmap) {
            let bits = self.store.i64_global(global);
            dropped.extend((0..64).filter(|bit| bits >> bit & 1 == 1).map(|bit| base + bit));
        }
        dropped
    }

    /// What it waits for of the embedder's, if that can be issued again.
    fn pending_import(&mut self) -> Result<Option<ImportRecord>, Error> {
        let mut record = written_import(self.store.data());
        if let Err(Error::InsideHostImport { backtrace, .. }) = &mut record {
            add_paused_frames(&mut self.store, backtrace)?;
        }
        record
    }

    fn host(&mut self, import: Option<ImportRecord>) -> Result<Vec<(String, HostValue)>, Error> {
        let mut host = Vec::new();
        if let Some(import) = import {
            host.push((IMPORT_NAMESPACE.to_string(), written(&import)?));
        }
        let state = self.store.data_mut();
        // NB: a guest that asks nothing of its scheduler can be resumed without one.
        if let Some(seat) = state.seat.as_ref().filter(|seat| seat.linked) {
            host.push((sched::NAMESPACE.to_string(), written(&seat.state())?));
        }
        if let Some(wasi) = &mut state.wasi {
            let state = wasi.state().map_err(|error| Error::Wasi(Box::new(error)))?;
            host.push((WASI_NAMESPACE.to_string(), written(&state)?));
        }
        Ok(host)
    }

    fn memory_states(&self, image: &Image, base: Option<Base<'_>>) -> Vec<MemoryState<'_>> {
        let infos = &self.module.metadata().memories;
        let states = self.exports.memories.iter().zip(infos).zip(&image.memories).enumerate();
        let changes = &self.store.data().changes;
        states
            .map(|(position, ((memory, info), image))| {
                let bytes = memory.data(&self.store);
                let base = base.map(|base| (&base.snapshot.memories[position], base.digest));
                let touched = changes.candidates(position, bytes, base);
                let all = 0..(bytes.len() / PAGE_BYTES) as u64;
                let touched = touched.unwrap_or_else(|| vec![all]);
                let runs = match base {
                    None => diff_pages_within(bytes, |page| image.page(page), touched),
                    Some((base, _)) => {
                        let initial = |page| base.page(page, |page| image.page(page));
                        diff_pages_within(bytes, initial, touched)
                    }
                };
                MemoryState { index: info.index, pages: memory.size(&self.store), runs }
            })
            .collect()
    }
}

/// The state of a namespace as CBOR.
fn written(state: &impl serde::Serialize) -> Result<HostValue, Error> {
    let value = HostValue::serialized(state);
    let mut value =
        value.map_err(|error| Error::internal(format!("host state has no CBOR form: {error}")))?;
    snapshot::sort_host_value(&mut value);
    Ok(value)
}

/// Runs of table elements so far.
#[derive(Default)]
struct TableRuns {
    done: Vec<TableRun>,
}

impl TableRuns {
    fn add(&mut self, element: u64, index: Option<u32>) {
        match self.done.last_mut() {
            Some(run) if run.first + run.elements.len() as u64 == element => {
                run.elements.push(index);
            }
            _ => self.done.push(TableRun { first: element, elements: vec![index] }),
        }
    }
}

fn position(point: &Point) -> Position {
    match point.kind {
        PointKind::Entry => Position::Entry,
        PointKind::Loop => Position::Loop { offset: point.offset },
        PointKind::Call => Position::Call { offset: point.offset },
        PointKind::Import => Position::Import,
    }
}

/// What a reference refers to.
fn index(value: Value) -> Option<u32> {
    match value {
        Value::FuncRef(index) | Value::ExternRef(index) | Value::ExnRef(index) => index,
        _ => None,
    }
}
