//! The state of every call of WASI preview 1, across a pause.
//!
//! > A program that makes a few calls == the same paused between any two of them, in one process or
//! > loaded into a fresh store, and == moved into another process right before and right after the
//! > call it is about: what the calls answer, what is printed, how it ends, what is in its folders
//! > and the steps it takes.
//!
//! `tests/wasi/states.txt` lists the programs and what their calls are to answer, so that runs that
//! are wrong in the same way are not taken for right ones. Every function of the implementation has
//! to be there.
#![cfg(unix)]

mod wasi_states {
    pub mod moving;
    pub mod processes;
}

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use tasklet_engine::wasi::Function;
use tasklet_tests::parallel::for_all;
use tasklet_tests::states::{self, Answer, Call, Case};

use wasi_states::moving::{Paused, Program};
use wasi_states::processes;

/// Fails if a call's record is not what the list says.
fn as_listed(call: &Call, record: &[u8]) -> anyhow::Result<()> {
    let (errno, parts) = call.answered(record);
    ensure!(errno == call.errno, "{}: it returned {errno}", call.text);
    let Some(answers) = &call.answers else { return Ok(()) };
    ensure!(answers.len() == parts.len(), "{}: {} parts", call.text, parts.len());
    for (answer, part) in answers.iter().zip(&parts) {
        let wanted = match answer {
            Answer::Number(number) => number.to_le_bytes().to_vec(),
            Answer::Bytes(bytes) => bytes.clone(),
        };
        let common = wanted.len().min(part.len());
        let rest = wanted[common..].iter().chain(&part[common..]);
        let right = wanted[..common] == part[..common] && rest.copied().all(|byte| byte == 0);
        ensure!(right, "{}: {:?} is {:?}", call.text, answer, part.escape_ascii().to_string());
    }
    Ok(())
}

#[test]
fn every_function_has_a_case_that_calls_it() {
    let cases = states::all().unwrap();
    let about: BTreeSet<Function> = cases.iter().map(|case| case.about).collect();
    let missing: Vec<_> = Function::ALL.iter().filter(|f| !about.contains(f)).collect();
    assert!(missing.is_empty(), "no case is about {missing:?}");
    for case in &cases {
        assert!(case.call_about().is_some(), "{} is not called", case.name());
    }
}

#[test]
fn calls_answer_as_they_are_listed() {
    let check = |case: &Case| -> anyhow::Result<()> {
        let program = Program::new(case)?;
        let whole = program.run(&Paused::Never)?;
        let exit = case.exit.unwrap_or(0);
        ensure!(whole.exit == exit, "it exited with {}", whole.exit);
        for (call, record) in case.calls.iter().zip(&whole.records) {
            if call.function != Function::ProcExit {
                as_listed(call, record)?;
            }
        }
        Ok(())
    };
    for_all(&states::all().unwrap(), Case::name, check);
}

#[test]
fn they_answer_so_wherever_the_program_is_paused() {
    let check = |case: &Case| -> anyhow::Result<()> {
        let program = Program::new(case)?;
        let whole = program.run(&Paused::Never)?;
        let pauses = program.pauses()?;
        // Before the first call, between any two, and after the last.
        for made in 0..case.calls.len() {
            ensure!(pauses.contains(&made), "no pause after {made} calls");
        }
        for paused in [Paused::Everywhere { moves: false }, Paused::Everywhere { moves: true }] {
            program.same(&whole, &paused)?;
        }
        for at in 1..pauses.len() {
            // One pause on each side of every call.
            if pauses[at] != pauses[at - 1] {
                program.same(&whole, &Paused::After(at as u64 - 1))?;
                program.same(&whole, &Paused::After(at as u64))?;
            }
        }
        Ok(())
    };
    for_all(&states::all().unwrap(), Case::name, check);
}

#[test]
fn they_answer_so_in_other_processes() {
    let check = |case: &Case| -> anyhow::Result<()> {
        let program = Program::new(case)?;
        let pauses = program.pauses()?;
        let about = case.call_about().context("it is called")?;
        let before = pauses.iter().rposition(|made| *made == about).context("a pause")? as u64;
        // Nothing is written down of what has exited.
        let after = pauses.iter().position(|made| *made == about + 1).map(|at| at as u64 - before);
        let whole = processes::run(&program, &[])?;
        let slices: Vec<u64> = [Some(before), after].into_iter().flatten().collect();
        let moved = processes::run(&program, &slices)?;
        program.compare("in other processes", &whole, &moved)
    };
    for_all(&states::all().unwrap(), Case::name, check);
}
