//! Damaged snapshots: exit code 65, nothing printed by the guest, nothing written.

use crate::bench::{Bench, words};

/// A bench with a snapshot, small because its module is left out.
fn bench() -> (Bench, Vec<u8>) {
    let bench = Bench::new();
    bench.run(words("run @counter-wat --steps 500 --no-embed-module -o t.cbor")).exits(75);
    let snapshot = bench.read("t.cbor");
    (bench, snapshot)
}

#[track_caller]
fn refused(bench: &Bench, bytes: &[u8], what: &str) {
    bench.write("bad.cbor", bytes);
    let before = bench.files();
    for command in ["resume bad.cbor --steps 500 -o out.cbor", "inspect bad.cbor"] {
        let run = bench.run(words(command));
        assert_eq!(run.code, Some(65), "{what}: {}", run.stderr);
        let run = run.prints("").says("tasklet: ");
        assert!(run.stderr.len() < 1000, "{}", run.stderr);
    }
    assert_eq!(bench.files(), before, "{what}");
}

#[test]
fn truncated() {
    let (bench, snapshot) = bench();
    let length = snapshot.len();
    for end in (0..64).chain((64..length).step_by(131)).chain(length - 40..length) {
        refused(&bench, &snapshot[..end], &format!("cut at {end}"));
    }
}

#[test]
fn flipped() {
    let (bench, snapshot) = bench();
    for at in (0..64).chain((64..snapshot.len()).step_by(131)) {
        let mut bytes = snapshot.clone();
        bytes[at] ^= 1 << (at % 8);
        refused(&bench, &bytes, &format!("flipped at {at}"));
    }
}

#[test]
fn something_else() {
    let (bench, snapshot) = bench();
    refused(&bench, b"", "empty");
    refused(&bench, b"{}", "json");
    refused(&bench, &[0xd9, 0xd9, 0xf7, 0x80], "an empty array");
    refused(&bench, &[&snapshot[..], b"\0"].concat(), "with a byte more");
    refused(&bench, &[0; 5000], "zeros");
}
