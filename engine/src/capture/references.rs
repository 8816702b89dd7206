//! References as snapshots have them: objects and exceptions, each written once and numbered in the
//! order of one walk.

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::Error;
use crate::exception;
use crate::host::Codecs;
use crate::snapshot::{self, Object};
use crate::state::Context;
use crate::value::{Exception, HostObject, Value};

/// Where a value is, for messages.
pub(super) type Place<'a> = &'a dyn Fn() -> String;

/// What has been met so far.
pub(super) struct References {
    codecs: Arc<Codecs>,
    pub(super) objects: Vec<Object>,
    pub(super) exceptions: Vec<snapshot::Exception>,
    /// By address. The guest keeps the objects where they are.
    object_numbers: HashMap<usize, u32>,
    /// By hash.
    exception_numbers: HashMap<u64, Vec<(Exception, u32)>>,
}

/// An exception whose payload is being written.
struct Open {
    exception: Exception,
    tag: u32,
    fields: Vec<Value>,
    written: Vec<snapshot::Value>,
}

impl References {
    pub(super) fn new(codecs: Arc<Codecs>) -> References {
        References {
            codecs,
            objects: Vec::new(),
            exceptions: Vec::new(),
            object_numbers: HashMap::new(),
            exception_numbers: HashMap::new(),
        }
    }

    /// The value as it goes into the snapshot.
    pub(super) fn value(
        &mut self,
        store: &mut impl Context,
        value: &Value,
        place: Place<'_>,
    ) -> Result<snapshot::Value, Error> {
        Ok(match value {
            Value::ExternRef(Some(object)) => {
                snapshot::Value::ExternRef(Some(self.object(object, place)?))
            }
            Value::ExnRef(Some(exception)) => {
                snapshot::Value::ExnRef(Some(self.exception(store, exception, place)?))
            }
            plain => plain.written().ok_or_else(|| Error::Unsupported {
                what: format!("a reference of the `any` hierarchy in {}", place()),
            })?,
        })
    }

    /// The same for a list, of which the places are numbered.
    pub(super) fn values(
        &mut self,
        store: &mut impl Context,
        values: &[Value],
        place: Place<'_>,
    ) -> Result<Vec<snapshot::Value>, Error> {
        (0..)
            .zip(values)
            .map(|(at, value): (u32, _)| self.value(store, value, &|| format!("{} {at}", place())))
            .collect()
    }

    fn object(&mut self, object: &HostObject, place: Place<'_>) -> Result<u32, Error> {
        if let Some(number) = self.object_numbers.get(&object.address()) {
            return Ok(*number);
        }
        let number = number(self.objects.len())?;
        self.objects.push(self.codecs.encode(object, place)?);
        self.object_numbers.insert(object.address(), number);
        Ok(number)
    }

    fn known(&self, store: &impl Context, exception: &Exception) -> Result<Option<u32>, Error> {
        let same_hash = self.exception_numbers.get(&exception.hash(store)?);
        for (known, number) in same_hash.into_iter().flatten() {
            if exception.is(store, known)? {
                return Ok(Some(*number));
            }
        }
        Ok(None)
    }

    /// NB: not by recursion, since the guest can make a chain as long as it likes.
    fn exception(
        &mut self,
        store: &mut impl Context,
        exception: &Exception,
        place: Place<'_>,
    ) -> Result<u32, Error> {
        if let Some(number) = self.known(store, exception)? {
            return Ok(number);
        }
        let mut open = vec![Open::new(store, exception)?];
        let mut last = 0;
        while let Some(top) = open.last_mut() {
            let at = top.written.len();
            let Some(field) = top.fields.get(at) else {
                last = self.close(store, open.pop())?;
                continue;
            };
            let written = match field {
                Value::ExnRef(Some(inner)) => match self.known(store, inner)? {
                    Some(number) => snapshot::Value::ExnRef(Some(number)),
                    None => {
                        let inner = Open::new(store, inner)?;
                        open.push(inner);
                        continue;
                    }
                },
                field => {
                    let tag = top.tag;
                    let inside = || format!("field {at} of an exception of tag {tag}, {}", place());
                    self.value(store, field, &inside)?
                }
            };
            top.written.push(written);
        }
        Ok(last)
    }

    fn close(&mut self, store: &impl Context, done: Option<Open>) -> Result<u32, Error> {
        let done = done.ok_or_else(|| Error::internal("no exception was being written"))?;
        let number = number(self.exceptions.len())?;
        self.exceptions.push(snapshot::Exception { tag: done.tag, fields: done.written });
        let hash = done.exception.hash(store)?;
        self.exception_numbers.entry(hash).or_default().push((done.exception, number));
        Ok(number)
    }
}

impl Open {
    fn new(store: &mut impl Context, exception: &Exception) -> Result<Open, Error> {
        let (tag, fields) = exception::payload(store, exception)?;
        let written = Vec::with_capacity(fields.len());
        Ok(Open { exception: exception.clone(), tag, fields, written })
    }
}

fn number(len: usize) -> Result<u32, Error> {
    u32::try_from(len).map_err(|_| Error::limit("more than 2^32 objects or exceptions"))
}
