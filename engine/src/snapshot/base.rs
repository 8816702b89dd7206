//! Snapshots over a base: laying one over the other, and what pages the base has.

use std::borrow::Cow;

use super::{
    Digest, Error, ErrorKind, MemoryState, ModuleRef, PAGE_BYTES, PageData, PageRun, Snapshot,
    WASM_PAGE_BYTES, rules,
};

impl<'a> Snapshot<'a> {
    /// Makes of neighbouring runs of one kind one run, as it has to be where a snapshot is written.
    /// Laying over a base leaves them apart, for one cannot lend what lies in two places.
    pub fn join_runs(&mut self) {
        for memory in &mut self.memories {
            let mut joined: Vec<PageRun<'_>> = Vec::with_capacity(memory.runs.len());
            for run in memory.runs.drain(..) {
                match joined.last_mut() {
                    Some(last) if last.first.checked_add(last.count) == Some(run.first) => {
                        match (&mut last.data, &run.data) {
                            (PageData::Zero, PageData::Zero) => last.count += run.count,
                            (PageData::Bytes(bytes), PageData::Bytes(more)) => {
                                bytes.to_mut().extend_from_slice(more);
                                last.count += run.count;
                            }
                            _ => joined.push(run),
                        }
                    }
                    _ => joined.push(run),
                }
            }
            memory.runs = joined;
        }
    }

    /// The same snapshot, whose module and pages are borrowed from this one.
    pub fn lent(&self) -> Snapshot<'_> {
        let module = ModuleRef {
            hash: self.module.hash,
            size: self.module.size,
            bytes: self.module.bytes.as_deref().map(Cow::Borrowed),
        };
        Snapshot {
            module,
            cost_table: self.cost_table,
            parent: self.parent,
            base: self.base,
            profile: self.profile,
            steps_used: self.steps_used,
            balance: self.balance,
            status: self.status.clone(),
            entry: self.entry.clone(),
            pending: self.pending.clone(),
            frames: self.frames.clone(),
            memories: self.memories.iter().map(MemoryState::lent).collect(),
            globals: self.globals.clone(),
            tables: self.tables.clone(),
            objects: self.objects.clone(),
            exceptions: self.exceptions.clone(),
            dropped_data: self.dropped_data.clone(),
            dropped_elements: self.dropped_elements.clone(),
            host: self.host.clone(),
            labels: self.labels.clone(),
        }
    }

    /// The snapshot that this one is over `base`: the same state, and no base any more. What is
    /// borrowed stays so, and if this has no module it is the base's.
    ///
    /// Pages that have come to be what the module began with may be in it; they are in no snapshot
    /// that was written without a base.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Base`] when `base`, whose digest is `digest`, is not the snapshot that this one
    /// names, has a base itself, or is not of the same module or memories.
    pub fn over(mut self, base: &Snapshot<'a>, digest: Digest) -> Result<Snapshot<'a>, Error> {
        let refused = |what| Err(ErrorKind::Base { what }.into());
        if self.base != Some(digest) {
            return refused("another snapshot is its base");
        }
        if base.base.is_some() {
            return refused("the base has a base itself, which has to be laid under it first");
        }
        let indices = |snapshot: &Snapshot<'_>| -> Vec<u32> {
            snapshot.memories.iter().map(|memory| memory.index).collect()
        };
        if base.module.hash != self.module.hash || indices(base) != indices(&self) {
            return refused("the base is of another module");
        }
        for (above, below) in self.memories.iter_mut().zip(&base.memories) {
            if below.pages > above.pages {
                return refused("a memory is smaller than in the base");
            }
            if rules::runs(above).and(rules::runs(below)).is_err() {
                return refused("the runs of a memory are not in order");
            }
            above.runs = lay(std::mem::take(&mut above.runs), &below.runs);
        }
        self.base = None;
        if self.module.bytes.is_none() {
            self.module.bytes.clone_from(&base.module.bytes);
        }
        Ok(self)
    }
}

impl MemoryState<'_> {
    /// The same memory, whose pages are borrowed from this one.
    pub(crate) fn lent(&self) -> MemoryState<'_> {
        let runs = self.runs.iter().map(|run| PageRun {
            first: run.first,
            count: run.count,
            data: match &run.data {
                PageData::Zero => PageData::Zero,
                PageData::Bytes(bytes) => PageData::Bytes(Cow::Borrowed(bytes)),
            },
        });
        MemoryState { index: self.index, pages: self.pages, runs: runs.collect() }
    }

    /// The bytes of a page in this memory, given those of the memory that it differs from; `None`
    /// for zero.
    pub(crate) fn page<'s>(
        &'s self,
        page: u64,
        initial: impl FnOnce(u64) -> Option<&'s [u8]>,
    ) -> Option<&'s [u8]> {
        let after = self.runs.partition_point(|run| run.first <= page);
        let run = after.checked_sub(1).map(|at| &self.runs[at]);
        match run.filter(|run| page - run.first < run.count).map(|run| (run, &run.data)) {
            Some((_, PageData::Zero)) => None,
            Some((run, PageData::Bytes(bytes))) => {
                let at = (page - run.first) as usize * PAGE_BYTES;
                bytes.get(at..at + PAGE_BYTES)
            }
            None if page < self.pages * (WASM_PAGE_BYTES / PAGE_BYTES as u64) => initial(page),
            None => None,
        }
    }
}

/// What is of a run between two pages.
fn cut<'a>(run: &PageRun<'a>, from: u64, to: u64) -> Option<PageRun<'a>> {
    let (first, to) = (from.max(run.first), to.min(run.first + run.count));
    if first >= to {
        return None;
    }
    let byte = |page: u64| (page - run.first) as usize * PAGE_BYTES;
    let data = match &run.data {
        PageData::Zero => PageData::Zero,
        PageData::Bytes(Cow::Borrowed(bytes)) => {
            PageData::Bytes(Cow::Borrowed(&bytes[byte(first)..byte(to)]))
        }
        PageData::Bytes(Cow::Owned(bytes)) => {
            PageData::Bytes(Cow::Owned(bytes[byte(first)..byte(to)].to_vec()))
        }
    };
    Some(PageRun { first, count: to - first, data })
}

/// The runs of both; where both have a page, those above count.
fn lay<'a>(above: Vec<PageRun<'a>>, below: &[PageRun<'a>]) -> Vec<PageRun<'a>> {
    let mut runs = Vec::with_capacity(above.len());
    let mut below = below.iter().peekable();
    let mut end = 0;
    for top in above.into_iter().map(Some).chain([None]) {
        let start = top.as_ref().map_or(u64::MAX, |top| top.first);
        // What is below between the last run and this one. A run may go on behind this one.
        while let Some(run) = below.peek() {
            runs.extend(cut(run, end, start));
            if run.first + run.count > start {
                break;
            }
            below.next();
        }
        if let Some(top) = top {
            end = top.first + top.count;
            runs.push(top);
        }
    }
    runs
}
