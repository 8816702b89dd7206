//! The engine: wasmtime, set up the way tasklets need it.

use std::path::PathBuf;
use std::sync::Arc;

use wasmtime::{Cache, CacheConfig, Collector, Config};

use crate::cache_dir;
use crate::error::Error;
use crate::memories::{Memories, Place};
use crate::pace;
use crate::target::Target;

/// How an [`Engine`] works.
#[non_exhaustive]
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Where compiled and instrumented modules are kept between runs.
    pub cache: CacheMode,
    /// What modules are compiled for.
    pub target: Target,
    /// Where the memories of tasklets are: for few that are fast, or for very many.
    pub memories: Memories,
    /// Whether runs with equal inputs are equal on every host, snapshots included: generated NaNs
    /// are canonical, the limits are in the snapshot, WASI has a virtual clock and a seed (0 unless
    /// given) and says nothing of the host ([`Wasi::deterministic`](crate::wasi::Wasi::deterministic)).
    /// Costs 3 to 6 times on loops bound by float latency; moving a snapshot does not need it.
    pub deterministic: bool,
    /// Native stack for wasm code in bytes: one of its own for each thread that runs tasklets, which
    /// becomes memory only as deep as it is used. It does not bound how deep a guest's calls may be
    /// nested ([`Limits::stack_bytes`](crate::Limits::stack_bytes) does, and callbacks of host
    /// imports excepted), but with less than the default (195 MiB; 260 on s390x) runs are interrupted more
    /// often to keep within it, which takes time.
    pub stack_bytes: usize,
    /// Largest heap for what is collected (exceptions, and references to the host's objects) of a
    /// tasklet, in bytes. The guest ends with a trap when it is full of what is still in use; a
    /// half of it can be.
    pub reference_heap_bytes: u64,
    /// How many steps run at most between two looks at the interrupt flag.
    pub slice_steps: u64,
}

/// Where things that can be made again are kept.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheMode {
    /// In the user's cache directory; if there is none, nowhere.
    User,
    /// In this directory; an error if it cannot be used.
    Directory(PathBuf),
    /// Nowhere.
    Off,
}

impl Default for EngineOptions {
    fn default() -> EngineOptions {
        EngineOptions {
            cache: CacheMode::User,
            target: Target::Host,
            memories: Memories::Apart,
            deterministic: false,
            stack_bytes: pace::STACK_BYTES,
            reference_heap_bytes: 256 << 20,
            // About 10 ms of a compute-bound guest.
            slice_steps: 20_000_000,
        }
    }
}

/// What compiles modules and runs tasklets; cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    wasmtime: wasmtime::Engine,
    options: EngineOptions,
    cache: Option<PathBuf>,
    place: Place,
}

impl Engine {
    /// Sets up an engine.
    ///
    /// # Errors
    /// [`Error::Configure`] when wasmtime refuses the options or this CPU,
    /// [`Error::Io`] when the cache directory cannot be made, [`Error::Limit`] when the process may not
    /// have the address space of a native stack.
    pub fn new(options: &EngineOptions) -> Result<Engine, Error> {
        check_address_space(options)?;
        let cache = cache_root(&options.cache)?;
        let configure = |error: wasmtime::Error| Error::Configure(error.into_boxed_dyn_error());
        let mut config = base_config(options);
        let heap = options.reference_heap_bytes;
        let place = Place::configure(options.memories, &mut config, heap);
        if let Some(triple) = options.target.triple() {
            config.target(triple).map_err(configure)?;
        }
        if let Some(root) = &cache {
            let mut cache = CacheConfig::new();
            cache.with_directory(root.join("compiled"));
            match Cache::new(cache) {
                Ok(cache) => {
                    config.cache(Some(cache));
                }
                // The user did not ask for this place: without it everything still works.
                Err(_) if options.cache == CacheMode::User => {}
                Err(error) => return Err(configure(error)),
            }
        }
        let wasmtime = wasmtime::Engine::new(&config).map_err(configure)?;
        Ok(Engine { inner: Arc::new(Inner { wasmtime, options: options.clone(), cache, place }) })
    }

    /// The options it was made with.
    pub fn options(&self) -> &EngineOptions {
        &self.inner.options
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.inner.wasmtime
    }

    /// Where memories are.
    pub(crate) fn place(&self) -> &Place {
        &self.inner.place
    }

    /// The root of everything cached.
    pub(crate) fn cache(&self) -> Option<&PathBuf> {
        self.inner.cache.as_ref()
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("options", self.options()).finish_non_exhaustive()
    }
}

/// Address space that compiled code and all that is allocated take at least, besides native stacks.
const ADDRESS_SPACE_BYTES: u64 = 64 << 20;

/// Refuses to begin where nothing could run: an allocation that fails ends the process. How much
/// more there must be the programs decide.
fn check_address_space(options: &EngineOptions) -> Result<(), Error> {
    let needed = (options.stack_bytes as u64).saturating_add(ADDRESS_SPACE_BYTES);
    match address_space() {
        Some(most) if most < needed => Err(Error::limit(format!(
            "this process may have {most} bytes of address space (`ulimit -v`), and needs {needed} \
             for native stacks and code alone"
        ))),
        _ => Ok(()),
    }
}

/// What this process may have of it, if that is limited.
fn address_space() -> Option<u64> {
    #[cfg(target_os = "linux")]
    return rustix::process::getrlimit(rustix::process::Resource::As).current;
    #[cfg(not(target_os = "linux"))]
    None
}

fn cache_root(mode: &CacheMode) -> Result<Option<PathBuf>, Error> {
    match mode {
        CacheMode::Off => Ok(None),
        CacheMode::Directory(path) => {
            // wasmtime's cache insists on absolute paths.
            let path = std::path::absolute(path)
                .map_err(Error::io("cannot use the cache directory", path))?;
            std::fs::create_dir_all(&path)
                .map_err(Error::io("cannot create the cache directory", &path))?;
            Ok(Some(path))
        }
        CacheMode::User => {
            Ok(cache_dir::user().filter(|path| std::fs::create_dir_all(path).is_ok()))
        }
    }
}

/// Frames that wasmtime looks at for a trap's backtrace. Only of more than these could the lines
/// that [`crate::Trap`] keeps depend on how a run was sliced.
const BACKTRACE_FRAMES_MAX: usize = 1 << 17;

fn base_config(options: &EngineOptions) -> Config {
    let mut config = Config::new();
    config
        .wasm_tail_call(true)
        .wasm_multi_memory(true)
        .wasm_memory64(true)
        .wasm_extended_const(true)
        .wasm_relaxed_simd(true)
        .wasm_function_references(true)
        .wasm_exceptions(true)
        .wasm_wide_arithmetic(true)
        // Free on x86-64 and aarch64, and a snapshot may move between the two.
        .relaxed_simd_deterministic(true)
        // Off by default, and what keeps the spill code out of the guest's hot code.
        .wasm_branch_hinting(true)
        .cranelift_nan_canonicalization(options.deterministic)
        // Of the collectors that free anything the faster one: by a quarter where exceptions are
        // thrown in a loop. Code that has no references is the same with either.
        .collector(Collector::Copying)
        // A heap that cannot move cannot grow beyond what is reserved for it.
        .gc_heap_reservation(options.reference_heap_bytes)
        .gc_heap_may_move(false)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(BACKTRACE_FRAMES_MAX))
        // Unused, but wasmtime insists that it is no smaller than the next.
        .async_stack_size(options.stack_bytes)
        .max_wasm_stack(options.stack_bytes);
    config
}
