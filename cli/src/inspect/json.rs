//! The view for programs. Keys are never renamed or removed; values are those of the snapshot.

use serde_json::{Value as Json, json};
use tasklet_engine::snapshot::{Frame, PAGE_BYTES, Status, Value, WASM_PAGE_BYTES};
use tasklet_engine::wasi::WasiState;
use tasklet_engine::wasi::state::{ClockState, FdKind, StdinState};

use super::{View, differing_pages, position};
use crate::report::written as value;

/// The snapshot as JSON.
pub fn render(view: &View) -> Json {
    let snapshot = &view.loaded.snapshot;
    let globals = snapshot.globals.iter().map(|(index, v)| {
        let mut global = value(v);
        global["index"] = json!(index);
        global
    });
    let tables = snapshot.tables.iter().map(|table| {
        let differing: usize = table.runs.iter().map(|run| run.elements.len()).sum();
        let ty = format!("{:?}", table.element.ty()).to_ascii_lowercase();
        json!({
            "index": table.index,
            "type": ty,
            "elements": table.size,
            "differing": differing,
        })
    });
    let memories = snapshot.memories.iter().map(|memory| {
        let (all, zero) = differing_pages(memory);
        json!({
            "index": memory.index,
            "bytes": memory.pages.saturating_mul(WASM_PAGE_BYTES),
            "page_bytes": PAGE_BYTES,
            "differing_pages": all,
            "zeroed_pages": zero,
        })
    });
    let pending = snapshot.pending.iter().map(|call| {
        let name = view.function(call.function);
        json!({ "function": call.function, "name": name, "args": values(&call.args) })
    });
    let objects = snapshot.objects.iter();
    let objects =
        objects.map(|object| json!({ "codec": object.codec, "bytes": object.bytes.len() }));
    let exceptions = snapshot.exceptions.iter();
    let exceptions = exceptions
        .map(|exception| json!({ "tag": exception.tag, "payload": values(&exception.fields) }));
    let all = snapshot.frames.len();
    let left_out = View::left_out(all, view.frames.unwrap_or(all));
    let shown = view.frames().enumerate().filter(|(depth, _)| !left_out.contains(depth));
    let backtrace = shown.map(|(_, frame)| self::frame(view, frame));
    let profile = snapshot.profile.as_ref().map(|profile| {
        json!({
            "stack_bytes": profile.stack_bytes,
            "memory_bytes": profile.memory_bytes,
            "callback_steps": profile.callback_steps,
            "table_elements": profile.table_elements,
            "reference_heap_bytes": profile.reference_heap_bytes,
        })
    });
    let mut json = json!({
        "format_version": view.loaded.version,
        "bytes": view.loaded.bytes,
        "hash": view.loaded.digest.to_string(),
        "parent": snapshot.parent.map(|parent| parent.to_string()),
        "base": snapshot.base.map(|base| base.to_string()),
        "profile": profile,
        "steps_used": snapshot.steps_used,
        "balance": snapshot.balance,
        "cost_table": snapshot.cost_table,
        "module": {
            "hash": snapshot.module.hash.to_string(),
            "bytes": snapshot.module.size,
            "embedded": snapshot.module.bytes.is_some(),
            "found": view.names.is_some(),
        },
        "entry": { "export": snapshot.entry.export, "args": values(&snapshot.entry.args) },
        "frames": snapshot.frames.len(),
        "backtrace": backtrace.collect::<Vec<_>>(),
        "frames_left_out": { "first": left_out.start, "count": left_out.len() },
        "pending": pending.collect::<Vec<_>>(),
        "memories": memories.collect::<Vec<_>>(),
        "tables": tables.collect::<Vec<_>>(),
        "globals": globals.collect::<Vec<_>>(),
        "objects": objects.collect::<Vec<_>>(),
        "exceptions": exceptions.collect::<Vec<_>>(),
        "dropped_data": snapshot.dropped_data,
        "dropped_elements": snapshot.dropped_elements,
        "host": snapshot.host.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        "wasi": view.wasi.as_ref().map(wasi),
        "labels": snapshot.labels.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
    });
    status(view, &mut json);
    json
}

fn status(view: &View, json: &mut Json) {
    let (status, reason) = super::status(&view.loaded.snapshot.status);
    json["status"] = json!(status);
    json["reason"] = json!(reason);
    json["outcome"] = match &view.loaded.snapshot.status {
        Status::Paused { .. } => Json::Null,
        Status::Finished { results } => json!({ "results": values(results) }),
        Status::Exited { code } => json!({ "code": code }),
        Status::Trapped { message, backtrace } => {
            let lines = backtrace.iter().map(|line| {
                let name = view.function(line.function);
                json!({ "function": line.function, "name": name, "offset": line.offset })
            });
            json!({ "message": message, "backtrace": lines.collect::<Vec<_>>() })
        }
    };
}

fn values(values: &[Value]) -> Vec<Json> {
    values.iter().map(value).collect()
}

fn frame(view: &View, frame: &Frame) -> Json {
    let (at, offset) = position(frame.at);
    let locals = frame.locals.iter().map(|(index, v)| {
        let mut local = value(v);
        local["index"] = json!(index);
        local["name"] = json!(view.local(frame.function, *index));
        local
    });
    json!({
        "function": frame.function,
        "name": view.function(frame.function),
        "at": at,
        "offset": offset,
        "locals": locals.collect::<Vec<_>>(),
        "operands": values(&frame.operands),
    })
}

fn wasi(state: &WasiState) -> Json {
    let env = state.env.iter().map(|(name, value)| json!([name, value]));
    let preopens = state.preopens.iter();
    let preopens = preopens.map(|dir| json!({ "guest": dir.guest, "read_only": dir.read_only }));
    let files = state.fds.iter().map(|(fd, state)| {
        let mut file = descriptor(&state.kind);
        file["fd"] = json!(fd);
        file
    });
    let stdin = match &state.stdin {
        StdinState::Null => json!({ "kind": "null" }),
        StdinState::Bytes(bytes) => json!({ "kind": "bytes", "left": bytes.0.len() }),
        StdinState::File { path, offset, .. } => {
            json!({ "kind": "file", "path": path, "offset": offset })
        }
        StdinState::Inherit { ahead, eof } => {
            json!({ "kind": "inherit", "read_ahead": ahead.0.len(), "eof": eof })
        }
    };
    let clock = match &state.clock {
        ClockState::Host { monotonic_ns } => {
            json!({ "kind": "host", "monotonic_ns": monotonic_ns })
        }
        ClockState::Virtual { slept_ns } => json!({ "kind": "virtual", "slept_ns": slept_ns }),
    };
    json!({
        "args": state.args,
        "env": env.collect::<Vec<_>>(),
        "preopens": preopens.collect::<Vec<_>>(),
        "files": files.collect::<Vec<_>>(),
        "stdin": stdin,
        "stdout_bytes": state.stdout_bytes,
        "stderr_bytes": state.stderr_bytes,
        "clock": clock,
        "waiting_in": state.pending.as_ref().map(|call| call.function.as_str()),
    })
}

fn descriptor(kind: &FdKind) -> Json {
    match kind {
        FdKind::Stdin => json!({ "kind": "stdin" }),
        FdKind::Stdout => json!({ "kind": "stdout" }),
        FdKind::Stderr => json!({ "kind": "stderr" }),
        FdKind::Preopen { preopen, .. } => json!({ "kind": "preopen", "preopen": preopen }),
        FdKind::Dir { preopen, path, .. } => {
            json!({ "kind": "directory", "preopen": preopen, "path": path })
        }
        FdKind::File { preopen, path, read, write, offset, .. } => json!({
            "kind": "file",
            "preopen": preopen,
            "path": path,
            "read": read,
            "write": write,
            "offset": offset,
        }),
    }
}
