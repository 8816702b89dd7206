//! The first thing in which two snapshots differ.

use std::fmt;

use crate::snapshot::{HostValue, MemoryState, PAGE_BYTES, PageData, Snapshot, Status};

/// A thing in which a snapshot is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What it is: `steps`, `frame 3`, `memory 0, byte 0x1234`.
    pub place: String,
    /// What executing gives.
    pub executed: String,
    /// What the snapshot says.
    pub claimed: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: executed {}, claimed {}", self.place, self.executed, self.claimed)
    }
}

/// Characters of a value that are shown.
const SHOWN: usize = 200;

fn difference(place: impl Into<String>, executed: String, claimed: String) -> Option<Difference> {
    let shorten = |text: String| match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    };
    Some(Difference { place: place.into(), executed: shorten(executed), claimed: shorten(claimed) })
}

fn compare<T: PartialEq + fmt::Debug>(
    place: &str,
    executed: &T,
    claimed: &T,
) -> Option<Difference> {
    if executed == claimed {
        return None;
    }
    difference(place, format!("{executed:?}"), format!("{claimed:?}"))
}

fn compare_lists<T: PartialEq + fmt::Debug>(
    place: &str,
    executed: &[T],
    claimed: &[T],
) -> Option<Difference> {
    if executed == claimed {
        return None;
    }
    let count = executed.len().max(claimed.len());
    let item = |list: &[T], at: usize| list.get(at).map_or("none".into(), |it| format!("{it:?}"));
    let at = (0..count).find(|&at| executed.get(at) != claimed.get(at))?;
    difference(format!("{place} {at}"), item(executed, at), item(claimed, at))
}

/// Whether both ended with the same trap. How many steps were known by then, and where in a function
/// it was, depends on how the run was sliced.
pub(super) fn same_trap(executed: &Status, claimed: &Status) -> bool {
    match (executed, claimed) {
        (
            Status::Trapped { message: one, backtrace: lines },
            Status::Trapped { message: other, backtrace: others },
        ) => {
            let functions = lines.iter().map(|line| line.function);
            one == other && functions.eq(others.iter().map(|line| line.function))
        }
        _ => false,
    }
}

/// What no execution changes, or only to one side.
pub(super) fn of_kind(from: &Snapshot<'_>, to: &Snapshot<'_>) -> Option<Difference> {
    compare("module", &from.module.hash, &to.module.hash)
        .or_else(|| compare("cost table", &from.cost_table, &to.cost_table))
        .or_else(|| compare("profile", &from.profile, &to.profile))
        .or_else(|| compare("entry", &from.entry, &to.entry))
        .or_else(|| match to.steps_used < from.steps_used {
            true => difference(
                "steps",
                format!("at least {}", from.steps_used),
                to.steps_used.to_string(),
            ),
            false => None,
        })
}

/// The first difference in the order in which one would look for it.
pub(super) fn find(executed: &Snapshot<'_>, claimed: &Snapshot<'_>) -> Option<Difference> {
    let (e, c) = (executed, claimed);
    compare("steps", &e.steps_used, &c.steps_used)
        .or_else(|| compare("status", &e.status, &c.status))
        .or_else(|| compare_lists("frame", &e.frames, &c.frames))
        .or_else(|| compare_lists("pending call", &e.pending, &c.pending))
        .or_else(|| compare("balance", &e.balance, &c.balance))
        .or_else(|| compare_lists("global", &e.globals, &c.globals))
        .or_else(|| memories(&e.memories, &c.memories))
        .or_else(|| compare_lists("table", &e.tables, &c.tables))
        .or_else(|| host(&e.host, &c.host))
        .or_else(|| compare_lists("object", &e.objects, &c.objects))
        .or_else(|| compare_lists("exception", &e.exceptions, &c.exceptions))
        .or_else(|| compare_lists("dropped data segment", &e.dropped_data, &c.dropped_data))
        .or_else(|| {
            compare_lists("dropped element segment", &e.dropped_elements, &c.dropped_elements)
        })
        .or_else(|| match e == c {
            true => None,
            // Every field has been compared, but for those that cannot differ.
            false => difference("snapshot", "another".into(), "this".into()),
        })
}

fn memories(executed: &[MemoryState<'_>], claimed: &[MemoryState<'_>]) -> Option<Difference> {
    let sizes = |memories: &[MemoryState<'_>]| -> Vec<(u32, u64)> {
        memories.iter().map(|memory| (memory.index, memory.pages)).collect()
    };
    compare_lists("size of memory", &sizes(executed), &sizes(claimed)).or_else(|| {
        executed.iter().zip(claimed).find_map(|(executed, claimed)| memory(executed, claimed))
    })
}

/// A run's pages one by one.
fn pages<'m>(
    memory: &'m MemoryState<'_>,
) -> impl Iterator<Item = (u64, Option<&'m [u8]>)> + use<'m> {
    memory.runs.iter().flat_map(|run| {
        (0..run.count).map(move |at| {
            let bytes = match &run.data {
                PageData::Zero => None,
                PageData::Bytes(bytes) => bytes.chunks(PAGE_BYTES).nth(at as usize),
            };
            (run.first + at, bytes)
        })
    })
}

fn memory(executed: &MemoryState<'_>, claimed: &MemoryState<'_>) -> Option<Difference> {
    if executed.runs == claimed.runs {
        return None;
    }
    let pair = pages(executed).zip(pages(claimed)).find(|(executed, claimed)| executed != claimed);
    let name = |page: u64| format!("memory {}, page {page}", executed.index);
    let Some(((page, one), (other, two))) = pair else {
        let index = executed.index;
        let counts = [executed, claimed].map(|memory| pages(memory).count().to_string());
        let [executed, claimed] = counts.map(|count| format!("{count} pages that differ"));
        return difference(format!("memory {index}"), executed, claimed);
    };
    if page != other {
        let first = page.min(other);
        let is = |mine: u64| match mine == first {
            true => "changed".to_string(),
            false => "unchanged".to_string(),
        };
        return difference(name(first), is(page), is(other));
    }
    let zero = [0; PAGE_BYTES];
    let (one, two) = (one.unwrap_or(&zero), two.unwrap_or(&zero));
    let at = one.iter().zip(two).position(|(one, two)| one != two)?;
    let byte = page * PAGE_BYTES as u64 + at as u64;
    let place = format!("memory {}, byte {byte:#x}", executed.index);
    difference(place, format!("{:#04x}", one[at]), format!("{:#04x}", two[at]))
}

/// The field of the host's state that differs.
fn host(executed: &[(String, HostValue)], claimed: &[(String, HostValue)]) -> Option<Difference> {
    let names = |host: &[(String, HostValue)]| -> Vec<String> {
        host.iter().map(|(name, _)| name.clone()).collect()
    };
    compare_lists("host state", &names(executed), &names(claimed)).or_else(|| {
        let both = executed.iter().zip(claimed);
        both.into_iter().find_map(|((name, executed), (_, claimed))| {
            let fields = executed.as_map().zip(claimed.as_map());
            let differing = fields.and_then(|(executed, claimed)| {
                let found = executed.iter().zip(claimed).find(|(one, two)| one != two);
                let ((key, executed), (other, claimed)) = found?;
                let field = key.as_text().filter(|_| key == other)?;
                compare(&format!("{name}, {field}"), executed, claimed)
            });
            differing.or_else(|| compare(name, executed, claimed))
        })
    })
}
