//! Ctrl-C, SIGTERM and SIGHUP: the first pauses the tasklet, the second ends the process.

use std::io;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use tasklet_engine::TaskletHandle;

use crate::exit::Code;
use crate::output;

/// The tasklet that runs.
static RUNNING: Mutex<Option<TaskletHandle>> = Mutex::new(None);
/// Whether it has been asked to pause already.
static ASKED: AtomicBool = AtomicBool::new(false);

/// Makes signals mean the above from here on. While no tasklet runs there is nothing to save, so
/// the first ends the process too.
///
/// # Errors
/// When the system refuses handlers.
pub fn install() -> Result<()> {
    ctrlc::set_handler(handle).context("cannot handle Ctrl-C")
}

/// Names the tasklet that is to be paused.
pub fn watch(handle: TaskletHandle) {
    *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
}

fn handle() {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    match &*running {
        Some(tasklet) if !ASKED.swap(true, Ordering::Relaxed) => tasklet.interrupt(),
        _ => end(Code::Interrupted),
    }
}

/// What a guest's write to a pipe that nobody reads comes to. As SIGPIPE does to other programs,
/// it ends this one: guests written for them do not expect to go on.
pub fn check_pipe<T>(result: io::Result<T>) -> io::Result<T> {
    if result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        end(Code::ClosedPipe);
    }
    result
}

fn end(code: Code) -> ! {
    output::discard_unfinished();
    process::exit(code.number().into())
}
