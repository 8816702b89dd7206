//! Which pages of a memory differ from its initial image.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use super::pages::is_zero;
use super::{PAGE_BYTES, PageData, PageRun};

/// The pages of `current` that differ from the initial image, as canonical runs.
///
/// `initial` gives a page's initial bytes by page number; what it leaves out,
/// the end of a page or all of it, is zero. For an image in one slice:
///
/// ```
/// use tasklet_engine::snapshot::{PAGE_BYTES, diff_pages};
///
/// let (memory, image) = (vec![1; 2 * PAGE_BYTES], vec![1; PAGE_BYTES]);
/// let runs = diff_pages(&memory, |page| {
///     let rest = image.get(page as usize * PAGE_BYTES..)?;
///     Some(&rest[..rest.len().min(PAGE_BYTES)])
/// });
/// assert_eq!((runs[0].first, runs[0].count), (1, 1));
/// ```
///
/// # Panics
///
/// If `current` is not a whole number of pages; memories of 64 KiB pages are.
pub fn diff_pages<'a, 'i>(
    current: &'a [u8],
    initial: impl Fn(u64) -> Option<&'i [u8]> + Sync,
) -> Vec<PageRun<'a>> {
    let pages = (current.len() / PAGE_BYTES) as u64;
    diff_pages_within(current, initial, std::iter::once(0..pages))
}

/// As [`diff_pages`], looking only at the page ranges of `touched`.
///
/// The ranges are ascending and apart, as a kernel's dirty tracking reports
/// them; pages outside them must equal the initial image.
///
/// # Panics
///
/// If `current` is not a whole number of pages, or `touched` goes beyond it
/// or is not ascending.
pub fn diff_pages_within<'a, 'i>(
    current: &'a [u8],
    initial: impl Fn(u64) -> Option<&'i [u8]> + Sync,
    touched: impl IntoIterator<Item = Range<u64>>,
) -> Vec<PageRun<'a>> {
    assert!(current.len().is_multiple_of(PAGE_BYTES), "a memory is a whole number of pages");
    let (mut end, mut pieces) = (0, Vec::new());
    for range in touched {
        assert!(range.start >= end, "touched ranges are ascending and apart");
        end = range.end;
        let starts = range.clone().step_by(PIECE_PAGES);
        pieces.extend(starts.map(|start| start..range.end.min(start + PIECE_PAGES as u64)));
    }
    let differing = |piece: Range<u64>| differing(current, &initial, piece);
    let mut runs = Runs { current, done: Vec::new(), open: None };
    // What is compared was last touched by the guest, some of it long ago: it is fetched from all
    // over the memory, which several threads do faster than one.
    let found: Vec<Vec<Differing>> = match pieces.len() {
        0..2 => pieces.into_iter().map(differing).collect(),
        _ => pieces.into_par_iter().map(differing).collect(),
    };
    for (pages, zero) in found.into_iter().flatten() {
        runs.add(pages, zero);
    }
    runs.finish()
}

/// Pages that one thread looks at in one go.
const PIECE_PAGES: usize = 2048;

/// Pages of one kind, and whether that is zero.
type Differing = (Range<u64>, bool);

/// The pages of a range that differ.
fn differing<'i>(
    current: &[u8],
    initial: impl Fn(u64) -> Option<&'i [u8]>,
    pages: Range<u64>,
) -> Vec<Differing> {
    let mut found: Vec<Differing> = Vec::new();
    for page in pages {
        let zero = match change(page_bytes(current, page..page + 1), initial(page)) {
            Change::None => continue,
            Change::ToZero => true,
            Change::ToBytes => false,
        };
        match found.last_mut() {
            Some((pages, kind)) if pages.end == page && *kind == zero => pages.end += 1,
            _ => found.push((page..page + 1, zero)),
        }
    }
    found
}

fn page_bytes(memory: &[u8], pages: Range<u64>) -> &[u8] {
    let byte = |page: u64| page as usize * PAGE_BYTES;
    &memory[byte(pages.start)..byte(pages.end)]
}

enum Change {
    None,
    ToZero,
    ToBytes,
}

fn change(current: &[u8], initial: Option<&[u8]>) -> Change {
    let initial = initial.unwrap_or(&[]);
    let (begin, rest) = current.split_at(initial.len().min(PAGE_BYTES));
    if begin == &initial[..begin.len()] && is_zero(rest) {
        Change::None
    } else if !initial.is_empty() && is_zero(current) {
        Change::ToZero
    } else {
        Change::ToBytes
    }
}

/// Runs so far, and the one that the next page may lengthen.
struct Runs<'a> {
    current: &'a [u8],
    done: Vec<PageRun<'a>>,
    open: Option<(Range<u64>, bool)>,
}

impl<'a> Runs<'a> {
    fn add(&mut self, more: Range<u64>, zero: bool) {
        match &mut self.open {
            Some((pages, kind)) if pages.end == more.start && *kind == zero => pages.end = more.end,
            _ => {
                self.close();
                self.open = Some((more, zero));
            }
        }
    }

    fn close(&mut self) {
        let Some((pages, zero)) = self.open.take() else {
            return;
        };
        let data = if zero {
            PageData::Zero
        } else {
            PageData::Bytes(Cow::Borrowed(page_bytes(self.current, pages.clone())))
        };
        self.done.push(PageRun { first: pages.start, count: pages.end - pages.start, data });
    }

    fn finish(mut self) -> Vec<PageRun<'a>> {
        self.close();
        self.done
    }
}
