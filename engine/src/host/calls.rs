//! Calls of the embedder's imports, of all three kinds.

use tasklet_instrumenter::FunctionType;
use wasmtime::{AsContextMut, Caller, Func, FuncType, Store, Val};

use super::ctx::host_error;
use super::issued::{Issued, Outcome, Step};
use super::link::check_type;
use super::suspending::Attempt;
use super::wasi_glue::pause;
use super::{HostCtx, HostError, HostFunction, Implementation, Kind};
use crate::error::Error;
use crate::state::{Context, PauseReason, State};
use crate::trap::Ended;
use crate::value::{self, Exception, Value};

/// What is known of an import when it is called.
struct Called {
    /// Its index in the function index space.
    number: u32,
    /// `module::name`.
    name: String,
    ty: FunctionType,
}

/// An import of the embedder's own.
pub(super) fn link(
    store: &mut Store<State>,
    number: u32,
    (module, name): (&str, &str),
    ty: &FuncType,
    function: &HostFunction,
) -> Result<Func, Error> {
    check_type(module, name, ty, &function.ty)?;
    if !matches!(function.kind, Kind::Immediate(_))
        && let Some(ty) = ty.results().find(|ty| ty.as_ref().is_some_and(|ty| !ty.is_nullable()))
    {
        // While it unwinds there is nothing it could return.
        let what = format!(
            "`{module}::{name}` as a suspending import, because it returns {ty}, which cannot be \
             null: let it return a reference that can be"
        );
        return Err(Error::Unsupported { what });
    }
    let called = Called { number, name: format!("{module}::{name}"), ty: function.ty.clone() };
    Ok(match function.kind.clone() {
        Kind::Immediate(call) => Func::new(store, ty.clone(), move |caller, params, results| {
            called.immediate(&*call, caller, params, results)
        }),
        kind => Func::new(store, ty.clone(), move |caller, params, results| {
            called.suspending(&kind, caller, params, results)
        }),
    })
}

impl Called {
    fn immediate(
        &self,
        call: &Implementation,
        caller: Caller<'_, State>,
        params: &[Val],
        results: &mut [Val],
    ) -> wasmtime::Result<()> {
        let mut ctx = HostCtx::new(caller, &self.name);
        let args = arguments(&mut ctx, params)?;
        let returned = self.inside(&mut ctx, |ctx| call(ctx, &args))?;
        self.finish(&mut ctx, returned, results)
    }

    /// Issues an import, or delivers what it came to.
    fn suspending(
        &self,
        kind: &Kind,
        mut caller: Caller<'_, State>,
        params: &[Val],
        results: &mut [Val],
    ) -> wasmtime::Result<()> {
        if caller.data().depth > 0 {
            return Err(Ended::CannotSuspend { import: self.name.clone() }.into());
        }
        let issued = caller.data_mut().issued.take();
        if issued.as_ref().is_some_and(|issued| issued.function() != self.number) {
            return Err(Error::internal("another import was pending").into());
        }
        let mut ctx = HostCtx::new(caller, &self.name);
        let ready = match Issued::step(issued) {
            Step::Start(attempt) => {
                let args = arguments(&mut ctx, params)?;
                self.inside(&mut ctx, |ctx| self.issue(kind, attempt, ctx, &args))?
            }
            Step::Issued(issued) => issued.ready(),
        };
        let issued = match ready {
            Err(issued) => issued,
            Ok(outcome) => {
                ctx.store().data().shared.set_pending(None);
                let returned = self.inside(&mut ctx, |ctx| outcome.and_then(|made| made(ctx)))?;
                return self.finish(&mut ctx, returned, results);
            }
        };
        if !issued.is_restartable() {
            ctx.store().data().shared.set_pending(Some(self.number));
        }
        ctx.store().data_mut().issued = Some(issued);
        pause(ctx.store(), PauseReason::Import)?;
        // Nobody reads these: the guest unwinds.
        for (slot, ty) in results.iter_mut().zip(&self.ty.results) {
            *slot = value::to_wasm(ctx.store(), &Value::zero(*ty))?;
        }
        Ok(())
    }

    /// Starts what the host will await; what is there at once need not be.
    fn issue(
        &self,
        kind: &Kind,
        attempt: Option<Box<dyn Attempt>>,
        ctx: &mut HostCtx<'_>,
        args: &[Value],
    ) -> Result<Outcome, Issued> {
        let begun = match kind {
            Kind::Suspending(start) => start(ctx, args).map(|pending| (None, pending)),
            Kind::Restartable(restart) => {
                let attempt = attempt.map_or_else(|| restart(None), Ok);
                attempt.and_then(|attempt| {
                    let pending = attempt.start(ctx, args)?;
                    Ok((Some(attempt), pending))
                })
            }
            Kind::Immediate(_) => Err(HostError::new("it does not suspend")),
        };
        match begun {
            Err(error) => Ok(Err(error)),
            Ok((attempt, pending)) => {
                let mut issued = Issued::pending(self.number, attempt, pending);
                issued.poll();
                issued.ready()
            }
        }
    }

    /// Lets the embedder's code run, while no snapshot can be made.
    fn inside<R>(
        &self,
        ctx: &mut HostCtx<'_>,
        call: impl FnOnce(&mut HostCtx<'_>) -> R,
    ) -> wasmtime::Result<R> {
        if ctx.store().data().trace_imports {
            let backtrace = ctx.backtrace().unwrap_or_default();
            ctx.store().data().shared.set_backtrace(backtrace);
        }
        let outer = ctx.store().data().shared.enter(self.number);
        let returned = call(ctx);
        ctx.store().data().shared.leave(outer);
        ctx.take_ended().map_or(Ok(returned), Err)
    }

    /// Hands the guest what the import returned.
    fn finish(
        &self,
        ctx: &mut HostCtx<'_>,
        returned: Result<Vec<Value>, HostError>,
        results: &mut [Val],
    ) -> wasmtime::Result<()> {
        withhold(ctx.store())?;
        let host = |message: String| Ended::Host { import: self.name.clone(), message };
        let returned = match returned {
            Ok(returned) => returned,
            Err(error) => {
                return Err(match error.exception() {
                    Some(exception) => throw(ctx.store(), exception),
                    None => host(error.to_string()).into(),
                });
            }
        };
        if !value::have_types(&returned, &self.ty.results) {
            let found = value::list(returned.iter().map(Value::ty));
            let expected = value::list(self.ty.results.iter().copied());
            return Err(host(format!("returned ({found}) instead of ({expected})")).into());
        }
        for (slot, value) in results.iter_mut().zip(&returned) {
            let value = value::to_wasm(ctx.store(), value);
            *slot = value.map_err(|error| host(host_error(error).to_string()))?;
        }
        Ok(())
    }
}

fn arguments(ctx: &mut HostCtx<'_>, params: &[Val]) -> Result<Vec<Value>, Error> {
    params.iter().map(|value| value::from_wasm(ctx.store(), value)).collect()
}

/// If a pause was asked for behind this import, takes the guest's fuel away, so that the next check
/// fires. The fuel is given back when the guest has paused: the count is not touched by it.
fn withhold(store: &mut Caller<'_, State>) -> Result<(), Error> {
    if !store.data().pause_behind || store.data().depth > 0 {
        return Ok(());
    }
    let fuel = store.read_fuel();
    if fuel < 0 {
        return Ok(());
    }
    store.data_mut().withheld += fuel + 1;
    store.write_fuel(-1)
}

/// Throws an exception into the guest. The fuel is in the global already, where it has to be.
fn throw(store: &mut Caller<'_, State>, exception: &Exception) -> wasmtime::Error {
    match exception.rooted(store) {
        Ok(rooted) => match store.as_context_mut().throw::<()>(rooted) {
            Ok(()) => Error::internal("throwing did nothing").into(),
            Err(error) => error,
        },
        Err(error) => error.into(),
    }
}
