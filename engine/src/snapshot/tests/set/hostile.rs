//! Every input is a set or a typed error: none panics, hangs or allocates on the word of a length.

use super::super::resealed;
use super::super::sample::Random;
use super::*;

/// If it is taken, it must be the one encoding of what it says.
fn check_resealed(bytes: Vec<u8>) -> bool {
    let bytes = resealed(bytes);
    let Ok(set) = decoded(&bytes) else { return false };
    assert_eq!(encoded(&set), bytes);
    true
}

/// One that is small, so that all of it can be tried.
fn small() -> Set<'static> {
    let fixed = sample::fixed();
    let is_small = |one: &Member<'_>| one.number != 6 && one.number != 1 && one.number != 5;
    let tasklets = fixed.tasklets.into_iter().filter(is_small).collect();
    Set { tasklets, ..fixed }
}

#[test]
fn truncated_at_every_byte() {
    for set in [sample::fixed(), small()] {
        let file = encoded(&set);
        let step = if file.len() > 10_000 { 61 } else { 1 };
        for at in (0..file.len()).step_by(step) {
            let error = decoded(&file[..at]).expect_err("a part is no set");
            assert_eq!(error, ErrorKind::Truncated { at: at as u64 });
        }
    }
}

#[test]
fn every_bit_flipped() {
    let file = encoded(&small());
    let (mut digest, mut taken) = (0, 0);
    for bit in 0..file.len() * 8 {
        let mut damaged = file.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let error = decoded(&damaged).expect_err("a flipped bit is found");
        digest += u32::from(error == ErrorKind::Digest);
        // Numbers, names and the like may be others; the structure may not.
        taken += u32::from(bit / 8 < file.len() - 32 && check_resealed(damaged));
    }
    assert!(digest > 100 && taken > 100 && (taken as usize) < file.len() * 4, "{digest} {taken}");
}

/// Cuts, repeats and overwrites parts, and puts whole items in the places of others.
#[test]
fn random_mutations_with_the_digest_made_right() {
    let hurtful: [&[u8]; 9] = [
        &[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x9b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
        &[0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x9f],
        &[0xf6],
        &[0xa0],
        b"\x81eready",
        b"\x82gsending\x00",
        b"\x82ireceiving\x04",
    ];
    for seed in 0..5000 {
        let mut random = Random(seed);
        let mut file = encoded(&if seed % 4 == 0 { sample::random(&mut random) } else { small() });
        for _ in 0..=random.below(3) {
            let at = 16 + random.below(file.len() as u64 - 48) as usize;
            let to = (at + random.below(12) as usize).min(file.len() - 32);
            let part = match random.below(3) {
                0 => hurtful[random.below(9) as usize].to_vec(),
                1 => file[at..to].repeat(2),
                _ => Vec::new(),
            };
            file.splice(at..to, part);
            if file.len() < 60 {
                break;
            }
        }
        check_resealed(file);
    }
}

/// The rules of sets, each broken in a file that is sound otherwise: the writer is told nothing.
#[test]
fn broken_rules_are_found_by_the_reader() {
    let replaced = |from: &[u8], to: &[u8]| {
        let mut file = encoded(&sample::fixed());
        let at = file.windows(from.len()).position(|part| part == from);
        let at = at.unwrap_or_else(|| panic!("{from:?} occurs"));
        file.splice(at..at + from.len(), to.iter().copied());
        match decoded(&resealed(file)) {
            Err(ErrorKind::Malformed { what, .. }) => what,
            other => panic!("expected malformed, not {other:?}"),
        }
    };
    let cases: [(&[u8], &[u8], &str); 21] = [
        (b"hnumbered\x18\x47", b"hnumbered\x18\x45", "number that was not given"),
        (b"hnumbered\x18\x47", b"hnumbered\x1b\x80\0\0\0\0\0\0\0", "beyond 63 bits"),
        (b"hnumbered\x18\x47", b"hnumbered\x18\x09", "shortest form"),
        (b"\x87\x08\x81eready", b"\x87\x00\x81eready", "number that was not given"),
        (b"\x87\x08\x81eready", b"\x87\x09\x81eready", "two tasklets have one number"),
        (b"\x87\x08\x81eready", b"\x87\x08\x81epause", "unknown kind of place"),
        (b"\x87\x08\x81eready", b"\x87\x08\x82eready\x00", "unknown kind of place"),
        (b"\x87\x08\x81eready", b"\x87\x08\x80", "a place is empty"),
        (b"\x87\x08\x81eready", b"\x87\x08\x81gwaiting", "order of their places"),
        (b"\x82gsending\x00", b"\x82gsending\x01", "that it was not given"),
        (b"\x82gsending\x00", b"\x82ireceiving\x00", "want to send and to receive"),
        (b"\x83\x00\xf6\x00", b"\x83\x00\xf6\x07", "a channel that is not there"),
        (b"\x82ab\xf6", b"\x82ab\xa0", "is missing"),
        (b"jpreferencegneither", b"jpreferencegneitheR", "unknown preference"),
        (b"fclosed\xf5", b"fclosed\xf6", "expected whether a channel is closed"),
        (b"\x82bab\xa3", b"\x82baa\xa3", "not unique and sorted"),
        (b"dmade\x09", b"dmade\x06", "a channel has a number that was not given"),
        (b"dmade\x09", b"dmade\x1b\x80\0\0\0\0\0\0\0", "beyond 62 bits"),
        (b"\x82\x07\xa3", b"\x82\x02\xa3", "guests made are not unique and sorted"),
        (b"\x82\x07\xa3", b"\x82\x20\xa3", "expected a channel's name"),
        (b"\x82bab\xa3", b"\x82\x01\xa3", "names are behind numbers"),
    ];
    for (from, to, expected) in cases {
        let what = replaced(from, to);
        assert!(what.contains(expected), "{what:?}, not {expected:?}");
    }
}

#[test]
fn another_version_or_no_set_at_all() {
    let sample = encoded(&sample::fixed());
    for parts in [2, 7, 9, 23] {
        let start = [0xd9, 0xd9, 0xf7, 0x80 | parts, 0x6b];
        for (version, found) in [(&[3][..], 3), (&[0], 0), (&[0x19, 1, 0], 256)] {
            let file = [&start, set::FORMAT.as_bytes(), version, b"whatever"].concat();
            assert_eq!(decoded(&file), Err(ErrorKind::SetVersion { found }));
        }
    }
    let mut parts = sample.clone();
    parts[3] += 1;
    let malformed = ErrorKind::Malformed { at: 3, what: "not 7 parts".into() };
    assert_eq!(decoded(&parts), Err(malformed));
    let snapshot = super::super::encoded(&super::super::sample::paused());
    assert_eq!(decoded(&snapshot), Err(ErrorKind::NotASet));
    let as_snapshot = Snapshot::read_from(&mut &sample[..], &Limits::DEFAULT);
    assert_eq!(as_snapshot.expect_err("it is a set").kind(), &ErrorKind::NotASnapshot);
    let mut longer = sample.clone();
    longer.push(0);
    assert!(matches!(decoded(&longer), Err(ErrorKind::Malformed { .. })));
}

/// Each limit is looked at before anything is made of what exceeds it.
#[test]
fn limits_are_kept() {
    let fixed = sample::fixed();
    let file = encoded(&fixed);
    let limited = |limits: set::Limits| match decoded_within(&file, &limits) {
        Err(ErrorKind::Limit { what, .. }) => what,
        other => panic!("expected a limit, not {other:?}"),
    };
    let all = set::Limits::DEFAULT;
    assert_eq!(limited(set::Limits { tasklets: 7, ..all }), "tasklets");
    assert_eq!(limited(set::Limits { channels: 6, ..all }), "channels");
    assert_eq!(limited(set::Limits { modules: 1, ..all }), "modules");
    assert_eq!(limited(set::Limits { grants: 2, ..all }), "channels of a tasklet");
    // What is a total over a snapshot is one over the set.
    let frames: usize = fixed.tasklets.iter().map(|one| one.snapshot.frames.len()).sum();
    let most = fixed.tasklets.iter().map(|one| one.snapshot.frames.len()).max();
    assert!(most < Some(frames));
    let pending: usize = fixed.tasklets.iter().map(|one| one.snapshot.pending.len()).sum();
    let total = (frames + pending) as u64;
    let within = |frames| set::Limits { snapshots: Limits { frames, ..all.snapshots }, ..all };
    decoded_within(&file, &within(total)).expect("as many as there are");
    limited(within(total - 1));
}

/// Claims of every kind of length far beyond the input: each is refused by a limit or ends with the
/// input.
#[test]
fn claimed_lengths_are_not_believed() {
    let endless = |head: u8| [&[head | 27][..], &(1_u64 << 63).to_be_bytes()].concat();
    let all = encoded(&small());
    for head in [0x40, 0x60, 0x80, 0xa0].map(endless) {
        for at in 17..all.len() - 34 {
            let file = [&all[..at], &head, &all[at..]].concat();
            let error = decoded(&file).expect_err("there is no such length");
            assert!(!matches!(error, ErrorKind::Io(_)), "{error:?} at {at}");
        }
    }
}
