//! Names of the numbers of preview 1, as `tests/wasi/states.txt` uses them.

use anyhow::Context;
use tasklet_engine::wasi::Errno;

/// Of every kind; no word means two things that are passed at one place.
const WORDS: &[(&str, u64)] = &[
    // clockid
    ("realtime", 0),
    ("monotonic", 1),
    // rights
    ("read", 1 << 1),
    ("write", 1 << 6),
    // lookupflags
    ("follow", 1),
    // oflags
    ("creat", 1),
    ("directory", 2),
    ("excl", 4),
    ("trunc", 8),
    // fdflags
    ("append", 1),
    ("nonblock", 4),
    ("sync", 16),
    // whence
    ("set", 0),
    ("cur", 1),
    ("end", 2),
    // fstflags
    ("atim", 1),
    ("mtim", 4),
    ("mtim_now", 8),
    // advice
    ("willneed", 3),
    ("dontneed", 4),
];

const ERRNOS: &[Errno] = &[
    Errno::Badf,
    Errno::Exist,
    Errno::Inval,
    Errno::Nametoolong,
    Errno::Noent,
    Errno::Notempty,
    Errno::Notsock,
    Errno::Notsup,
    Errno::Perm,
    Errno::Spipe,
];

/// A number, or words with `|` between.
///
/// # Errors
///
/// If it is neither.
pub fn number(text: &str) -> anyhow::Result<u64> {
    if let Some(digits) = text.strip_prefix("0x") {
        return Ok(u64::from_str_radix(digits, 16)?);
    }
    if text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        return Ok(text.parse::<i128>()? as u64);
    }
    text.split('|').try_fold(0, |all, word| {
        let (_, value) = WORDS
            .iter()
            .find(|(name, _)| *name == word)
            .with_context(|| format!("no number: {word}"))?;
        Ok(all | value)
    })
}

/// An error number by its name.
///
/// # Errors
///
/// If it has none.
pub fn errno(name: &str) -> anyhow::Result<u16> {
    let named = |errno: &&Errno| format!("{errno:?}").eq_ignore_ascii_case(name);
    Ok(ERRNOS.iter().find(named).with_context(|| format!("no such error: {name}"))?.code())
}
