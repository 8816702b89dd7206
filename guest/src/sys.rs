//! The imports of the module `tasklet`, over slices instead of addresses; elsewhere than in
//! WebAssembly functions that say so.

#[cfg(all(target_family = "wasm", not(target_arch = "wasm32")))]
compile_error!("schedulers take addresses of 32 bits: this is for wasm32");

#[cfg(not(target_arch = "wasm32"))]
#[path = "sys/outside.rs"]
mod implementation;
#[cfg(target_arch = "wasm32")]
#[path = "sys/wasm.rs"]
mod implementation;

pub(crate) use implementation::*;

/// The answer to everything where there is no scheduler; schedulers do not give it.
pub(crate) const NOT_A_GUEST: i64 = i32::MIN as i64;
