//! How the host's objects are written down.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use super::{HostBuilder, HostError};
use crate::error::Error;
use crate::snapshot::Object;
use crate::value::HostObject;

type Encode = dyn Fn(&dyn Any) -> Result<Vec<u8>, HostError> + Send + Sync;
type Decode = dyn Fn(&[u8]) -> Result<HostObject, HostError> + Send + Sync;

/// The codecs of a host, by the type of the objects and by the name in snapshots.
#[derive(Clone, Default)]
pub(crate) struct Codecs {
    encode: HashMap<TypeId, (String, Arc<Encode>)>,
    decode: HashMap<String, Arc<Decode>>,
}

impl HostBuilder {
    /// Tells how objects of the type `T` that the guest holds as `externref` are written into
    /// snapshots and made again. The name is what snapshots know the type by; it should not change.
    ///
    /// An object that the guest holds more than once is written once and stays one object. Without
    /// a codec for what it holds a tasklet runs, but cannot be written down.
    pub fn codec<T: Any + Send + Sync>(
        mut self,
        name: &str,
        encode: impl Fn(&T) -> Result<Vec<u8>, HostError> + Send + Sync + 'static,
        decode: impl Fn(&[u8]) -> Result<T, HostError> + Send + Sync + 'static,
    ) -> HostBuilder {
        let encode = move |object: &dyn Any| match object.downcast_ref() {
            Some(object) => encode(object),
            None => Err(HostError::new("an object of another type")),
        };
        let decode = move |bytes: &[u8]| decode(bytes).map(HostObject::new);
        let codecs = Arc::make_mut(&mut self.host.codecs);
        codecs.encode.insert(TypeId::of::<T>(), (name.to_string(), Arc::new(encode)));
        codecs.decode.insert(name.to_string(), Arc::new(decode));
        self
    }
}

impl Codecs {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.encode.is_empty()
    }

    /// An object as it goes into a snapshot. `place` is where the guest holds it.
    pub(crate) fn encode(
        &self,
        object: &HostObject,
        place: &dyn Fn() -> String,
    ) -> Result<Object, Error> {
        let value = object.value() as &dyn Any;
        let Some((codec, encode)) = self.encode.get(&value.type_id()) else {
            return Err(Error::NoCodec { type_name: object.type_name(), place: place() });
        };
        let bytes = encode(value).map_err(|error| Error::Codec {
            codec: codec.clone(),
            place: place(),
            message: error.to_string(),
        })?;
        Ok(Object { codec: codec.clone(), bytes })
    }

    /// All objects of a snapshot.
    pub(crate) fn decode_all(&self, objects: &[Object]) -> Result<Vec<HostObject>, Error> {
        objects.iter().enumerate().map(|(number, object)| self.decode(number, object)).collect()
    }

    fn decode(&self, number: usize, object: &Object) -> Result<HostObject, Error> {
        let codec = &object.codec;
        let decode = self.decode.get(codec).ok_or_else(|| {
            Error::incompatible(format!(
                "object {number} was written by the codec `{codec}`, which is not here; give the \
                 host one with `HostBuilder::codec`"
            ))
        })?;
        decode(&object.bytes).map_err(|error| {
            Error::snapshot(format!("object {number} of the codec `{codec}`: {error}"))
        })
    }

    /// Their names, sorted.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.decode.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }
}
