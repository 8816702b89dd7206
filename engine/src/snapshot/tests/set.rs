//! Sets: `sample` makes what the others take apart.

mod hostile;
mod sample;

use super::*;
use crate::snapshot::set::{self, Channel, ChannelState, Member, Place, Set};

fn encoded(set: &Set<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let digest = set.write_to(&mut bytes).expect("a valid set is written");
    let (rest, last) = bytes.split_at(bytes.len() - 32);
    assert_eq!(digest.0, last);
    assert_eq!(digest, Digest::of(rest));
    bytes
}

/// From a stream and from memory, which come to the same.
fn decoded_within(bytes: &[u8], limits: &set::Limits) -> Result<Set<'static>, ErrorKind> {
    let streamed = Set::read_from(&mut &*bytes, limits).map_err(|error| error.kind().clone());
    let lent = Set::read_slice(bytes, limits).map_err(|error| error.kind().clone());
    assert_eq!(lent.as_ref().err(), streamed.as_ref().err());
    let (set, digest) = streamed?;
    assert_eq!(digest.0, bytes[bytes.len() - 32..]);
    assert_eq!(lent.ok().map(|(set, _)| set.into_owned()).as_ref(), Some(&set));
    Ok(set)
}

fn decoded(bytes: &[u8]) -> Result<Set<'static>, ErrorKind> {
    decoded_within(bytes, &set::Limits::DEFAULT)
}

/// Files as they were first written, which are read forever, and as long as the version is the
/// current one written again byte for byte.
#[test]
fn golden_v1() {
    let golden = include_bytes!("../testdata/set-v1.cbor");
    assert_eq!(decoded(golden).as_ref(), Ok(&sample::first()));
}

#[test]
fn golden_v2() {
    let golden = include_bytes!("../testdata/set-v2.cbor");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&encoded(&sample::fixed())), hex(golden));
    assert_eq!(decoded(golden).as_ref(), Ok(&sample::fixed()));
}

#[test]
fn what_is_written_is_read_again() {
    let empty = Set {
        numbered: 0,
        made: 0,
        labels: vec![],
        modules: vec![],
        channels: vec![],
        tasklets: vec![],
    };
    let random = (0..200).map(|seed| sample::random(&mut super::sample::Random(seed)));
    for set in [empty, sample::fixed()].into_iter().chain(random) {
        let bytes = encoded(&set);
        assert_eq!(decoded(&bytes).as_ref(), Ok(&set));
    }
}

/// What the reader would refuse is not written.
#[test]
fn the_writer_keeps_the_rules() {
    for (what, set) in sample::broken() {
        let error = set.write_to(&mut Vec::new()).expect_err(what);
        assert_eq!(error.kind(), &ErrorKind::Invalid { what });
    }
    let (mut out, set) = (Vec::new(), sample::fixed());
    let begin = |out| set::Writer::new(out, (0, 0), &[], &[], &[], 1);
    let few = begin(&mut out).expect("it can begin").finish().expect_err("one is missing");
    let what = "there are fewer tasklets than were said";
    assert_eq!(few.kind(), &ErrorKind::Invalid { what });
    let (mut out, one) = (Vec::new(), &set.tasklets[0]);
    let mut writer = set::Writer::new(&mut out, (9, 9), &[], &set.modules, &set.channels, 0)
        .expect("it can begin");
    let many = writer.tasklet(one.number, one.place, &one.channels, &one.snapshot);
    let what = "there are more tasklets than were said";
    assert_eq!(many.expect_err("there are none").kind(), &ErrorKind::Invalid { what });
}

const DOCS: &str = include_str!("../../../../docs/snapshot-format.md");

/// Every name in the CDDL of sets is in the golden file, or is a name of the snapshots'.
#[test]
fn the_cddl_has_the_names_of_the_code() {
    let (_, rest) = DOCS.split_once("```cddl\nset = ").expect("there is a block for sets");
    let block = rest.split_once("```").expect("blocks end").0;
    let golden = include_bytes!("../testdata/set-v2.cbor");
    for name in block.split('"').skip(1).step_by(2) {
        let text = [&[0x60 | name.len() as u8], name.as_bytes()].concat();
        let found = golden.windows(text.len()).any(|part| part == text);
        assert!(found, "{name:?} is not in the file");
    }
}

#[test]
fn the_tables_of_limits_are_the_default() {
    let fields = format!("{:#?}", set::Limits::DEFAULT);
    let fields: Vec<_> = fields.lines().filter_map(|line| line.trim().split_once(": ")).collect();
    assert_eq!(fields.len(), 4 + 1 + 17);
    for (name, value) in fields.into_iter().filter(|(name, _)| *name != "snapshots") {
        let (row, value) = (format!("| `{name}` |"), value.trim_end_matches(','));
        let mut rows = DOCS.lines().filter(|line| line.starts_with(&row));
        let found = rows.any(|line| line.ends_with(&format!("| {value} |")));
        assert!(found, "no row {row} that ends with {value}");
    }
}
