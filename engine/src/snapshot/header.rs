//! The header: what a reader wants to know before it reads the bulk.

use std::io::Read;

use super::reader::Reader;
use super::rules::sorted_names;
use super::writer::Writer;
use super::{
    Digest, Entry, Error, Limits, PauseReason, Profile, Snapshot, Status, TrapFrame, decode, rules,
    value,
};

/// The first part of a snapshot, with the meanings of the fields of [`Snapshot`].
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// Version of the format that the file is in.
    pub version: u64,
    /// BLAKE3 of the original module's bytes.
    pub module_hash: Digest,
    /// Length of the original module in bytes.
    pub module_size: u64,
    /// Version of the cost table by which steps are counted.
    pub cost_table: u32,
    /// Digest of the snapshot before this one.
    pub parent: Option<Digest>,
    /// Digest of the snapshot whose memories this one's are to be laid over.
    pub base: Option<Digest>,
    /// The limits of a deterministic run.
    pub profile: Option<Profile>,
    /// Steps executed so far.
    pub steps_used: u64,
    /// Steps granted minus steps used.
    pub balance: i64,
    /// Whether and why the tasklet stands still.
    pub status: Status,
    /// What was started.
    pub entry: Entry,
    /// Labels, sorted.
    pub labels: Vec<(String, String)>,
}

impl Header {
    /// Reads only the header, for listings: some hundred bytes instead of all.
    ///
    /// The digest is at the other end, so what this returns is *unverified*;
    /// show it, do not act on it. More of `input` than the header may be consumed.
    ///
    /// # Errors
    ///
    /// As [`Snapshot::read_from`], as far as it reads.
    pub fn read_from(input: &mut impl Read, limits: &Limits) -> Result<Header, Error> {
        let mut reader = Reader::new(input, limits);
        decode::prelude(&mut reader)?;
        decode_header(&mut reader)
    }
}

pub(super) fn encode_header(snapshot: &Snapshot<'_>, w: &mut Writer<'_>) -> Result<(), Error> {
    w.map(10)?;
    w.text("base")?;
    encode_digest(snapshot.base, w)?;
    w.text("entry")?;
    encode_entry(&snapshot.entry, w)?;
    w.text("labels")?;
    w.map(snapshot.labels.len())?;
    for (name, text) in sorted_names(&snapshot.labels) {
        w.text(name)?;
        w.text(text)?;
    }
    w.text("module")?;
    w.map(2)?;
    w.text("hash")?;
    w.bytes(&snapshot.module.hash.0)?;
    w.text("size")?;
    w.unsigned(snapshot.module.size)?;
    w.text("parent")?;
    encode_digest(snapshot.parent, w)?;
    w.text("status")?;
    encode_status(&snapshot.status, w)?;
    w.text("balance")?;
    w.integer(snapshot.balance)?;
    w.text("profile")?;
    encode_profile(snapshot.profile, w)?;
    w.text("cost-table")?;
    w.unsigned(snapshot.cost_table)?;
    w.text("steps-used")?;
    w.unsigned(snapshot.steps_used)
}

pub(super) fn decode_header(r: &mut Reader<'_>) -> Result<Header, Error> {
    let mut map = r.map("the header")?;
    let mut base = None;
    if r.version > 2 {
        r.key(&mut map, "base")?;
        base = decode_digest(r, "a base's digest")?;
    }
    r.key(&mut map, "entry")?;
    let entry = decode_entry(r)?;
    r.key(&mut map, "labels")?;
    let labels = decode_labels(r)?;
    r.key(&mut map, "module")?;
    let mut module = r.map("a module")?;
    r.key(&mut module, "hash")?;
    let module_hash = Digest(r.bytes("a module hash")?);
    r.key(&mut module, "size")?;
    let module_size = r.unsigned("a module size")?;
    r.end(module)?;
    r.key(&mut map, "parent")?;
    let parent = decode_digest(r, "a parent's digest")?;
    r.key(&mut map, "status")?;
    let status = decode_status(r)?;
    r.key(&mut map, "balance")?;
    let balance = r.integer("a balance")?;
    let mut profile = None;
    if r.version > 2 {
        r.key(&mut map, "profile")?;
        profile = decode_profile(r)?;
    }
    r.key(&mut map, "cost-table")?;
    let cost_table = r.u32("a cost table version")?;
    r.key(&mut map, "steps-used")?;
    let steps_used = r.unsigned("a number of steps")?;
    r.end(map)?;
    Ok(Header {
        version: r.version,
        module_hash,
        module_size,
        cost_table,
        parent,
        base,
        profile,
        steps_used,
        balance,
        status,
        entry,
        labels,
    })
}

fn encode_digest(digest: Option<Digest>, w: &mut Writer<'_>) -> Result<(), Error> {
    match digest {
        Some(digest) => w.bytes(&digest.0),
        None => w.null(),
    }
}

fn decode_digest(r: &mut Reader<'_>, what: &str) -> Result<Option<Digest>, Error> {
    Ok(if r.null()? { None } else { Some(Digest(r.bytes(what)?)) })
}

fn encode_profile(profile: Option<Profile>, w: &mut Writer<'_>) -> Result<(), Error> {
    let Some(profile) = profile else { return w.null() };
    w.map(5)?;
    w.text("stack-bytes")?;
    w.unsigned(profile.stack_bytes)?;
    w.text("memory-bytes")?;
    w.unsigned(profile.memory_bytes)?;
    w.text("callback-steps")?;
    w.unsigned(profile.callback_steps)?;
    w.text("table-elements")?;
    w.unsigned(profile.table_elements)?;
    w.text("reference-heap-bytes")?;
    w.unsigned(profile.reference_heap_bytes)
}

fn decode_profile(r: &mut Reader<'_>) -> Result<Option<Profile>, Error> {
    if r.null()? {
        return Ok(None);
    }
    let mut map = r.map("a profile")?;
    r.key(&mut map, "stack-bytes")?;
    let stack_bytes = r.unsigned("bytes of the stack")?;
    r.key(&mut map, "memory-bytes")?;
    let memory_bytes = r.unsigned("bytes of a memory")?;
    r.key(&mut map, "callback-steps")?;
    let callback_steps = r.u32("steps of callbacks")?;
    r.key(&mut map, "table-elements")?;
    let table_elements = r.unsigned("elements of a table")?;
    r.key(&mut map, "reference-heap-bytes")?;
    let reference_heap_bytes = r.unsigned("bytes of the heap of references")?;
    r.end(map)?;
    Ok(Some(Profile {
        stack_bytes,
        memory_bytes,
        callback_steps,
        table_elements,
        reference_heap_bytes,
    }))
}

pub(super) fn decode_labels(r: &mut Reader<'_>) -> Result<Vec<(String, String)>, Error> {
    let mut previous: Option<String> = None;
    r.pairs(
        |limits| &mut limits.labels,
        "labels",
        |r| {
            let at = r.at();
            let name = r.text("a label's name")?;
            r.rule(at, rules::names_ascending(previous.as_deref(), &name))?;
            previous = Some(name.clone());
            Ok((name, r.text("a label's text")?))
        },
    )
}

fn encode_entry(entry: &Entry, w: &mut Writer<'_>) -> Result<(), Error> {
    w.map(2)?;
    w.text("args")?;
    value::encode_list(&entry.args, w)?;
    w.text("export")?;
    w.text(&entry.export)
}

fn decode_entry(r: &mut Reader<'_>) -> Result<Entry, Error> {
    let mut map = r.map("an entry")?;
    r.key(&mut map, "args")?;
    let args = value::decode_list(r, "arguments")?;
    r.key(&mut map, "export")?;
    let export = r.text("an export's name")?;
    r.end(map)?;
    Ok(Entry { export, args })
}

fn encode_status(status: &Status, w: &mut Writer<'_>) -> Result<(), Error> {
    match status {
        Status::Paused { reason } => {
            w.array(2)?;
            w.text("paused")?;
            w.text(match reason {
                PauseReason::OutOfBudget => "out-of-budget",
                PauseReason::Requested => "requested",
                PauseReason::Waiting => "waiting",
            })
        }
        Status::Finished { results } => {
            w.array(2)?;
            w.text("finished")?;
            value::encode_list(results, w)
        }
        Status::Exited { code } => {
            w.array(2)?;
            w.text("exited")?;
            w.unsigned(*code)
        }
        Status::Trapped { message, backtrace } => {
            w.array(3)?;
            w.text("trapped")?;
            w.text(message)?;
            w.array(backtrace.len())?;
            for frame in backtrace {
                w.array(2)?;
                w.unsigned(frame.function)?;
                w.index_or_null(frame.offset)?;
            }
            Ok(())
        }
    }
}

fn decode_status(r: &mut Reader<'_>) -> Result<Status, Error> {
    let at = r.at();
    let (status, parts) = r.choice("a status")?;
    Ok(match (status.as_str(), parts) {
        ("paused", 1) => Status::Paused { reason: decode_reason(r)? },
        ("finished", 1) => Status::Finished { results: value::decode_list(r, "results")? },
        ("exited", 1) => Status::Exited { code: r.u32("an exit code")? },
        ("trapped", 2) => Status::Trapped {
            message: r.text("a trap's message")?,
            backtrace: r.list(|limits| &mut limits.frames, "a backtrace", decode_trap_frame)?,
        },
        _ => return Err(Error::malformed(at, "unknown kind of status")),
    })
}

fn decode_reason(r: &mut Reader<'_>) -> Result<PauseReason, Error> {
    let at = r.at();
    Ok(match r.text("a reason")?.as_str() {
        "out-of-budget" => PauseReason::OutOfBudget,
        "requested" => PauseReason::Requested,
        "waiting" => PauseReason::Waiting,
        _ => return Err(Error::malformed(at, "unknown reason of a pause")),
    })
}

fn decode_trap_frame(r: &mut Reader<'_>) -> Result<TrapFrame, Error> {
    r.tuple(2, "a line of a backtrace")?;
    let function = r.u32("a function index")?;
    let offset = r.index_or_null("a byte offset")?;
    Ok(TrapFrame { function, offset })
}
