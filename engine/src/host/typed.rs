//! Imports whose types are those of closures.

use std::sync::Arc;

use tasklet_instrumenter::ValType;

use super::issued::Pending;
use super::suspending::{Deliver, Progress, awaited};
use super::{HostBuilder, HostCtx, HostError, Implementation, Kind};
use crate::value::Value;

mod sealed {
    pub trait Sealed {}
}

/// A Rust type that is one of wasm's: `i32`, `u32`, `i64`, `u64`, `f32`, `f64`.
pub trait WasmType: sealed::Sealed + Sized + Send + 'static {
    /// The type in wasm.
    const TYPE: ValType;

    /// The value, if it is of the type.
    fn from_value(value: &Value) -> Option<Self>;

    /// The value as wasm has it.
    fn into_value(self) -> Value;
}

macro_rules! wasm_types {
    ($($rust:ty = $wasm:ident: $value:ident => $from:expr, $to:expr;)*) => {$(
        impl sealed::Sealed for $rust {}

        impl WasmType for $rust {
            const TYPE: ValType = ValType::$wasm;

            fn from_value(value: &Value) -> Option<$rust> {
                match *value {
                    Value::$wasm($value) => Some($from),
                    _ => None,
                }
            }

            fn into_value(self) -> Value {
                let $value = self;
                Value::$wasm($to)
            }
        }
    )*};
}

wasm_types! {
    i32 = I32: value => value, value;
    u32 = I32: value => value as u32, value as i32;
    i64 = I64: value => value, value;
    u64 = I64: value => value as u64, value as i64;
    f32 = F32: value => f32::from_bits(value), value.to_bits();
    f64 = F64: value => f64::from_bits(value), value.to_bits();
}

/// The results of a function: nothing, one [`WasmType`], or a tuple of them.
pub trait WasmResults: Sized {
    /// Their types.
    fn types() -> Vec<ValType>;

    /// Their values.
    fn into_values(self) -> Vec<Value>;
}

impl<T: WasmType> WasmResults for T {
    fn types() -> Vec<ValType> {
        vec![T::TYPE]
    }

    fn into_values(self) -> Vec<Value> {
        vec![self.into_value()]
    }
}

/// What a closure for an immediate import returns: results, or a `Result` of them.
pub trait IntoResults {
    /// Its results.
    type Results: WasmResults;

    /// The results, or why there are none.
    ///
    /// # Errors
    /// The closure's own.
    fn into_results(self) -> Result<Self::Results, HostError>;
}

impl<T: WasmResults> IntoResults for T {
    type Results = T;

    fn into_results(self) -> Result<T, HostError> {
        Ok(self)
    }
}

impl<T: WasmResults> IntoResults for Result<T, HostError> {
    type Results = T;

    fn into_results(self) -> Result<T, HostError> {
        self
    }
}

/// A closure for [`HostBuilder::func_wrap`]: `Fn(&mut HostCtx, ..) -> R`, of up to ten parameters.
pub trait HostFn<P, R>: Send + Sync + 'static {
    /// The parameters' types.
    fn params(&self) -> Vec<ValType>;

    /// The results' types.
    fn results(&self) -> Vec<ValType>;

    /// Calls it.
    ///
    /// # Errors
    /// The closure's own.
    fn call(&self, ctx: &mut HostCtx<'_>, args: &[Value]) -> Result<Vec<Value>, HostError>;
}

/// A closure for [`HostBuilder::suspending_wrap`]: `Fn(&mut HostCtx, ..) -> Result<Fut, HostError>`
/// of a future that comes to what [`Deliver`] says.
pub trait SuspendFn<P, R>: Send + Sync + 'static {
    /// The parameters' types.
    fn params(&self) -> Vec<ValType>;

    /// The results' types.
    fn results(&self) -> Vec<ValType>;

    #[doc(hidden)]
    fn start(&self, ctx: &mut HostCtx<'_>, args: &[Value]) -> Result<Pending, HostError>;
}

/// A closure for [`HostBuilder::restartable_wrap`]: as [`SuspendFn`], with a [`Progress`] before the
/// parameters.
pub trait SuspendFnWith<S, P, R>: Send + Sync + 'static {
    /// The parameters' types.
    fn params(&self) -> Vec<ValType>;

    /// The results' types.
    fn results(&self) -> Vec<ValType>;

    #[doc(hidden)]
    fn start(
        &self,
        ctx: &mut HostCtx<'_>,
        args: &[Value],
        progress: Progress<S>,
    ) -> Result<Pending, HostError>;
}

/// The arguments have been checked: this can only be a bug, and is not worth a panic.
fn argument<T: WasmType>(args: &[Value], index: usize) -> Result<T, HostError> {
    let found = args.get(index).and_then(T::from_value);
    found.ok_or_else(|| HostError::new(format!("argument {index} is of another type")))
}

macro_rules! tuples {
    ($($name:ident $index:tt),*) => {
        #[allow(unused_variables, non_snake_case)]
        impl<F, R, $($name: WasmType),*> HostFn<($($name,)*), R> for F
        where
            F: Fn(&mut HostCtx<'_>, $($name),*) -> R + Send + Sync + 'static,
            R: IntoResults,
        {
            fn params(&self) -> Vec<ValType> {
                vec![$($name::TYPE),*]
            }

            fn results(&self) -> Vec<ValType> {
                R::Results::types()
            }

            fn call(&self, ctx: &mut HostCtx<'_>, args: &[Value]) -> Result<Vec<Value>, HostError> {
                $(let $name: $name = argument(args, $index)?;)*
                self(ctx, $($name),*).into_results().map(WasmResults::into_values)
            }
        }

        #[allow(unused_variables, non_snake_case)]
        impl<F, Fut, D, $($name: WasmType),*> SuspendFn<($($name,)*), D> for F
        where
            F: Fn(&mut HostCtx<'_>, $($name),*) -> Result<Fut, HostError> + Send + Sync + 'static,
            Fut: Future<Output = Result<D, HostError>> + Send + 'static,
            D: Deliver<Results: WasmResults>,
        {
            fn params(&self) -> Vec<ValType> {
                vec![$($name::TYPE),*]
            }

            fn results(&self) -> Vec<ValType> {
                D::Results::types()
            }

            fn start(&self, ctx: &mut HostCtx<'_>, args: &[Value]) -> Result<Pending, HostError> {
                $(let $name: $name = argument(args, $index)?;)*
                self(ctx, $($name),*).map(|future| awaited(future, D::Results::into_values))
            }
        }

        #[allow(unused_variables, non_snake_case)]
        impl<S, F, Fut, D, $($name: WasmType),*> SuspendFnWith<S, ($($name,)*), D> for F
        where
            F: Fn(&mut HostCtx<'_>, Progress<S>, $($name),*) -> Result<Fut, HostError>
                + Send
                + Sync
                + 'static,
            Fut: Future<Output = Result<D, HostError>> + Send + 'static,
            D: Deliver<Results: WasmResults>,
        {
            fn params(&self) -> Vec<ValType> {
                vec![$($name::TYPE),*]
            }

            fn results(&self) -> Vec<ValType> {
                D::Results::types()
            }

            fn start(
                &self,
                ctx: &mut HostCtx<'_>,
                args: &[Value],
                progress: Progress<S>,
            ) -> Result<Pending, HostError> {
                $(let $name: $name = argument(args, $index)?;)*
                self(ctx, progress, $($name),*).map(|future| awaited(future, D::Results::into_values))
            }
        }
    };
}

macro_rules! results {
    ($($name:ident $index:tt),*) => {
        impl<$($name: WasmType),*> WasmResults for ($($name,)*) {
            fn types() -> Vec<ValType> {
                vec![$($name::TYPE),*]
            }

            fn into_values(self) -> Vec<Value> {
                vec![$(self.$index.into_value()),*]
            }
        }
    };
}

macro_rules! each {
    ($what:ident) => {
        $what!();
        $what!(A 0);
        $what!(A 0, B 1);
        $what!(A 0, B 1, C 2);
        $what!(A 0, B 1, C 2, D1 3);
        $what!(A 0, B 1, C 2, D1 3, E 4);
        $what!(A 0, B 1, C 2, D1 3, E 4, G 5);
        $what!(A 0, B 1, C 2, D1 3, E 4, G 5, H 6);
        $what!(A 0, B 1, C 2, D1 3, E 4, G 5, H 6, I 7);
        $what!(A 0, B 1, C 2, D1 3, E 4, G 5, H 6, I 7, J 8);
        $what!(A 0, B 1, C 2, D1 3, E 4, G 5, H 6, I 7, J 8, K 9);
    };
}

each!(tuples);
each!(results);

impl HostBuilder {
    /// Provides an *immediate* import as [`func`](HostBuilder::func) does, of a closure with wasm's
    /// types: any number of parameters up to ten; nothing, one result or a tuple of them, or a
    /// `Result` of that. The closure says the types of all its parameters.
    ///
    /// ```
    /// # use tasklet_engine::{Host, HostCtx};
    /// Host::builder()
    ///     .func_wrap("host", "add", |_: &mut HostCtx<'_>, a: i32, b: i32| a.wrapping_add(b))
    ///     .func_wrap("host", "put", |ctx: &mut HostCtx<'_>, at: u32, byte: u32| {
    ///         ctx.write(at.into(), &[byte as u8])
    ///     });
    /// ```
    pub fn func_wrap<P, R>(self, module: &str, name: &str, call: impl HostFn<P, R>) -> HostBuilder {
        let ty = (call.params(), call.results());
        let call: Arc<Implementation> = Arc::new(move |ctx, args| call.call(ctx, args));
        self.provide(module, name, ty, Kind::Immediate(call))
    }
}
