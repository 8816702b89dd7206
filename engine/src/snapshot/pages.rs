//! Memories: sizes and runs of pages.

use std::borrow::Cow;

use super::reader::Reader;
use super::rules::{self, RunOrder};
use super::writer::{Writer, major};
use super::{Error, MemoryState, PAGE_BYTES, PageData, PageRun, WASM_PAGE_BYTES};

pub(super) fn encode_memories(
    memories: &[MemoryState<'_>],
    w: &mut Writer<'_>,
) -> Result<(), Error> {
    w.array(memories.len())?;
    for memory in memories {
        w.array(3)?;
        w.unsigned(memory.index)?;
        w.unsigned(memory.pages)?;
        w.array(memory.runs.len())?;
        for run in &memory.runs {
            w.array(3)?;
            w.unsigned(run.first)?;
            w.unsigned(run.count)?;
            match &run.data {
                PageData::Zero => w.null()?,
                PageData::Bytes(bytes) => w.bytes(bytes)?,
            }
        }
    }
    Ok(())
}

pub(super) fn decode_memories(r: &mut Reader<'_>) -> Result<Vec<MemoryState<'static>>, Error> {
    let mut previous = None;
    r.list(
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
    )
}

fn decode_run(r: &mut Reader<'_>, order: &mut RunOrder) -> Result<PageRun<'static>, Error> {
    let at = r.at();
    r.tuple(3, "a page run")?;
    let first = r.unsigned("a page number")?;
    let count = r.unsigned("a number of pages")?;
    let zero = r.null()?;
    // Before the bytes are read: the order bounds them by the memory's size.
    r.rule(at, order.accept(first, count, zero))?;
    if zero {
        return Ok(PageRun { first, count, data: PageData::Zero });
    }
    let at = r.at();
    let len = r.expect(major::BYTES, "pages")?;
    r.rule(at, rules::run_length(count, len))?;
    let bytes = r.raw(len)?;
    r.rule(at, rules::no_zero_page(&bytes))?;
    Ok(PageRun { first, count, data: PageData::Bytes(Cow::Owned(bytes)) })
}

/// Whether every byte is zero; at most a page.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    const ZERO: [u8; PAGE_BYTES] = [0; PAGE_BYTES];
    ZERO.get(..bytes.len()) == Some(bytes)
}
