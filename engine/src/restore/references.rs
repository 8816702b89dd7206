//! References out of a snapshot that has been checked.

use wasmtime::{ExnRef, ExnRefPre, ExternRef, Rooted, Tag, Val};

use crate::error::Error;
use crate::exception;
use crate::snapshot;
use crate::state::Context;
use crate::value::{self, Exception, HostObject, Value};

/// What references refer to, in the store. Valid in the scope it was made in.
pub(super) struct References {
    objects: Vec<HostObject>,
    /// The references to the objects, made when first needed, so that they are one each.
    externs: Vec<Option<Rooted<ExternRef>>>,
    exceptions: Vec<Rooted<ExnRef>>,
}

impl References {
    /// Makes the exceptions. What is in a payload comes before it.
    pub(super) fn make(
        store: &mut impl Context,
        objects: Vec<HostObject>,
        exceptions: &[snapshot::Exception],
    ) -> Result<References, Error> {
        let externs = vec![None; objects.len()];
        let mut references = References { objects, externs, exceptions: Vec::new() };
        let mut makers: Vec<(u32, (Tag, ExnRefPre))> = Vec::new();
        for written in exceptions {
            let fields = written.fields.iter().map(|field| references.val(store, field));
            let fields = fields.collect::<Result<Vec<_>, _>>()?;
            let known = makers.binary_search_by_key(&written.tag, |(tag, _)| *tag);
            let known = match known {
                Ok(known) => known,
                Err(place) => {
                    let maker = exception::maker(store, written.tag)?;
                    makers.insert(place, (written.tag, maker));
                    place
                }
            };
            let (_, (tag, maker)) = &makers[known];
            // A typed function reference takes only functions of its type.
            let made = ExnRef::new(store.as_context_mut(), maker, tag, &fields);
            references.exceptions.push(made.map_err(|error| match error.root_cause() {
                cause if cause.is::<wasmtime::GcHeapOutOfMemory<()>>() => value::heap_full(error),
                cause => Error::snapshot(format!("an exception of tag {}: {cause}", written.tag)),
            })?);
        }
        Ok(references)
    }

    /// A value of the snapshot in the store.
    pub(super) fn val(
        &mut self,
        store: &mut impl Context,
        written: &snapshot::Value,
    ) -> Result<Val, Error> {
        let unchecked = || Error::internal("a reference that was not checked");
        match (written.plain(), written) {
            (Some(plain), _) => value::to_wasm(store, &plain),
            (None, snapshot::Value::ExternRef(Some(index))) => {
                let index = *index as usize;
                let object = self.objects.get(index).ok_or_else(unchecked)?;
                if let Some(made) = self.externs[index] {
                    return Ok(Val::ExternRef(Some(made)));
                }
                let made = value::to_wasm(store, &Value::ExternRef(Some(object.clone())))?;
                self.externs[index] = made.unwrap_externref().copied();
                Ok(made)
            }
            (None, snapshot::Value::ExnRef(Some(index))) => {
                let made = self.exceptions.get(*index as usize).ok_or_else(unchecked)?;
                Ok(Val::ExnRef(Some(*made)))
            }
            (None, _) => Err(unchecked()),
        }
    }

    /// A value of the snapshot for the engine to keep.
    pub(super) fn value(
        &mut self,
        store: &mut impl Context,
        written: &snapshot::Value,
    ) -> Result<Value, Error> {
        let unchecked = || Error::internal("a reference that was not checked");
        match (written.plain(), written) {
            (Some(plain), _) => Ok(plain),
            (None, snapshot::Value::ExternRef(Some(index))) => {
                let object = self.objects.get(*index as usize).ok_or_else(unchecked)?;
                Ok(Value::ExternRef(Some(object.clone())))
            }
            (None, snapshot::Value::ExnRef(Some(index))) => {
                let made = self.exceptions.get(*index as usize).ok_or_else(unchecked)?;
                Ok(Value::ExnRef(Some(Exception::new(store, *made)?)))
            }
            (None, _) => Err(unchecked()),
        }
    }

    /// The same for a list.
    pub(super) fn values(
        &mut self,
        store: &mut impl Context,
        written: &[snapshot::Value],
    ) -> Result<Vec<Value>, Error> {
        written.iter().map(|value| self.value(store, value)).collect()
    }
}
