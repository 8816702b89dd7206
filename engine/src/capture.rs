//! Writing a paused or ended tasklet down, in terms of its original module.

use std::io::Write;

use tasklet_instrumenter::{Place, Point, PointKind};
use wasmtime::{Global, Ref};

use crate::error::Error;
use crate::host::WASI_NAMESPACE;
use crate::snapshot::{
    self, Digest, Frame, HostValue, MemoryState, ModuleRef, Position, Snapshot, TableRun,
    TableState, TrapFrame, Value, diff_pages,
};
use crate::state::Context;
use crate::tasklet::{RawFrame, Status, Tasklet, read, walk};
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
}

impl Default for SnapshotOptions {
    fn default() -> SnapshotOptions {
        SnapshotOptions { embed_module: true, labels: Vec::new() }
    }
}

impl Tasklet {
    /// The tasklet as a snapshot, which borrows the memories. Equal tasklets give equal snapshots.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the state holds a reference to a function that is not the
    /// module's, [`Error::Wasi`] when an open file can no longer be named.
    pub fn snapshot(&mut self, options: &SnapshotOptions) -> Result<Snapshot<'_>, Error> {
        let raw = walk(&mut self.store)?;
        let mut frames =
            raw.iter().map(|frame| self.frame(frame)).collect::<Result<Vec<_>, _>>()?;
        frames.reverse();
        let (steps_used, balance) = (self.steps_used()?, self.balance()?);
        let globals = self.globals()?;
        let tables = self.tables()?;
        let exports = self.exports.clone();
        let dropped_data = self.dropped(&exports.dropped_data);
        let dropped_elements = self.dropped(&exports.dropped_elements);
        let host = self.host()?;
        // From here on the store is only looked at: the memories are lent out.
        let this = &*self;
        let original = this.module.original();
        let module = ModuleRef {
            hash: this.module.hash(),
            size: original.len() as u64,
            bytes: options.embed_module.then(|| original.into()),
        };
        Ok(Snapshot {
            module,
            cost_table: this.module.metadata().cost_table,
            parent: this.parent,
            steps_used,
            balance,
            status: status(&this.status),
            entry: this.entry.clone(),
            pending: this.queue.iter().cloned().collect(),
            frames,
            memories: this.memory_states()?,
            globals,
            tables,
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
        let digest =
            self.snapshot(options)?.write_to(out).map_err(|error| Error::Write(Box::new(error)))?;
        self.parent = Some(digest);
        Ok(digest)
    }

    fn frame(&mut self, raw: &RawFrame) -> Result<Frame, Error> {
        let values = read(&mut self.store, raw)?;
        let point = &self.module.metadata().points[raw.point as usize];
        let mut locals = Vec::new();
        let mut operands = Vec::new();
        for (place, value) in values {
            match place {
                Place::Local(index) => locals.push((index, value)),
                Place::Operand(index) => operands.push((index, value)),
            }
        }
        locals.sort_by_key(|(index, _)| *index);
        operands.sort_by_key(|(index, _)| *index);
        if !(0u32..).zip(&operands).all(|(at, (index, _))| at == *index) {
            return Err(Error::internal(format!("operands are missing at {:#x}", point.offset)));
        }
        let operands = operands.into_iter().map(|(_, value)| value).collect();
        Ok(Frame { function: point.function, at: position(point), locals, operands })
    }

    fn globals(&mut self) -> Result<Vec<(u32, Value)>, Error> {
        let exports = self.exports.clone();
        let mut globals = Vec::with_capacity(exports.globals.len());
        for (position, global) in exports.globals.iter().enumerate() {
            let wasm = global.get(&mut self.store);
            let value = value::from_wasm(&mut self.store, &wasm)?;
            globals.push((self.module.metadata().globals[position].index, value));
        }
        Ok(globals)
    }

    fn tables(&mut self) -> Result<Vec<TableState>, Error> {
        let exports = self.exports.clone();
        let module = self.module.clone();
        let map = self.store.function_map();
        let mut tables = Vec::with_capacity(exports.tables.len());
        for (position, table) in exports.tables.iter().enumerate() {
            let size = table.size(&self.store);
            let initial = &module.image()?.tables[position];
            let mut runs = TableRuns::default();
            for element in 0..size {
                let Some(Ref::Func(function)) = table.get(&mut self.store, element) else {
                    return Err(Error::internal("a table that holds no functions"));
                };
                let function = map.index(&mut self.store, function)?;
                let before = initial.get(element as usize).copied().flatten();
                if function != before {
                    runs.add(element, function);
                }
            }
            let index = module.metadata().tables[position].index;
            tables.push(TableState { index, size, runs: runs.done });
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

    fn host(&mut self) -> Result<Vec<(String, HostValue)>, Error> {
        let Some(wasi) = &mut self.store.data_mut().wasi else { return Ok(Vec::new()) };
        let state = wasi.state().map_err(|error| Error::Wasi(Box::new(error)))?;
        let value = HostValue::serialized(&state).map_err(|error| {
            Error::internal(format!("the WASI state has no CBOR form: {error}"))
        })?;
        Ok(vec![(WASI_NAMESPACE.to_string(), value)])
    }

    fn memory_states(&self) -> Result<Vec<MemoryState<'_>>, Error> {
        let infos = &self.module.metadata().memories;
        let images = &self.module.image()?.memories;
        let states = self.exports.memories.iter().zip(infos).zip(images);
        Ok(states
            .map(|((memory, info), image)| MemoryState {
                index: info.index,
                pages: memory.size(&self.store),
                runs: diff_pages(memory.data(&self.store), |page| image.page(page)),
            })
            .collect())
    }
}

/// Runs of table elements so far.
#[derive(Default)]
struct TableRuns {
    done: Vec<TableRun>,
}

impl TableRuns {
    fn add(&mut self, element: u64, function: Option<u32>) {
        match self.done.last_mut() {
            Some(run) if run.first + run.functions.len() as u64 == element => {
                run.functions.push(function);
            }
            _ => self.done.push(TableRun { first: element, functions: vec![function] }),
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

fn status(status: &Status) -> snapshot::Status {
    match status {
        Status::Paused(reason) => snapshot::Status::Paused { reason: *reason },
        Status::Finished(results) => snapshot::Status::Finished { results: results.clone() },
        Status::Exited(code) => snapshot::Status::Exited { code: *code },
        Status::Trapped(trap) => snapshot::Status::Trapped {
            message: trap.message.clone(),
            backtrace: (trap.backtrace.iter())
                .map(|frame| TrapFrame { function: frame.function, offset: frame.offset })
                .collect(),
        },
    }
}
