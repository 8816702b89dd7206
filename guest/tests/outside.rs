//! The crate where there is no scheduler, and what of it needs none.

use std::time::Duration;

use tasklet_guest::{Channel, Error, argument, atomic, block_trap, id, sleep, spawn, steps_left};

#[test]
fn whatever_would_ask_says_that_nobody_is_there() {
    assert_eq!(Channel::named("c"), Err(Error::NotAGuest));
    assert_eq!(spawn("entry", b""), Err(Error::NotAGuest));
    assert_eq!(sleep(Duration::MAX), Err(Error::NotAGuest));
    assert_eq!(tasklet_guest::yield_now(), Err(Error::NotAGuest));
    assert_eq!(tasklet_guest::park(), Err(Error::NotAGuest));
    assert_eq!(atomic().unwrap_err(), Error::NotAGuest);
    assert_eq!(block_trap().unwrap_err(), Error::NotAGuest);
    assert_eq!((id().number(), steps_left(), argument()), (0, None, vec![]));
    assert_eq!(Error::NotAGuest.to_string(), "this is not a tasklet of a scheduler");
}

#[cfg(feature = "cbor")]
#[test]
fn values_are_cbor_and_nothing_behind_it() {
    use tasklet_guest::{decode, encode};

    let bytes = encode(&("a", 1)).unwrap();
    assert_eq!(bytes, [0x82, 0x61, b'a', 1]);
    assert_eq!(decode::<(String, u8)>(&bytes), Ok(("a".to_string(), 1)));
    assert_eq!(decode::<u8>(&bytes), Err(Error::Cbor));
    assert_eq!(decode::<u8>(&[1, 1]), Err(Error::Cbor));
    assert_eq!(decode::<u8>(&[]), Err(Error::Cbor));
}
