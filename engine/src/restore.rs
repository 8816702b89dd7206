//! Making a tasklet of a snapshot, which is not trusted.
//!
//! Everything is checked against the module before anything is made of it. The worst a forged
//! snapshot can do is what the guest could do to itself.

mod check;
mod references;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use wasmtime::{AsContextMut, Global, RootScope, TypedFunc};

use self::check::Checked;
use self::references::References;
use crate::changes::{self, Changes, Pages};
use crate::error::Error;
use crate::files::{Mapping, Resolved, borrowed};
use crate::host::{Host, written_globals};
use crate::limits::Limits;
use crate::memories::Place;
use crate::module::Module;
use crate::sharing::{Inherited, SharedMemory, Sharing};
use crate::snapshot::{
    self, Digest, MemoryState, PAGE_BYTES, PageData, RefType, Snapshot, TableState,
};
use crate::state::{Context, Exports};
use crate::tasklet::{PendingCall, Started, Status, Tasklet, grow_for, instantiate, push_frame};
use crate::trap::{Trap, TrapFrame, TrapKind};
use crate::value::{self, Value};

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
        Tasklet::load_with(module, Given::Lent(snapshot), Some(digest), host, Files::none())
    }

    /// The same of a snapshot that is not needed any more: its pages are given back as they are
    /// copied, so that no more than a few megabytes are there twice.
    ///
    /// # Errors
    /// Those of [`load`](Tasklet::load).
    pub fn load_owned(
        module: &Module,
        snapshot: Snapshot<'_>,
        digest: Digest,
        host: Host,
    ) -> Result<Tasklet, Error> {
        let given = Given::Own(Box::new(snapshot));
        Tasklet::load_with(module, given, Some(digest), host, Files::none())
    }

    /// The same of a snapshot that was read from files. Large runs of pages are not copied but
    /// mapped from there, if the files are ([`SnapshotFile::is_mapped`](crate::SnapshotFile)): they
    /// are read when the guest comes to need them, and written to in memory alone.
    ///
    /// The files must stay as they are for as long as the tasklet lives. To be removed, or replaced
    /// by other files, as a rename does, is no change. But one that is overwritten in place changes
    /// the tasklet, and one that is cut off, as by `File::create`, ends the process with a bus
    /// error: a program that dumps to the very path it has loaded from has to write to another and
    /// rename that, or load with [`load`](Tasklet::load).
    ///
    /// # Errors
    /// Those of [`load`](Tasklet::load).
    pub fn load_mapped(
        module: &Module,
        resolved: &Resolved<'_>,
        host: Host,
    ) -> Result<Tasklet, Error> {
        let mappings: Vec<&Mapping> = resolved.files.mappings().collect();
        let given = Given::Lent(&resolved.snapshot);
        let files = Files { mappings: &mappings, inherited: &[], mappings_left: MAPPINGS_MAX };
        Tasklet::load_with(module, given, Some(resolved.digest), host, files)
    }

    /// The same of a snapshot that is no file of its own: what is written next has the parent that
    /// this one has.
    pub(crate) fn restore(
        module: &Module,
        snapshot: &Snapshot<'_>,
        host: Host,
    ) -> Result<Tasklet, Error> {
        Tasklet::load_fork(module, snapshot, &[], host)
    }

    /// The same over what is inherited of each memory.
    pub(crate) fn load_fork(
        module: &Module,
        snapshot: &Snapshot<'_>,
        inherited: &[Inherited<'_>],
        host: Host,
    ) -> Result<Tasklet, Error> {
        let files = Files { inherited, ..Files::none() };
        Tasklet::load_with(module, Given::Lent(snapshot), None, host, files)
    }

    fn load_with(
        module: &Module,
        mut given: Given<'_, '_>,
        digest: Option<Digest>,
        host: Host,
        files: Files<'_>,
    ) -> Result<Tasklet, Error> {
        let snapshot = given.snapshot();
        if let Some(base) = snapshot.base {
            let what = format!("it is over the base {base}: lay it over that first");
            return Err(Error::incompatible(what));
        }
        let mut host = host;
        host.limits = profile_limits(module, snapshot, host.limits)?;
        let checked = check::check(module, snapshot, &host.limits)?;
        let deterministic = snapshot.profile.is_some();
        let wasi = crate::host::resume_wasi(host.wasi.take(), &snapshot.host, deterministic)?;
        let fresh = host.seat.take();
        host.seat = crate::host::resume_seat(fresh, &snapshot.host)?;
        host.issued = crate::host::resume_import(&host, module.metadata(), snapshot)?;
        let objects = host.codecs.decode_all(&snapshot.objects)?;
        let globals = written_globals(&host, module.metadata(), snapshot, &objects)?;
        let (mut store, exports) = instantiate(module, host, wasi, &globals)?;
        // Whatever is referred to from here on is kept alive until the tasklet holds it itself.
        let mut scope = RootScope::new(&mut store);
        let mut references = References::make(&mut scope, objects, &snapshot.exceptions)?;
        let place = module.engine().place();
        let (mapped, shared) = memories(&mut scope, &exports, given.take_memories(), files, place)?;
        let snapshot = given.snapshot();
        let mut context = scope.as_context_mut();
        let state = context.data_mut();
        state.changes = Changes::of_loaded(digest, mapped);
        state.sharing = Sharing::of_fork(shared);
        self::globals(&mut scope, module, &exports, snapshot, &mut references)?;
        tables(&mut scope, &exports, &snapshot.tables, &mut references)?;
        drop_segments(&mut scope, &exports, snapshot)?;
        frames(&mut scope, snapshot, &checked, &mut references)?;
        let entry = Started {
            export: snapshot.entry.export.clone(),
            args: references.values(&mut scope, &snapshot.entry.args)?,
        };
        let mut queue = VecDeque::with_capacity(snapshot.pending.len());
        for call in &snapshot.pending {
            let args = references.values(&mut scope, &call.args)?;
            queue.push_back(PendingCall { function: call.function, args });
        }
        let status = status(&mut scope, module, &snapshot.status, &mut references)?;
        drop(scope);
        Ok(Tasklet {
            module: module.clone(),
            store,
            exports,
            entry: Some(entry),
            queue,
            current: checked.current,
            status,
            waiting: None,
            charged: checked.charged,
            fuel: checked.fuel,
            cut: module.pace().first_cut(checked.charged),
            roomy_until: 0,
            parent: digest.or(snapshot.parent),
        })
    }
}

/// A snapshot that a tasklet is made of.
enum Given<'s, 'a> {
    Lent(&'s Snapshot<'a>),
    Own(Box<Snapshot<'a>>),
}

impl<'a> Given<'_, 'a> {
    fn snapshot(&self) -> &Snapshot<'a> {
        match self {
            Given::Lent(snapshot) => snapshot,
            Given::Own(snapshot) => snapshot,
        }
    }

    /// Its memories; of what is its own nothing is left.
    fn take_memories(&mut self) -> Vec<MemoryState<'_>> {
        match self {
            Given::Lent(snapshot) => snapshot.memories.iter().map(MemoryState::lent).collect(),
            Given::Own(snapshot) => std::mem::take(&mut snapshot.memories),
        }
    }
}

/// Where pages can be mapped from.
struct Files<'m> {
    mappings: &'m [&'m Mapping],
    /// For each memory what it has before anything of the snapshot is laid over it; none if that is
    /// the module's image.
    inherited: &'m [Inherited<'m>],
    /// How many runs may be.
    mappings_left: usize,
}

impl Files<'_> {
    fn none() -> Files<'static> {
        Files { mappings: &[], inherited: &[], mappings_left: 0 }
    }
}

/// Runs of fewer bytes are copied: a mapping has its price too, and a process can have only so many.
const MAPPED_BYTES_MIN: usize = 256 << 10;
/// The most runs that are mapped, the first ones; the others are copied. A process has 65,530
/// mappings on Linux unless somebody allows more, and they are for all its tasklets.
const MAPPINGS_MAX: usize = 2048;

/// The limits of a tasklet that is loaded: those of a deterministic run are in its snapshot, but
/// none may go beyond the host's.
fn profile_limits(module: &Module, snapshot: &Snapshot<'_>, host: Limits) -> Result<Limits, Error> {
    let options = module.engine().options();
    let Some(profile) = snapshot.profile else {
        if options.deterministic {
            let what = "it is not of a deterministic run, and cannot become one: load it with an \
                        engine that is not, or start the program again";
            return Err(Error::incompatible(what));
        }
        return Ok(host);
    };
    if !options.deterministic {
        let what = "it is of a deterministic run: load it with an engine that is deterministic";
        return Err(Error::incompatible(what));
    }
    let (theirs, ours) = (profile.reference_heap_bytes, options.reference_heap_bytes);
    if theirs != ours {
        let what = format!("its heap of references has {theirs} bytes, this engine's has {ours}");
        return Err(Error::incompatible(what));
    }
    let within = |name: &str, theirs: u64, ours: u64| match theirs > ours {
        true => {
            Err(Error::limit(format!("its run was given {theirs} {name}, this host has {ours}")))
        }
        false => Ok(()),
    };
    within("bytes for each memory", profile.memory_bytes, host.memory_bytes)?;
    within("bytes of stack", profile.stack_bytes, host.stack_bytes)?;
    within("elements for each table", profile.table_elements, host.table_elements)?;
    let steps = (u64::from(profile.callback_steps), u64::from(host.callback_steps));
    within("steps for callbacks", steps.0, steps.1)?;
    let mut limits = host;
    limits.memory_bytes = profile.memory_bytes;
    limits.stack_bytes = profile.stack_bytes;
    limits.table_elements = profile.table_elements;
    limits.callback_steps = profile.callback_steps;
    Ok(limits)
}

fn memories(
    store: &mut impl Context,
    exports: &Exports,
    states: Vec<MemoryState<'_>>,
    mut files: Files<'_>,
    place: &Place,
) -> Result<(Vec<Pages>, Vec<SharedMemory>), Error> {
    let mut all_mapped = Vec::with_capacity(exports.memories.len());
    let mut all_shared = Vec::new();
    for (position, (memory, state)) in exports.memories.iter().zip(states).enumerate() {
        let grown = state.pages.saturating_sub(memory.size(&*store));
        if grown > 0 {
            // What is more than it may have has been refused already.
            memory.grow(&mut *store, grown).map_err(|error| {
                let (index, pages) = (state.index, state.pages);
                Error::host_failed(format!("no memory {index} of {pages} pages: {error}"))
            })?;
        }
        let bytes = memory.data_mut(&mut *store);
        let begin = bytes.as_ptr().addr();
        let mut mapped_pages = Pages::new();
        if let Some(inherited) = files.inherited.get(position) {
            let shared = inherited.map(bytes, place);
            mapped_pages = shared.pages();
            all_shared.push(shared);
        }
        for run in state.runs {
            let start = run.first as usize * PAGE_BYTES;
            let run_bytes = &mut bytes[start..start + run.count as usize * PAGE_BYTES];
            match run.data {
                PageData::Zero => run_bytes.fill(0),
                PageData::Bytes(data) => {
                    let is_worth_it = data.len() >= MAPPED_BYTES_MIN && files.mappings_left > 0;
                    let lent = borrowed(&data).filter(|_| is_worth_it);
                    let mut mapped = files.mappings.iter();
                    if lent.is_some_and(|data| mapped.any(|file| file.put(data, run_bytes))) {
                        files.mappings_left -= 1;
                        place.note_altered(begin);
                        mapped_pages.push(run.first..run.first + run.count);
                    } else {
                        if changes::prepare(run_bytes) {
                            place.note_altered(begin);
                        }
                        move_into(data, run_bytes);
                    }
                }
            }
        }
        all_mapped.push(mapped_pages);
    }
    Ok((all_mapped, all_shared))
}

/// Copies bytes to where they belong. Those that are owned are given back piece by piece, from the
/// end.
fn move_into(from: Cow<'_, [u8]>, to: &mut [u8]) {
    const PIECE: usize = 8 << 20;
    match from {
        Cow::Borrowed(bytes) => to.copy_from_slice(bytes),
        Cow::Owned(mut bytes) => {
            while !bytes.is_empty() {
                let start = bytes.len().saturating_sub(PIECE);
                to[start..bytes.len()].copy_from_slice(&bytes[start..]);
                bytes.truncate(start);
                bytes.shrink_to_fit();
            }
        }
    }
}

fn globals(
    store: &mut impl Context,
    module: &Module,
    exports: &Exports,
    snapshot: &Snapshot<'_>,
    references: &mut References,
) -> Result<(), Error> {
    let infos = &module.metadata().globals;
    for ((global, info), (index, value)) in exports.globals.iter().zip(infos).zip(&snapshot.globals)
    {
        if !info.mutable {
            // It was made with this value.
            continue;
        }
        let value = references.val(store, value)?;
        // A typed reference takes only functions of its type.
        global
            .set(&mut *store, value)
            .map_err(|error| Error::snapshot(format!("global {index}: {error}")))?;
    }
    Ok(())
}

fn tables(
    store: &mut impl Context,
    exports: &Exports,
    states: &[TableState],
    references: &mut References,
) -> Result<(), Error> {
    for (table, state) in exports.tables.iter().zip(states) {
        let refused =
            |error: wasmtime::Error| Error::snapshot(format!("table {}: {error}", state.index));
        let null = value::null_of(state.element.ty());
        let null = null.ok_or_else(|| Error::internal("a table of no references"))?;
        let size = table.size(&*store);
        if state.element != RefType::Func {
            // What it began with is not what it is compared with.
            table.fill(&mut *store, 0, null.clone(), size).map_err(refused)?;
        }
        let grown = state.size.saturating_sub(size);
        if grown > 0 {
            table.grow(&mut *store, grown, null).map_err(refused)?;
        }
        for run in &state.runs {
            for (element, &index) in (run.first..).zip(&run.elements) {
                let value = references.val(store, &state.element.value(index))?;
                table.set(&mut *store, element, value::reference_of(value)?).map_err(refused)?;
            }
        }
    }
    Ok(())
}

fn drop_segments(
    store: &mut impl Context,
    exports: &Arc<Exports>,
    snapshot: &Snapshot<'_>,
) -> Result<(), Error> {
    let data = (&exports.drop_data, &exports.dropped_data[..]);
    drop_each(store, data, &snapshot.dropped_data)?;
    let elements = (&exports.drop_elements, &exports.dropped_elements[..]);
    drop_each(store, elements, &snapshot.dropped_elements)
}

fn drop_each(
    store: &mut impl Context,
    (drop, bitmap): (&Option<TypedFunc<i32, ()>>, &[Global]),
    indices: &[u32],
) -> Result<(), Error> {
    for &index in indices {
        let Some(&global) = bitmap.get(index as usize / 64) else {
            return Err(Error::snapshot(format!("segment {index} cannot have been dropped")));
        };
        // Where there are no passive segments there is nothing to drop.
        if let Some(drop) = drop {
            drop.call(&mut *store, index as i32).map_err(Error::internal)?;
        }
        let bits = store.i64_global(global) | 1 << (index % 64);
        store.set_global(global, bits)?;
    }
    Ok(())
}

fn frames(
    store: &mut impl Context,
    snapshot: &Snapshot<'_>,
    checked: &Checked,
    references: &mut References,
) -> Result<(), Error> {
    grow_for(store, checked.frame_bytes, checked.references)?;
    for (frame, &point) in snapshot.frames.iter().zip(&checked.points) {
        push_frame(store, point, |store, field| match check::find(frame, field.place) {
            Some(value) => references.val(store, &value),
            // A local that the writer found dead is dead: any value will do.
            None => value::to_wasm(store, &Value::zero(field.ty)),
        })?;
    }
    Ok(())
}

fn status(
    store: &mut impl Context,
    module: &Module,
    status: &snapshot::Status,
    references: &mut References,
) -> Result<Status, Error> {
    Ok(match status {
        snapshot::Status::Paused { reason } => Status::Paused(*reason),
        snapshot::Status::Finished { results } => {
            Status::Finished(references.values(store, results)?)
        }
        snapshot::Status::Exited { code } => Status::Exited(*code),
        snapshot::Status::Trapped { message, backtrace } => Status::Trapped(Trap {
            kind: TrapKind::of_message(message),
            message: message.clone(),
            backtrace: (backtrace.iter())
                .map(|line| TrapFrame::of(module.metadata(), line.function, line.offset))
                .collect(),
        }),
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;

    use super::*;
    use crate::snapshot::Limits as ReadLimits;
    use crate::{Engine, EngineOptions, Entry, Outcome, SnapshotChain, SnapshotOptions};

    /// So many mappings of that file are in this process.
    fn mappings_of(path: &std::path::Path) -> usize {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().filter(|line| line.ends_with(path.to_str().unwrap())).count()
    }

    /// Sixteen runs of 320 KiB, and as large gaps.
    const RUNS: &str = r#"(module (memory (export "memory") 160)
        (func (export "_start") (local $run i32)
          (loop $l
            (memory.fill (i32.mul (local.get $run) (i32.const 655360)) (i32.const 7)
              (i32.const 327680))
            (local.set $run (i32.add (local.get $run) (i32.const 1)))
            (br_if $l (i32.lt_u (local.get $run) (i32.const 16))))))"#;

    #[test]
    fn mappings_are_bounded() {
        let cache = crate::CacheMode::Off;
        let options = EngineOptions { cache, ..EngineOptions::default() };
        let engine = Engine::new(&options).unwrap();
        let module = Module::load(&engine, &wat::parse_str(RUNS).unwrap()).unwrap();
        let mut tasklet = Tasklet::spawn(&module, Host::empty(), Entry::Command).unwrap();
        assert_eq!(tasklet.run(u64::MAX).unwrap(), Outcome::Finished(vec![]));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs.cbor");
        let mut file = fs::File::create(&path).unwrap();
        tasklet.dump(&mut file, &SnapshotOptions::default()).unwrap();
        let chain = SnapshotChain::open(&path, &[], &ReadLimits::DEFAULT).unwrap();
        let resolved = chain.resolve(&ReadLimits::DEFAULT).unwrap();
        let mappings: Vec<&Mapping> = resolved.files.mappings().collect();
        let before = mappings_of(&path);
        for (allowed, expected) in [(0, 0), (3, 3), (100, 16)] {
            let files = Files { mappings: &mappings, inherited: &[], mappings_left: allowed };
            let given = Given::Lent(&resolved.snapshot);
            let mut loaded =
                Tasklet::load_with(&module, given, Some(resolved.digest), Host::empty(), files)
                    .unwrap();
            assert_eq!(mappings_of(&path) - before, expected);
            let again = loaded.snapshot(&SnapshotOptions::default()).unwrap();
            assert!(again.memories == resolved.snapshot.memories, "{allowed}");
        }
    }
}
