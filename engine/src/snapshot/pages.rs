//! Memories: sizes and runs of pages.

use std::borrow::Cow;

use super::reader::Reader;
use super::rules::{self, RunOrder};
use super::writer::{Writer, head_bytes, major};
use super::{Error, MemoryState, PAGE_BYTES, PageData, PageRun, WASM_PAGE_BYTES};

/// Where the bytes of stored pages are, in version 3 and later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Behind padding, so that they begin at a page of the file.
    Aligned,
    /// Right behind the runs.
    Packed,
}

/// The table of memories and their runs, then the bytes of all stored pages in one piece.
pub(super) fn encode_memories(
    memories: &[MemoryState<'_>],
    w: &mut Writer<'_>,
    layout: Layout,
) -> Result<(), Error> {
    w.array(memories.len())?;
    let mut stored: Vec<&[u8]> = Vec::new();
    for memory in memories {
        w.array(3)?;
        w.unsigned(memory.index)?;
        w.unsigned(memory.pages)?;
        w.array(memory.runs.len())?;
        for run in &memory.runs {
            w.array(3)?;
            w.unsigned(run.first)?;
            w.unsigned(run.count)?;
            w.bool(run.data != PageData::Zero)?;
            if let PageData::Bytes(bytes) = &run.data {
                stored.push(bytes);
            }
        }
    }
    let bytes = stored.iter().map(|bytes| bytes.len() as u64).sum();
    if layout == Layout::Aligned {
        let padding = padding(w.at(), bytes);
        w.head(major::BYTES, padding)?;
        w.raw(&[0; 2 * PAGE_BYTES][..padding as usize])?;
    }
    w.head(major::BYTES, bytes)?;
    w.parts(&stored)
}

/// The length of the padding: the least by which `stored` bytes of pages, if there are any, begin
/// at a multiple of a page in the file. `at` is where the padding's head is.
pub(super) fn padding(at: u64, stored: u64) -> u64 {
    let begins = |padding| at + head_bytes(padding) + padding + head_bytes(stored);
    let mut lengths = 0..2 * PAGE_BYTES as u64;
    let found = lengths.find(|&length| stored == 0 || begins(length) % PAGE_BYTES as u64 == 0);
    found.expect("two pages have every distance to a multiple, whatever the heads' lengths")
}

pub(super) fn decode_memories<'r>(
    r: &mut Reader<'r>,
    layout: Layout,
) -> Result<Vec<MemoryState<'r>>, Error> {
    let mut previous = None;
    let mut memories = r.list(
        |limits| &mut limits.memories,
        "memories",
        |r| {
            r.tuple(3, "a memory")?;
            let at = r.at();
            let index = r.u32("a memory index")?;
            r.rule(at, rules::ascending(previous.replace(index), index))?;
            let at = r.at();
            let pages = r.unsigned("a memory's size")?;
            let bytes = pages.saturating_mul(WASM_PAGE_BYTES);
            r.spend(at, bytes, |limits| &mut limits.memory_bytes, "bytes of memories")?;
            r.rule(at, rules::memory_size(pages))?;
            let mut order = RunOrder::of_memory(pages);
            let len = r.expect(major::ARRAY, "page runs")?;
            let runs = r.items(len, |r| decode_run(r, &mut order))?;
            Ok(MemoryState { index, pages, runs })
        },
    )?;
    // Before version 3 the bytes are in the runs.
    if r.version > 2 {
        decode_stored(r, &mut memories, layout)?;
    }
    Ok(memories)
}

fn decode_run<'r>(r: &mut Reader<'r>, order: &mut RunOrder) -> Result<PageRun<'r>, Error> {
    let at = r.at();
    r.tuple(3, "a page run")?;
    let first = r.unsigned("a page number")?;
    let count = r.unsigned("a number of pages")?;
    let apart = r.version > 2;
    let zero = if apart { !r.bool("whether pages are stored")? } else { r.null()? };
    // Before the bytes are read: the order bounds them by the memory's size.
    r.rule(at, order.accept(first, count, zero))?;
    if zero {
        return Ok(PageRun { first, count, data: PageData::Zero });
    }
    if apart {
        return Ok(PageRun { first, count, data: PageData::Bytes(Cow::Borrowed(&[])) });
    }
    let at = r.at();
    let len = r.expect(major::BYTES, "pages")?;
    r.rule(at, rules::run_length(count, len))?;
    Ok(PageRun { first, count, data: decode_bytes(r, at, len)? })
}

fn decode_bytes<'r>(r: &mut Reader<'r>, at: u64, len: u64) -> Result<PageData<'r>, Error> {
    let bytes = r.bulk(len)?;
    r.rule(at, rules::no_zero_page(&bytes))?;
    Ok(PageData::Bytes(bytes))
}

/// Reads the padding and the bytes of the runs that are stored.
fn decode_stored<'r>(
    r: &mut Reader<'r>,
    memories: &mut [MemoryState<'r>],
    layout: Layout,
) -> Result<(), Error> {
    let runs = memories.iter_mut().flat_map(|memory| &mut memory.runs);
    let stored: Vec<_> = runs.filter(|run| run.data != PageData::Zero).collect();
    // No overflow: the runs are apart, and within memories whose bytes are counted in 64 bits.
    let bytes = stored.iter().map(|run| run.count * PAGE_BYTES as u64).sum();
    if layout == Layout::Aligned {
        decode_padding(r, bytes)?;
    }
    let at = r.at();
    let length = r.expect(major::BYTES, "stored pages")?;
    r.rule(at, rules::require(length == bytes, "the stored pages are not those of the runs"))?;
    for run in stored {
        let at = r.at();
        run.data = decode_bytes(r, at, run.count * PAGE_BYTES as u64)?;
    }
    Ok(())
}

fn decode_padding(r: &mut Reader<'_>, stored: u64) -> Result<(), Error> {
    let at = r.at();
    let length = r.expect(major::BYTES, "padding")?;
    r.rule(at, rules::require(length == padding(at, stored), "the padding has another length"))?;
    let zeros = r.bulk(length)?;
    r.rule(at, rules::require(zeros.iter().all(|&byte| byte == 0), "the padding is not zero"))
}

/// Whether every byte is zero; at most a page.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    const ZERO: [u8; PAGE_BYTES] = [0; PAGE_BYTES];
    ZERO.get(..bytes.len()) == Some(bytes)
}
