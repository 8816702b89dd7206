//! Every input is a snapshot or a typed error: none panics, hangs or
//! allocates on the word of a length.

use super::sample::{self, Random};
use super::*;
use crate::snapshot::writer::{Writer, major};

/// Whatever it is, it must not be taken; and if it is, it must be the one encoding of what it says.
fn check_resealed(bytes: Vec<u8>) -> bool {
    let bytes = resealed(bytes);
    match decoded(&bytes) {
        Ok(snapshot) => {
            assert_eq!(encoded(&snapshot), bytes);
            assert_eq!(
                Snapshot::read_slice(&bytes, &Limits::DEFAULT).ok().map(|it| it.0),
                Some(snapshot)
            );
            true
        }
        Err(error) => {
            let lent = Snapshot::read_slice(&bytes, &Limits::DEFAULT).map(drop);
            assert_eq!(lent.map_err(|error| error.kind().clone()), Err(error));
            false
        }
    }
}

#[test]
fn truncated_at_every_byte() {
    let all = [sample::paused(), sample::paused_with_pages(), sample::references()];
    for file in all.map(|snapshot| encoded(&snapshot)) {
        for at in 0..file.len() {
            let error = decoded(&file[..at]).expect_err("a part is no snapshot");
            assert_eq!(error, ErrorKind::Truncated { at: at as u64 });
            let lent = Snapshot::read_slice(&file[..at], &Limits::DEFAULT);
            assert_eq!(lent.expect_err("nor in memory").kind(), &error);
        }
    }
}

#[test]
fn every_bit_flipped() {
    let file = encoded(&sample::paused());
    let version_at = 3 + 1 + 1 + FORMAT.len();
    let (mut digest, mut others) = (0, 0);
    for bit in 0..file.len() * 8 {
        let mut damaged = file.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        match (bit / 8, decoded(&damaged).expect_err("a flipped bit is found")) {
            (3, ErrorKind::NotASnapshot | ErrorKind::Malformed { .. }) => {}
            (at, ErrorKind::NotASnapshot) => assert!(at < version_at),
            (at, ErrorKind::Version { .. }) => assert_eq!(at, version_at),
            (at, error) => {
                assert!(at >= version_at, "{error:?} at {at}");
                let is_digest = error == ErrorKind::Digest;
                (digest, others) = (digest + is_digest as u32, others + !is_digest as u32);
            }
        }
    }
    assert!(digest > 0 && others > 0);
}

#[test]
fn every_bit_flipped_with_the_digest_made_right() {
    every_bit_of(&sample::paused());
    every_bit_of(&sample::references());
}

fn every_bit_of(snapshot: &Snapshot<'_>) {
    let file = encoded(snapshot);
    let bits = (file.len() - 32) * 8;
    let taken = (0..bits).filter(|bit| {
        let mut changed = file.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        check_resealed(changed)
    });
    // Numbers, names and the like may be others; the structure may not.
    let taken = taken.count();
    assert!(taken > 0 && taken < bits, "{taken} of {bits}");
}

/// Cuts, repeats and overwrites parts, with numbers that are apt to hurt.
#[test]
fn random_mutations_with_the_digest_made_right() {
    let hurtful: [&[u8]; 6] = [
        &[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x9b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
        &[0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x9f],
        &[0xf6],
        &[0xa0],
    ];
    for seed in 0..5000 {
        let mut random = Random(seed);
        let mut file = encoded(&match seed % 4 {
            0 => random.snapshot(),
            1 => sample::references(),
            _ => sample::paused(),
        });
        for _ in 0..=random.below(3) {
            let at = 21 + random.below(file.len() as u64 - 53) as usize;
            let to = (at + random.below(12) as usize).min(file.len() - 32);
            let part = match random.below(3) {
                0 => hurtful[random.below(6) as usize].to_vec(),
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

#[test]
fn garbage() {
    for seed in 0..2000 {
        let mut random = Random(seed);
        let len = 1 + random.below(300);
        let noise: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
        assert_eq!(decoded(&noise), Err(ErrorKind::NotASnapshot));
        let mut begun = encoded(&sample::paused())[..22].to_vec();
        begun.extend(noise);
        decoded(&begun).expect_err("noise is no header");
    }
    for other in [&b"\0asm\x01\0\0\0"[..], b"{}", b"\xd9\xd9\xf7\xa0", b"\xd9\xd9\xf7\x9f"] {
        assert_eq!(decoded(other), Err(ErrorKind::NotASnapshot));
    }
    assert_eq!(decoded(b""), Err(ErrorKind::Truncated { at: 0 }));
}

/// The version is decided on before anything behind it is looked at.
#[test]
fn another_version() {
    for parts in [2, 7, 9, 23] {
        let start = [0xd9, 0xd9, 0xf7, 0x80 | parts, 0x70];
        for (version, found) in [(&[4][..], 4), (&[0], 0), (&[0x19, 1, 0], 256)] {
            let file = [&start, FORMAT.as_bytes(), version, b"whatever"].concat();
            assert_eq!(decoded(&file), Err(ErrorKind::Version { found }));
        }
    }
    let error = Error::from(ErrorKind::Version { found: 4 });
    let text = "snapshot has format version 4, this build reads versions 1 to 3";
    assert_eq!(error.to_string(), text);
}

#[test]
fn bytes_after_the_end() {
    let mut file = encoded(&sample::finished());
    let at = file.len() as u64;
    file.push(0);
    let what = "bytes follow the digest".to_string();
    assert_eq!(decoded(&file), Err(ErrorKind::Malformed { at, what }));
}

/// Replaces the first occurrence of `from`, and makes the digest right.
fn with(snapshot: &Snapshot<'_>, from: &[u8], to: &[u8]) -> Result<Snapshot<'static>, ErrorKind> {
    let mut file = encoded(snapshot);
    let at = file.windows(from.len()).position(|part| part == from).expect("it occurs");
    file.splice(at..at + from.len(), to.iter().copied());
    decoded(&resealed(file))
}

fn malformed(result: Result<Snapshot<'static>, ErrorKind>) -> String {
    match result {
        Err(ErrorKind::Malformed { what, .. }) => what,
        other => panic!("expected malformed, not {other:?}"),
    }
}

#[test]
fn only_the_deterministic_encoding_is_read() {
    let paused = sample::paused();
    let shortest = "a number is not in its shortest form";
    for long in
        [&[0x18, 1][..], &[0x19, 0, 1], &[0x1a, 0, 0, 0, 1], &[0x1b, 0, 0, 0, 0, 0, 0, 0, 1]]
    {
        let to = [b"jcost-table", long].concat();
        assert_eq!(malformed(with(&paused, b"jcost-table\x01", &to)), shortest);
    }
    let what = malformed(with(&paused, b"fframes\x82", b"fframes\x9f"));
    assert_eq!(what, "indefinite lengths are not used");
    let what = malformed(with(&paused, b"ab\x612", b"ab\x7c2"));
    assert_eq!(what, "reserved additional information");
    let what = malformed(with(&paused, b"dargv", b"bzz"));
    assert_eq!(what, "keys of a map in host state are not unique and sorted");
    let what = malformed(with(&paused, b"dname", b"\x61a"));
    assert_eq!(what, "names are not unique and sorted");
    let what = malformed(with(&paused, b"fsample", b"f\xff\xffmple"));
    assert_eq!(what, "text is not UTF-8");
}

#[test]
fn keys_are_exact() {
    let paused = sample::paused();
    let what = malformed(with(&paused, b"gbalance", b"gbalancf"));
    assert_eq!(what, r#"unexpected key "balancf", expected "balance""#);
    let what = malformed(with(&paused, b"gbalance", b"g\x1b[31mxx"));
    assert_eq!(what, r#"unexpected key "\u{1b}[31mxx", expected "balance""#);
    let file = with(&paused, b"\xaadbase", b"\xa9dbase");
    assert_eq!(malformed(file), r#"key "steps-used" is missing"#);
    let file = with(&paused, b"\xa2dhash", b"\xa3dhash");
    assert_eq!(malformed(file), r#"unexpected key "parent", expected none"#);
}

/// Objects and exceptions have one numbering, and an exception cannot hold itself.
#[test]
fn references_are_to_what_is_there_in_one_order() {
    let references = sample::references();
    let objects = "objects are not numbered as they are met";
    let exceptions = "exceptions are not numbered as they are met";
    let itself = "an exception holds itself or a later one";
    let idle = "an object or an exception is one that nothing refers to";
    let cases: [(&[u8], &[u8], &str); 7] = [
        (b"gobjects\x85", b"gobjects\x84", "expected a codec's name"),
        // The entry's argument.
        (b"\x82\x18\x6f\x00", b"\x82\x18\x6f\x01", objects),
        // Exception 1 in the payload of exception 2, and 0 in that of 1.
        (b"\x82\x18\x6f\x03\x82\x18\x69\x01", b"\x82\x18\x6f\x03\x82\x18\x69\x02", itself),
        (b"\x82\x18\x69\x00\x82", b"\x82\x18\x69\x01\x82", itself),
        (b"\x82\x18\x69\x00\x82", b"\x82\x18\x69\xf6\x82", exceptions),
        // Exception 1 in a local, and object 4 in a table.
        (b"\x19\x01\x2d\x82\x18\x69\x01", b"\x19\x01\x2d\x82\x18\x69\x02", objects),
        (b"\x82\x04\xf6", b"\x82\x03\xf6", idle),
    ];
    for (at, (from, to, expected)) in cases.into_iter().enumerate() {
        if at == 0 {
            // One object too few shifts what follows.
            malformed(with(&references, from, to));
        } else {
            assert_eq!(malformed(with(&references, from, to)), expected, "case {at}");
        }
    }
}

/// A chain of exceptions as long as the limit is walked without recursion.
#[test]
fn long_chains_of_exceptions() {
    let link = |index: u32| Exception { tag: 0, fields: vec![Value::ExnRef(index.checked_sub(1))] };
    let count = 200_000;
    let chain = Snapshot {
        exceptions: (0..count).map(link).collect(),
        globals: vec![(0, Value::ExnRef(Some(count - 1)))],
        ..sample::paused()
    };
    let chain = Snapshot { tables: vec![], ..chain };
    assert_eq!(decoded(&encoded(&chain)), Ok(chain));
}

/// Version 1 has functions alone: what it says of others is not taken.
#[test]
fn version_1_knows_no_other_references() {
    let golden = include_bytes!("../testdata/v1-paused.cbor");
    let find = |part: &[u8]| golden.windows(part.len()).position(|found| found == part);
    let at = find(b"\x82\x18\x70\xf6").expect("a null function");
    for code in [0x6f, 0x69] {
        let mut file = golden.to_vec();
        file[at + 2] = code;
        let what = malformed(decoded(&resealed(file)));
        assert_eq!(what, format!("unknown value type {code:#x}"));
    }
    // What version 2 alone has is no part of version 1, and the other way round.
    let mut file = golden.to_vec();
    file[21] = 2;
    malformed(decoded(&resealed(file)));
    let mut file = include_bytes!("../testdata/v2-paused.cbor").to_vec();
    file[21] = 1;
    malformed(decoded(&resealed(file)));
}

/// The versions differ in their parts, and in what those hold.
#[test]
fn version_2_is_not_version_3() {
    let mut new = include_bytes!("../testdata/v2-paused.cbor").to_vec();
    new[21] = 3;
    assert_eq!(malformed(decoded(&resealed(new.clone()))), "not 9 parts");
    new[3] = 0x89;
    let what = malformed(decoded(&resealed(new)));
    assert_eq!(what, r#"unexpected key "entry", expected "base""#);
    let mut old = encoded(&sample::paused());
    old[21] = 2;
    assert_eq!(malformed(decoded(&resealed(old.clone()))), "not 7 parts");
    old[3] = 0x87;
    let what = malformed(decoded(&resealed(old)));
    assert_eq!(what, r#"unexpected key "base", expected "entry""#);
}

#[test]
fn a_profile_is_whole() {
    let sample = sample::over_a_base();
    let what = malformed(with(&sample, b"\xa5kstack-bytes", b"\xa4kstack-bytes"));
    assert_eq!(what, r#"key "reference-heap-bytes" is missing"#);
    let what = malformed(with(&sample, b"callback-steps\x1a\x40", b"callback-steps\x1b\x40"));
    assert_eq!(what, "steps of callbacks beyond 32 bits");
    let what = malformed(with(&sample, b"gprofile\xa5", b"gprofile\xf5\xa5"));
    assert_eq!(what, "expected a profile");
    let what = malformed(with(&sample, b"dbase\x58\x20", b"dbase\x58\x21"));
    assert_eq!(what, "a base's digest has 32 bytes");
}

#[test]
fn an_embedded_module_must_match_its_hash() {
    let what = malformed(with(&sample::paused(), b"H\0asm\x01", b"H\0asm\x02"));
    assert_eq!(what, "the module does not match its hash");
    let what = malformed(with(&sample::paused(), b"dsize\x08", b"dsize\x09"));
    assert_eq!(what, "the module's size is not that of its bytes");
}

/// Builds the memory part by hand of runs `(first, count, stored)`; `padding` and `stored` are the
/// lengths that are claimed of the padding and of the pages' bytes, whose byte is `byte`.
fn with_runs(
    pages: u64,
    runs: &[(u64, u64, bool)],
    (padding, stored, byte): (i64, u64, u8),
) -> Result<Snapshot<'static>, ErrorKind> {
    let start = encoded(&Snapshot { memories: vec![], ..sample::paused() });
    // In front of no memories, no padding, no pages and the digest.
    let mut file = start[..start.len() - 37].to_vec();
    let at = file.len() as u64;
    let mut w = Writer::new(&mut file);
    w.raw(&[0x81, 0x83, 0x00]).expect("vectors take all");
    w.unsigned(pages).expect("vectors take all");
    w.array(runs.len()).expect("vectors take all");
    for &(first, count, stored) in runs {
        w.raw(&[0x83]).expect("vectors take all");
        w.unsigned(first).expect("vectors take all");
        w.unsigned(count).expect("vectors take all");
        w.bool(stored).expect("vectors take all");
    }
    let right = crate::snapshot::pages::padding(at + w.at(), stored);
    let padding = right.saturating_add_signed(padding);
    w.bytes(&vec![0; padding as usize]).expect("vectors take all");
    w.head(major::BYTES, stored).expect("vectors take all");
    w.raw(&vec![byte; stored.min(1 << 20) as usize]).expect("vectors take all");
    w.finish().expect("vectors take all");
    decoded(&resealed(file))
}

#[test]
fn runs_of_pages() {
    let well = [(0, 2, false), (2, 1, true), (15, 1, false)];
    with_runs(1, &well, (0, 4096, 1)).expect("these are well");
    let bad = [
        (&[(0, 0, false)][..], "a run is empty"),
        (&[(16, 1, false)], "a run goes beyond the end"),
        (&[(15, 2, true)], "a run goes beyond the end"),
        (&[(u64::MAX, u64::MAX, true)], "a run goes beyond the end"),
        (&[(4, 2, false), (5, 1, true)], "runs overlap or are out of order"),
        (&[(4, 2, false), (0, 1, false)], "runs overlap or are out of order"),
        (&[(4, 2, false), (6, 1, false)], "two runs could be one"),
        (&[(4, 1, true), (5, 1, true)], "two runs could be one"),
    ];
    for (runs, expected) in bad {
        assert_eq!(malformed(with_runs(1, runs, (0, 4096, 1))), expected, "{runs:?}");
    }
    let of_bytes = [
        ((0, 4095, 1), "the stored pages are not those of the runs"),
        ((0, 8192, 1), "the padding has another length"),
        ((1, 4096, 1), "the padding has another length"),
        ((-1, 4096, 1), "the padding has another length"),
        ((4096, 4096, 1), "the padding has another length"),
        ((0, 4096, 0), "a zero page is stored as bytes"),
    ];
    for (bytes, expected) in of_bytes {
        let what = malformed(with_runs(1, &[(4, 1, true)], bytes));
        let lengths =
            ["the stored pages are not those of the runs", "the padding has another length"];
        // Which of the two lengths is wrong first depends on where the pages would begin.
        let same = what == expected || lengths.contains(&expected) && lengths.contains(&&*what);
        assert!(same, "{bytes:?}: {what}");
    }
    assert_eq!(malformed(with_runs(1, &[], (1, 0, 0))), "the padding has another length");
    assert_eq!(
        malformed(with_runs(1, &[], (0, 4096, 1))),
        "the padding has another length",
        "no runs and pages"
    );
    // A memory of the largest size allowed, full by its own word: it ends where its bytes end.
    let result = with_runs(65536, &[(0, 1 << 20, true)], (0, 1 << 32, 1));
    assert!(matches!(result, Err(ErrorKind::Truncated { .. })), "{result:?}");
}

#[test]
fn padding_is_zero() {
    let what =
        malformed(with(&sample::paused_with_pages(), &[0; 64], &[&[0; 63][..], &[1]].concat()));
    assert_eq!(what, "the padding is not zero");
}

#[test]
fn limits_hold() {
    let memories = sample::paused_with_pages().memories;
    let full = Snapshot { memories, ..sample::references() };
    let file = encoded(&full);
    let zero = |field: fn(&mut Limits) -> &mut u64| {
        let mut limits = Limits::DEFAULT;
        *field(&mut limits) = 0;
        limits
    };
    let limits = [
        zero(|l| &mut l.module_bytes),
        zero(|l| &mut l.memories),
        zero(|l| &mut l.memory_bytes),
        zero(|l| &mut l.frames),
        zero(|l| &mut l.values),
        zero(|l| &mut l.tables),
        zero(|l| &mut l.table_elements),
        zero(|l| &mut l.objects),
        zero(|l| &mut l.object_bytes),
        zero(|l| &mut l.exceptions),
        zero(|l| &mut l.segments),
        zero(|l| &mut l.host_namespaces),
        zero(|l| &mut l.host_values),
        zero(|l| &mut l.host_bytes),
        zero(|l| &mut l.host_depth),
        zero(|l| &mut l.labels),
        zero(|l| &mut l.text_bytes),
    ];
    for (at, limits) in limits.iter().enumerate() {
        match decoded_within(&file, limits) {
            Err(ErrorKind::Limit { limit: 0, .. }) => {}
            other => panic!("limit {at} gave {other:?}"),
        }
    }
    let exact = Limits { memory_bytes: 65536, module_bytes: 8, memories: 1, ..Limits::DEFAULT };
    decoded_within(&file, &exact).expect("limits are inclusive");
    let huge = with_runs(u64::MAX, &[], (0, 0, 0));
    assert!(matches!(huge, Err(ErrorKind::Limit { limit: 0x1_0000_0000, .. })), "{huge:?}");
}

/// Claims of every kind of length far beyond the input: each is refused by a
/// limit or ends with the input. Were it believed, 2^63 bytes would be asked for.
#[test]
fn claimed_lengths_are_not_believed() {
    let endless = |head: u8| [&[head | 27][..], &(1_u64 << 63).to_be_bytes()].concat();
    let (bytes, text, array, map) = (endless(0x40), endless(0x60), endless(0x80), endless(0xa0));
    let all = encoded(&sample::paused());
    for head in [&bytes, &text, &array, &map] {
        for at in 22..all.len() - 34 {
            let file = [&all[..at], head, &all[at..]].concat();
            let error = decoded(&file).expect_err("there is no such length");
            assert!(!matches!(error, ErrorKind::Io(_)), "{error:?} at {at}");
        }
    }
}

/// Nesting is bounded before the native stack is in danger.
#[test]
fn deep_host_state() {
    let nested =
        |depth: usize| (0..depth).fold(HostValue::Null, |inner, _| HostValue::Array(vec![inner]));
    let with_host = |value| Snapshot { host: vec![("x".into(), value)], ..sample::paused() };
    decoded(&encoded(&with_host(nested(64)))).expect("64 levels are allowed");
    let deeper = with(&with_host(nested(1)), b"ax\x81", &[&b"ax"[..], &[0x81; 100_000]].concat());
    assert!(matches!(deeper, Err(ErrorKind::Limit { limit: 64, .. })), "{deeper:?}");
}
