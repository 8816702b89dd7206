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
const CHUNK_BYTES_MAX: usize = if cfg!(target_pointer_width = "64") { 16 << 30 } else { 64 << 20 };
const CHUNK_BYTES_MIN: usize = 1 << 20;

/// The smallest class with slots of so many bytes; none if there is no such class.
pub(super) fn class_for(bytes: usize) -> Option<usize> {
    CLASS_BYTES.iter().position(|slot| *slot >= bytes)
}

/// The free slots, by class, as addresses.
#[derive(Debug, Default)]
pub(super) struct Slots {
    classes: [Class; CLASSES],
}

#[derive(Debug, Default)]
struct Class {
    /// Slots that have been given back, the last one on top: its page tables are there still.
    returned: Vec<usize>,
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
        class.returned.pop().or_else(|| {
            let start = class.fresh.start;
            (class.fresh.end - start >= bytes).then(|| {
                class.fresh.start += bytes;
                start
            })
        })
    }

    /// Gives a slot back.
    pub(super) fn put(&mut self, class: usize, start: usize) {
        self.classes[class].returned.push(start);
    }

    /// The size in bytes of the next chunk of a class, and that of a single slot.
    pub(super) fn next_chunk(&self, class: usize) -> (usize, usize) {
        let slot = CLASS_BYTES[class];
        let doubled = 2 * self.classes[class].chunk_bytes;
        (doubled.clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX).max(slot), slot)
    }

    /// Adds a chunk to a class, in which no slot is free.
    pub(super) fn add_chunk(&mut self, class: usize, start: usize, bytes: usize) {
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
        slots.put(1, given[7]);
        assert_eq!(slots.take(1), Some(given[7]));
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
