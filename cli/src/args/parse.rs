//! Values of flags.

use std::env;
use std::path::PathBuf;

use tasklet_engine::STACK_BYTES_MAX;
use tasklet_engine::wasi::Preopen;

/// Steps: `500`, `20k`, `1.5M`, `2G`, `1_000`.
pub fn steps(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let factor = match unit {
        "" => 1,
        "k" | "K" => 1_000,
        "m" | "M" => 1_000_000,
        "g" | "G" => 1_000_000_000,
        "t" | "T" => 1_000_000_000_000,
        _ => return Err("expected a number like 500, 20k, 1.5M or 2G".into()),
    };
    scaled(number, factor)
}

/// Bytes: `65536`, `64M`, `1.5G`, `64MiB`.
pub fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let unit = unit.to_ascii_lowercase();
    let shift = match unit.trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return Err("expected a size like 65536, 64M or 2G".into()),
    };
    scaled(number, 1 << shift)
}

/// The same, for the frames of calls, of which there cannot be as many as one likes.
pub fn stack_size(text: &str) -> Result<u64, String> {
    match size(text)? {
        bytes @ 0..=STACK_BYTES_MAX => Ok(bytes),
        _ => Err("at most 640M".into()),
    }
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    text.split_at(end)
}

/// `number`, decimal and with a fraction perhaps, times `factor`, if that is a whole number.
fn scaled(number: &str, factor: u64) -> Result<u64, String> {
    let digits = number.replace('_', "");
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let valid = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() && fraction.is_empty() || !valid(whole) || !valid(fraction) {
        return Err("expected a number that is not negative".into());
    }
    let too_large = || String::from("too large");
    let fraction = fraction.trim_end_matches('0');
    let mut value: u128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        let more = value.checked_mul(10).and_then(|v| v.checked_add(u128::from(digit - b'0')));
        value = more.ok_or_else(too_large)?;
    }
    let value = value.checked_mul(factor.into()).ok_or_else(too_large)?;
    let unit = u32::try_from(fraction.len()).ok().and_then(|n| 10u128.checked_pow(n));
    match unit {
        Some(unit) if value % unit == 0 => (value / unit).try_into().map_err(|_| too_large()),
        _ => Err("not a whole number".into()),
    }
}

/// `NAME=VALUE`, or `NAME` for the value it has here.
pub fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, value.to_string()),
        None => {
            let value = env::var(text).map_err(|error| error.to_string())?;
            (text, value)
        }
    };
    if name.is_empty() {
        return Err("the name is missing".into());
    }
    Ok((name.to_string(), value))
}

/// `HOST[::GUEST][:ro]`.
pub fn directory(text: &str) -> Result<Preopen, String> {
    let strip = |text: &str| match text.strip_suffix(":ro") {
        Some(rest) => (rest.to_string(), true),
        None => (text.to_string(), false),
    };
    let (host, guest, read_only) = match text.split_once("::") {
        Some((host, guest)) => {
            let (guest, read_only) = strip(guest);
            (host.to_string(), guest, read_only)
        }
        None => {
            let (host, read_only) = strip(text);
            (host.clone(), host, read_only)
        }
    };
    if host.is_empty() || guest.is_empty() {
        return Err("expected HOST, HOST::GUEST, or one of these with :ro".into());
    }
    Ok(Preopen { host: PathBuf::from(host), guest, read_only })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_exact() {
        let cases = [
            ("0", 0),
            ("575", 575),
            ("1_000", 1000),
            ("2k", 2000),
            ("1.5M", 1_500_000),
            (".5k", 500),
            ("1.2345k", 0),
            ("0.0010k", 1),
            ("18446744073709551615", u64::MAX),
        ];
        for (text, expected) in cases {
            assert_eq!(steps(text).unwrap_or(0), expected, "{text}");
        }
        for text in ["", "k", ".", "-1", "1e3", "1.2345k", "1x", "18446744073709551616", "1 k"] {
            assert!(steps(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_of_1024() {
        let cases = [("65536", 65536), ("64M", 64 << 20), ("1.5g", 3 << 29), ("64KiB", 65536)];
        for (text, expected) in cases {
            assert_eq!(size(text), Ok(expected), "{text}");
        }
        assert!(size("64X").is_err());
    }

    #[test]
    fn directories_have_names_and_modes() {
        let cases = [
            ("a", "a", "a", false),
            ("a:ro", "a", "a", true),
            ("a::b", "a", "b", false),
            ("a::b:ro", "a", "b", true),
            ("a::ro", "a", "ro", false),
            ("C:\\x::/x:ro", "C:\\x", "/x", true),
        ];
        for (text, host, guest, read_only) in cases {
            let (host, guest) = (PathBuf::from(host), guest.to_string());
            assert_eq!(directory(text), Ok(Preopen { host, guest, read_only }), "{text}");
        }
        for text in ["", "::", "a::", "::b", "a:::ro"] {
            assert!(directory(text).is_err(), "{text}");
        }
    }

    #[test]
    fn stacks_are_bounded() {
        assert_eq!(stack_size("640M"), Ok(STACK_BYTES_MAX));
        assert_eq!(stack_size("641M"), Err("at most 640M".into()));
    }
}
