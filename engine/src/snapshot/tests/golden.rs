//! Files of version 1 as they were first written. They are read, and written
//! again byte for byte, forever; a change here is a new version of the format.

use super::*;

fn check(snapshot: &Snapshot<'_>, golden: &[u8]) {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&encoded(snapshot)), hex(golden));
    assert_eq!(decoded(golden).as_ref(), Ok(snapshot));
}

#[test]
fn v1_paused() {
    check(&sample::paused(), include_bytes!("../testdata/v1-paused.cbor"));
}

#[test]
fn v1_paused_with_pages() {
    check(&sample::paused_with_pages(), include_bytes!("../testdata/v1-paused-with-pages.cbor"));
}

#[test]
fn v1_finished() {
    check(&sample::finished(), include_bytes!("../testdata/v1-finished.cbor"));
}

#[test]
fn v1_trapped() {
    check(&sample::trapped(), include_bytes!("../testdata/v1-trapped.cbor"));
}

#[test]
fn v1_exited() {
    check(&sample::exited(), include_bytes!("../testdata/v1-exited.cbor"));
}
