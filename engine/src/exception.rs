//! Exceptions: made, taken apart, and told of.

use wasmtime::{AsContextMut, ExnRef, ExnRefPre, ExnType, RootScope, Tag};

use crate::error::Error;
use crate::state::Context;
use crate::tasklet::Tasklet;
use crate::value::{self, Exception, Value};

impl Tasklet {
    /// The tag of an exception, by its original index, and the payload.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for an exception of another tasklet.
    pub fn exception(&mut self, exception: &Exception) -> Result<(u32, Vec<Value>), Error> {
        payload(&mut self.store, exception)
    }
}

/// The tag, by its original index, and the payload.
pub(crate) fn payload(
    store: &mut impl Context,
    exception: &Exception,
) -> Result<(u32, Vec<Value>), Error> {
    let mut scope = RootScope::new(store.as_context_mut());
    let rooted = exception.rooted(&mut scope)?;
    let tag = rooted.tag(scope.as_context_mut()).map_err(Error::internal)?;
    let tag = tag_index(&mut scope, &tag)?;
    let fields = rooted.fields(scope.as_context_mut()).map_err(Error::internal)?;
    let fields: Vec<_> = fields.collect();
    let fields = fields.iter().map(|field| value::from_wasm(&mut scope, field));
    Ok((tag, fields.collect::<Result<_, _>>()?))
}

fn tag_index(store: &mut impl Context, tag: &Tag) -> Result<u32, Error> {
    let (exports, metadata) = (store.exports(), store.metadata());
    let position = exports.tags.iter().position(|known| Tag::eq(known, tag, store.as_context()));
    let info = position.and_then(|position| metadata.tags.get(position));
    info.map(|info| info.index).ok_or_else(|| Error::internal("a tag that is not the module's"))
}

/// What makes exceptions of the tag with that original index.
pub(crate) fn maker(store: &mut impl Context, tag: u32) -> Result<(Tag, ExnRefPre), Error> {
    let (exports, metadata) = (store.exports(), store.metadata());
    let position = metadata.tags.iter().position(|info| info.index == tag);
    let tag = position.and_then(|position| exports.tags.get(position)).copied();
    let tag = tag.ok_or_else(|| Error::Unsupported { what: "a tag that is not there".into() })?;
    let ty = ExnType::from_tag_type(&tag.ty(store.as_context())).map_err(Error::internal)?;
    Ok((tag, ExnRefPre::new(store.as_context_mut(), ty)))
}

/// Makes an exception of the tag with that original index.
pub(crate) fn make(
    store: &mut impl Context,
    tag: u32,
    payload: &[Value],
) -> Result<Exception, Error> {
    // An import can make any number before it returns: none is to be rooted longer than it is held.
    let store = &mut RootScope::new(store.as_context_mut());
    let metadata = store.metadata();
    let params = metadata.tags.iter().find(|info| info.index == tag).map(|info| &info.params[..]);
    if !params.is_some_and(|params| value::have_types(payload, params)) {
        let expected = params.map(|params| value::list(params.iter().copied()));
        return Err(Error::Arguments {
            function: format!("tag {tag}"),
            expected: expected.unwrap_or_else(|| "a tag of the module".into()),
            found: value::list(payload.iter().map(Value::ty)),
        });
    }
    let (tag, maker) = maker(store, tag)?;
    let fields = payload.iter().map(|value| value::to_wasm(store, value));
    let fields = fields.collect::<Result<Vec<_>, _>>()?;
    let made = ExnRef::new(store.as_context_mut(), &maker, &tag, &fields);
    Exception::new(store, made.map_err(value::heap_full)?)
}

/// Takes the exception that has left the guest.
pub(crate) fn take_thrown(store: &mut impl Context) -> Result<Exception, Error> {
    let mut scope = RootScope::new(store.as_context_mut());
    let thrown = scope.as_context_mut().take_pending_exception();
    let thrown = thrown.ok_or_else(|| Error::internal("no exception has been thrown"))?;
    Exception::new(&mut scope, thrown)
}

/// What is told of an exception that nobody has caught: `tag 3 (42, 7)`.
pub(crate) fn describe(store: &mut impl Context, exception: &Exception) -> String {
    let Ok((tag, fields)) = payload(store, exception) else { return "unknown".into() };
    let fields: Vec<String> = fields.iter().map(Value::to_string).collect();
    format!("tag {tag} ({})", fields.join(", "))
}
