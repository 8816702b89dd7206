//! The exit codes: the one table, from which `--help` is made too.

use std::fmt::Write;

macro_rules! codes {
    ($($name:ident = $code:literal $text:literal,)*) => {
        /// What the process says by its exit code where it is not the guest's own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Code {
            $(#[doc = $text] $name = $code,)*
        }

        /// Every code and what it means, ascending.
        pub const TABLE: &[(Code, &str)] = &[$((Code::$name, $text),)*];
    };
}

// As far as there is a custom: sysexits.h for 65 to 76, `timeout` for 124, shells for signals.
codes! {
    Differs = 1 "verify: the second snapshot does not follow from the first",
    Usage = 2 "wrong usage",
    Data = 65 "the module or the snapshot is corrupt, or uses what is not supported",
    NoInput = 66 "an input is missing: module, snapshot, directory, stdin file",
    NotNow = 69 "the tasklet cannot be saved as it stands (it has a removed file open, say)",
    Software = 70 "a bug in tasklet",
    Host = 71 "the host failed: no room for what the program prints or writes, no memory",
    Io = 74 "reading or writing failed",
    Paused = 75 "paused, and the snapshot is saved: resume goes on",
    Incompatible = 76 "the snapshot cannot go on here: other version, other module, missing \
        directory, changed file",
    Undecided = 77 "verify: it cannot be told here whether it follows",
    OutOfSteps = 124 "out of steps, and no -o to save to",
    Interrupted = 130 "interrupted (Ctrl-C), and no -o to save to; or interrupted twice",
    Trap = 134 "the guest trapped",
    ClosedPipe = 141 "nobody reads our output any more",
}

impl Code {
    /// The number.
    pub fn number(self) -> u8 {
        self as u8
    }
}

/// The table as `--help` shows it.
pub fn help() -> String {
    let mut text = String::from(
        "Exit codes:\n    *  the guest's own, if it finished or exited (0 if it just returned, 255 for all \
         above);\n       --report tells it from those below\n",
    );
    for (code, meaning) in TABLE {
        writeln!(text, "  {:>3}  {meaning}", code.number()).expect("writing to a string");
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn help_has_the_table() {
        let mut cli = Cli::command();
        assert!(cli.render_help().to_string().contains(help().trim_end()));
        for name in ["run", "resume"] {
            let command = cli.find_subcommand_mut(name).expect("it is a command");
            assert!(command.render_long_help().to_string().contains(help().trim_end()), "{name}");
        }
    }

    #[test]
    fn codes_are_ascending_and_described() {
        let numbers: Vec<u8> = TABLE.iter().map(|(code, _)| code.number()).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b));
        assert!(TABLE.iter().all(|(_, meaning)| !meaning.is_empty() && !meaning.contains('\n')));
    }
}
