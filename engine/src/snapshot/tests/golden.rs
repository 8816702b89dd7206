//! Files of every version as they were first written. They are read forever, and those of the
//! current version written again byte for byte; a change here is a new version of the format.

use super::*;

fn read(snapshot: &Snapshot<'_>, golden: &[u8]) {
    assert_eq!(decoded(golden).as_ref(), Ok(snapshot));
}

fn check(snapshot: &Snapshot<'_>, golden: &[u8]) {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&encoded(snapshot)), hex(golden));
    read(snapshot, golden);
}

#[test]
fn v1() {
    read(&sample::paused(), include_bytes!("../testdata/v1-paused.cbor"));
    read(&sample::paused_with_pages(), include_bytes!("../testdata/v1-paused-with-pages.cbor"));
    read(&sample::finished(), include_bytes!("../testdata/v1-finished.cbor"));
    read(&sample::trapped(), include_bytes!("../testdata/v1-trapped.cbor"));
    read(&sample::exited(), include_bytes!("../testdata/v1-exited.cbor"));
}

#[test]
fn v2() {
    read(&sample::paused(), include_bytes!("../testdata/v2-paused.cbor"));
    read(&sample::paused_with_pages(), include_bytes!("../testdata/v2-paused-with-pages.cbor"));
    read(&sample::references(), include_bytes!("../testdata/v2-references.cbor"));
    read(&sample::finished(), include_bytes!("../testdata/v2-finished.cbor"));
    read(&sample::trapped(), include_bytes!("../testdata/v2-trapped.cbor"));
    read(&sample::exited(), include_bytes!("../testdata/v2-exited.cbor"));
}

#[test]
fn v3_paused() {
    check(&sample::paused(), include_bytes!("../testdata/v3-paused.cbor"));
}

#[test]
fn v3_paused_with_pages() {
    check(&sample::paused_with_pages(), include_bytes!("../testdata/v3-paused-with-pages.cbor"));
}

#[test]
fn v3_references() {
    check(&sample::references(), include_bytes!("../testdata/v3-references.cbor"));
}

#[test]
fn v3_over_a_base() {
    check(&sample::over_a_base(), include_bytes!("../testdata/v3-over-a-base.cbor"));
}

#[test]
fn v3_finished() {
    check(&sample::finished(), include_bytes!("../testdata/v3-finished.cbor"));
}

#[test]
fn v3_trapped() {
    check(&sample::trapped(), include_bytes!("../testdata/v3-trapped.cbor"));
}

#[test]
fn v3_exited() {
    check(&sample::exited(), include_bytes!("../testdata/v3-exited.cbor"));
}
