//! Laying snapshots over others.

use super::sample::{self, Random};
use super::*;

/// All bytes of a memory that is zero where no run is.
fn image(memory: &MemoryState<'_>) -> Vec<u8> {
    let mut bytes = vec![0xee; (memory.pages * WASM_PAGE_BYTES) as usize];
    for run in &memory.runs {
        let start = run.first as usize * PAGE_BYTES;
        let place = &mut bytes[start..start + run.count as usize * PAGE_BYTES];
        match &run.data {
            PageData::Zero => place.fill(0),
            PageData::Bytes(bytes) => place.copy_from_slice(bytes),
        }
    }
    bytes
}

/// Random pages of a memory, as runs: not compared with anything.
fn some(random: &mut Random, pages: u64) -> MemoryState<'static> {
    let count = pages * 16;
    let mut memory = MemoryState { index: 0, pages, runs: vec![] };
    let mut page = random.below(3);
    while page < count {
        let many = 1 + random.below(4);
        let many = many.min(count - page);
        let data = match random.below(2) {
            0 => PageData::Zero,
            _ => {
                PageData::Bytes(vec![1 + random.below(99) as u8; many as usize * PAGE_BYTES].into())
            }
        };
        memory.runs.push(PageRun { first: page, count: many, data });
        page += many + 1 + random.below(4);
    }
    memory
}

#[test]
fn what_is_above_counts() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let below = some(&mut random, 2);
        let size = 2 + random.below(2);
        let above = some(&mut random, size);
        let mut expected = image(&below);
        expected.resize((above.pages * WASM_PAGE_BYTES) as usize, 0xee);
        for run in &above.runs {
            let start = run.first as usize * PAGE_BYTES;
            let end = start + run.count as usize * PAGE_BYTES;
            let whole = image(&above);
            expected[start..end].copy_from_slice(&whole[start..end]);
        }
        let base = Snapshot { memories: vec![below], ..sample::paused() };
        let digest = Digest::of(&[7]);
        let top = Snapshot { memories: vec![above], base: Some(digest), ..sample::paused() };
        let mut laid = top.over(&base, digest).expect("it is its base");
        assert_eq!(image(&laid.memories[0]), expected, "seed {seed}");
        laid.join_runs();
        assert_eq!(image(&laid.memories[0]), expected, "seed {seed}");
        let again = decoded(&encoded(&laid)).expect("joined, it keeps all rules");
        assert_eq!((again.base, again), (None, laid));
    }
}

#[test]
fn only_its_own_base_is_laid_under_it() {
    let digest = Digest([0xba; 32]);
    let top = sample::over_a_base();
    let base = || Snapshot { base: None, ..sample::paused_with_pages() };
    let what = |base: &Snapshot<'static>, digest| match top.clone().over(base, digest) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("it is not its base"),
    };
    top.clone().over(&base(), digest).expect("it is its base");
    let text = what(&base(), Digest([1; 32]));
    assert!(text.contains("another snapshot"), "{text}");
    let text = what(&Snapshot { base: Some(digest), ..base() }, digest);
    assert!(text.contains("a base itself"), "{text}");
    let text = what(&Snapshot { module: ModuleRef::name(b"x"), ..base() }, digest);
    assert!(text.contains("another module"), "{text}");
    let text = what(&Snapshot { memories: vec![], ..base() }, digest);
    assert!(text.contains("another module"), "{text}");
    let mut larger = base();
    larger.memories[0].pages = 2;
    let text = what(&larger, digest);
    assert!(text.contains("smaller"), "{text}");
    let mut disorder = base();
    disorder.memories[0].runs.reverse();
    let text = what(&disorder, digest);
    assert!(text.contains("not in order"), "{text}");
}

/// The module may be in the base alone.
#[test]
fn the_module_comes_from_where_it_is() {
    let (top, base) = (sample::over_a_base(), sample::paused_with_pages());
    assert!(top.module.bytes.is_none() && base.module.bytes.is_some());
    let laid = top.over(&base, Digest([0xba; 32])).expect("it is its base");
    assert_eq!(laid.module, base.module);
}

#[test]
fn a_page_is_that_of_the_run_or_of_what_is_below() {
    let memory = &sample::paused_with_pages().memories[0];
    let below = [0x99; PAGE_BYTES];
    let page = |page| memory.page(page, |_| Some(&below)).map(|bytes| bytes[0]);
    assert_eq!(
        (page(0), page(1), page(2), page(3), page(15)),
        (None, Some(0x11), Some(0x22), None, None)
    );
    let bare = MemoryState { index: 0, pages: 1, runs: vec![] };
    assert_eq!(bare.page(15, |_| Some(&below)).map(|bytes| bytes[0]), Some(0x99));
    assert_eq!(bare.page(16, |_| Some(&below)), None, "beyond its size it is zero");
}
