//! The command line `tasklet`: runs any WebAssembly program for exactly N steps, freezes it to a
//! file, and goes on elsewhere.
//!
//! Glue only: everything that could be wanted without a terminal is in `tasklet_engine` and
//! `tasklet_instrumenter`. One file for each command; [`drive`] and [`ending`] are what running and
//! resuming share, [`exit`] is the table of exit codes.

mod args;
mod check;
mod clash;
mod drive;
mod ending;
mod exit;
mod failure;
mod inspect;
mod instrument;
mod load;
mod names;
mod output;
mod replay;
mod report;
mod resume;
mod run;
mod signals;
mod verify;

use std::process;
use std::thread;

use anyhow::Result;
use clap::Parser;

use crate::args::{Cli, Command};
use crate::exit::Code;
use crate::output::Talk;

/// Native stack of the thread that does the work; the main thread has but 1 MiB on some systems.
/// Guests have one of their own.
const STACK_BYTES: usize = 8 << 20;

fn main() {
    let cli = Cli::parse();
    let work = thread::Builder::new().name("tasklet".into()).stack_size(STACK_BYTES);
    let code = match work.spawn(move || outcome(&cli)).map(thread::JoinHandle::join) {
        Ok(Ok(code)) => code,
        // The panic has told its story on standard error.
        Ok(Err(_)) => Code::Software.number().into(),
        Err(error) => {
            output::complain(&format!("cannot start a thread: {error}"));
            Code::Software.number().into()
        }
    };
    process::exit(code);
}

/// Does what was asked for, and returns the exit code.
fn outcome(cli: &Cli) -> i32 {
    let talk = Talk { level: if cli.quiet { -1 } else { cli.verbose as i8 } };
    match execute(cli, talk) {
        Ok(code) => code,
        Err(error) => {
            let code = failure::code_of(&error);
            if code != Code::ClosedPipe {
                output::complain(&format!("{error:#}"));
                if let Some(help) = failure::help_of(&error) {
                    output::complain(&format!("help: {help}"));
                }
            }
            code.number().into()
        }
    }
}

fn execute(cli: &Cli, talk: Talk) -> Result<i32> {
    match &cli.command {
        Command::Run(args) => run::run(args, talk),
        Command::Resume(args) => resume::resume(args, talk),
        Command::Inspect(args) => inspect::inspect(args),
        Command::Verify(args) => verify::verify(args, talk),
        Command::Instrument(args) => instrument::instrument(args, talk),
        Command::Check(args) => check::check(args),
    }
}
