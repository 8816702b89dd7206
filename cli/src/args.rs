//! The command line as clap reads it.

mod parse;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tasklet_engine::{Target, wasi};

use crate::clash::Named;
use crate::exit;

/// Runs any WebAssembly program for exactly N steps, freezes it to a file, and goes on elsewhere.
#[derive(Debug, Parser)]
#[command(name = "tasklet", version, after_help = exit::help(), max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// Say nothing but errors
    #[arg(short, long, global = true, display_order = 900)]
    pub quiet: bool,
    /// Say more
    #[arg(short, long, global = true, display_order = 901)]
    #[arg(action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Run(Run),
    Resume(Resume),
    Inspect(Inspect),
    Verify(Verify),
    Instrument(Instrument),
    Check(Check),
}

/// Start a program
///
/// With --steps it stops after that many steps; with -o it is then saved, so that
/// `tasklet resume` goes on where it stood, here or on another machine. Ctrl-C, SIGTERM and
/// SIGHUP save it too; a second one ends it at once.
#[derive(Debug, Args)]
#[command(after_help = exit::help())]
pub struct Run {
    /// The WebAssembly module
    pub module: PathBuf,
    /// The program's arguments; those that begin with `-` go behind `--`
    #[arg(allow_negative_numbers = true)]
    pub args: Vec<String>,
    /// An environment variable of the program; without =VALUE it is passed on
    #[arg(short, long, value_name = "NAME[=VALUE]", value_parser = parse::variable)]
    pub env: Vec<(String, String)>,
    /// Make the program's random numbers follow from this instead of the system's randomness
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// The program's clocks: the machine's, or one that ticks with steps (a nanosecond each) and
    /// sleeps without waiting [default: host; with --deterministic: virtual]
    #[arg(long, value_enum)]
    pub clock: Option<Clock>,
    /// Make equal runs equal on every machine, snapshots included: canonical NaNs, the virtual
    /// clock, a seed (0 unless given), nothing of the host's. It is kept in snapshots, with the
    /// limits. What depends on floating point is slower
    #[arg(long)]
    pub deterministic: bool,
    /// Call this exported function instead of `_start`; ARGS are its arguments, and its results
    /// are printed one a line
    #[arg(long, value_name = "NAME")]
    pub invoke: Option<String>,
    #[command(flatten)]
    pub slice: Slice,
    #[command(flatten)]
    pub machine: Machine,
}

/// Go on with a program that was saved
///
/// The same snapshot can be resumed any number of times. Arguments, environment, random numbers
/// and clocks are in the snapshot; directories are not: give each with --dir again. A program that
/// has ended already is not run: its results are printed again, and its exit code is returned.
#[derive(Debug, Args)]
#[command(after_help = exit::help())]
pub struct Resume {
    /// The snapshot; `-` reads it from standard input, which the program then finds at its end
    pub snapshot: PathBuf,
    /// The original module, if the snapshot does not embed it and it is not in the cache
    #[arg(long, value_name = "FILE")]
    pub module: Option<PathBuf>,
    /// Go on even if a file that the program has open has changed since
    #[arg(long)]
    pub allow_changed_files: bool,
    /// Where a base of the snapshot is, if not beside it
    #[arg(long, value_name = "FILE")]
    pub find_base: Vec<PathBuf>,
    /// Map the memory from the snapshot's file instead of copying it, which is faster if there is
    /// much. While the program runs nobody may overwrite that file in place; removing it, or
    /// replacing it as -o does, is fine
    #[arg(long)]
    pub map: bool,
    /// Refuse a program that was not started with --deterministic; one that was goes on so anyway
    #[arg(long)]
    pub deterministic: bool,
    #[command(flatten)]
    pub slice: Slice,
    #[command(flatten)]
    pub machine: Machine,
}

/// What running and resuming share: how far to go, and what to keep of it.
#[derive(Debug, Args)]
pub struct Slice {
    /// Stop after this many steps, executed instructions of the module: 500, 20k, 1.5M, 2G
    #[arg(long, value_name = "N", value_parser = parse::steps)]
    pub steps: Option<u64>,
    /// Save the program here when it pauses or ends (but not if it traps); with `-` to standard
    /// output, and what the program prints goes to standard error
    #[arg(short = 'o', long = "snapshot", value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Leave the module out of the snapshot; it is kept in the cache of this machine instead
    #[arg(long)]
    pub no_embed_module: bool,
    /// Save only the memory that has changed since this earlier snapshot. Who resumes it needs this
    /// one, too: it is found if it lies beside it
    #[arg(long, value_name = "FILE", requires = "output")]
    pub base: Option<PathBuf>,
    /// Compress the snapshot with Zstandard, at a level from 1 (fast) to 19 (small) [default: 3]
    #[arg(long, value_name = "LEVEL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "3", value_parser = clap::value_parser!(i32).range(1..=19))]
    #[arg(requires = "output")]
    pub compress: Option<i32>,
    /// Write what happened to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// What running and resuming share: what the program is given.
#[derive(Debug, Args)]
pub struct Machine {
    /// Give the program a directory, under another name if wished, read-only with `:ro`
    #[arg(long = "dir", value_name = "HOST[::GUEST][:ro]", value_parser = parse::directory)]
    pub dirs: Vec<wasi::Preopen>,
    /// The program's standard input: a file, `-` for ours, `null` for none [default: -, or as it
    /// was; with --deterministic: null]. A deterministic program finds all of it there at once
    #[arg(long, value_name = "FILE|-|null")]
    pub stdin: Option<PathBuf>,
    /// The most memory the program may have: 64M, 2G (powers of 1024) [default: 4G]
    #[arg(long, value_name = "SIZE", value_parser = parse::size)]
    pub max_memory: Option<u64>,
    /// How deep the program's calls may be nested, in bytes of their frames: 16M, 512M (powers of
    /// 1024, at most 640M) [default: 256M]
    #[arg(long, value_name = "SIZE", value_parser = parse::stack_size)]
    pub max_stack: Option<u64>,
    /// What the program is compiled for: `host`, this machine's processor; or `pulley64`, an
    /// interpreter that needs no compiler for it, and is slower [default: host]
    #[arg(long, value_name = "NAME")]
    pub target: Option<Target>,
    /// Do not use the cache of modules
    #[arg(long)]
    pub no_cache: bool,
}

/// Show what a snapshot holds
///
/// Nothing is run or compiled. Names are those of the original module, where it is at hand.
#[derive(Debug, Args)]
pub struct Inspect {
    /// The snapshot; `-` reads it from standard input
    pub snapshot: PathBuf,
    /// The original module, if the snapshot does not embed it and it is not in the cache
    #[arg(long, value_name = "FILE")]
    pub module: Option<PathBuf>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Show at most so many frames: most of them from the innermost, a few from the outermost
    /// [default: 45 as text, all as JSON]
    #[arg(long, value_name = "N")]
    pub frames: Option<usize>,
    /// The most memory that the program in it may have [default: 4G in all]
    #[arg(long, value_name = "SIZE", value_parser = parse::size)]
    pub max_memory: Option<u64>,
}

/// Tell whether one snapshot follows from another
///
/// The program is executed again from the first, for exactly the steps that lie between the two,
/// and what that gives is compared with the second. Give it what it was given then: directories
/// with --dir, as they were (what the program writes there is written again). What it read from a
/// standard input, from the machine's clock or by chance cannot be given again, unless it was
/// started with --deterministic; then it is in the snapshots.
///
/// Exits with 0 if it follows, with 1 if it does not (the first difference is printed), with 77 if
/// that cannot be told, or takes more than --max-steps.
#[derive(Debug, Args)]
#[command(after_help = exit::help())]
pub struct Verify {
    /// The earlier snapshot
    pub from: PathBuf,
    /// The later one
    pub to: PathBuf,
    /// The original module, if the snapshots do not embed it and it is not in the cache
    #[arg(long, value_name = "FILE")]
    pub module: Option<PathBuf>,
    /// Go on even if a file that the program has open has changed since
    #[arg(long)]
    pub allow_changed_files: bool,
    /// Where a base of the snapshots is, if not beside them
    #[arg(long, value_name = "FILE")]
    pub find_base: Vec<PathBuf>,
    /// Execute no more than this many steps, whatever the second snapshot says lies between the
    /// two: 20k, 1.5M, 2G
    #[arg(long, value_name = "N", value_parser = parse::steps, default_value = "1T")]
    pub max_steps: u64,
    /// How to print the outcome
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    #[command(flatten)]
    pub machine: Machine,
}

/// Write a module as it is run: counting steps, able to pause
#[derive(Debug, Args)]
pub struct Instrument {
    /// The WebAssembly module
    pub module: PathBuf,
    /// Where the instrumented module goes; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

/// Tell whether a module can be paused and moved, and what it is made of
///
/// If it cannot, the feature and the place are named on standard error, and the exit code is 65.
#[derive(Debug, Args)]
pub struct Check {
    /// The WebAssembly module
    pub module: PathBuf,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Clock {
    Host,
    Virtual,
}

impl From<Clock> for wasi::Clock {
    fn from(clock: Clock) -> wasi::Clock {
        match clock {
            Clock::Host => wasi::Clock::Host,
            Clock::Virtual => wasi::Clock::Virtual,
        }
    }
}

impl Slice {
    /// The files that are written, and by which flags.
    pub fn outputs(&self) -> Vec<Named<'_>> {
        let outputs = [("-o", self.output.as_deref()), ("--report", self.report.as_deref())];
        outputs.into_iter().filter_map(|(flag, path)| Some((flag, path?))).collect()
    }
}

impl Machine {
    /// Where the guest's standard input comes from, if it was said.
    pub fn stdin(&self) -> Option<wasi::Stdin> {
        let path = self.stdin.as_ref()?;
        Some(match path.to_str() {
            Some("-") => wasi::Stdin::Inherit,
            Some("null") => wasi::Stdin::Null,
            _ => wasi::Stdin::File(path.clone()),
        })
    }
}
