//! The whole snapshot in: prelude, header, module, state, memories, digest.

use std::io::Read;

use super::encode::{TAG, parts};
use super::reader::Reader;
use super::writer::major;
use super::{
    Digest, Error, ErrorKind, FORMAT, Limits, ModuleRef, Snapshot, VERSION, frames, header, host,
    pages, references, rules, tables, value,
};

pub(super) fn read<'r>(mut reader: Reader<'r>) -> Result<(Snapshot<'r>, Digest), Error> {
    let r = &mut reader;
    prelude(r)?;
    let header = header::decode_header(r)?;
    let module = decode_module(r, header.module_hash, header.module_size)?;
    let snapshot = decode_body(r, header, module, pages::Layout::Aligned)?;
    let digest = reader.finish()?;
    Ok((snapshot, digest))
}

/// What comes behind the module: the state and the memories.
pub(super) fn decode_body<'r>(
    r: &mut Reader<'r>,
    header: header::Header,
    module: ModuleRef<'r>,
    layout: pages::Layout,
) -> Result<Snapshot<'r>, Error> {
    let at = r.at();
    let mut map = r.map("the state")?;
    r.key(&mut map, "host")?;
    let host = host::decode_host(r)?;
    r.key(&mut map, "frames")?;
    let frames = frames::decode_frames(r)?;
    r.key(&mut map, "tables")?;
    let tables = tables::decode_tables(r)?;
    r.key(&mut map, "globals")?;
    let globals = value::decode_indexed(r, "globals")?;
    let mut objects = Vec::new();
    if r.version > 1 {
        r.key(&mut map, "objects")?;
        objects = references::decode_objects(r)?;
    }
    r.key(&mut map, "pending")?;
    let pending = frames::decode_pending(r)?;
    let mut exceptions = Vec::new();
    if r.version > 1 {
        r.key(&mut map, "exceptions")?;
        exceptions = references::decode_exceptions(r)?;
    }
    r.key(&mut map, "dropped-data")?;
    let dropped_data = decode_segments(r)?;
    r.key(&mut map, "dropped-elements")?;
    let dropped_elements = decode_segments(r)?;
    r.end(map)?;
    r.rule(at, rules::continuation(&header.status, &frames, &pending))?;

    let memories = pages::decode_memories(r, layout)?;
    let snapshot = Snapshot {
        module,
        cost_table: header.cost_table,
        parent: header.parent,
        base: header.base,
        profile: header.profile,
        steps_used: header.steps_used,
        balance: header.balance,
        status: header.status,
        entry: header.entry,
        pending,
        frames,
        memories,
        globals,
        tables,
        objects,
        exceptions,
        dropped_data,
        dropped_elements,
        host,
        labels: header.labels,
    };
    r.rule(at, references::numbering(&snapshot))?;
    Ok(snapshot)
}

/// The version alone.
pub(super) fn version(input: &mut dyn Read) -> Result<u64, Error> {
    let mut reader = Reader::new(input, &Limits::DEFAULT);
    prelude(&mut reader)?;
    Ok(reader.version)
}

/// Reads what is in front of the header: the same in every version, up to the version.
pub(super) fn prelude(r: &mut Reader<'_>) -> Result<(), Error> {
    let Some(found) = begin(r, FORMAT)? else { return Err(ErrorKind::NotASnapshot.into()) };
    match found.version {
        version @ 1..=VERSION => r.version = version,
        found => return Err(ErrorKind::Version { found }.into()),
    }
    found.has_parts(parts(r.version))
}

/// What a file begins with.
pub(super) struct Beginning {
    parts: u8,
    pub(super) version: u64,
}

/// Reads what every file of a format of ours begins with, in every version; `None` if it is another.
pub(super) fn begin(r: &mut Reader<'_>, format: &str) -> Result<Option<Beginning>, Error> {
    if !r.literal(&TAG)? {
        return Ok(None);
    }
    let parts = r.byte()?;
    // NB: only the kind of head is looked at before the version is known;
    // another version may have more or fewer parts.
    let (first, last) = (major::ARRAY << 5 | 2, major::ARRAY << 5 | 23);
    if !(first..=last).contains(&parts) {
        return Ok(None);
    }
    if !r.literal(&[major::TEXT << 5 | format.len() as u8])? || !r.literal(format.as_bytes())? {
        return Ok(None);
    }
    Ok(Some(Beginning { parts, version: r.unsigned("a version")? }))
}

impl Beginning {
    /// That it has as many parts as its version has.
    pub(super) fn has_parts(&self, parts: u8) -> Result<(), Error> {
        if self.parts == major::ARRAY << 5 | parts {
            return Ok(());
        }
        Err(Error::malformed(TAG.len() as u64, format!("not {parts} parts")))
    }
}

pub(super) fn decode_module<'r>(
    r: &mut Reader<'r>,
    hash: Digest,
    size: u64,
) -> Result<ModuleRef<'r>, Error> {
    if r.null()? {
        return Ok(ModuleRef { hash, size, bytes: None });
    }
    let at = r.at();
    let len = r.expect(major::BYTES, "a module or null")?;
    r.spend(at, len, |limits| &mut limits.module_bytes, "bytes of the module")?;
    let module = ModuleRef { hash, size, bytes: Some(r.bulk(len)?) };
    r.rule(at, rules::module(&module))?;
    if module.bytes.as_deref().map(Digest::of) != Some(hash) {
        return Err(Error::malformed(at, "the module does not match its hash"));
    }
    Ok(module)
}

fn decode_segments(r: &mut Reader<'_>) -> Result<Vec<u32>, Error> {
    let mut previous = None;
    r.list(
        |limits| &mut limits.segments,
        "dropped segments",
        |r| {
            let at = r.at();
            let index = r.u32("a segment index")?;
            r.rule(at, rules::ascending(previous.replace(index), index))?;
            Ok(index)
        },
    )
}
