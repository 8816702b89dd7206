//! Modules: an original, what the instrumenter knows of it, and its compiled form.

mod cache;
mod handles;
mod image;

use std::sync::{Arc, OnceLock};

use tasklet_instrumenter::{self as instrumenter, FunctionType, Metadata, ValType};
use wasmtime::InstancePre;

pub use cache::ModuleCache;
pub(crate) use handles::Handles;
pub(crate) use image::{Image, MemoryImage};

use crate::engine::Engine;
use crate::error::Error;
use crate::host;
use crate::limits::TAGS_MAX;
use crate::pace::Pace;
use crate::snapshot::{Digest, Snapshot};
use crate::state::State;

/// A module ready to run; cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Module {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    hash: Digest,
    original: Vec<u8>,
    metadata: Arc<Metadata>,
    pace: Pace,
    compiled: wasmtime::Module,
    image: OnceLock<Arc<Image>>,
    handles: OnceLock<Handles>,
    linked: OnceLock<Option<InstancePre<State>>>,
}

impl Module {
    /// Instruments and compiles a core wasm module. Both results are cached where the engine's
    /// options say.
    ///
    /// # Errors
    /// [`Error::Instrument`], [`Error::Compile`], and [`Error::Unsupported`] for a module that
    /// asks for a feature this version cannot carry over a pause.
    pub fn load(engine: &Engine, wasm: &[u8]) -> Result<Module, Error> {
        let hash = Digest::of(wasm);
        let (instrumented, metadata) = instrument(engine, hash, wasm)?;
        Module::from_parts(engine, wasm, &instrumented, metadata)
    }

    /// Compiles what the instrumenter made.
    pub(crate) fn from_parts(
        engine: &Engine,
        original: &[u8],
        instrumented: &[u8],
        metadata: Metadata,
    ) -> Result<Module, Error> {
        let hash = Digest(metadata.original_hash);
        if hash != Digest::of(original) {
            return Err(Error::internal("the metadata is that of another module"));
        }
        supported(&metadata)?;
        let compiled = wasmtime::Module::new(engine.wasmtime(), instrumented)
            .map_err(|error| Error::Compile(error.into_boxed_dyn_error()))?;
        let options = engine.options();
        let inner = Inner {
            engine: engine.clone(),
            hash,
            original: original.to_vec(),
            pace: Pace::new(&metadata, options.memories.pace_bytes(options.stack_bytes)),
            metadata: Arc::new(metadata),
            compiled,
            image: OnceLock::new(),
            handles: OnceLock::new(),
            linked: OnceLock::new(),
        };
        Ok(Module { inner: Arc::new(inner) })
    }

    /// The module a snapshot needs: the one embedded in it, else the one in the cache.
    ///
    /// # Errors
    /// [`Error::ModuleNotFound`] when it is in neither; otherwise those of [`Module::load`].
    pub fn for_snapshot(
        engine: &Engine,
        snapshot: &Snapshot<'_>,
        cache: Option<&ModuleCache>,
    ) -> Result<Module, Error> {
        let hash = snapshot.module.hash;
        if let Some(bytes) = &snapshot.module.bytes {
            let module = Module::load(engine, bytes)?;
            if module.hash() != hash {
                return Err(Error::snapshot("the embedded module is not the one it names"));
            }
            return Ok(module);
        }
        match cache.map(|cache| cache.find(&hash)).transpose()?.flatten() {
            Some(bytes) => Module::load(engine, &bytes),
            None => Err(Error::ModuleNotFound { hash }),
        }
    }

    /// Whether it is the other, and not the same compiled anew.
    pub(crate) fn is(&self, other: &Module) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// BLAKE3 of the original.
    pub fn hash(&self) -> Digest {
        self.inner.hash
    }

    /// The original.
    pub fn original(&self) -> &[u8] {
        &self.inner.original
    }

    /// What the instrumenter knows of it.
    pub fn metadata(&self) -> &Metadata {
        &self.inner.metadata
    }

    /// The exported functions and their types, in the module's order.
    pub fn exports(&self) -> impl Iterator<Item = (&str, &FunctionType)> {
        let metadata = self.metadata();
        (metadata.exports.iter())
            .filter_map(|e| Some((e.name.as_str(), metadata.type_of(e.function)?)))
    }

    /// The engine it was loaded with.
    pub fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(crate) fn shared_metadata(&self) -> Arc<Metadata> {
        self.inner.metadata.clone()
    }

    pub(crate) fn pace(&self) -> Pace {
        self.inner.pace
    }

    pub(crate) fn compiled(&self) -> &wasmtime::Module {
        &self.inner.compiled
    }

    /// Where its exports are.
    pub(crate) fn handles(&self) -> Result<&Handles, Error> {
        if let Some(handles) = self.inner.handles.get() {
            return Ok(handles);
        }
        let made = Handles::of(&self.inner.compiled, &self.inner.metadata)?;
        Ok(self.inner.handles.get_or_init(|| made))
    }

    /// The module with all its imports, if they are the same for every tasklet: then they are linked
    /// once.
    pub(crate) fn linked(&self) -> Option<&InstancePre<State>> {
        self.inner.linked.get_or_init(|| host::link_once(&self.inner.compiled)).as_ref()
    }

    /// The state before anything ran, given the values of imported globals in the module's order;
    /// made when first needed, and kept if no values are given.
    pub(crate) fn image(&self, globals: &[wasmtime::Val]) -> Result<Arc<Image>, Error> {
        if !globals.is_empty() {
            return Image::make(self, globals).map(Arc::new);
        }
        if let Some(image) = self.inner.image.get() {
            return Ok(image.clone());
        }
        // Two threads may both make one; they are equal.
        let image = Arc::new(Image::make(self, globals)?);
        Ok(self.inner.image.get_or_init(|| image).clone())
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Module").field("hash", &self.hash()).finish_non_exhaustive()
    }
}

/// Whether the engine can carry all of a module's state over a pause.
fn supported(metadata: &Metadata) -> Result<(), Error> {
    let values = metadata.types.iter().flat_map(|ty| ty.params.iter().chain(&ty.results));
    let fields = metadata.points.iter().flat_map(|point| &point.fields).map(|field| &field.ty);
    let globals = metadata.globals.iter().map(|info| &info.ty);
    let tables = metadata.tables.iter().map(|info| &info.element);
    let tags = metadata.tags.iter().flat_map(|info| &info.params);
    let mut all = values.chain(fields).chain(globals).chain(tables).chain(tags);
    if all.any(|ty| *ty == ValType::AnyRef) {
        let what = "references of the `any` hierarchy: compile the program without garbage \
                    collection";
        return Err(Error::Unsupported { what: what.into() });
    }
    if metadata.tags.len() > TAGS_MAX {
        return Err(Error::limit(format!("{} tags, at most {TAGS_MAX}", metadata.tags.len())));
    }
    Ok(())
}

/// The instrumented module, from the cache if a sound copy is there.
fn instrument(engine: &Engine, hash: Digest, wasm: &[u8]) -> Result<(Vec<u8>, Metadata), Error> {
    let entry = engine.cache().map(|root| cache::InstrumentedEntry::new(root, hash));
    if let Some(found) = entry.as_ref().and_then(|entry| entry.read()) {
        return Ok(found);
    }
    let made = instrumenter::instrument(wasm, &instrumenter::Options::default())
        .map_err(Error::Instrument)?;
    if let Some(entry) = &entry {
        entry.write(&made.wasm);
    }
    Ok((made.wasm, made.metadata))
}
