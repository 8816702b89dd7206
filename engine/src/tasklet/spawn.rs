//! The beginning of a tasklet.

use std::collections::VecDeque;
use std::sync::Arc;

use wasmtime::{Instance, Store};

use super::{Entry, PendingCall, Shared, Started, Status, Tasklet, push_call};
use crate::changes::Changes;
use crate::error::Error;
use crate::host::{self, Host};
use crate::limits::{CALLBACK_STEPS_MAX, Limiter, Limits, STACK_BYTES_MAX};
use crate::memories::NO_ROOM;
use crate::module::Module;
use crate::sharing::Sharing;
use crate::snapshot::PauseReason;
use crate::state::{Exports, Meter, State};
use crate::value::{self, Value};
use crate::wasi::Wasi;

impl Tasklet {
    /// Makes a tasklet that stands before its first instruction: that of the module's start
    /// function if it has one, else of the entry. If there is neither, it has finished.
    ///
    /// # Errors
    /// [`Error::NoSuchExport`] and [`Error::Arguments`] when the entry does not fit,
    /// [`Error::UnknownImport`] and [`Error::ImportType`] when the host does not,
    /// [`Error::Limit`], [`Error::Wasi`], and [`Error::Instantiate`] when the module's own
    /// segments are out of bounds.
    pub fn spawn(module: &Module, host: Host, entry: Entry) -> Result<Tasklet, Error> {
        let resolved = match entry {
            Entry::Command => Some(resolve(module, "_start", Vec::new())?),
            Entry::Invoke { name, args } => Some(resolve(module, &name, args)?),
            Entry::Start => None,
        };
        let (entry, call) = resolved.unzip();
        let metadata = module.metadata();
        let mut queue: VecDeque<PendingCall> = VecDeque::new();
        queue.extend(metadata.start.map(|function| PendingCall { function, args: Vec::new() }));
        queue.extend(initializer(module, entry.as_ref()));
        queue.extend(call);
        let mut host = host;
        let deterministic = module.engine().options().deterministic;
        let wasi = host.wasi.take().map(|setup| setup.begin(deterministic)).transpose()?;
        let globals = host::given_globals(&host, metadata)?;
        let (mut store, exports) = instantiate(module, host, wasi, &globals)?;
        let first = queue.pop_front();
        if let Some(first) = &first {
            push_call(&mut store, first.function, &first.args)?;
        }
        Ok(Tasklet {
            module: module.clone(),
            store,
            exports,
            entry,
            queue,
            current: first.as_ref().map_or(0, |first| first.function),
            status: match first {
                Some(_) => Status::Paused(PauseReason::Requested),
                // Nothing comes before the first call.
                None => Status::Finished(Vec::new()),
            },
            waiting: None,
            charged: 0,
            fuel: 0,
            cut: module.pace().first_cut(0),
            roomy_until: 0,
            parent: None,
        })
    }
}

/// The call of an export, in the terms of snapshots and as it is queued.
pub(super) fn resolve(
    module: &Module,
    name: &str,
    args: Vec<Value>,
) -> Result<(Started, PendingCall), Error> {
    let metadata = module.metadata();
    let export = metadata.exports.iter().find(|export| export.name == name);
    let found =
        export.and_then(|export| Some((export.function, metadata.type_of(export.function)?)));
    let Some((function, ty)) = found else {
        return Err(Error::NoSuchExport { name: name.to_string() });
    };
    if !value::have_types(&args, &ty.params) {
        return Err(Error::Arguments {
            function: name.to_string(),
            expected: value::list(ty.params.iter().copied()),
            found: value::list(args.iter().map(Value::ty)),
        });
    }
    let call = PendingCall { function, args: args.clone() };
    Ok((Started { export: name.to_string(), args }, call))
}

/// What a reactor wants called before anything else.
fn initializer(module: &Module, entry: Option<&Started>) -> Option<PendingCall> {
    const NAME: &str = "_initialize";
    if entry.is_some_and(|entry| entry.export == "_start" || entry.export == NAME) {
        return None;
    }
    let metadata = module.metadata();
    let function = metadata.exports.iter().find(|export| export.name == NAME)?.function;
    let ty = metadata.type_of(function)?;
    let plain = ty.params.is_empty() && ty.results.is_empty();
    plain.then(|| PendingCall { function, args: Vec::new() })
}

/// Makes the instance, without running anything; `globals` are the imported ones.
pub(crate) fn instantiate(
    module: &Module,
    host: Host,
    wasi: Option<Wasi>,
    globals: &[Value],
) -> Result<(Store<State>, Arc<Exports>), Error> {
    host::check_adopted(&host, module.metadata())?;
    let heritage = host.heritage();
    let Host { functions, codecs, mut limits, user, seat, issued, trace_imports, .. } = host;
    check_limits(module, &limits)?;
    limits.stack_bytes = limits.stack_bytes.min(STACK_BYTES_MAX);
    limits.callback_steps = limits.callback_steps.min(CALLBACK_STEPS_MAX);
    let metadata = module.shared_metadata();
    let state = State {
        // The module's own memories and tables have been checked already.
        limiter: Limiter { limits, own: true, refuses: !module.engine().options().deterministic },
        exports: None,
        functions: None,
        wasi,
        seat,
        codecs,
        heritage,
        image: None,
        changes: Changes::default(),
        sharing: Sharing::default(),
        user,
        shared: Arc::new(Shared::new(metadata.clone())),
        meter: Meter::default(),
        depth: 0,
        pause: None,
        issued,
        pause_behind: false,
        withheld: 0,
        trace_imports,
        metadata,
    };
    let refused = |error: wasmtime::Error| match host_lacks(&error) {
        true => Error::host_failed(format!("no room for an instance: {error:#}")),
        false => Error::Instantiate(error.into_boxed_dyn_error()),
    };
    let mut store = Store::try_new(module.engine().wasmtime(), state).map_err(refused)?;
    store.limiter(|state| &mut state.limiter);
    let globals = host::make_globals(&mut store, module, globals)?;
    let linked = module.linked().filter(|_| host::is_common(&mut store, module, &functions));
    let instance = match linked {
        Some(linked) => linked.instantiate(&mut store),
        None => {
            let imports = host::link(&mut store, module, &functions, &globals)?;
            Instance::new(&mut store, module.compiled(), &imports)
        }
    };
    let instance = instance.map_err(refused)?;
    let exports = Arc::new(module.handles()?.exports(&mut store, &instance, &globals)?);
    let state = store.data_mut();
    state.exports = Some(exports.clone());
    state.limiter.own = false;
    Ok((store, exports))
}

/// Whether it is the system that has refused something, and not the module that is wrong.
fn host_lacks(error: &wasmtime::Error) -> bool {
    let is_systems = |cause: &(dyn std::error::Error + 'static)| {
        #[cfg(unix)]
        if cause.is::<rustix::io::Errno>() {
            return true;
        }
        cause.is::<std::io::Error>()
    };
    error.chain().any(is_systems) || error.to_string().contains(NO_ROOM)
}

fn check_limits(module: &Module, limits: &Limits) -> Result<(), Error> {
    for memory in &module.metadata().memories {
        if memory.pages > limits.memory_bytes >> 16 {
            let (index, pages) = (memory.index, memory.pages);
            return Err(Error::limit(format!("memory {index} begins with {pages} pages")));
        }
    }
    for table in &module.metadata().tables {
        if table.elements > limits.table_elements {
            let (index, elements) = (table.index, table.elements);
            return Err(Error::limit(format!("table {index} begins with {elements} elements")));
        }
    }
    Ok(())
}
