//! The command line as a user sees it: what it prints, what it writes, how it exits.
//!
//! Every test runs the built binary in an empty folder of its own. The cache of modules is shared
//! between tests but is not the user's. `BLESS=1` rewrites `help.txt`.

mod bases;
mod bench;
mod clashes;
mod corrupt;
mod errors;
mod failing_hosts;
mod files;
mod flags;
mod help;
mod inspect;
mod session;
#[cfg(unix)]
mod signals;
mod verify;
