//! Values of serde's as deterministic CBOR: messages, and the state of restartable imports.
//!
//! One value has one encoding, that of RFC 8949 section 4.2.1: shortest numbers and lengths, the
//! keys of maps sorted by their encoded bytes. What is decoded need not be in that form.

use ciborium::Value;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// How deep arrays, maps and tags may be nested in what is decoded: it is walked recursively.
const DEPTH_MAX: usize = 64;

/// The encoding of a value, of at most so many bytes.
pub(crate) fn encode(value: &impl Serialize, bytes_max: usize) -> Result<Vec<u8>, Error> {
    let refused = |what: String| Error::Encoding { verb: "encode", what };
    let mut value = Value::serialized(value).map_err(|error| refused(error.to_string()))?;
    sort(&mut value, DEPTH_MAX).map_err(|what| refused(what.to_string()))?;
    let mut bytes = Vec::new();
    ciborium::into_writer(&value, &mut bytes).map_err(|error| refused(error.to_string()))?;
    match bytes.len() <= bytes_max {
        true => Ok(bytes),
        false => Err(refused(format!("{} bytes are more than {bytes_max}", bytes.len()))),
    }
}

/// The value of an encoding, which is not trusted.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8], bytes_max: usize) -> Result<T, Error> {
    let refused = |what: String| Error::Encoding { verb: "decode", what };
    if bytes.len() > bytes_max {
        return Err(refused(format!("{} bytes are more than {bytes_max}", bytes.len())));
    }
    let mut rest = bytes;
    let value = ciborium::de::from_reader_with_recursion_limit(&mut rest, DEPTH_MAX)
        .map_err(|error| refused(error.to_string()))?;
    match rest.len() {
        0 => Ok(value),
        more => Err(refused(format!("{more} bytes follow the value"))),
    }
}

/// Puts the keys of maps in order, which are unique.
fn sort(value: &mut Value, depth: usize) -> Result<(), &'static str> {
    let depth_left = depth.checked_sub(1);
    match value {
        Value::Array(items) => {
            let depth = depth_left.ok_or("it is nested too deep")?;
            items.iter_mut().try_for_each(|item| sort(item, depth))
        }
        Value::Tag(_, inner) => sort(inner, depth_left.ok_or("it is nested too deep")?),
        Value::Map(pairs) => {
            let depth = depth_left.ok_or("it is nested too deep")?;
            let mut keyed = Vec::with_capacity(pairs.len());
            for (mut key, mut item) in std::mem::take(pairs) {
                sort(&mut key, depth)?;
                sort(&mut item, depth)?;
                let mut bytes = Vec::new();
                ciborium::into_writer(&key, &mut bytes).map_err(|_| "a key cannot be written")?;
                keyed.push((bytes, (key, item)));
            }
            keyed.sort_by(|(a, _), (b, _)| a.cmp(b));
            if !keyed.is_sorted_by(|(a, _), (b, _)| a < b) {
                return Err("a map has a key twice");
            }
            *pairs = keyed.into_iter().map(|(_, pair)| pair).collect();
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn one_value_has_one_encoding() {
        let names = ["z", "a", "aa", "b", "longest"];
        let map: HashMap<&str, f64> = names.into_iter().zip([0.5, 1.0, 1e300, 0.1, -2.0]).collect();
        let bytes = encode(&map, 1000).unwrap();
        // a5 61 61 f9 3c 00: five pairs, the shortest key first, 1.0 as a half.
        assert_eq!(&bytes[..6], [0xa5, 0x61, b'a', 0xf9, 0x3c, 0x00]);
        let again: HashMap<String, f64> = decode(&bytes, 1000).unwrap();
        assert_eq!(again.len(), 5);
        assert_eq!(encode(&again, 1000).unwrap(), bytes);
        assert_eq!(again["aa"], 1e300);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let error = |bytes: &[u8], max| decode::<Vec<u32>>(bytes, max).unwrap_err().to_string();
        assert_eq!(error(&[0x81, 7], 1), "cannot decode as CBOR: 2 bytes are more than 1");
        assert_eq!(error(&[0x81, 7, 7], 9), "cannot decode as CBOR: 1 bytes follow the value");
        assert!(error(&[0x61, b'a'], 9).contains("cannot decode as CBOR: "));
        // Lengths are not believed.
        assert!(error(&[0x9b, 0, 0, 0xff, 0, 0, 0, 0, 0, 1], 99).contains("cannot decode"));
        let deep = vec![0x81; 1000];
        assert!(decode::<Value>(&deep, 9999).is_err());
        let error = encode(&vec![7u8; 100], 99).unwrap_err().to_string();
        assert_eq!(error, "cannot encode as CBOR: 102 bytes are more than 99");
        let pairs = Value::Map(vec![(1.into(), 2.into()), (1.into(), 3.into())]);
        assert!(encode(&pairs, 99).unwrap_err().to_string().contains("a key twice"));
        let mut nested = Value::Null;
        for _ in 0..65 {
            nested = Value::Array(vec![nested]);
        }
        assert!(encode(&nested, 999).is_err());
    }
}
