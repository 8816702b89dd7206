//! A program that has a system and takes part in a scheduler: WASI's arguments, files and output, and
//! tasklets and channels beside them. Each argument is the name of a file; each is read by a tasklet of
//! its own, which says how many lines and words it has.

use std::collections::BTreeSet;
use std::fs;

use tasklet_guest::{Channel, Error, Preference, argument, entry, id, spawn, yield_now};

entry! {
    /// Reads one file. It is told on which channel to report, and the name.
    fn reader() {
        let told = argument();
        let (number, name) = told.split_at(4);
        let number = u32::from_le_bytes(number.try_into().expect("these are four bytes"));
        let name = String::from_utf8_lossy(name);
        read(Channel::numbered(number), &name).expect("the reports are read");
    }
}

fn main() {
    let names: Vec<String> = std::env::args().skip(1).collect();
    println!("{} files", names.len());
    match report(&names) {
        Ok(words) => println!("{words} words in all"),
        Err(error) => {
            eprintln!("report: {error}");
            std::process::exit(1);
        }
    }
}

fn report(names: &[String]) -> Result<u64, Error> {
    let reports = Channel::new(Preference::Neither)?;
    for name in names {
        spawn("reader", &[&reports.number().to_le_bytes(), name.as_bytes()].concat())?;
    }
    let mut words = 0;
    let mut readers = BTreeSet::new();
    for _ in names {
        let report = reports.receive()?;
        let (reader, count) = report.split_at(8);
        readers.insert(reader.to_vec());
        words += u64::from_le_bytes(count.try_into().expect("these are eight bytes"));
    }
    assert_eq!(readers.len(), names.len(), "each was read by another tasklet");
    Ok(words)
}

fn read(reports: Channel, name: &str) -> Result<(), Error> {
    let text = match fs::read_to_string(name) {
        Ok(text) => text,
        Err(error) => {
            println!("{name}: {error}");
            String::new()
        }
    };
    let mut words = 0;
    for (number, line) in (1..).zip(text.lines()) {
        let more = line.split_whitespace().count() as u64;
        println!("{name}: line {number} has {more} words");
        words += more;
        yield_now()?;
    }
    reports.send(&[id().number().to_le_bytes(), words.to_le_bytes()].concat())
}
