//! Imports that wait without a host frame on the native stack.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tasklet_instrumenter::ValType;

use super::issued::Pending;
use super::typed::{SuspendFn, SuspendFnWith, WasmResults};
use super::{HostBuilder, HostCtx, HostError, Kind};
use crate::encoding;
use crate::limits::IMPORT_STATE_BYTES_MAX;
use crate::value::Value;

/// Makes results with the guest at hand.
type Make<T> = Box<dyn FnOnce(&mut HostCtx<'_>) -> Result<T, HostError> + Send>;

/// What an import comes to.
pub(crate) type Delivered = Make<Vec<Value>>;

/// Issues a suspending import.
pub(crate) type Start =
    dyn Fn(&mut HostCtx<'_>, &[Value]) -> Result<Pending, HostError> + Send + Sync;

/// Makes what issues a restartable import, of the state that a snapshot has of it.
pub(crate) type Restart =
    dyn Fn(Option<&[u8]>) -> Result<Box<dyn Attempt>, HostError> + Send + Sync;

/// One issue of a restartable import.
pub(crate) trait Attempt: Send {
    fn start(&self, ctx: &mut HostCtx<'_>, args: &[Value]) -> Result<Pending, HostError>;

    /// How far it has come, for a snapshot.
    fn written(&self) -> Result<Vec<u8>, HostError>;
}

/// How far a restartable import has come, as snapshots have it: what it needs to know to go on when
/// it is issued again. Clones are the same.
///
/// It is a value of serde's, in a snapshot as deterministic CBOR of at most 1 MiB.
pub struct Progress<S> {
    state: Arc<Mutex<Option<S>>>,
}

impl<S: Clone> Progress<S> {
    /// What was [`set`](Progress::set) last, by this issue of the import or the one before; `None`
    /// if nothing was.
    pub fn get(&self) -> Option<S> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets it. A snapshot from now on has it.
    pub fn set(&self, state: S) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
    }
}

impl<S> Clone for Progress<S> {
    fn clone(&self) -> Progress<S> {
        Progress { state: self.state.clone() }
    }
}

impl<S> std::fmt::Debug for Progress<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress").finish_non_exhaustive()
    }
}

/// Results of a suspending import that are made when the guest runs again, with its memory at hand.
pub struct Delivery<T> {
    make: Make<T>,
}

impl<T> Delivery<T> {
    /// Results that `make` makes: it can write to the guest's memory, and throw
    /// ([`HostCtx::throw`]).
    pub fn new(
        make: impl FnOnce(&mut HostCtx<'_>) -> Result<T, HostError> + Send + 'static,
    ) -> Delivery<T> {
        Delivery { make: Box::new(make) }
    }

    pub(super) fn make(self, ctx: &mut HostCtx<'_>) -> Result<T, HostError> {
        (self.make)(ctx)
    }
}

impl<T> std::fmt::Debug for Delivery<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").finish_non_exhaustive()
    }
}

/// What the future of a suspending import may come to: its results, or a [`Delivery`] of them.
pub trait Deliver: Send + 'static {
    /// The import's results.
    type Results;

    /// The results, with the guest's memory at hand.
    ///
    /// # Errors
    /// Whatever goes wrong in making them.
    fn deliver(self, ctx: &mut HostCtx<'_>) -> Result<Self::Results, HostError>;
}

impl Deliver for Vec<Value> {
    type Results = Vec<Value>;

    fn deliver(self, _: &mut HostCtx<'_>) -> Result<Vec<Value>, HostError> {
        Ok(self)
    }
}

impl<T: WasmResults + Send + 'static> Deliver for T {
    type Results = T;

    fn deliver(self, _: &mut HostCtx<'_>) -> Result<T, HostError> {
        Ok(self)
    }
}

impl<T: 'static> Deliver for Delivery<T> {
    type Results = T;

    fn deliver(self, ctx: &mut HostCtx<'_>) -> Result<T, HostError> {
        self.make(ctx)
    }
}

/// What somebody else has an import come to.
pub(crate) fn delivered<D: Deliver<Results = Vec<Value>>>(delivery: D) -> Delivered {
    Box::new(move |ctx| delivery.deliver(ctx))
}

/// The future as the engine awaits it: `values` makes wasm values of what it comes to.
pub(super) fn awaited<D: Deliver>(
    future: impl Future<Output = Result<D, HostError>> + Send + 'static,
    values: fn(D::Results) -> Vec<Value>,
) -> Pending {
    Box::pin(async move {
        let delivery = future.await?;
        let delivered: Delivered = Box::new(move |ctx| delivery.deliver(ctx).map(values));
        Ok(delivered)
    })
}

/// A restartable import's closure, and how far this issue of it has come.
struct Issue<S> {
    progress: Progress<S>,
    start: Arc<StartWith<S>>,
}

pub(super) type StartWith<S> =
    dyn Fn(&mut HostCtx<'_>, &[Value], Progress<S>) -> Result<Pending, HostError> + Send + Sync;

impl<S: Serialize + Send> Attempt for Issue<S> {
    fn start(&self, ctx: &mut HostCtx<'_>, args: &[Value]) -> Result<Pending, HostError> {
        (self.start)(ctx, args, self.progress.clone())
    }

    fn written(&self) -> Result<Vec<u8>, HostError> {
        let state = self.progress.state.lock().unwrap_or_else(PoisonError::into_inner);
        encoding::encode(&*state, IMPORT_STATE_BYTES_MAX)
            .map_err(|error| HostError::new(error.to_string()))
    }
}

/// A restartable import of that closure.
pub(super) fn restart<S>(start: Arc<StartWith<S>>) -> Kind
where
    S: Serialize + DeserializeOwned + Send + 'static,
{
    Kind::Restartable(Arc::new(move |written| {
        let state: Option<S> = match written {
            None => None,
            Some(bytes) => encoding::decode(bytes, IMPORT_STATE_BYTES_MAX)
                .map_err(|error| HostError::new(error.to_string()))?,
        };
        let progress = Progress { state: Arc::new(Mutex::new(state)) };
        Ok(Box::new(Issue { progress, start: start.clone() }))
    }))
}

impl HostBuilder {
    /// Provides a *suspending* import: it returns a future, the guest unwinds, and until the future
    /// is there [`Tasklet::run`](crate::Tasklet::run) returns
    /// [`Outcome::Waiting`](crate::Outcome::Waiting). The next run after that goes on with its
    /// results. A poll function does as well: `std::future::poll_fn`.
    ///
    /// `call` itself runs with the guest at hand, as an immediate import does: there arguments are
    /// read from memory. The future owns what it needs. What it comes to are the results, or a
    /// [`Delivery`], which can write to memory; an error ends the guest with a trap, or throws.
    ///
    /// While it is pending the tasklet cannot be snapshotted
    /// ([`Error::InsideHostImport`](crate::Error::InsideHostImport)). Called by a guest that a host
    /// import has called back, below whose frames nothing can unwind, it is a trap.
    ///
    /// ```
    /// # use tasklet_engine::{Delivery, Host, HostError, ValType, Value};
    /// # async fn fetch(name: Vec<u8>) -> Result<Vec<u8>, HostError> { Ok(name) }
    /// // fetch(name: i32, length: i32, at: i32) -> i32: the length of what was written to `at`.
    /// Host::builder().suspending("host", "fetch", &[ValType::I32; 3], &[ValType::I32], |ctx, args| {
    ///     let &[Value::I32(name), Value::I32(length), Value::I32(at)] = args else {
    ///         return Err(HostError::new("three integers"));
    ///     };
    ///     let name = ctx.read_vec(name as u32 as u64, length as u32 as u64)?;
    ///     Ok(async move {
    ///         let body = fetch(name).await?;
    ///         Ok(Delivery::new(move |ctx| {
    ///             ctx.write(at as u32 as u64, &body)?;
    ///             Ok(vec![Value::I32(body.len() as i32)])
    ///         }))
    ///     })
    /// });
    /// ```
    pub fn suspending<F, Fut, D>(
        self,
        module: &str,
        name: &str,
        params: &[ValType],
        results: &[ValType],
        call: F,
    ) -> HostBuilder
    where
        F: Fn(&mut HostCtx<'_>, &[Value]) -> Result<Fut, HostError> + Send + Sync + 'static,
        Fut: Future<Output = Result<D, HostError>> + Send + 'static,
        D: Deliver<Results = Vec<Value>>,
    {
        let start: Arc<Start> = Arc::new(move |ctx, args| {
            call(ctx, args).map(|future| awaited(future, |values| values))
        });
        self.provide(module, name, (params.to_vec(), results.to_vec()), Kind::Suspending(start))
    }

    /// The same of a closure with wasm's types, as [`func_wrap`](HostBuilder::func_wrap) takes them.
    ///
    /// ```
    /// # use tasklet_engine::{Host, HostCtx};
    /// Host::builder().suspending_wrap("host", "half", |_: &mut HostCtx<'_>, number: f64| {
    ///     Ok(async move { Ok(number / 2.0) })
    /// });
    /// ```
    pub fn suspending_wrap<P, R>(
        self,
        module: &str,
        name: &str,
        call: impl SuspendFn<P, R>,
    ) -> HostBuilder {
        let ty = (call.params(), call.results());
        let start: Arc<Start> = Arc::new(move |ctx, args| call.start(ctx, args));
        self.provide(module, name, ty, Kind::Suspending(start))
    }

    /// Provides a *restartable* import: a suspending one that is safe to issue again. While it is
    /// pending the tasklet can be snapshotted, with the import, its arguments and the `progress`;
    /// a tasklet that is loaded issues it again, with these. The results of the first issue are
    /// those of the original alone.
    ///
    /// The state is a value of serde's; without any, `Progress<()>` will do.
    ///
    /// ```
    /// # use tasklet_engine::{Host, HostError, Progress, ValType, Value};
    /// # async fn part(number: u32) -> Result<(), HostError> { Ok(()) }
    /// // copy(parts: i32): one after the other; a copy of the tasklet goes on behind the last.
    /// let params = [ValType::I32];
    /// Host::builder().restartable("host", "copy", &params, &[], |_, args, progress: Progress<u32>| {
    ///     let &[Value::I32(parts)] = args else { return Err(HostError::new("an integer")) };
    ///     Ok(async move {
    ///         for number in progress.get().unwrap_or(0)..parts as u32 {
    ///             part(number).await?;
    ///             progress.set(number + 1);
    ///         }
    ///         Ok(vec![])
    ///     })
    /// });
    /// ```
    pub fn restartable<S, F, Fut, D>(
        self,
        module: &str,
        name: &str,
        params: &[ValType],
        results: &[ValType],
        call: F,
    ) -> HostBuilder
    where
        S: Serialize + DeserializeOwned + Send + 'static,
        F: Fn(&mut HostCtx<'_>, &[Value], Progress<S>) -> Result<Fut, HostError>
            + Send
            + Sync
            + 'static,
        Fut: Future<Output = Result<D, HostError>> + Send + 'static,
        D: Deliver<Results = Vec<Value>>,
    {
        let start: Arc<StartWith<S>> = Arc::new(move |ctx, args, progress| {
            call(ctx, args, progress).map(|future| awaited(future, |values| values))
        });
        self.provide(module, name, (params.to_vec(), results.to_vec()), restart(start))
    }

    /// The same of a closure with wasm's types, which come behind the progress:
    /// `|ctx: &mut HostCtx<'_>, progress: Progress<()>, a: i32| Ok(async move { Ok(1i64) })`.
    pub fn restartable_wrap<S, P, R>(
        self,
        module: &str,
        name: &str,
        call: impl SuspendFnWith<S, P, R>,
    ) -> HostBuilder
    where
        S: Serialize + DeserializeOwned + Send + 'static,
    {
        let ty = (call.params(), call.results());
        let start: Arc<StartWith<S>> =
            Arc::new(move |ctx, args, progress| call.start(ctx, args, progress));
        self.provide(module, name, ty, restart(start))
    }
}
