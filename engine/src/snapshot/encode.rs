//! The whole snapshot out: prelude, header, module, state, memories, digest.

use std::io::Write;

use super::writer::{Writer, major};
use super::{
    Digest, Error, ErrorKind, FORMAT, Snapshot, VERSION, frames, header, host, pages, references,
    rules, tables, value,
};

/// Self-described CBOR (RFC 8949 section 3.4.6): three bytes that begin no text of any encoding.
pub(super) const TAG: [u8; 3] = [0xd9, 0xd9, 0xf7];

/// Elements of the outer array of a version.
pub(super) fn parts(version: u64) -> u8 {
    if version < 3 { 7 } else { 9 }
}

pub(super) fn write(snapshot: &Snapshot<'_>, out: &mut dyn Write) -> Result<Digest, Error> {
    rules::check(snapshot).map_err(|what| ErrorKind::Invalid { what })?;
    let mut writer = Writer::new(out);
    let w = &mut writer;
    w.raw(&TAG)?;
    w.head(major::ARRAY, u64::from(parts(VERSION)))?;
    w.text(FORMAT)?;
    w.unsigned(VERSION)?;
    header::encode_header(snapshot, w)?;
    match &snapshot.module.bytes {
        Some(bytes) => w.bytes(bytes)?,
        None => w.null()?,
    }
    encode_state(snapshot, w)?;
    pages::encode_memories(&snapshot.memories, w, pages::Layout::Aligned)?;
    writer.finish()
}

pub(super) fn encode_state(snapshot: &Snapshot<'_>, w: &mut Writer<'_>) -> Result<(), Error> {
    w.map(9)?;
    w.text("host")?;
    host::encode_host(&snapshot.host, w)?;
    w.text("frames")?;
    frames::encode_frames(&snapshot.frames, w)?;
    w.text("tables")?;
    tables::encode_tables(&snapshot.tables, w)?;
    w.text("globals")?;
    value::encode_indexed(&snapshot.globals, w)?;
    w.text("objects")?;
    references::encode_objects(&snapshot.objects, w)?;
    w.text("pending")?;
    frames::encode_pending(&snapshot.pending, w)?;
    w.text("exceptions")?;
    references::encode_exceptions(&snapshot.exceptions, w)?;
    w.text("dropped-data")?;
    w.indices(&snapshot.dropped_data)?;
    w.text("dropped-elements")?;
    w.indices(&snapshot.dropped_elements)
}
