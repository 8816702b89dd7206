//! Which slots there are and which are free. Nothing here touches memory.

/// Sizes of slots in bytes, each four times the one before. The smallest is a page of wasm, which is
/// a multiple of the pages of every system; the largest what a 32-bit memory can grow to, or on a
/// 32-bit machine hope for.
pub(super) const CLASS_BYTES: [usize; CLASSES] = {
    let mut bytes = [64 << 10; CLASSES];
    let mut class = 1;
    while class < CLASSES {
        bytes[class] = 4 * bytes[class - 1];
        class += 1;
    }
    bytes
};
const CLASSES: usize = if cfg!(target_pointer_width = "64") { 9 } else { 7 };

/// A chunk is a mapping that slots of one class are cut from. The first of a class is small; each
/// further one is twice as large as the one before, up to this.
const CHUNK_BYTES_MAX: usize = {
    let largest = CLASS_BYTES[CLASSES - 1];
    if cfg!(target_pointer_width = "64") { 4 * largest } else { largest / 4 }
};
const CHUNK_BYTES_MIN: usize = 1 << 20;

/// So many free slots of a class keep their first pages, for the next tasklets.
const WARM_SLOTS_MAX: usize = 64;

/// What a warm slot keeps of its pages: for a small guest all that it touches. To zero so much is
/// quicker than to give it back to the system and be given it again. A multiple of its pages.
pub(super) const WARM_BYTES: usize = if cfg!(target_arch = "x86_64") { 8 << 10 } else { 64 << 10 };

/// What a page of page tables covers, on most machines. Larger slots begin [`WARM_BYTES`] before a
/// multiple of it: what is behind is then found to be untouched without a look at single pages.
const TABLE_BYTES: usize = 2 << 20;

/// The smallest class with slots of so many bytes; none if there is no such class.
pub(super) fn class_for(bytes: usize) -> Option<usize> {
    CLASS_BYTES.iter().position(|slot| *slot >= bytes)
}

/// Bytes that a chunk of a class needs beside its slots.
pub(super) fn lead(class: usize) -> usize {
    if CLASS_BYTES[class] > TABLE_BYTES { TABLE_BYTES } else { 0 }
}

/// The free slots, by class, as addresses.
#[derive(Debug, Default)]
pub(super) struct Slots {
    classes: [Class; CLASSES],
}

#[derive(Debug, Default)]
struct Class {
    /// Slots that have been given back, and have kept some zero pages.
    warm: Vec<usize>,
    /// Those that have none.
    cold: Vec<usize>,
    /// What is left of the latest chunk.
    fresh: std::ops::Range<usize>,
    /// Bytes of the latest chunk.
    chunk_bytes: usize,
}

impl Slots {
    /// A free slot of a class, if there is one.
    pub(super) fn take(&mut self, class: usize) -> Option<usize> {
        let bytes = CLASS_BYTES[class];
        let class = &mut self.classes[class];
        class.warm.pop().or_else(|| class.cold.pop()).or_else(|| {
            let start = class.fresh.start;
            (class.fresh.end - start >= bytes).then(|| {
                class.fresh.start += bytes;
                start
            })
        })
    }

    /// Whether the next slot of a class that is given back should keep some pages.
    pub(super) fn wants_warm(&self, class: usize) -> bool {
        self.classes[class].warm.len() < WARM_SLOTS_MAX
    }

    /// Gives a slot back; whether it has kept some pages.
    pub(super) fn put(&mut self, class: usize, start: usize, is_warm: bool) {
        let class = &mut self.classes[class];
        let slots = if is_warm { &mut class.warm } else { &mut class.cold };
        slots.push(start);
    }

    /// The size in bytes of the next chunk of a class, and that of a single slot.
    pub(super) fn next_chunk(&self, class: usize) -> (usize, usize) {
        let slot = CLASS_BYTES[class];
        let doubled = 2 * self.classes[class].chunk_bytes;
        (doubled.clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX).max(slot), slot)
    }

    /// Adds a chunk to a class, in which no slot is free. It was mapped with [`lead`] more.
    pub(super) fn add_chunk(&mut self, class: usize, start: usize, bytes: usize) {
        let start = match lead(class) {
            0 => start,
            _ => (start + WARM_BYTES).next_multiple_of(TABLE_BYTES) - WARM_BYTES,
        };
        let class = &mut self.classes[class];
        class.fresh = start..start + bytes;
        class.chunk_bytes = bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_that_is_large_enough() {
        assert_eq!((class_for(0), class_for(1 << 16)), (Some(0), Some(0)));
        assert_eq!((class_for((1 << 16) + 1), class_for(1 << 18)), (Some(1), Some(1)));
        let largest = CLASS_BYTES[CLASSES - 1];
        assert_eq!((class_for(largest), class_for(largest + 1)), (Some(CLASSES - 1), None));
    }

    #[test]
    fn slots_are_given_once_and_again_when_they_are_back() {
        let mut slots = Slots::default();
        let mut next = 1 << 30;
        let mut given = Vec::new();
        for _ in 0..1000 {
            let slot = slots.take(1).unwrap_or_else(|| {
                let (bytes, _) = slots.next_chunk(1);
                slots.add_chunk(1, next, bytes);
                next += bytes;
                slots.take(1).expect("a chunk has a slot")
            });
            given.push(slot);
        }
        let mut sorted = given.clone();
        sorted.sort_unstable();
        assert!(sorted.windows(2).all(|two| two[1] - two[0] >= CLASS_BYTES[1]));
        slots.put(1, given[7], true);
        slots.put(1, given[8], false);
        assert_eq!((slots.take(1), slots.take(1)), (Some(given[7]), Some(given[8])));
    }

    #[test]
    fn some_are_warm() {
        let mut slots = Slots::default();
        for slot in 0..WARM_SLOTS_MAX {
            assert!(slots.wants_warm(0));
            slots.put(0, slot << 16, true);
        }
        assert!(!slots.wants_warm(0) && slots.wants_warm(1));
        assert!(slots.take(0).is_some() && slots.wants_warm(0));
    }

    #[test]
    fn large_slots_begin_before_a_page_of_page_tables() {
        let class = class_for(33 << 20).expect("there are such slots");
        for start in [0x1_0000, TABLE_BYTES, 3 * TABLE_BYTES - WARM_BYTES] {
            let mut slots = Slots::default();
            let bytes = CLASS_BYTES[class];
            slots.add_chunk(class, start, bytes);
            let slot = slots.take(class).expect("a chunk has a slot");
            assert!((slot + WARM_BYTES).is_multiple_of(TABLE_BYTES));
            assert!(slot >= start && slot + bytes <= start + bytes + lead(class));
            assert_eq!(slots.take(class), None);
        }
    }

    #[test]
    fn chunks_double() {
        let mut slots = Slots::default();
        assert_eq!(slots.next_chunk(0), (1 << 20, 1 << 16));
        slots.add_chunk(0, 1 << 30, 1 << 20);
        assert_eq!(slots.next_chunk(0).0, 2 << 20);
        slots.add_chunk(0, 1 << 30, CHUNK_BYTES_MAX);
        assert_eq!(slots.next_chunk(0).0, CHUNK_BYTES_MAX);
        let largest = CLASSES - 1;
        assert_eq!(slots.next_chunk(largest).0, CLASS_BYTES[largest]);
    }
}
