//! Tests of the format; `sample` makes what the others take apart.

use super::*;

mod base;
mod diff;
mod docs;
mod golden;
mod hostile;
mod roundtrip;
mod sample;
mod set;

/// The bytes of a snapshot, and that its digest is what `b3sum` says of all but the last 32.
fn encoded(snapshot: &Snapshot<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let digest = snapshot.write_to(&mut bytes).expect("a valid snapshot is written");
    let (rest, last) = bytes.split_at(bytes.len() - 32);
    assert_eq!(digest.0, last);
    assert_eq!(digest, Digest::of(rest));
    bytes
}

fn decoded(bytes: &[u8]) -> Result<Snapshot<'static>, ErrorKind> {
    decoded_within(bytes, &Limits::DEFAULT)
}

fn decoded_within(bytes: &[u8], limits: &Limits) -> Result<Snapshot<'static>, ErrorKind> {
    match Snapshot::read_from(&mut &*bytes, limits) {
        Ok((snapshot, digest)) => {
            assert_eq!(digest.0, bytes[bytes.len() - 32..]);
            Ok(snapshot)
        }
        Err(error) => {
            let text = error.to_string();
            let fragment = text.starts_with(char::is_lowercase) && !text.ends_with('.');
            assert!(fragment, "{text:?} is no lowercase fragment");
            Err(error.kind().clone())
        }
    }
}

/// Makes the digest right again, so that what has been changed is looked at for itself.
fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let body = bytes.len() - 32;
    let digest = Digest::of(&bytes[..body]);
    bytes[body..].copy_from_slice(&digest.0);
    bytes
}
