//! Deterministic CBOR in: strict heads, exact keys, limits.

use std::borrow::Cow;
use std::io::Read;

use super::source::{BUFFER_BYTES, Source};
use super::writer::{major, simple};
use super::{Digest, Error, ErrorKind, Limits, VERSION};

/// A CBOR reader that accepts the deterministic encoding only and keeps to limits.
pub(super) struct Reader<'r> {
    source: Source<'r>,
    /// The format's version that is being read, once that is known.
    pub version: u64,
    pub limits: Limits,
    /// What is left of those limits that are totals.
    left: Limits,
}

/// A map being read: the pairs not read yet.
pub(super) struct Map {
    left: u64,
}

impl<'r> Reader<'r> {
    pub fn new(input: &'r mut dyn Read, limits: &Limits) -> Reader<'r> {
        Reader::of(Source::new(input), limits)
    }

    pub fn of(source: Source<'r>, limits: &Limits) -> Reader<'r> {
        Reader { source, version: VERSION, limits: *limits, left: *limits }
    }

    /// Offset in the input of the next byte.
    pub fn at(&self) -> u64 {
        self.source.at()
    }

    /// Takes `amount` from the limit `field`.
    pub fn spend(
        &mut self,
        at: u64,
        amount: u64,
        field: fn(&mut Limits) -> &mut u64,
        what: &'static str,
    ) -> Result<(), Error> {
        let left = field(&mut self.left);
        *left = left.checked_sub(amount).ok_or(ErrorKind::Limit {
            at,
            what,
            limit: *field(&mut self.limits),
        })?;
        Ok(())
    }

    /// Fails as malformed at `at` unless the rule holds.
    pub fn rule(&self, at: u64, rule: Result<(), &'static str>) -> Result<(), Error> {
        rule.map_err(|what| Error::malformed(at, what))
    }

    /// Reads the digest and the end of the input, and compares.
    pub fn finish(mut self) -> Result<Digest, Error> {
        let at = self.at();
        if self.expect(major::BYTES, "a digest")? != 32 {
            return Err(Error::malformed(at, "a digest has 32 bytes"));
        }
        let computed = self.source.digest();
        if self.source.fixed()? != computed.0 {
            return Err(ErrorKind::Digest.into());
        }
        let at = self.at();
        if self.source.ended()? {
            Ok(computed)
        } else {
            Err(Error::malformed(at, "bytes follow the digest"))
        }
    }

    /// Reads exactly these bytes; `false` if others are there.
    pub fn literal(&mut self, bytes: &[u8]) -> Result<bool, Error> {
        for &expected in bytes {
            if self.source.byte()? != expected {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads the body of a byte string whose head is consumed.
    pub fn raw(&mut self, len: u64) -> Result<Vec<u8>, Error> {
        self.source.raw(len)
    }

    /// The same of what may be long: lent, if the input is in memory.
    pub fn bulk(&mut self, len: u64) -> Result<Cow<'r, [u8]>, Error> {
        self.source.bulk(len)
    }

    /// Reads one byte as it is.
    pub fn byte(&mut self) -> Result<u8, Error> {
        self.source.byte()
    }

    /// Reads a head and returns its major type and argument.
    pub fn head(&mut self) -> Result<(u8, u64), Error> {
        let at = self.at();
        let first = self.byte()?;
        let (major, info) = (first >> 5, first & 31);
        if info < 24 {
            return Ok((major, u64::from(info)));
        }
        if major == major::SIMPLE {
            return Err(Error::malformed(at, "floats and simple values beyond null are not used"));
        }
        let (argument, least) = match info {
            24 => (u64::from(self.byte()?), 24),
            25 => (u64::from(u16::from_be_bytes(self.source.fixed()?)), 1 << 8),
            26 => (u64::from(u32::from_be_bytes(self.source.fixed()?)), 1 << 16),
            27 => (u64::from_be_bytes(self.source.fixed()?), 1 << 32),
            31 => return Err(Error::malformed(at, "indefinite lengths are not used")),
            _ => return Err(Error::malformed(at, "reserved additional information")),
        };
        if argument < least {
            return Err(Error::malformed(at, "a number is not in its shortest form"));
        }
        Ok((major, argument))
    }

    /// Reads a head of the major type and returns its argument.
    pub fn expect(&mut self, major: u8, what: &str) -> Result<u64, Error> {
        let at = self.at();
        match self.head()? {
            (found, argument) if found == major => Ok(argument),
            _ => Err(Error::malformed(at, format!("expected {what}"))),
        }
    }

    pub fn unsigned(&mut self, what: &str) -> Result<u64, Error> {
        self.expect(major::UNSIGNED, what)
    }

    pub fn u32(&mut self, what: &str) -> Result<u32, Error> {
        let at = self.at();
        let value = self.unsigned(what)?;
        u32::try_from(value).map_err(|_| Error::malformed(at, format!("{what} beyond 32 bits")))
    }

    pub fn integer(&mut self, what: &str) -> Result<i64, Error> {
        let at = self.at();
        let (found, argument) = self.head()?;
        match (found, i64::try_from(argument)) {
            (major::UNSIGNED, Ok(value)) => Ok(value),
            (major::NEGATIVE, Ok(value)) => Ok(!value),
            (major::UNSIGNED | major::NEGATIVE, Err(_)) => {
                Err(Error::malformed(at, format!("{what} beyond 64 bits")))
            }
            _ => Err(Error::malformed(at, format!("expected {what}"))),
        }
    }

    /// Reads the text of `len` bytes whose head is consumed.
    pub fn text_body(&mut self, at: u64, len: u64) -> Result<String, Error> {
        String::from_utf8(self.raw(len)?).map_err(|_| Error::malformed(at, "text is not UTF-8"))
    }

    pub fn text(&mut self, what: &str) -> Result<String, Error> {
        let at = self.at();
        let len = self.expect(major::TEXT, what)?;
        self.text_of(at, len)
    }

    /// Reads a text, or a number instead of one.
    pub fn text_or_number(&mut self, what: &str) -> Result<Result<String, u64>, Error> {
        let at = self.at();
        match self.head()? {
            (major::TEXT, len) => self.text_of(at, len).map(Ok),
            (major::UNSIGNED, number) => Ok(Err(number)),
            _ => Err(Error::malformed(at, format!("expected {what}"))),
        }
    }

    fn text_of(&mut self, at: u64, len: u64) -> Result<String, Error> {
        let limit = self.limits.text_bytes;
        if len > limit {
            return Err(ErrorKind::Limit { at, what: "bytes of a text", limit }.into());
        }
        self.text_body(at, len)
    }

    /// Reads a byte string of exactly `N` bytes.
    pub fn bytes<const N: usize>(&mut self, what: &str) -> Result<[u8; N], Error> {
        let at = self.at();
        if self.expect(major::BYTES, what)? != N as u64 {
            return Err(Error::malformed(at, format!("{what} has {N} bytes")));
        }
        self.source.fixed()
    }

    /// Consumes a null if one is next.
    pub fn null(&mut self) -> Result<bool, Error> {
        let found = self.source.peek()? == major::SIMPLE << 5 | simple::NULL as u8;
        if found {
            self.source.byte()?;
        }
        Ok(found)
    }

    pub fn bool(&mut self, what: &str) -> Result<bool, Error> {
        let at = self.at();
        match self.head()? {
            (major::SIMPLE, simple::FALSE) => Ok(false),
            (major::SIMPLE, simple::TRUE) => Ok(true),
            _ => Err(Error::malformed(at, format!("expected {what}"))),
        }
    }

    pub fn index_or_null(&mut self, what: &str) -> Result<Option<u32>, Error> {
        Ok(if self.null()? { None } else { Some(self.u32(what)?) })
    }

    /// Reads the head of an array of exactly `len` items.
    pub fn tuple(&mut self, len: u64, what: &str) -> Result<(), Error> {
        let at = self.at();
        match self.expect(major::ARRAY, what)? {
            found if found == len => Ok(()),
            _ => Err(Error::malformed(at, format!("{what} has {len} parts"))),
        }
    }

    /// Reads `[name, parts...]` as far as the name, and returns that with the number of parts.
    pub fn choice(&mut self, what: &str) -> Result<(String, u64), Error> {
        let at = self.at();
        match self.expect(major::ARRAY, what)?.checked_sub(1) {
            Some(parts) => Ok((self.text(what)?, parts)),
            None => Err(Error::malformed(at, format!("{what} is empty"))),
        }
    }

    /// Reads an array whose length is taken from the limit `field`.
    pub fn list<T>(
        &mut self,
        field: fn(&mut Limits) -> &mut u64,
        what: &'static str,
        item: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let at = self.at();
        let len = self.expect(major::ARRAY, what)?;
        self.spend(at, len, field, what)?;
        self.items(len, item)
    }

    /// Reads a map of arbitrary keys whose length is taken from the limit `field`.
    pub fn pairs<T>(
        &mut self,
        field: fn(&mut Limits) -> &mut u64,
        what: &'static str,
        pair: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let at = self.at();
        let len = self.expect(major::MAP, what)?;
        self.spend(at, len, field, what)?;
        self.items(len, pair)
    }

    /// Reads `len` items, making room for a buffer's worth ahead.
    pub fn items<T>(
        &mut self,
        len: u64,
        mut item: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut items = Vec::with_capacity(ahead::<T>(len));
        for _ in 0..len {
            items.push(item(self)?);
        }
        Ok(items)
    }

    // ---- maps of the format's own keys ----

    pub fn map(&mut self, what: &str) -> Result<Map, Error> {
        Ok(Map { left: self.expect(major::MAP, what)? })
    }

    /// Reads a key, which must be `key`: all keys are there, in their one order.
    pub fn key(&mut self, map: &mut Map, key: &'static str) -> Result<(), Error> {
        let at = self.at();
        if map.left == 0 {
            return Err(Error::malformed(at, format!("key {key:?} is missing")));
        }
        map.left -= 1;
        let found = self.text("a key")?;
        if found == key { Ok(()) } else { Err(unexpected(at, &found, &format!("{key:?}"))) }
    }

    /// Ends a map: a key too many is named.
    pub fn end(&mut self, map: Map) -> Result<(), Error> {
        if map.left == 0 {
            return Ok(());
        }
        let at = self.at();
        let found = self.text("a key")?;
        Err(unexpected(at, &found, "none"))
    }
}

fn unexpected(at: u64, found: &str, expected: &str) -> Error {
    // NB: the key is a stranger's text of any length, and goes to a terminal.
    let found: String = found.chars().take(40).collect();
    Error::malformed(at, format!("unexpected key {found:?}, expected {expected}"))
}

/// How many items to make room for before any has arrived.
pub(super) fn ahead<T>(len: u64) -> usize {
    let most = BUFFER_BYTES / size_of::<T>().max(1);
    usize::try_from(len).map_or(most, |len| len.min(most))
}
