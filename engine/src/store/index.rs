//! Where the latest record of each number is, of millions of numbers.

use std::collections::HashMap;

/// The latest record of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u32,
    /// NB: a segment is as long as it may be before its last record, and only that is longer.
    pub(super) offset: u32,
    /// Bytes of the record.
    pub(super) bytes: u64,
}

/// A map from numbers to places, in 20 bytes each.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: HashMap<Key, Entry>,
    /// Bytes of the records that are too long for an entry.
    long: HashMap<u64, u64>,
}

/// A number, which need not be aligned as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key([u32; 2]);

#[derive(Debug, Clone, Copy)]
struct Entry {
    segment: u32,
    offset: u32,
    /// Saturated: then it is among the long ones.
    bytes: u32,
}

impl Key {
    fn of(number: u64) -> Key {
        Key([(number >> 32) as u32, number as u32])
    }

    fn number(self) -> u64 {
        u64::from(self.0[0]) << 32 | u64::from(self.0[1])
    }
}

impl Index {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, number: u64) -> Option<Place> {
        let Entry { segment, offset, bytes } = *self.entries.get(&Key::of(number))?;
        let long = if bytes == u32::MAX { self.long.get(&number).copied() } else { None };
        Some(Place { segment, offset, bytes: long.unwrap_or(bytes.into()) })
    }

    /// Returns what was there.
    pub(super) fn insert(&mut self, number: u64, place: Place) -> Option<Place> {
        let before = self.remove(number);
        let bytes = u32::try_from(place.bytes).unwrap_or(u32::MAX);
        if bytes == u32::MAX {
            self.long.insert(number, place.bytes);
        }
        let entry = Entry { segment: place.segment, offset: place.offset, bytes };
        self.entries.insert(Key::of(number), entry);
        before
    }

    /// Returns what was there.
    pub(super) fn remove(&mut self, number: u64) -> Option<Place> {
        let place = self.get(number)?;
        self.entries.remove(&Key::of(number));
        self.long.remove(&number);
        Some(place)
    }

    /// All numbers, ascending.
    pub(super) fn numbers(&self) -> Vec<u64> {
        let mut numbers: Vec<u64> = self.entries.keys().map(|key| key.number()).collect();
        numbers.sort_unstable();
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_map_of_numbers_and_lengths_of_any_size() {
        let mut index = Index::default();
        let place = |bytes| Place { segment: 3, offset: u32::MAX, bytes };
        let max = u64::from(u32::MAX);
        let places: Vec<(u64, Place)> = [0, 1, max, max + 1, u64::MAX - 1, u64::MAX]
            .into_iter()
            .zip([0, max - 1, max, max + 1, 1 << 40, u64::MAX].map(place))
            .collect();
        for (number, place) in &places {
            assert_eq!(index.insert(*number, *place), None);
        }
        assert_eq!(index.numbers(), places.iter().map(|(number, _)| *number).collect::<Vec<_>>());
        assert_eq!(index.len(), 6);
        for (number, at) in &places {
            assert_eq!(index.get(*number), Some(*at));
            assert_eq!(index.insert(*number, place(5)), Some(*at));
            assert_eq!(index.remove(*number), Some(place(5)));
            assert_eq!((index.get(*number), index.remove(*number)), (None, None));
        }
        assert_eq!((index.len(), index.long.len()), (0, 0));
    }

    /// What ten million of them take.
    #[test]
    fn an_entry_is_small() {
        assert_eq!(size_of::<(Key, Entry)>(), 20);
    }
}
