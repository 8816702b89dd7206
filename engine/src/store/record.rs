//! One record of a segment: what was put under a number, or that it was removed.
//!
//! ```text
//! at  bytes
//!  0  3      "tkr"
//!  3  1      p: the bytes follow; z: they follow, compressed with zstd; r: removed, none follow
//!  4  8      the number
//! 12  8      how many bytes follow
//! 20  8      how many they are when decompressed
//! 28  16     the first of the BLAKE3 digest of those that follow
//! 44  8      the first of the BLAKE3 digest of these 44
//! ```
//!
//! Numbers are little-endian. The digests tell a record that was written as a whole from one whose
//! writer was killed.

/// Bytes of a record before its contents.
pub(super) const HEADER_BYTES: usize = 52;

const MAGIC: &[u8; 3] = b"tkr";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    Compressed,
    Removed,
}

/// What precedes the contents of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) key: u64,
    /// Bytes of the contents as they are in the file.
    pub(super) stored: u64,
    /// The same when decompressed.
    pub(super) whole: u64,
    digest: [u8; 16],
}

impl Header {
    /// That of a record with these contents.
    pub(super) fn new(kind: Kind, key: u64, contents: &[u8], whole: u64) -> Header {
        let stored = contents.len() as u64;
        Header { kind, key, stored, whole, digest: first(contents) }
    }

    /// Bytes of the whole record.
    pub(super) fn record_bytes(&self) -> u64 {
        self.stored.saturating_add(HEADER_BYTES as u64)
    }

    /// Whether these are its contents.
    pub(super) fn is_of(&self, contents: &[u8]) -> bool {
        self.digest == first(contents)
    }

    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..3].copy_from_slice(MAGIC);
        bytes[3] = match self.kind {
            Kind::Plain => b'p',
            Kind::Compressed => b'z',
            Kind::Removed => b'r',
        };
        bytes[4..12].copy_from_slice(&self.key.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.stored.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.whole.to_le_bytes());
        bytes[28..44].copy_from_slice(&self.digest);
        let check: [u8; 8] = first(&bytes[..44]);
        bytes[44..].copy_from_slice(&check);
        bytes
    }

    /// `None` for what is no whole header.
    pub(super) fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Header> {
        if bytes[..3] != *MAGIC || bytes[44..] != first::<8>(&bytes[..44]) {
            return None;
        }
        let kind = match bytes[3] {
            b'p' => Kind::Plain,
            b'z' => Kind::Compressed,
            b'r' => Kind::Removed,
            _ => return None,
        };
        let number = |at: usize| {
            let (first, _) = bytes[at..].split_first_chunk().expect("8 bytes follow");
            u64::from_le_bytes(*first)
        };
        let (digest, _) = bytes[28..].split_first_chunk().expect("16 bytes follow");
        let header =
            Header { kind, key: number(4), stored: number(12), whole: number(20), digest: *digest };
        Some(header)
    }
}

/// The first bytes of the digest. NB: not `Digest::of`, which would ask all processors for help with
/// a few kilobytes.
fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let digest = blake3::hash(bytes);
    let (first, _) = digest.as_bytes().split_first_chunk().expect("a digest has 32 bytes");
    *first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_whole_or_none() {
        let header = Header::new(Kind::Compressed, 7 << 40, b"contents", 1 << 33);
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes), Some(header));
        assert!(header.is_of(b"contents") && !header.is_of(b"content"));
        for at in 0..HEADER_BYTES {
            let mut damaged = bytes;
            damaged[at] ^= 1;
            assert_eq!(Header::decode(&damaged), None, "byte {at}");
        }
        assert_eq!(Header::decode(&[0; HEADER_BYTES]), None);
    }
}
