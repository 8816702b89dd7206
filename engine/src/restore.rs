//! Making a tasklet of a snapshot, which is not trusted.
//!
//! Everything is checked against the module before anything is made of it. The worst a forged
//! snapshot can do is what the guest could do to itself.

mod check;

use std::sync::Arc;

use wasmtime::{Global, Ref, Store, TypedFunc};

use self::check::Checked;
use crate::error::Error;
use crate::host::Host;
use crate::module::Module;
use crate::snapshot::{self, Digest, PAGE_BYTES, PageData, Snapshot, TableState, Value};
use crate::state::{Context, Exports, State};
use crate::tasklet::{Status, Tasklet, grow_for, instantiate, push_frame};
use crate::trap::{Trap, TrapFrame, TrapKind};
use crate::value;

impl Tasklet {
    /// Makes a tasklet that goes on where the snapshot's stood. `digest` is the snapshot's own, as
    /// [`Snapshot::read_from`] returns it: the next snapshot names it as its parent.
    ///
    /// # Errors
    /// [`Error::Snapshot`] when the snapshot contradicts itself or the module,
    /// [`Error::Incompatible`] when it is of another module, was counted by other prices or stands
    /// where this version knows no place, and the errors of [`Tasklet::spawn`].
    pub fn load(
        module: &Module,
        snapshot: &Snapshot<'_>,
        digest: Digest,
        host: Host,
    ) -> Result<Tasklet, Error> {
        let checked = check::check(module, snapshot, &host.limits)?;
        let Host { functions, wasi, limits, user } = host;
        let wasi = crate::host::resume_wasi(wasi, &snapshot.host)?;
        let (mut store, exports) = instantiate(module, &functions, wasi, limits, user)?;
        memories(&mut store, &exports, snapshot)?;
        globals(&mut store, &exports, &snapshot.globals)?;
        tables(&mut store, &exports, &snapshot.tables)?;
        drop_segments(&mut store, &exports, snapshot)?;
        frames(&mut store, snapshot, &checked)?;
        Ok(Tasklet {
            module: module.clone(),
            store,
            exports,
            entry: snapshot.entry.clone(),
            queue: snapshot.pending.iter().cloned().collect(),
            current: checked.current,
            status: status(module, &snapshot.status),
            waiting: None,
            charged: checked.charged,
            fuel: checked.fuel,
            cut: module.pace().first_cut(checked.charged),
            parent: Some(digest),
        })
    }
}

fn memories(
    store: &mut Store<State>,
    exports: &Exports,
    snapshot: &Snapshot<'_>,
) -> Result<(), Error> {
    for (memory, state) in exports.memories.iter().zip(&snapshot.memories) {
        let grown = state.pages.saturating_sub(memory.size(&*store));
        if grown > 0 {
            memory.grow(&mut *store, grown).map_err(|error| {
                Error::limit(format!("memory {} of {} pages: {error}", state.index, state.pages))
            })?;
        }
        let bytes = memory.data_mut(&mut *store);
        for run in &state.runs {
            let start = run.first as usize * PAGE_BYTES;
            let run_bytes = &mut bytes[start..start + run.count as usize * PAGE_BYTES];
            match &run.data {
                PageData::Zero => run_bytes.fill(0),
                PageData::Bytes(data) => run_bytes.copy_from_slice(data),
            }
        }
    }
    Ok(())
}

fn globals(
    store: &mut Store<State>,
    exports: &Exports,
    values: &[(u32, Value)],
) -> Result<(), Error> {
    for (global, &(index, value)) in exports.globals.iter().zip(values) {
        let value = value::to_wasm(store, value)?;
        // A typed reference takes only functions of its type.
        global
            .set(&mut *store, value)
            .map_err(|error| Error::snapshot(format!("global {index}: {error}")))?;
    }
    Ok(())
}

fn tables(store: &mut Store<State>, exports: &Exports, states: &[TableState]) -> Result<(), Error> {
    for (table, state) in exports.tables.iter().zip(states) {
        let refused =
            |error: wasmtime::Error| Error::snapshot(format!("table {}: {error}", state.index));
        let grown = state.size.saturating_sub(table.size(&*store));
        if grown > 0 {
            table.grow(&mut *store, grown, Ref::Func(None)).map_err(refused)?;
        }
        for run in &state.runs {
            for (element, &function) in (run.first..).zip(&run.functions) {
                let function = function.map(|index| store.function(index)).transpose()?;
                table.set(&mut *store, element, Ref::Func(function)).map_err(refused)?;
            }
        }
    }
    Ok(())
}

fn drop_segments(
    store: &mut Store<State>,
    exports: &Arc<Exports>,
    snapshot: &Snapshot<'_>,
) -> Result<(), Error> {
    let data = (&exports.drop_data, &exports.dropped_data[..]);
    drop_each(store, data, &snapshot.dropped_data)?;
    let elements = (&exports.drop_elements, &exports.dropped_elements[..]);
    drop_each(store, elements, &snapshot.dropped_elements)
}

fn drop_each(
    store: &mut Store<State>,
    (drop, bitmap): (&Option<TypedFunc<i32, ()>>, &[Global]),
    indices: &[u32],
) -> Result<(), Error> {
    for &index in indices {
        let drop = drop.as_ref().zip(bitmap.get(index as usize / 64));
        let Some((drop, &global)) = drop else {
            return Err(Error::snapshot(format!("segment {index} cannot have been dropped")));
        };
        drop.call(&mut *store, index as i32).map_err(Error::internal)?;
        let bits = store.i64_global(global) | 1 << (index % 64);
        store.set_global(global, bits)?;
    }
    Ok(())
}

fn frames(
    store: &mut Store<State>,
    snapshot: &Snapshot<'_>,
    checked: &Checked,
) -> Result<(), Error> {
    grow_for(store, checked.frame_bytes, checked.references)?;
    for (frame, &point) in snapshot.frames.iter().zip(&checked.points) {
        push_frame(store, point, |field| {
            // A local that the writer found dead is dead: any value will do.
            check::find(frame, field.place).unwrap_or(Value::zero(field.ty))
        })?;
    }
    Ok(())
}

fn status(module: &Module, status: &snapshot::Status) -> Status {
    match status {
        snapshot::Status::Paused { reason } => Status::Paused(*reason),
        snapshot::Status::Finished { results } => Status::Finished(results.clone()),
        snapshot::Status::Exited { code } => Status::Exited(*code),
        snapshot::Status::Trapped { message, backtrace } => Status::Trapped(Trap {
            kind: TrapKind::of_message(message),
            message: message.clone(),
            backtrace: (backtrace.iter())
                .map(|line| TrapFrame::of(module.metadata(), line.function, line.offset))
                .collect(),
        }),
    }
}
