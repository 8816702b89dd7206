//! What is written is read again, and there is one way to write it.

use std::io::{self, Read, Write};

use super::sample::{self, Random};
use super::*;

fn check(snapshot: &Snapshot<'_>) {
    let bytes = encoded(snapshot);
    let again = decoded(&bytes).expect("what was written is read");
    assert_eq!(&again, snapshot);
    assert_eq!(encoded(&again), bytes);
    let (lent, _) = Snapshot::read_slice(&bytes, &Limits::DEFAULT).expect("from memory too");
    assert_eq!(&lent, snapshot);
    assert_eq!(lent.into_owned(), again);
}

#[test]
fn fixed_snapshots() {
    let all = [
        sample::finished(),
        sample::trapped(),
        sample::exited(),
        sample::paused(),
        sample::paused_with_pages(),
        sample::references(),
        sample::over_a_base(),
    ];
    all.iter().for_each(check);
}

#[test]
fn random_snapshots() {
    for seed in 0..300 {
        println!("seed {seed}");
        check(&Random(seed).snapshot());
    }
}

#[test]
fn every_position_alone() {
    for at in [Position::Entry, Position::Loop { offset: 0 }, Position::Import] {
        let frame = Frame { function: 0, at, locals: vec![], operands: vec![] };
        check(&Snapshot { frames: vec![frame], ..sample::paused() });
    }
}

/// A payload of a NaN is a value like any other: also a signalling one, which
/// a float in a register of the host may lose.
#[test]
fn nan_payloads_are_kept() {
    let results =
        vec![Value::F32(0x7f80_0001), Value::F32(0xffff_ffff), Value::F64(0x7ff0_0000_dead_beef)];
    let status = Status::Finished { results };
    check(&Snapshot { status, ..sample::finished() });
}

/// Lists that stand for sets are written sorted whatever their order: shorter names first.
#[test]
fn names_are_written_sorted() {
    let label = |name: &str| (name.to_string(), String::new());
    let int = |value: i64| HostValue::Integer(value.into());
    let text = |name: &str| HostValue::Text(name.into());
    let sorted = vec![
        (int(5), int(0)),
        (int(1000), int(1)),
        (int(-1), int(2)),
        (HostValue::Bytes(vec![255]), int(3)),
        (text("b"), int(4)),
        (text("aa"), int(5)),
    ];
    let mut mixed = sorted.clone();
    mixed.reverse();
    let written = Snapshot {
        labels: vec![label("aa"), label("b"), label("")],
        host: vec![("x".into(), HostValue::Map(mixed))],
        ..sample::paused()
    };
    let read = decoded(&encoded(&written)).expect("it is read");
    assert_eq!(read.labels, [label(""), label("b"), label("aa")]);
    assert_eq!(read.host, [("x".into(), HostValue::Map(sorted))]);
    check(&read);
}

/// Bulk goes past the buffers on both sides; sizes around theirs, from a
/// reader that trickles, are where that could go wrong.
#[test]
fn bulk_of_all_sizes_from_a_trickling_reader() {
    struct Trickle<'a>(&'a [u8], Random);
    impl Read for Trickle<'_> {
        fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
            if self.1.below(4) == 0 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let most = space.len().min(1 + self.1.below(100_000) as usize);
            self.0.read(&mut space[..most])
        }
    }
    let seeds = 0..12;
    for (seed, pages) in seeds.zip([1, 3, 4, 5, 15, 16, 17, 31, 32, 33, 64, 200]) {
        let bytes: Vec<u8> = (0..pages * PAGE_BYTES).map(|at| (at % 251) as u8).collect();
        let run = |first| PageRun {
            first,
            count: pages as u64,
            data: PageData::Bytes(bytes.as_slice().into()),
        };
        let runs = vec![run(3), run(1000), run(2000)];
        let memories = vec![MemoryState { index: 0, pages: 200, runs }];
        let snapshot = Snapshot { memories, ..sample::paused() };
        let file = encoded(&snapshot);
        let mut input = Trickle(&file, Random(seed));
        let (again, _) = Snapshot::read_from(&mut input, &Limits::DEFAULT).expect("it is read");
        assert_eq!(again, snapshot);
    }
}

/// Stored pages begin at a multiple of a page, so that a file can be mapped; and are lent.
#[test]
fn stored_pages_are_aligned() {
    for seed in 0..200 {
        let mut snapshot = Random(seed).snapshot();
        snapshot.memories = sample::paused_with_pages().memories;
        snapshot.labels = vec![("l".into(), "x".repeat(37 * seed as usize))];
        let file = encoded(&snapshot);
        let (lent, _) = Snapshot::read_slice(&file, &Limits::DEFAULT).expect("it is read");
        let PageData::Bytes(Cow::Borrowed(bytes)) = &lent.memories[0].runs[1].data else {
            panic!("the pages are lent");
        };
        let at = bytes.as_ptr().addr() - file.as_ptr().addr();
        assert_eq!(at % PAGE_BYTES, 0, "seed {seed}");
    }
}

/// What is written and hashed by several threads at once is what one would have written.
#[test]
fn many_large_and_small_runs() {
    let mut random = Random(5);
    let memory: Vec<u8> = random.pages(96);
    for size in [1, 1000] {
        let runs = diff_pages(&memory, |_| None);
        let runs = runs.into_iter().cycle().take(size).enumerate().map(|(at, mut run)| {
            run.first = at as u64 * 2000;
            run
        });
        let memories = vec![MemoryState { index: 0, pages: 1 << 20, runs: runs.collect() }];
        let mut limits = Limits::DEFAULT;
        limits.memory_bytes = u64::MAX;
        let snapshot = Snapshot { memories, ..sample::paused() };
        let file = encoded(&snapshot);
        let (again, _) = Snapshot::read_from(&mut &file[..], &limits).expect("it is read");
        assert_eq!(again, snapshot);
        let (lent, _) = Snapshot::read_slice(&file, &limits).expect("it is read");
        assert_eq!(lent, snapshot);
    }
}

#[test]
fn the_header_alone() {
    let snapshot = sample::paused();
    let header = Header::read_from(&mut encoded(&snapshot).as_slice(), &Limits::DEFAULT);
    let header = header.expect("it is read");
    assert_eq!(header.module_hash, snapshot.module.hash);
    assert_eq!(header.status, snapshot.status);
    assert_eq!(header.labels, snapshot.labels);
    let snapshot = sample::over_a_base();
    let header = Header::read_from(&mut encoded(&snapshot).as_slice(), &Limits::DEFAULT);
    let header = header.expect("it is read");
    assert_eq!((header.base, header.profile), (snapshot.base, snapshot.profile));
}

/// An output that fails at any byte gives its own error, at the source too.
#[test]
fn a_failing_output() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let most = bytes.len().min(self.0);
            self.0 -= most;
            if most == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(most) }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let snapshot = sample::paused();
    let len = encoded(&snapshot).len();
    for room in 0..len {
        let error = snapshot.write_to(&mut Full(room)).expect_err("there is no room");
        assert_eq!(error.kind(), &ErrorKind::Io(io::ErrorKind::StorageFull));
        assert!(std::error::Error::source(&error).is_some());
    }
    snapshot.write_to(&mut Full(len)).expect("there is room");
}

/// That the change makes a valid snapshot one that is refused before anything is written.
fn refused(name: &str, change: impl FnOnce(&mut Snapshot<'static>)) {
    let mut snapshot = sample::paused();
    change(&mut snapshot);
    let mut out = Vec::new();
    let result = snapshot.write_to(&mut out);
    let kind = result.map_err(|error| error.kind().clone());
    assert!(matches!(kind, Err(ErrorKind::Invalid { .. })), "{name} gave {kind:?}");
    assert!(out.is_empty(), "{name} was written in part");
}

#[test]
fn invalid_continuations_are_not_written() {
    let frame = |at| Frame { function: 0, at, locals: vec![], operands: vec![] };
    let zero = Value::I32(0);
    refused("module size", |s| s.module.size = 9);
    refused("nothing left to run", |s| (s.frames, s.pending) = (vec![], vec![]));
    refused("an end with frames", |s| s.status = Status::Exited { code: 0 });
    refused("a frame within an entry", |s| s.frames = vec![frame(Position::Entry); 2]);
    refused("a missing argument", |s| {
        s.frames = vec![Frame { locals: vec![(1, zero)], ..frame(Position::Import) }];
    });
    refused("operands at an entry", |s| {
        s.frames = vec![Frame { operands: vec![zero], ..frame(Position::Entry) }];
    });
    refused("a global twice", |s| s.globals = vec![(1, zero); 2]);
    refused("segments out of order", |s| s.dropped_data = vec![2, 1]);
    refused("a segment twice", |s| s.dropped_elements = vec![1, 1]);
    refused("a table twice", |s| s.tables = vec![s.tables[0].clone(); 2]);
    refused("a memory twice", |s| s.memories = vec![s.memories[0].clone(); 2]);
    refused("a label twice", |s| s.labels = vec![s.labels[0].clone(); 2]);
    refused("a namespace twice", |s| s.host = vec![s.host[0].clone(); 2]);
}

#[test]
fn invalid_memories_are_not_written() {
    fn with(runs: Vec<PageRun<'static>>) -> impl FnOnce(&mut Snapshot<'static>) {
        move |s| s.memories = vec![MemoryState { index: 0, pages: 1, runs }]
    }
    let zero = |first, count| PageRun { first, count, data: PageData::Zero };
    let bytes =
        |bytes: Vec<u8>| PageRun { first: 0, count: 1, data: PageData::Bytes(bytes.into()) };
    refused("an empty run", with(vec![zero(0, 0)]));
    refused("a run too long", with(vec![zero(0, 17)]));
    refused("a run beyond all", with(vec![zero(u64::MAX, 2)]));
    refused("an overlap", with(vec![zero(0, 2), zero(1, 1)]));
    refused("two runs in one", with(vec![zero(0, 2), zero(2, 1)]));
    refused("part of a page", with(vec![bytes(vec![1; 4095])]));
    refused("a zero page", with(vec![bytes(vec![0; 4096])]));
    refused("2^64 bytes", |s| s.memories[0].pages = 1 << 48);
}

/// In a large run a zero page is found while it is written; then there is no end, and no digest.
#[test]
fn a_zero_page_in_a_large_run_is_not_sealed() {
    for at in [0, 3 << 20, (4 << 20) - PAGE_BYTES] {
        let mut bytes = vec![1; 4 << 20];
        bytes[at..at + PAGE_BYTES].fill(0);
        let runs = vec![PageRun { first: 0, count: 1024, data: PageData::Bytes(bytes.into()) }];
        let memories = vec![MemoryState { index: 0, pages: 64, runs }];
        let snapshot = Snapshot { memories, ..sample::paused() };
        let mut out = Vec::new();
        let error = snapshot.write_to(&mut out).expect_err("a zero page is stored");
        assert!(matches!(error.kind(), ErrorKind::Invalid { .. }), "{error:?}");
        decoded(&out).expect_err("what was written is not whole");
    }
}

/// What many threads find is what one would.
#[test]
fn large_memories_are_compared_in_pieces() {
    let mut random = Random(11);
    let (one, two) = (random.pages(700), random.pages(700));
    let runs = diff_pages(&one, |page| two.chunks(PAGE_BYTES).nth(page as usize));
    let mut again = two;
    for run in &runs {
        let start = run.first as usize * PAGE_BYTES;
        let place = &mut again[start..start + run.count as usize * PAGE_BYTES];
        match &run.data {
            PageData::Zero => place.fill(0),
            PageData::Bytes(bytes) => place.copy_from_slice(bytes),
        }
    }
    assert!(again == one);
    let memories = vec![MemoryState { index: 0, pages: 700, runs }];
    check(&Snapshot { memories, ..sample::paused() });
}

#[test]
fn invalid_host_state_is_not_written() {
    fn with(value: HostValue) -> impl FnOnce(&mut Snapshot<'static>) {
        move |s| s.host = vec![("x".into(), value)]
    }
    let text = HostValue::Text("k".into());
    let list = HostValue::Array(vec![]);
    let deep = (0..65).fold(HostValue::Null, |inner, _| HostValue::Array(vec![inner]));
    refused("a float", with(HostValue::Float(1.0)));
    refused("a tag", with(HostValue::Tag(1, Box::new(HostValue::Null))));
    refused("65 levels", with(deep));
    refused("a key twice", with(HostValue::Map(vec![(text, HostValue::Null); 2])));
    refused("a key of another kind", with(HostValue::Map(vec![(list, HostValue::Null)])));
}
