//! `diff_pages` against the plainest model: page by page, byte by byte.

use super::sample::Random;
use super::*;

/// The pages that differ: page number, and whether it became zero.
fn model(current: &[u8], image: &[u8]) -> Vec<(u64, bool)> {
    let byte = |at: usize| image.get(at).copied().unwrap_or(0);
    let pages = current.chunks(PAGE_BYTES).enumerate();
    let differing = pages.filter(|(page, bytes)| {
        (0..PAGE_BYTES).any(|at| bytes[at] != byte(page * PAGE_BYTES + at))
    });
    differing.map(|(page, bytes)| (page as u64, bytes.iter().all(|&byte| byte == 0))).collect()
}

fn image_page(image: &[u8], page: u64) -> Option<&[u8]> {
    let rest = image.get(page as usize * PAGE_BYTES..)?;
    Some(&rest[..rest.len().min(PAGE_BYTES)])
}

#[test]
fn random_memories_against_the_model() {
    for seed in 0..40 {
        let mut random = Random(seed);
        let pages = random.below(5);
        let mut image = random.pages(pages);
        let mut current = if seed % 2 == 0 { image.clone() } else { random.pages(pages) };
        image.truncate(random.below(image.len() as u64 + 1) as usize);
        for _ in 0..random.below(6).min(current.len() as u64) {
            let at = random.below(current.len() as u64) as usize;
            current[at] ^= 1;
        }
        let runs = diff_pages(&current, |page| image_page(&image, page));
        let expected = model(&current, &image);

        let single = |run: &PageRun<'_>| {
            let zero = run.data == PageData::Zero;
            (run.first..run.first + run.count).map(move |page| (page, zero))
        };
        assert_eq!(runs.iter().flat_map(single).collect::<Vec<_>>(), expected, "seed {seed}");
        for run in &runs {
            if let PageData::Bytes(bytes) = &run.data {
                let start = run.first as usize * PAGE_BYTES;
                assert_eq!(bytes[..], current[start..start + bytes.len()], "seed {seed}");
            }
        }
        // The runs are canonical: the format takes them.
        let memories = vec![MemoryState { index: 0, pages, runs }];
        encoded(&Snapshot { memories, ..sample::paused() });
    }
}

#[test]
fn touched_ranges_alone_are_looked_at() {
    let current = vec![1; 16 * PAGE_BYTES];
    let runs = diff_pages_within(&current, |_| None, [1..3, 3..5, 9..9, 10..11]);
    let found: Vec<_> = runs.iter().map(|run| (run.first, run.count)).collect();
    assert_eq!(found, [(1, 4), (10, 1)]);
}

#[test]
fn an_image_of_zeros_is_no_image() {
    let current = vec![0; 16 * PAGE_BYTES];
    assert_eq!(diff_pages(&current, |_| Some(&[0; PAGE_BYTES])), []);
    assert_eq!(diff_pages(&current, |_| None), []);
}
