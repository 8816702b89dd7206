//! The view for people.

use std::fmt::Write;

use tasklet_engine::snapshot::{Frame, Snapshot, Status, Value, WASM_PAGE_BYTES};
use tasklet_engine::wasi::WasiState;
use tasklet_engine::wasi::state::{ClockState, FdKind, PreopenState, StdinState};

use super::{View, differing_pages, position};
use crate::output::plain;

/// Frames shown of a deep stack, at its two ends.
const FRAMES: usize = 45;
/// Objects, and exceptions, shown of many.
const REFERENCES: usize = 40;

/// The snapshot as text.
pub fn render(view: &View) -> String {
    let mut page = Page::default();
    head(view, &mut page);
    frames(view, &mut page);
    state(view, &mut page);
    if let Some(wasi) = &view.wasi {
        system(wasi, &mut page);
    }
    page.text
}

/// Lines of a name and what is to say of it.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, name: &str, value: impl AsRef<str>) {
        self.write(format_args!("{name:<10} {}", value.as_ref()));
    }

    fn write(&mut self, line: std::fmt::Arguments<'_>) {
        // Names come from the guest: none may make a line of its own.
        let line = plain(&line.to_string()).replace('\n', "\\n");
        writeln!(self.text, "{}", line.trim_end()).expect("writing to a string");
    }
}

fn head(view: &View, page: &mut Page) {
    let snapshot = &view.loaded.snapshot;
    page.line("snapshot", format!("{} ({} bytes)", view.loaded.digest, view.loaded.bytes));
    let parent = snapshot.parent.map_or("none".into(), |parent| parent.to_string());
    page.line("parent", parent);
    if let Some(base) = snapshot.base {
        page.line("base", format!("{base}: without it this cannot be resumed"));
    }
    let module = &snapshot.module;
    let place = match (&module.bytes, &view.names) {
        (Some(_), _) => "embedded",
        (None, Some(_)) => "not embedded, found",
        (None, None) => "not embedded, not found: names need --module FILE",
    };
    page.line("module", format!("{} ({} bytes, {place})", module.hash, module.size));
    let entry = &snapshot.entry;
    page.line("entry", format!("{}({})", entry.export, list(&entry.args)));
    page.line("steps", format!("{} used, balance {}", snapshot.steps_used, snapshot.balance));
    if let Some(profile) = &snapshot.profile {
        page.line(
            "profile",
            format!(
                "deterministic: {} bytes for each memory, {} of stack, {} elements for each table",
                profile.memory_bytes, profile.stack_bytes, profile.table_elements
            ),
        );
    }
    page.line("status", status(&snapshot.status));
    if let Status::Trapped { backtrace, .. } = &snapshot.status {
        let left_out = View::left_out(backtrace.len(), FRAMES);
        for (depth, line) in backtrace.iter().enumerate() {
            let place = line.offset.map(|at| format!(" at {at:#x}")).unwrap_or_default();
            if !left_out.contains(&depth) {
                page.write(format_args!("  {depth:>3}: {}{place}", function(view, line.function)));
            } else if depth == left_out.start {
                page.write(format_args!("       ... more ..."));
            }
        }
    }
    for (name, text) in &snapshot.labels {
        page.line("label", format!("{name} = {text}"));
    }
}

fn status(status: &Status) -> String {
    match status {
        Status::Finished { results } if results.is_empty() => "finished".into(),
        Status::Finished { results } => format!("finished with {}", list(results)),
        Status::Exited { code } => format!("exited with code {code}"),
        Status::Trapped { message, .. } => format!("trapped: {message}"),
        Status::Paused { .. } => {
            format!("paused ({})", super::status(status).1.unwrap_or_default())
        }
    }
}

fn frames(view: &View, page: &mut Page) {
    let count = view.loaded.snapshot.frames.len();
    if count > 0 {
        page.line("frames", format!("{count}, innermost first:"));
    }
    let left_out = View::left_out(count, view.frames.unwrap_or(FRAMES));
    for (depth, frame) in view.frames().enumerate() {
        if !left_out.contains(&depth) {
            self::frame(view, depth, frame, page);
        } else if depth == left_out.start {
            page.write(format_args!("       ... {} more ...", left_out.len()));
        }
    }
    for call in &view.loaded.snapshot.pending {
        page.line(
            "then calls",
            format!("{} ({})", function(view, call.function), list(&call.args)),
        );
    }
}

fn frame(view: &View, depth: usize, frame: &Frame, page: &mut Page) {
    let (kind, offset) = position(frame.at);
    let place = match offset {
        Some(offset) => format!("{kind} at {offset:#x}"),
        None => kind.to_string(),
    };
    page.write(format_args!("  {depth:>3}: {}, {place}", function(view, frame.function)));
    for (index, value) in &frame.locals {
        let name = view.local(frame.function, *index).map(|n| format!(" {n}")).unwrap_or_default();
        page.write(format_args!("         local {index}{name} = {}", typed(value)));
    }
    for (index, value) in frame.operands.iter().enumerate() {
        page.write(format_args!("         operand {index} = {}", typed(value)));
    }
}

fn state(view: &View, page: &mut Page) {
    let snapshot = &view.loaded.snapshot;
    for memory in &snapshot.memories {
        let bytes = memory.pages.saturating_mul(WASM_PAGE_BYTES);
        let (all, zero) = differing_pages(memory);
        let from = if snapshot.base.is_some() { " from the base" } else { "" };
        let what =
            format!("{bytes} bytes; {all} pages of 4096 differ{from}, {zero} of them zeroed");
        page.line("memory", format!("{}: {what}", memory.index));
    }
    for table in &snapshot.tables {
        let differing: usize = table.runs.iter().map(|run| run.elements.len()).sum();
        let ty = format!("{:?}", table.element.ty()).to_ascii_lowercase();
        let what = format!("{}: {} elements ({ty}); {differing} differ", table.index, table.size);
        page.line("table", what);
    }
    for (index, value) in &snapshot.globals {
        page.line("global", format!("{index} = {}", typed(value)));
    }
    objects(snapshot, page);
    let dropped =
        |indices: &[u32]| indices.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    if !snapshot.dropped_data.is_empty() {
        page.line("dropped", format!("data {}", dropped(&snapshot.dropped_data)));
    }
    if !snapshot.dropped_elements.is_empty() {
        page.line("dropped", format!("elements {}", dropped(&snapshot.dropped_elements)));
    }
    for (name, _) in &snapshot.host {
        if view.wasi.is_none() || name != super::WASI {
            page.line("host state", format!("{name} (not understood here)"));
        }
    }
}

/// What references are to, as far as it is not the guest's own code.
fn objects(snapshot: &Snapshot<'_>, page: &mut Page) {
    for (number, object) in snapshot.objects.iter().enumerate().take(REFERENCES) {
        let bytes = object.bytes.len();
        page.line("object", format!("{number}: {} ({bytes} bytes)", object.codec));
    }
    for (number, exception) in snapshot.exceptions.iter().enumerate().take(REFERENCES) {
        let payload = list(&exception.fields);
        page.line("exception", format!("{number}: tag {} ({payload})", exception.tag));
    }
    let all = [("objects", snapshot.objects.len()), ("exceptions", snapshot.exceptions.len())];
    for (what, count) in all {
        if count > REFERENCES {
            page.write(format_args!("       ... {} more {what} ...", count - REFERENCES));
        }
    }
}

fn system(state: &WasiState, page: &mut Page) {
    page.line("arguments", format!("{:?}", state.args));
    for (name, value) in &state.env {
        page.line("variable", format!("{name}={value}"));
    }
    for dir in &state.preopens {
        let mode = if dir.read_only { " (read-only)" } else { "" };
        page.line("directory", format!("{}{mode}", dir.guest));
    }
    for (fd, state_of) in &state.fds {
        if let Some(what) = file(&state.preopens, &state_of.kind) {
            page.line("open", format!("{fd}: {what}"));
        }
    }
    page.line(
        "stdin",
        match &state.stdin {
            StdinState::Null => "none".into(),
            StdinState::Bytes(bytes) => format!("{} bytes left", bytes.0.len()),
            StdinState::File { path, offset, .. } => format!("file {path}, at byte {offset}"),
            StdinState::Inherit { ahead, eof } => {
                let end = if *eof { ", then its end" } else { "" };
                format!("the process's own; {} bytes read ahead{end}", ahead.0.len())
            }
        },
    );
    page.line("stdout", format!("{} bytes written", state.stdout_bytes));
    page.line("stderr", format!("{} bytes written", state.stderr_bytes));
    page.line(
        "clock",
        match &state.clock {
            ClockState::Host { monotonic_ns } => {
                format!("the host's, {monotonic_ns} ns after the start")
            }
            ClockState::Virtual { slept_ns } => format!("virtual, {slept_ns} ns slept"),
        },
    );
    if let Some(call) = &state.pending {
        page.line("waits in", &call.function);
    }
}

/// What a descriptor refers to, unless that is plain from its number.
fn file(preopens: &[PreopenState], kind: &FdKind) -> Option<String> {
    let root = |preopen: u32| {
        preopens.get(preopen as usize).map_or("?", |dir| dir.guest.as_str()).trim_end_matches('/')
    };
    match kind {
        FdKind::Stdin | FdKind::Stdout | FdKind::Stderr | FdKind::Preopen { .. } => None,
        FdKind::Dir { preopen, path, .. } => Some(format!("directory {}/{path}", root(*preopen))),
        FdKind::File { preopen, path, read, write, offset, .. } => {
            let mode = match (read, write) {
                (true, true) => "read and write",
                (false, true) => "write",
                _ => "read",
            };
            Some(format!("file {}/{path}, {mode}, at byte {offset}", root(*preopen)))
        }
    }
}

fn function(view: &View, index: u32) -> String {
    match view.function(index) {
        Some(name) => format!("{name} (function {index})"),
        None => format!("function {index}"),
    }
}

fn typed(value: &Value) -> String {
    format!("{value} ({})", format!("{:?}", value.ty()).to_ascii_lowercase())
}

fn list(values: &[Value]) -> String {
    let texts: Vec<String> = values.iter().map(Value::to_string).collect();
    texts.join(", ")
}
