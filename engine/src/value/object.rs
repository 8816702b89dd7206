//! References to what is not the guest's own: the host's objects, and exceptions.

use std::any::{Any, type_name};
use std::fmt;
use std::sync::Arc;

use wasmtime::{ExnRef, OwnedRooted, Rooted};

use crate::error::Error;
use crate::state::Context;
use crate::tasklet::Shared;

/// An object of the host's in the hands of a guest, which can pass it around but not look inside.
///
/// Two are equal if they are the same object. For a tasklet that holds one to be written down, the
/// host needs a codec for its type: [`HostBuilder::codec`](crate::HostBuilder::codec).
#[derive(Clone)]
pub struct HostObject {
    object: Arc<dyn Any + Send + Sync>,
    type_name: &'static str,
}

impl HostObject {
    /// Makes an object of a value.
    pub fn new<T: Any + Send + Sync>(value: T) -> HostObject {
        HostObject::from_arc(Arc::new(value))
    }

    /// The object that the pointer is to, which the host may keep too.
    pub fn from_arc<T: Any + Send + Sync>(object: Arc<T>) -> HostObject {
        HostObject { object, type_name: type_name::<T>() }
    }

    /// The value, if it is of that type.
    pub fn downcast_ref<T: Any>(&self) -> Option<&T> {
        self.object.downcast_ref()
    }

    /// The name of its Rust type, for messages.
    pub fn type_name(&self) -> &'static str {
        self.type_name
    }

    /// The value behind the pointer.
    pub(crate) fn value(&self) -> &(dyn Any + Send + Sync) {
        &*self.object
    }

    /// What tells it from all other objects that there are.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.object).cast::<()>() as usize
    }
}

impl PartialEq for HostObject {
    fn eq(&self, other: &HostObject) -> bool {
        self.address() == other.address()
    }
}

impl Eq for HostObject {}

impl fmt::Debug for HostObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostObject<{}>", self.type_name)
    }
}

/// An exception of a tasklet, which it keeps alive; see
/// [`Tasklet::exception`](crate::Tasklet::exception) for what is in it.
///
/// Two are equal if one is a clone of the other.
#[derive(Clone)]
pub struct Exception {
    inner: Arc<Inner>,
}

struct Inner {
    reference: OwnedRooted<ExnRef>,
    /// Tells the tasklet that it is of.
    owner: Arc<Shared>,
}

impl Exception {
    pub(crate) fn new(
        store: &mut impl Context,
        reference: Rooted<ExnRef>,
    ) -> Result<Exception, Error> {
        let reference =
            reference.to_owned_rooted(store.as_context_mut()).map_err(Error::internal)?;
        let owner = store.as_context().data().shared.clone();
        Ok(Exception { inner: Arc::new(Inner { reference, owner }) })
    }

    /// The reference in the current scope of its own store.
    pub(crate) fn rooted(&self, store: &mut impl Context) -> Result<Rooted<ExnRef>, Error> {
        self.check(store)?;
        Ok(self.inner.reference.to_rooted(store.as_context_mut()))
    }

    /// A number by which equal references can be found, until something is collected.
    pub(crate) fn hash(&self, store: &impl Context) -> Result<u64, Error> {
        use std::hash::{DefaultHasher, Hasher};
        self.check(store)?;
        let mut hasher = DefaultHasher::new();
        self.inner.reference.ref_hash(store.as_context(), &mut hasher);
        Ok(hasher.finish())
    }

    /// Whether both are the same exception of that store.
    pub(crate) fn is(&self, store: &impl Context, other: &Exception) -> Result<bool, Error> {
        self.check(store)?;
        other.check(store)?;
        let (this, other) = (&self.inner.reference, &other.inner.reference);
        OwnedRooted::ref_eq(store.as_context(), this, other).map_err(Error::internal)
    }

    // NB: wasmtime panics when a reference is used with another store.
    fn check(&self, store: &impl Context) -> Result<(), Error> {
        if Arc::ptr_eq(&self.inner.owner, &store.as_context().data().shared) {
            return Ok(());
        }
        Err(Error::Unsupported { what: "an exception of another tasklet".into() })
    }
}

impl PartialEq for Exception {
    fn eq(&self, other: &Exception) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for Exception {}

impl fmt::Debug for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exception").finish_non_exhaustive()
    }
}
