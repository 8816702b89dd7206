//! What a host import can do with the guest that called it.

use std::any::Any;

use tasklet_instrumenter::abi;
use wasmtime::{
    AsContext, AsContextMut, Caller, Extern, Func, Ref, ThrownException, Val, WasmBacktrace,
};

use super::{HostError, way_out};
use crate::error::Error;
use crate::exception;
use crate::sched::TaskletId;
use crate::snapshot::Snapshot;
use crate::state::{Context, State};
use crate::tasklet::TaskletHandle;
use crate::trap::{self, Ended, TrapFrame};
use crate::value::{self, Exception, Value};

/// The guest, as an import sees it while it runs.
pub struct HostCtx<'a> {
    caller: Caller<'a, State>,
    import: &'a str,
    /// What ended the guest inside a callback. It ends the import too, whatever that returns: the
    /// callback's frames are gone, and so is the count of their steps.
    ended: Option<wasmtime::Error>,
}

impl<'a> HostCtx<'a> {
    pub(super) fn new(caller: Caller<'a, State>, import: &'a str) -> HostCtx<'a> {
        HostCtx { caller, import, ended: None }
    }

    pub(crate) fn store(&mut self) -> &mut Caller<'a, State> {
        &mut self.caller
    }

    pub(super) fn take_ended(&mut self) -> Option<wasmtime::Error> {
        self.ended.take()
    }

    /// The guest's memory: its export `memory`, else its first.
    ///
    /// # Errors
    /// When the guest defines no memory.
    pub fn memory(&mut self) -> Result<&mut [u8], HostError> {
        let memory = self.caller.exports().guest;
        let memory = memory.ok_or_else(|| HostError::new("the guest has no memory"))?;
        Ok(memory.data_mut(&mut self.caller))
    }

    /// Copies bytes out of the guest's memory.
    ///
    /// # Errors
    /// When they are not all inside it.
    pub fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), HostError> {
        let memory = self.caller.exports().guest;
        let bytes = memory.map_or(&[][..], |memory| memory.data(&self.caller));
        let range = range(address, buffer.len(), bytes.len())?;
        buffer.copy_from_slice(&bytes[range]);
        Ok(())
    }

    /// A copy of bytes of the guest's memory.
    ///
    /// # Errors
    /// When they are not all inside it.
    pub fn read_vec(&self, address: u64, len: u64) -> Result<Vec<u8>, HostError> {
        let memory = self.caller.exports().guest;
        let bytes = memory.map_or(&[][..], |memory| memory.data(&self.caller));
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        Ok(bytes[range(address, len, bytes.len())?].to_vec())
    }

    /// Copies bytes into the guest's memory.
    ///
    /// # Errors
    /// When they would not all be inside it.
    pub fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), HostError> {
        let memory = self.memory()?;
        let range = range(address, bytes.len(), memory.len())?;
        memory[range].copy_from_slice(bytes);
        Ok(())
    }

    /// Calls an exported function of the guest.
    ///
    /// The budget does not end inside: the slice goes on, overdrawn, until the import has
    /// returned, up to [`Limits::callback_steps`](crate::Limits::callback_steps).
    ///
    /// # Errors
    /// When there is no such export or the arguments do not fit; when the callback traps, after
    /// which the guest is ended whatever the import returns; when it throws: see
    /// [`HostError::exception`].
    pub fn call_export(&mut self, name: &str, args: &[Value]) -> Result<Vec<Value>, HostError> {
        // The wrappers of the instrumented module's own are not the guest's.
        let found = match name.starts_with(abi::PREFIX) {
            true => None,
            false => self.caller.get_export(name),
        };
        match found {
            Some(Extern::Func(function)) => self.call_back(function, args, false),
            _ => Err(HostError::new(format!("the guest exports no function `{name}`"))),
        }
    }

    /// Calls the function with that original index, as a [`Value::FuncRef`] holds it.
    ///
    /// # Errors
    /// As [`call_export`](HostCtx::call_export); also when its address is never taken.
    pub fn call_function(&mut self, index: u32, args: &[Value]) -> Result<Vec<Value>, HostError> {
        let function = self.caller.function(index).map_err(host_error)?;
        self.call_back(function, args, true)
    }

    /// Calls the function in an element of a table, by the table's original index: what C calls a
    /// function pointer is an element of table 0.
    ///
    /// # Errors
    /// As [`call_export`](HostCtx::call_export); also when there is no such table or element.
    pub fn call_table(
        &mut self,
        table: u32,
        element: u64,
        args: &[Value],
    ) -> Result<Vec<Value>, HostError> {
        let (exports, metadata) = (self.caller.exports(), self.caller.metadata());
        let position = metadata.tables.iter().position(|info| info.index == table);
        let found = position.and_then(|p| exports.tables[p].get(&mut self.caller, element));
        match found {
            Some(Ref::Func(Some(function))) => self.call_back(function, args, true),
            _ => Err(HostError::new(format!("no function in element {element} of table {table}"))),
        }
    }

    /// An error that is an exception: an import that returns it throws it into the guest. The tag
    /// is given by its original index. If the payload does not fit, or there is no such tag, it is
    /// an error that says so.
    pub fn throw(&mut self, tag: u32, payload: &[Value]) -> HostError {
        match self.make_exception(tag, payload) {
            Ok(exception) => HostError::thrown(format!("an exception of tag {tag}"), exception),
            Err(error) => error,
        }
    }

    /// Makes an exception, as a [`Value::ExnRef`] holds it, without throwing it. The tag is given
    /// by its original index.
    ///
    /// # Errors
    /// When there is no such tag or the payload does not fit.
    pub fn make_exception(&mut self, tag: u32, payload: &[Value]) -> Result<Exception, HostError> {
        exception::make(&mut self.caller, tag, payload).map_err(host_error)
    }

    /// The tag of an exception, by its original index, and the payload.
    ///
    /// # Errors
    /// When the exception is another tasklet's.
    pub fn exception(&mut self, exception: &Exception) -> Result<(u32, Vec<Value>), HostError> {
        exception::payload(&mut self.caller, exception).map_err(host_error)
    }

    /// Asks for a snapshot, which is always refused here: the host's own frames are on the native
    /// stack.
    ///
    /// # Errors
    /// [`Error::InsideHostImport`].
    pub fn snapshot(&mut self) -> Result<Snapshot<'static>, Error> {
        let (import, backtrace) = (self.import.to_string(), self.backtrace()?);
        Err(Error::InsideHostImport { import, backtrace, way_out: way_out::RUNNING })
    }

    /// The guest's calls, innermost first: those below this import.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub fn backtrace(&mut self) -> Result<Vec<TrapFrame>, Error> {
        let metadata = self.caller.metadata();
        let native = WasmBacktrace::force_capture(&self.caller);
        let mut backtrace = trap::frames(&metadata, &native);
        crate::tasklet::add_paused_frames(&mut self.caller, &mut backtrace)?;
        Ok(backtrace)
    }

    /// Has the guest pause behind this import, where it can be snapshotted: at the next function
    /// entry, loop header or call, however much budget there is.
    /// [`Tasklet::run`](crate::Tasklet::run) returns
    /// [`Outcome::Interrupted`](crate::Outcome::Interrupted) there, if the guest does not end
    /// before, or wait. Called back by the guest of another import, it is behind the outermost.
    pub fn pause_behind(&mut self) {
        self.caller.data_mut().pause_behind = true;
    }

    /// A handle to the tasklet, for other threads.
    pub fn handle(&self) -> TaskletHandle {
        TaskletHandle::new(self.caller.data().shared.clone())
    }

    /// Steps the guest has been charged so far, those for code just ahead of it included.
    pub fn steps_so_far(&mut self) -> u64 {
        self.caller.charged_so_far()
    }

    /// Which tasklet of its scheduler the guest is; `None` outside of schedulers.
    pub fn tasklet(&self) -> Option<TaskletId> {
        self.caller.data().seat.as_ref().map(|seat| seat.id)
    }

    /// The data given to [`HostBuilder::user`](crate::HostBuilder::user), if it has that type.
    pub fn user<T: Any>(&self) -> Option<&T> {
        self.caller.data().user.downcast_ref()
    }

    /// The same, to change.
    pub fn user_mut<T: Any>(&mut self) -> Option<&mut T> {
        self.caller.data_mut().user.downcast_mut()
    }

    /// Calls a function of the guest with a bias on its fuel, so that no check fires while host
    /// frames are on the native stack. `threaded` functions, those in tables, take and return
    /// fuel as their last value; exported ones move it through the global.
    fn call_back(
        &mut self,
        function: Func,
        args: &[Value],
        threaded: bool,
    ) -> Result<Vec<Value>, HostError> {
        if self.ended.is_some() {
            return Err(HostError::new("the guest has been ended"));
        }
        let ty = function.ty(&self.caller);
        let mut params = args
            .iter()
            .map(|value| value::to_wasm(&mut self.caller, value))
            .collect::<Result<Vec<_>, _>>()
            .map_err(host_error)?;
        let expected = ty.params().len().saturating_sub(usize::from(threaded));
        let fits = ty
            .params()
            .take(expected)
            .zip(&params)
            .all(|(ty, value)| value.matches_ty(&self.caller, &ty).unwrap_or(false));
        if params.len() != expected || !fits {
            return Err(HostError::new(format!("arguments do not fit the function type {ty}")));
        }
        let mut results = vec![Val::I32(0); ty.results().len()];
        let done = self.biased(|store| {
            if threaded {
                params.push(Val::I64(store.read_fuel()));
            }
            function.call(store.as_context_mut(), &params, &mut results)?;
            if threaded {
                let fuel = results.pop().and_then(|fuel| fuel.i64()).unwrap_or(abi::UNWIND);
                store.write_fuel(fuel)?;
            }
            Ok(())
        });
        if let Err(error) = done {
            return Err(self.failed(error));
        }
        results
            .iter()
            .map(|value| value::from_wasm(&mut self.caller, value))
            .collect::<Result<_, _>>()
            .map_err(host_error)
    }

    /// What has become of a callback that did not return: an exception, which the import can let
    /// pass or not, or the end of the guest.
    fn failed(&mut self, error: wasmtime::Error) -> HostError {
        if error.is::<ThrownException>()
            && let Ok(thrown) = exception::take_thrown(&mut self.caller)
        {
            let what = exception::describe(&mut self.caller, &thrown);
            return HostError::thrown(format!("uncaught exception: {what}"), thrown);
        }
        let message = error.to_string();
        self.ended = Some(error);
        HostError::new(message)
    }

    fn biased(
        &mut self,
        call: impl FnOnce(&mut Caller<'a, State>) -> wasmtime::Result<()>,
    ) -> wasmtime::Result<()> {
        let exports = self.caller.exports();
        let bias = match self.caller.data().depth {
            0 => i64::from(self.caller.data().limiter.limits.callback_steps),
            _ => 0,
        };
        let sp = self.caller.u32_global(exports.sp);
        let before = self.caller.read_fuel();
        self.caller.write_fuel(before + bias)?;
        self.caller.data_mut().depth += 1;
        let mut done = call(&mut self.caller);
        self.caller.data_mut().depth -= 1;
        // A frame was spilled: the biased fuel is used up. Nothing else can pause in here, so the
        // trap by which the export's wrapper reports it, or the sentinel that a function of a
        // table returns, means just that.
        let fuel = self.caller.read_fuel();
        let spilled = self.caller.u32_global(exports.sp) != sp;
        if spilled || fuel < abi::SENTINEL_LIMIT {
            let import = self.import.to_string();
            done = Err(wasmtime::Error::new(Ended::CallbackLimit { import }));
        }
        // Said once, by the innermost: of tens of thousands each would look through what the others said.
        if let Err(error) = &done
            && !error.is::<Ended>()
            && let Some(wasmtime::Trap::StackOverflow) = error.downcast_ref()
        {
            let import = self.import.to_string();
            done = done.map_err(|error| error.context(Ended::CallbackDepth { import }));
        }
        let left = if fuel < abi::SENTINEL_LIMIT { before } else { fuel - bias };
        self.caller.write_fuel(left)?;
        done
    }
}

impl std::fmt::Debug for HostCtx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let depth = self.caller.as_context().data().depth;
        f.debug_struct("HostCtx").field("import", &self.import).field("depth", &depth).finish()
    }
}

fn range(address: u64, len: usize, size: usize) -> Result<std::ops::Range<usize>, HostError> {
    let start = usize::try_from(address).ok();
    let end = start.and_then(|start| start.checked_add(len)).filter(|&end| end <= size);
    match (start, end) {
        (Some(start), Some(end)) => Ok(start..end),
        _ => Err(HostError::new(format!(
            "{len} bytes at {address:#x} are not inside the guest's memory of {size} bytes"
        ))),
    }
}

/// What the host handed over is nothing of the guest's.
pub(super) fn host_error(error: Error) -> HostError {
    match error {
        // It is made for those who read one.
        Error::Snapshot { what } => HostError::new(what),
        error => HostError::new(error.to_string()),
    }
}
