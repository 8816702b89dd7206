//! What references refer to: objects of the host's, and exceptions.
//!
//! Both are written once each, in lists, and named by their place there. The numbering is that of
//! one walk over the snapshot, so that equal states have equal files.

use super::reader::Reader;
use super::rules::{Rule, require};
use super::writer::{Writer, major};
use super::{Error, Exception, Object, RefType, Snapshot, Status, Value, value};

pub(super) fn encode_objects(objects: &[Object], w: &mut Writer<'_>) -> Result<(), Error> {
    w.array(objects.len())?;
    for object in objects {
        w.array(2)?;
        w.text(&object.codec)?;
        w.bytes(&object.bytes)?;
    }
    Ok(())
}

pub(super) fn decode_objects(r: &mut Reader<'_>) -> Result<Vec<Object>, Error> {
    r.list(
        |limits| &mut limits.objects,
        "objects",
        |r| {
            r.tuple(2, "an object")?;
            let codec = r.text("a codec's name")?;
            let at = r.at();
            let len = r.expect(major::BYTES, "an object's bytes")?;
            r.spend(at, len, |limits| &mut limits.object_bytes, "bytes of objects")?;
            Ok(Object { codec, bytes: r.raw(len)? })
        },
    )
}

pub(super) fn encode_exceptions(exceptions: &[Exception], w: &mut Writer<'_>) -> Result<(), Error> {
    w.array(exceptions.len())?;
    for exception in exceptions {
        w.array(2)?;
        w.unsigned(exception.tag)?;
        value::encode_list(&exception.fields, w)?;
    }
    Ok(())
}

pub(super) fn decode_exceptions(r: &mut Reader<'_>) -> Result<Vec<Exception>, Error> {
    r.list(
        |limits| &mut limits.exceptions,
        "exceptions",
        |r| {
            r.tuple(2, "an exception")?;
            let tag = r.u32("a tag index")?;
            Ok(Exception { tag, fields: value::decode_list(r, "a payload")? })
        },
    )
}

/// Checks that objects and exceptions are numbered as the walk meets them, and that each is met.
pub(super) fn numbering(snapshot: &Snapshot<'_>) -> Rule {
    let mut walk = Walk { snapshot, objects: 0, exceptions: 0 };
    let results = match &snapshot.status {
        Status::Finished { results } => &results[..],
        _ => &[],
    };
    walk.values(snapshot.entry.args.iter().chain(results))?;
    for frame in &snapshot.frames {
        walk.values(frame.locals.iter().map(|(_, value)| value).chain(&frame.operands))?;
    }
    for call in &snapshot.pending {
        walk.values(&call.args)?;
    }
    walk.values(snapshot.globals.iter().map(|(_, value)| value))?;
    for table in &snapshot.tables {
        let elements = table.runs.iter().flat_map(|run| &run.elements);
        match table.element {
            RefType::Func => {}
            RefType::Extern => elements.flatten().try_for_each(|&index| walk.object(index))?,
            RefType::Exn => elements.flatten().try_for_each(|&index| walk.exception(index))?,
        }
    }
    let all = walk.objects as usize == snapshot.objects.len()
        && walk.exceptions as usize == snapshot.exceptions.len();
    require(all, "an object or an exception is one that nothing refers to")
}

/// What has been met so far.
struct Walk<'a> {
    snapshot: &'a Snapshot<'a>,
    objects: u32,
    exceptions: u32,
}

impl<'a> Walk<'a> {
    fn values(&mut self, values: impl IntoIterator<Item = &'a Value>) -> Rule {
        values.into_iter().try_for_each(|value| match *value {
            Value::ExternRef(Some(index)) => self.object(index),
            Value::ExnRef(Some(index)) => self.exception(index),
            _ => Ok(()),
        })
    }

    fn object(&mut self, index: u32) -> Rule {
        if index == self.objects && (index as usize) < self.snapshot.objects.len() {
            self.objects += 1;
        }
        require(index < self.objects, "objects are not numbered as they are met")
    }

    /// Meets an exception: what is in its payload has been met before it.
    ///
    /// NB: not by recursion, since a chain can be as long as the file.
    fn exception(&mut self, index: u32) -> Rule {
        let mut open = Vec::new();
        if index >= self.exceptions {
            open.push((index, 0));
        }
        while let Some((index, next)) = open.last_mut() {
            let exception = self.snapshot.exceptions.get(*index as usize);
            let exception = exception.ok_or("a reference to an exception that is not there")?;
            let Some(value) = exception.fields.get(*next) else {
                require(*index == self.exceptions, "exceptions are not numbered as they are met")?;
                self.exceptions += 1;
                open.pop();
                continue;
            };
            *next += 1;
            match *value {
                Value::ExternRef(Some(object)) => self.object(object)?,
                Value::ExnRef(Some(inner)) if inner >= self.exceptions => {
                    require(inner < *index, "an exception holds itself or a later one")?;
                    open.push((inner, 0));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
