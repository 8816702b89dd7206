use std::collections::BTreeMap;

use tempfile::{TempDir, tempdir};

use super::*;

/// Small segments, so that a test has many.
fn options(compression: Option<i32>) -> DirectoryOptions {
    DirectoryOptions { segment_bytes: 6000, compression, ..DirectoryOptions::default() }
}

fn open(folder: &TempDir) -> DirectoryStore {
    DirectoryStore::open_with(folder.path(), options(Some(1))).expect("it can be opened")
}

fn files(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("names are text"));
    let mut names: Vec<String> = entries.filter(|name| name.ends_with(".segment")).collect();
    names.sort();
    names
}

/// Numbers without an order that would show, the same on every machine.
fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        state >> 33
    })
}

fn contents(number: u64) -> Vec<u8> {
    // Some that cannot be compressed, and some of no bytes.
    let len = (number % 700) as usize;
    match number % 3 {
        0 => vec![number as u8; len],
        _ => numbers(number).map(|n| n as u8).take(len).collect(),
    }
}

/// Whether it holds no more garbage than it may, by the segments of these tests.
fn is_bounded(store: &DirectoryStore) -> bool {
    store.bytes() <= store.live_bytes.max(6000) * 5 / 2 + 2 * 6800
}

/// A store is a map, whatever is done to it, reopened or not; and takes a bounded room.
#[test]
fn it_is_a_map() {
    for compression in [None, Some(1)] {
        let folder = tempdir().expect("a folder");
        let open = || DirectoryStore::open_with(folder.path(), options(compression)).unwrap();
        let mut model = BTreeMap::new();
        let mut store = open();
        for (round, number) in numbers(1).take(1500).enumerate() {
            let key = number % 40;
            match number / 40 % 4 {
                0 => {
                    model.remove(&key);
                    store.remove(key).unwrap();
                }
                _ => {
                    store.put(key, &contents(number)).unwrap();
                    model.insert(key, contents(number));
                }
            }
            if round % 371 == 0 {
                drop(store);
                store = open();
            }
            if round % 97 == 0 {
                assert_eq!(store.keys().unwrap(), model.keys().copied().collect::<Vec<_>>());
                for key in 0..40 {
                    assert_eq!(store.get(key).unwrap().as_ref(), model.get(&key), "{key}");
                }
                let on_disk: u64 = (files(&folder).iter())
                    .map(|name| fs::metadata(folder.path().join(name)).unwrap().len())
                    .sum();
                assert_eq!(store.bytes(), on_disk);
                assert!(is_bounded(&store), "{store:?}");
            }
        }
        assert!(!store.is_empty() && store.len() < 40 && files(&folder).len() > 1);
    }
}

/// Whatever a killed writer has left of the last record, the others are there.
#[test]
fn a_torn_record_is_as_if_it_had_not_been_begun() {
    let folder = tempdir().expect("a folder");
    let mut store = open(&folder);
    store.put(1, &[1; 100]).unwrap();
    store.put(2, b"old").unwrap();
    let whole = store.bytes();
    store.put(2, b"the new one").unwrap();
    drop(store);
    let path = folder.path().join(&files(&folder)[0]);
    let bytes = fs::read(&path).unwrap();
    for cut in (16..=bytes.len() as u64).rev() {
        fs::write(&path, &bytes[..cut as usize]).unwrap();
        let mut store = open(&folder);
        let found = store.get(2).unwrap();
        match cut {
            cut if cut == bytes.len() as u64 => assert_eq!(found.unwrap(), b"the new one"),
            cut if cut >= whole => assert_eq!(found.unwrap(), b"old"),
            _ => assert_eq!(found, None),
        }
        // What is put behind it is found again.
        store.put(3, b"later").unwrap();
        drop(store);
        assert_eq!(open(&folder).get(3).unwrap().unwrap(), b"later", "cut at {cut}");
    }
    for cut in 0..16 {
        fs::write(&path, &bytes[..cut]).unwrap();
        assert!(open(&folder).is_empty());
        assert!(files(&folder).is_empty());
    }
}

/// Damage is told, and is never taken for what was put.
#[test]
fn damage_is_found() {
    let folder = tempdir().expect("a folder");
    let mut store = open(&folder);
    for key in 0..60 {
        store.put(key, &contents(601 + 700 * key)).unwrap();
    }
    drop(store);
    let names = files(&folder);
    assert!(names.len() > 2);
    let path = folder.path().join(&names[0]);
    let bytes = fs::read(&path).unwrap();
    for at in (0..bytes.len()).step_by(83) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        fs::write(&path, &damaged).unwrap();
        let opened = DirectoryStore::open_with(folder.path(), options(None));
        let error = match opened {
            Ok(mut store) => (0..60).find_map(|key| match store.get(key) {
                Ok(found) => {
                    assert_eq!(found.unwrap(), contents(601 + 700 * key));
                    None
                }
                Err(error) => Some(error),
            }),
            Err(error) => Some(error),
        };
        assert!(matches!(error, Some(Error::StoreDamaged { .. })), "byte {at}: {error:?}");
    }
    fs::write(&path, &bytes).unwrap();
    assert_eq!(open(&folder).len(), 60);
}

/// Damage in the segment that was appended to last is told from a record that a killed writer has
/// left: nothing that was put is dropped, or is what it was before.
#[test]
fn damage_in_the_last_segment_is_found() {
    for compression in [None, Some(1)] {
        let folder = tempdir().expect("a folder");
        let options = DirectoryOptions { compression, ..DirectoryOptions::default() };
        let open = || DirectoryStore::open_with(folder.path(), options.clone());
        let mut store = open().unwrap();
        let mut alive_from = 0;
        for round in 0..3 {
            alive_from = store.bytes() as usize;
            for key in 0..7 {
                store.put(key, &contents(301 + 700 * key + 7 * round)).unwrap();
            }
        }
        drop(store);
        let path = folder.path().join(&files(&folder)[0]);
        let bytes = fs::read(&path).unwrap();
        for at in (0..bytes.len()).step_by(11) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            fs::write(&path, &damaged).unwrap();
            let mut errors = Vec::new();
            match open() {
                Err(error) => errors.push(error),
                Ok(mut store) => {
                    assert_eq!((store.len(), store.torn_bytes()), (7, 0), "byte {at}");
                    for key in 0..7 {
                        match store.get(key) {
                            Ok(got) => assert_eq!(got.unwrap(), contents(301 + 700 * key + 14)),
                            Err(error) => errors.push(error),
                        }
                    }
                }
            }
            // What is no longer alive may be damaged.
            assert!(errors.len() <= 1 && (at < alive_from || errors.len() == 1));
            assert!(errors.iter().all(|error| matches!(error, Error::StoreDamaged { .. })));
            assert_eq!(fs::read(&path).unwrap(), damaged, "it is left as it is");
        }
    }
}

/// What was not on the disk when power failed is zero; what was there before is there.
#[test]
fn what_power_took_is_dropped_and_told() {
    let folder = tempdir().expect("a folder");
    let mut store = open(&folder);
    store.put(1, &contents(601)).unwrap();
    let whole = store.bytes() as usize;
    store.put(1, &numbers(1).map(|n| n as u8 | 1).take(40_000).collect::<Vec<u8>>()).unwrap();
    drop(store);
    let path = folder.path().join(&files(&folder)[0]);
    let bytes = fs::read(&path).unwrap();
    // Within the header, the contents, and behind the record.
    for from in [whole, whole + 20, 4096, 5 * 4096, 7 * 4096] {
        for length in [bytes.len(), bytes.len() + 9000] {
            let mut torn = bytes[..from].to_vec();
            torn.resize(length, 0);
            fs::write(&path, &torn).unwrap();
            let mut store = open(&folder);
            assert_eq!(store.torn_bytes() as usize, length - whole, "from {from}");
            assert_eq!(store.get(1).unwrap().unwrap(), contents(601));
            store.put(2, b"later").unwrap();
            drop(store);
            assert_eq!(open(&folder).get(2).unwrap().unwrap(), b"later");
        }
    }
    // Zeros behind a whole record take nothing with them.
    let longer = [&bytes[..], &[0; 70]].concat();
    fs::write(&path, &longer).unwrap();
    let mut store = open(&folder);
    assert_eq!((store.torn_bytes(), store.get(1).unwrap().unwrap().len()), (70, 40_000));
    drop(store);
    // Nor are they what is dropped if there is something behind them.
    let mut damaged = [&bytes[..whole], &[0; 52], &bytes[whole..]].concat();
    damaged.resize(damaged.len() + 9000, 0);
    fs::write(&path, &damaged).unwrap();
    let opened = DirectoryStore::open(folder.path());
    assert!(matches!(opened, Err(Error::StoreDamaged { .. })), "{opened:?}");
    fs::write(&path, [0; 5000]).unwrap();
    assert!(open(&folder).is_empty());
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, &bytes).unwrap();
}

/// Puts, until there is much more garbage than there may be.
fn litter(store: &mut DirectoryStore) {
    for number in 0..100 {
        store.put(7, &contents(1301 + 700 * number)).unwrap();
        assert_eq!(store.get(7).unwrap().unwrap(), contents(1301 + 700 * number));
        store.remove(8).unwrap();
        assert_eq!(store.get(8).unwrap(), None);
    }
}

/// What is put is put, even if garbage cannot be freed; and that it cannot is told.
#[test]
fn garbage_that_cannot_be_freed_stays() {
    let folder = tempdir().expect("a folder");
    let mut store = open(&folder);
    for key in 0..30 {
        store.put(key, &contents(601 + 700 * key)).unwrap();
    }
    let path = folder.path().join(&files(&folder)[0]);
    // In the header of the first record.
    flip(&path, 20);
    assert!(store.take_failure().is_none());
    litter(&mut store);
    assert!(!is_bounded(&store));
    assert!(matches!(store.get(0), Err(Error::StoreDamaged { .. })));
    let failure = store.take_failure();
    assert!(matches!(failure, Some(Error::StoreDamaged { offset: 16, .. })), "{failure:?}");
    assert!(store.take_failure().is_none());
    // Once it can be, it is.
    flip(&path, 20);
    litter(&mut store);
    assert!(is_bounded(&store));
    assert_eq!(store.get(0).unwrap().unwrap(), contents(601));
    assert!(store.take_failure().is_none());
}

/// Whoever asks for it has what is not damaged, and is told how much is.
#[test]
fn damage_can_be_skipped() {
    let folder = tempdir().expect("a folder");
    let mut store = open(&folder);
    let record = |key: u64| contents(601 + 700 * key);
    for key in 0..30 {
        store.put(key, &record(key)).unwrap();
    }
    store.put(2, b"the latest").unwrap();
    drop(store);
    let names = files(&folder);
    // The header of the first record of the first and of the last segment.
    for name in [&names[0], &names[names.len() - 1]] {
        flip(&folder.path().join(name), 20);
    }
    let refused = DirectoryStore::open(folder.path());
    assert!(matches!(refused, Err(Error::StoreDamaged { offset: 16, .. })), "{refused:?}");
    let skips = DirectoryOptions { skips_damage: true, ..options(Some(1)) };
    let reopen = || DirectoryStore::open_with(folder.path(), skips.clone()).unwrap();
    let mut store = reopen();
    let skipped = store.skipped_bytes();
    assert!((2 * 52..2 * 700).contains(&skipped) && store.torn_bytes() == 0, "{skipped}");
    assert_eq!((store.len(), store.get(0).unwrap()), (28, None));
    for key in store.keys().unwrap().into_iter().filter(|key| *key != 2) {
        assert_eq!(store.get(key).unwrap().unwrap(), record(key));
    }
    assert_eq!(store.get(2).unwrap().unwrap(), b"the latest");
    let whole = store.keys().unwrap();
    // It goes with the garbage.
    litter(&mut store);
    litter(&mut store);
    drop(store);
    let mut store = reopen();
    assert!(store.take_failure().is_none() && store.skipped_bytes() < skipped);
    let left: Vec<u64> = whole.into_iter().filter(|key| ![7, 8].contains(key)).collect();
    assert!(left.iter().all(|key| store.keys().unwrap().contains(key)));
}

/// Behind much that is alive there is garbage: nobody who puts something waits for all to be copied.
#[test]
fn garbage_is_freed_step_by_step() {
    let folder = tempdir().expect("a folder");
    let mut store = open(&folder);
    for key in 100..400 {
        store.put(key, &contents(601 + 700 * key)).unwrap();
    }
    let (mut freed, mut most) = (0, 0);
    for number in 0..2000 {
        let before = files(&folder);
        store.put(number % 3, &contents(1301 + 700 * number)).unwrap();
        let after = files(&folder);
        freed += usize::from(before[0] != after[0]);
        most = most.max(before.iter().filter(|name| !after.contains(name)).count());
        assert!(is_bounded(&store), "{number}: {store:?}");
    }
    assert!(freed > 50 && most == 1, "{freed} segments, {most} at once");
    assert_eq!(store.get(399).unwrap().unwrap(), contents(601 + 700 * 399));
}

/// Damaged contents keep no garbage. What is damaged stays so, wherever it is copied to.
#[test]
fn damage_is_copied_as_it_is() {
    let folder = tempdir().expect("a folder");
    let mut store = open(&folder);
    for key in 0..30 {
        store.put(key, &contents(601 + 700 * key)).unwrap();
    }
    let path = folder.path().join(&files(&folder)[0]);
    flip(&path, 100);
    litter(&mut store);
    assert!(!path.exists() && is_bounded(&store));
    assert!(store.take_failure().is_none());
    for _ in 0..2 {
        assert!(matches!(store.get(0), Err(Error::StoreDamaged { .. })));
        assert_eq!(store.get(1).unwrap().unwrap(), contents(1301));
        drop(store);
        store = open(&folder);
    }
    store.put(0, b"new").unwrap();
    assert_eq!(store.get(0).unwrap().unwrap(), b"new");
}

#[test]
fn one_process_at_a_time() {
    let folder = tempdir().expect("a folder");
    let store = open(&folder);
    let second = DirectoryStore::open(folder.path());
    assert!(matches!(second, Err(Error::StoreInUse { .. })));
    drop(store);
    open(&folder);
}

#[test]
fn modules_are_kept_once_and_leftovers_go() {
    let folder = tempdir().expect("a folder");
    let mut store = open(&folder);
    let hash = Digest::of(b"module");
    assert_eq!(store.get_module(hash).unwrap(), None);
    store.put_module(hash, b"module").unwrap();
    store.put_module(hash, b"module").unwrap();
    let modules = folder.path().join("modules");
    fs::write(modules.join(".half"), b"mod").unwrap();
    drop(store);
    let mut store = open(&folder);
    assert_eq!(store.get_module(hash).unwrap().unwrap(), b"module");
    assert_eq!(fs::read_dir(modules).unwrap().count(), 1);
    for level in [0, 23] {
        let refused = DirectoryStore::open_with(folder.path(), options(Some(level)));
        assert!(matches!(refused, Err(Error::Limit { .. })));
    }
}
