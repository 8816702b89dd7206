//! Programs that make a few calls of WASI and tell what came back, as `tests/wasi/states.txt` lists
//! them.
//!
//! - [`words`] are the names of numbers there.
//! - [`scene`] is what the programs find: folders, arguments, standard input.
//! - [`guest`] makes a module of a case, with a place to pause between any two calls.

pub mod guest;
pub mod scene;
pub mod words;

use std::fs;

use anyhow::{Context, bail, ensure};
use tasklet_engine::wasi::Function;

/// A few calls, and what they are about.
#[derive(Debug, Clone)]
pub struct Case {
    /// The function whose state it is about.
    pub about: Function,
    /// What is told of it.
    pub title: String,
    /// Whether time is the host's.
    pub host_clock: bool,
    /// Whether the run is a deterministic one.
    pub deterministic: bool,
    /// In order.
    pub calls: Vec<Call>,
    /// The exit code, if it does not return.
    pub exit: Option<u32>,
}

/// A call, and what it is to answer.
#[derive(Debug, Clone)]
pub struct Call {
    /// What is called.
    pub function: Function,
    /// As they are written; some stand for two.
    pub args: Vec<Arg>,
    /// The number it returns.
    pub errno: u16,
    /// What it puts into the guest's memory, if that is known.
    pub answers: Option<Vec<Answer>>,
    /// Its line.
    pub text: String,
}

/// An argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arg {
    /// The number itself.
    Number(u64),
    /// Bytes: where they lie, and how many there are.
    Bytes(Vec<u8>),
    /// One buffer with these bytes.
    Written(Vec<u8>),
    /// One buffer of that size.
    Read(u32),
    /// Room for so many bytes, of which the parts count: offset and size.
    Out(u32, Vec<(u32, u32)>),
    /// Room for a time of the host's.
    Time,
    /// Subscriptions, 48 bytes each.
    Subscriptions(Vec<u8>),
}

/// What is to be found in a part of the memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A number as long as the part.
    Number(u64),
    /// Bytes; zeros may follow.
    Bytes(Vec<u8>),
}

/// All cases of `tests/wasi/states.txt`.
///
/// # Errors
///
/// If a line is not as the head of that file says.
pub fn all() -> anyhow::Result<Vec<Case>> {
    let text = fs::read_to_string(crate::root().join("tests/wasi/states.txt"))?;
    let mut cases: Vec<Case> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let what = || format!("line {number}: {line}");
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(line) = line.strip_prefix("    ") {
            let case = cases.last_mut().with_context(what)?;
            case.line(line.trim()).with_context(what)?;
        } else {
            cases.push(Case::begun(line).with_context(what)?);
        }
    }
    Ok(cases)
}

impl Case {
    fn begun(line: &str) -> anyhow::Result<Case> {
        let (name, title) = line.split_once(": ").context("a function and what it is about")?;
        Ok(Case {
            about: Function::by_name(name).context("no such function")?,
            title: title.into(),
            host_clock: false,
            deterministic: false,
            calls: Vec::new(),
            exit: None,
        })
    }

    fn line(&mut self, line: &str) -> anyhow::Result<()> {
        match line.split_once(' ') {
            Some(("given", "clock host")) => self.host_clock = true,
            Some(("given", "deterministic")) => self.deterministic = true,
            Some(("ends", code)) => self.exit = Some(code.parse()?),
            _ => self.calls.push(Call::parse(line)?),
        }
        Ok(())
    }

    /// The last of its calls of the function it is about.
    pub fn call_about(&self) -> Option<usize> {
        self.calls.iter().rposition(|call| call.function == self.about)
    }

    /// How it is named in messages.
    pub fn name(&self) -> String {
        format!("{}: {}", self.about.name(), self.title)
    }
}

impl Call {
    fn parse(line: &str) -> anyhow::Result<Call> {
        let mut words = tokens(line)?.into_iter();
        let name = words.next().context("a call")?;
        let function = Function::by_name(&name).context("no such function")?;
        let (mut args, mut errno, mut answers) = (Vec::new(), 0, None);
        while let Some(word) = words.next() {
            match &*word {
                "!" => errno = words::errno(&words.next().context("an error")?)?,
                "->" => {
                    answers =
                        Some(words.by_ref().map(|word| answer(&word)).collect::<Result<_, _>>()?);
                }
                word => args.push(arg(word)?),
            }
        }
        let call = Call { function, args, errno, answers, text: line.into() };
        let given: usize = call.args.iter().map(Arg::values).sum();
        let wanted = function.params().len();
        ensure!(wanted == given, "it takes {wanted} arguments, not {given}");
        Ok(call)
    }

    /// Of the record of its answer what is the same everywhere: the number it returned, and what it
    /// put into memory.
    pub fn answered(&self, record: &[u8]) -> (u16, Vec<Vec<u8>>) {
        let part = |(at, size): (u32, u32)| record[at as usize..(at + size) as usize].to_vec();
        let errno = u16::from_le_bytes([record[0], record[1]]);
        (errno, self.parts().into_iter().map(part).collect())
    }

    /// Offset in the record, and size.
    fn parts(&self) -> Vec<(u32, u32)> {
        let mut parts = Vec::new();
        let mut at = guest::FIRST_OUT;
        for arg in &self.args {
            match arg {
                Arg::Read(size) => parts.push((at, *size)),
                Arg::Out(_, inner) => {
                    parts.extend(inner.iter().map(|(from, size)| (at + from, *size)))
                }
                _ => {}
            }
            at += guest::aligned(arg.room());
        }
        parts
    }
}

impl Arg {
    /// How many values are passed for it.
    fn values(&self) -> usize {
        match self {
            Arg::Bytes(_) | Arg::Written(_) | Arg::Read(_) => 2,
            _ => 1,
        }
    }

    /// Bytes that the call may put something into.
    fn room(&self) -> u32 {
        match self {
            Arg::Read(size) | Arg::Out(size, _) => *size,
            Arg::Time => 8,
            _ => 0,
        }
    }
}

/// Words, strings with what is before the first quote, and brackets with what is in them.
fn tokens(line: &str) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let word = rest.find([' ', '"', '[']).unwrap_or(rest.len());
        let end = match rest[word..].chars().next() {
            Some('"') => word + 2 + rest[word + 1..].find('"').context("a string has an end")?,
            Some('[') => word + 1 + rest[word..].find(']').context("a bracket has an end")?,
            _ => word,
        };
        found.push(rest[..end].into());
        rest = rest[end..].trim_start();
    }
    Ok(found)
}

fn arg(word: &str) -> anyhow::Result<Arg> {
    Ok(match word.chars().next() {
        Some('"') => Arg::Bytes(string(word)?),
        Some('>') => Arg::Written(string(&word[1..])?),
        Some('<') => Arg::Read(word[1..].parse()?),
        Some('@') if word.ends_with('~') => Arg::Time,
        Some('@') => match word[1..].split_once(':') {
            None => {
                let size = word[1..].parse()?;
                Arg::Out(size, vec![(0, size)])
            }
            Some((size, parts)) => {
                let parts = parts.split(',').filter(|part| !part.is_empty());
                Arg::Out(size.parse()?, parts.map(part).collect::<Result<_, _>>()?)
            }
        },
        Some('[') => Arg::Subscriptions(subscriptions(word.trim_matches(['[', ']']))?),
        _ => Arg::Number(words::number(word)?),
    })
}

fn part(text: &str) -> anyhow::Result<(u32, u32)> {
    let (from, size) = text.split_once('+').context("offset + size")?;
    Ok((from.parse()?, size.parse()?))
}

fn answer(word: &str) -> anyhow::Result<Answer> {
    match word.starts_with('"') {
        true => Ok(Answer::Bytes(string(word)?)),
        false => Ok(Answer::Number(words::number(word)?)),
    }
}

fn string(word: &str) -> anyhow::Result<Vec<u8>> {
    let inner = word.strip_prefix('"').and_then(|word| word.strip_suffix('"'));
    let inner = inner.context("a string in quotes")?;
    Ok(inner.replace("\\n", "\n").replace("\\0", "\0").into_bytes())
}

fn subscriptions(text: &str) -> anyhow::Result<Vec<u8>> {
    const CLOCK: u8 = 0;
    const READ: u8 = 1;
    const WRITE: u8 = 2;
    let mut bytes = Vec::new();
    for (user, one) in (100u64..).zip(text.split(", ")) {
        let words: Vec<&str> = one.split(' ').collect();
        let mut entry = [0; 48];
        entry[..8].copy_from_slice(&user.to_le_bytes());
        let mut set = |kind: u8, id: &str| -> anyhow::Result<()> {
            entry[8] = kind;
            entry[16..20].copy_from_slice(&id.parse::<u32>()?.to_le_bytes());
            Ok(())
        };
        match words[..] {
            ["read", fd] => set(READ, fd)?,
            ["write", fd] => set(WRITE, fd)?,
            ["clock", id, timeout, flags] => {
                set(CLOCK, id)?;
                entry[24..32].copy_from_slice(&timeout.parse::<u64>()?.to_le_bytes());
                entry[40..42].copy_from_slice(&flags.parse::<u16>()?.to_le_bytes());
            }
            _ => bail!("no such subscription: {one}"),
        }
        bytes.extend(entry);
    }
    Ok(bytes)
}
