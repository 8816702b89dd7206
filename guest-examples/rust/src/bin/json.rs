//! json [ROUNDS = 4]: a small JSON reader and writer at work: builds a document
//! as text, reads it, changes it, writes it, and reads that again.
//!
//! Strings, vectors, trees on the heap, recursion, enums, errors by `Result`.

use std::collections::BTreeMap;
use std::fmt;

#[derive(PartialEq)]
enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

struct Reader<'a> {
    rest: &'a str,
    whole: usize,
}

type Result<T> = std::result::Result<T, String>;

impl<'a> Reader<'a> {
    fn fail<T>(&self, expected: &str) -> Result<T> {
        Err(format!("expected {expected} at byte {}", self.whole - self.rest.len()))
    }

    /// Takes `token` off the front, after white space, if it is there.
    fn take(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_ascii_start();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self) -> Result<Json> {
        if self.take("null") {
            Ok(Json::Null)
        } else if self.take("true") {
            Ok(Json::Bool(true))
        } else if self.take("false") {
            Ok(Json::Bool(false))
        } else if self.take("\"") {
            self.text().map(Json::Text)
        } else if self.take("[") {
            let mut list = Vec::new();
            if self.take("]") {
                return Ok(Json::List(list));
            }
            loop {
                list.push(self.value()?);
                if self.take("]") {
                    return Ok(Json::List(list));
                }
                if !self.take(",") {
                    return self.fail("a comma or ]");
                }
            }
        } else if self.take("{") {
            let mut object = BTreeMap::new();
            if self.take("}") {
                return Ok(Json::Object(object));
            }
            loop {
                if !self.take("\"") {
                    return self.fail("a key");
                }
                let key = self.text()?;
                if !self.take(":") {
                    return self.fail("a colon");
                }
                object.insert(key, self.value()?);
                if self.take("}") {
                    return Ok(Json::Object(object));
                }
                if !self.take(",") {
                    return self.fail("a comma or }");
                }
            }
        } else {
            let end = self
                .rest
                .find(|c: char| !c.is_ascii_digit() && !"+-.eE".contains(c))
                .unwrap_or(self.rest.len());
            match self.rest[..end].parse() {
                Ok(number) => {
                    self.rest = &self.rest[end..];
                    Ok(Json::Number(number))
                }
                Err(_) => self.fail("a value"),
            }
        }
    }

    /// The rest of a string whose opening quote is gone.
    fn text(&mut self) -> Result<String> {
        let mut text = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(text);
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, c @ ('"' | '\\' | '/'))) => text.push(c),
                    _ => return self.fail("an escape sequence"),
                },
                c => text.push(c),
            }
        }
        self.fail("a closing quote")
    }
}

fn read(text: &str) -> Result<Json> {
    let mut reader = Reader { rest: text, whole: text.len() };
    let value = reader.value()?;
    match reader.rest.trim_ascii().is_empty() {
        true => Ok(value),
        false => reader.fail("the end"),
    }
}

fn write_text(f: &mut fmt::Formatter, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(b) => write!(f, "{b}"),
            Json::Number(n) => write!(f, "{n}"),
            Json::Text(t) => write_text(f, t),
            Json::List(list) => {
                f.write_str("[")?;
                for (i, value) in list.iter().enumerate() {
                    write!(f, "{}{value}", if i > 0 { "," } else { "" })?;
                }
                f.write_str("]")
            }
            Json::Object(object) => {
                f.write_str("{")?;
                for (i, (key, value)) in object.iter().enumerate() {
                    f.write_str(if i > 0 { "," } else { "" })?;
                    write_text(f, key)?;
                    write!(f, ":{value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

/// Doubles the numbers, turns the lists round, shouts the strings.
fn change(value: &mut Json) {
    match value {
        Json::Null => *value = Json::Bool(false),
        Json::Bool(b) => *b = !*b,
        Json::Number(n) => *n *= 2.0,
        Json::Text(t) => *t = t.to_ascii_uppercase(),
        Json::List(list) => {
            list.reverse();
            list.iter_mut().for_each(change);
        }
        Json::Object(object) => object.values_mut().for_each(change),
    }
}

fn count(value: &Json) -> usize {
    1 + match value {
        Json::List(list) => list.iter().map(count).sum(),
        Json::Object(object) => object.values().map(count).sum(),
        _ => 0,
    }
}

fn main() {
    let rounds = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(4);
    let people: Vec<String> = (1..=20)
        .map(|i| {
            format!(
                r#"{{"id": {i}, "name": "person \"{i}\"", "weight": {:.2}, "tags": ["a{}", "ü{}", null], "active": {}}}"#,
                50.0 + f64::from(i) * 0.75,
                i % 3,
                i % 5,
                i % 2 == 0
            )
        })
        .collect();
    let text = format!("{{\"people\": [{}],\n \"empty\": [[], {{}}], \"line\": \"a\\tb\\n\"}}", people.join(",\n"));

    let mut document = read(&text).expect("our own text");
    println!("read {} bytes, {} values", text.len(), count(&document));
    for round in 1..=rounds {
        change(&mut document);
        let written = document.to_string();
        let again = read(&written).expect("what we wrote");
        let hash = written.bytes().fold(0xcbf29ce484222325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100000001b3));
        println!("round {round}: {} bytes, {hash:016x}, same: {}", written.len(), again == document);
    }
    if let Json::Object(object) = &document
        && let Some(Json::List(people)) = object.get("people")
    {
        println!("{}\n{}", people[0], people[people.len() - 1]);
    }
    for broken in ["", "[1, 2", "{\"a\" 1}", "\"open", "[1] 2", "[\"\\x\"]", "tru"] {
        if let Err(why) = read(broken) {
            println!("{broken:9} {why}");
        }
    }
}
