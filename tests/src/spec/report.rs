//! Counts of a run, and the matrix made of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::script::Source;
use super::tasklets::is_refusal;
use super::{Mode, NOT_HELD, Verdict};

/// Assertions of one part of the suite in one mode.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// Run, and as in plain wasmtime.
    pub held: u64,
    /// Run, and otherwise.
    pub failed: u64,
    /// Not run, by reason.
    pub skipped: BTreeMap<String, u64>,
}

impl Row {
    fn total(&self) -> u64 {
        self.held + self.failed + self.skipped.values().sum::<u64>()
    }

    fn not_held(&self) -> u64 {
        self.skipped.get(NOT_HELD).copied().unwrap_or(0)
    }

    fn add(&mut self, other: &Row) {
        self.held += other.held;
        self.failed += other.failed;
        for (reason, count) in &other.skipped {
            *self.skipped.entry(reason.clone()).or_default() += count;
        }
    }
}

/// Everything counted.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// By part and mode.
    rows: BTreeMap<(String, Mode), Row>,
    /// By kind of directive and mode: held, skipped, failed.
    kinds: BTreeMap<(&'static str, Mode), (u64, u64, u64)>,
    /// Calls whose steps were compared with fuel, and were equal.
    equal_steps: BTreeMap<Mode, u64>,
    stops: BTreeMap<Mode, u64>,
    moves: u64,
    /// Files of each part: all of them, and those that are the same as an earlier one.
    files: BTreeMap<String, (u64, u64)>,
    /// What failed, each with its place.
    pub failures: BTreeSet<String>,
}

impl Counts {
    /// Counts an assertion.
    pub fn add(
        &mut self,
        source: &Source,
        line: usize,
        mode: Mode,
        kind: &'static str,
        verdict: Verdict,
        counted: bool,
    ) {
        let row = self.rows.entry((source.part.clone(), mode)).or_default();
        let kinds = self.kinds.entry((kind, mode)).or_default();
        *self.equal_steps.entry(mode).or_default() += u64::from(counted);
        match verdict {
            Verdict::Held => (row.held += 1, kinds.0 += 1),
            Verdict::Skipped(reason) => {
                (*row.skipped.entry(reason).or_default() += 1, kinds.1 += 1)
            }
            Verdict::Failed(what) => {
                let Source { part, name, .. } = source;
                let mode = mode.name();
                self.failures.insert(format!("{part}/{name}:{line}: {kind}, {mode}: {what}"));
                (row.failed += 1, kinds.2 += 1)
            }
        };
    }

    /// Counts a file of which nothing can be run.
    pub fn unreadable(&mut self, source: &Source, error: &str) {
        self.failures.insert(format!("{}/{}: {error}", source.part, source.name));
    }

    /// Counts a file, run or not.
    pub fn file(&mut self, source: &Source) {
        let (files, same) = self.files.entry(source.part.clone()).or_default();
        *files += 1;
        *same += u64::from(source.same_as.is_some());
    }

    /// Counts stops.
    pub fn stopped(&mut self, mode: Mode, stops: u64) {
        *self.stops.entry(mode).or_default() += stops;
    }

    /// Counts snapshots.
    pub fn moved(&mut self, moves: u64) {
        self.moves += moves;
    }

    /// Adds what another file counted.
    pub fn merge(&mut self, other: Counts) {
        for (key, row) in &other.rows {
            self.rows.entry(key.clone()).or_default().add(row);
        }
        for (key, (held, skipped, failed)) in other.kinds {
            let kinds = self.kinds.entry(key).or_default();
            *kinds = (kinds.0 + held, kinds.1 + skipped, kinds.2 + failed);
        }
        for (mode, count) in other.equal_steps {
            *self.equal_steps.entry(mode).or_default() += count;
        }
        for (mode, count) in other.stops {
            *self.stops.entry(mode).or_default() += count;
        }
        self.moves += other.moves;
        self.failures.extend(other.failures);
    }

    fn mode(&self, mode: Mode) -> Row {
        let mut sum = Row::default();
        self.rows.iter().filter(|((_, of), _)| *of == mode).for_each(|(_, row)| sum.add(row));
        sum
    }

    /// The counts as a person reads them after a run.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for mode in Mode::ALL {
            let row = self.mode(mode);
            let _ = writeln!(
                out,
                "{}: {} assertions run, {} held, {} failed, {} skipped; steps equal to fuel in {} \
                 calls; {} stops",
                mode.name(),
                row.held + row.failed,
                row.held,
                row.failed,
                row.skipped.values().sum::<u64>(),
                self.equal_steps.get(&mode).copied().unwrap_or(0),
                self.stops.get(&mode).copied().unwrap_or(0),
            );
            for (kind, (held, skipped, failed)) in
                self.kinds.iter().filter(|((_, of), _)| *of == mode).map(|((k, _), n)| (k, n))
            {
                let _ = writeln!(out, "  {kind}: {held} held, {skipped} skipped, {failed} failed");
            }
            for (reason, count) in &row.skipped {
                let _ = writeln!(out, "  skipped {count}: {reason}");
            }
        }
        let _ = writeln!(out, "{} snapshots", self.moves);
        out
    }

    /// The matrix of `docs/proposals.md`.
    pub fn matrix(&self) -> String {
        let mut out = String::from(HEAD);
        out += "\n| part of the suite | files | assertions | held | skipped | not in wasmtime | \
                failed | |\n|---|---|---|---|---|---|---|---|\n";
        for (part, (files, same)) in &self.files {
            let row = self.rows.get(&(part.clone(), Mode::Never)).cloned().unwrap_or_default();
            let failed: u64 = self.of_part(part).map(|row| row.failed).sum();
            let skipped = row.total() - row.held - row.failed - row.not_held();
            let files =
                if *same > 0 { format!("{files} ({same} again)") } else { files.to_string() };
            let _ = writeln!(
                out,
                "| {part} | {files} | {} | {} | {skipped} | {} | {failed} | {} |",
                row.total(),
                row.held,
                row.not_held(),
                summary(&row, skipped),
            );
        }
        out += "\n## What is skipped, by part\n\n";
        for part in self.files.keys() {
            let Some(row) = self.rows.get(&(part.clone(), Mode::Never)) else { continue };
            let mut reasons: Vec<_> = row.skipped.iter().filter(|(r, _)| *r != NOT_HELD).collect();
            reasons.sort_by_key(|(reason, count)| (std::cmp::Reverse(**count), *reason));
            if !reasons.is_empty() {
                let _ = writeln!(out, "- {part}");
            }
            for (reason, count) in reasons {
                let _ = writeln!(out, "  - {count}: {reason}");
            }
        }
        out += "\n## By mode\n\n| mode | run | held | failed | skipped | calls whose steps equal \
                the fuel |\n|---|---|---|---|---|---|\n";
        for mode in Mode::ALL {
            let row = self.mode(mode);
            let skipped: u64 = row.skipped.values().sum();
            let equal = self.equal_steps.get(&mode).copied().unwrap_or(0);
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {skipped} | {equal} |",
                mode.name(),
                row.held + row.failed,
                row.held,
                row.failed,
            );
        }
        out += TAIL;
        out
    }

    fn of_part<'a>(&'a self, part: &'a str) -> impl Iterator<Item = &'a Row> {
        self.rows.iter().filter(move |((of, _), _)| of == part).map(|(_, row)| row)
    }
}

/// Whether a part is supported, in a word or two.
fn summary(row: &Row, skipped: u64) -> String {
    let refused = |reason: &&String| is_refusal(reason);
    let refusals: u64 = row.skipped.iter().filter(|(r, _)| refused(r)).map(|(_, n)| n).sum();
    let most = row.skipped.iter().filter(|(r, _)| refused(r)).max_by_key(|(_, count)| **count);
    match most {
        None if row.held > 0 => "supported".into(),
        // Nothing of it can be refused because nothing of it runs in plain wasmtime.
        None => "not in wasmtime".into(),
        Some((reason, _)) if row.held < skipped => reason.clone(),
        Some((reason, _)) => format!("in part; {refusals} {reason}"),
    }
}

const HEAD: &str = "\
# WebAssembly proposals

Written by the test `the_spec_suite_holds`, never by hand:

```sh
cargo test --release --workspace --test spec -- --nocapture   # also prints all counts
BLESS=1 cargo test --release --workspace --test spec          # writes this file
SPEC=full cargo test --release --workspace --test spec        # every stop by a snapshot
```

Every assertion of the WebAssembly test suite that holds for the original module in plain
wasmtime 48 must hold for the instrumented one: run without a pause, with a pause wherever a budget
of 1 or of 7 steps ends, and with a snapshot and a restore into a fresh store at the stops. The steps
of every call that returns must be the fuel plain wasmtime takes.
";

const TAIL: &str = "
- *skipped*: the module is refused with that text, or needs something of another instance that a
  tasklet cannot be given. A tasklet owns all its state: functions of other instances and the values
  of their immutable globals can be imported; their memories, tables, mutable globals and tags
  cannot, and are never replaced by private copies.
- *not in wasmtime*: what does not hold in plain wasmtime 48 is not asked of the instrumented module.
  Mostly that is text of older versions of the specification, and proposals it does not implement.
- *again*: files with the text of an earlier one are not run twice.
- Assertions that a module is refused (`assert_invalid`, `assert_malformed`, `assert_unlinkable`) run
  nothing, and are counted under *never pausing* only.
";
