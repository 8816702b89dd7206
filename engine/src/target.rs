//! What modules are compiled for.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// What an [`Engine`](crate::Engine) compiles modules for.
///
/// Where a program can be paused, what it has used and what is in its snapshots are the same with
/// each.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Target {
    /// This machine's CPU. If wasmtime has no compiler for it, the same as
    /// [`Target::Interpreter`].
    #[default]
    Host,
    /// Pulley, wasmtime's portable interpreter: runs on every CPU that Rust has a standard library
    /// for, some ten to twenty times slower than compiled code.
    Interpreter,
}

/// The interpreter's code has the width and byte order of the machine it runs on.
const PULLEY: &str = match (cfg!(target_pointer_width = "64"), cfg!(target_endian = "little")) {
    (true, true) => "pulley64",
    (true, false) => "pulley64be",
    (false, true) => "pulley32",
    (false, false) => "pulley32be",
};
/// The name of [`PULLEY`] that is the same everywhere.
const ANY_PULLEY: &str = "pulley";
const HOST: &str = "host";

impl Target {
    /// What runs on this machine.
    pub const AVAILABLE: &'static [Target] = &[Target::Host, Target::Interpreter];

    /// Its name: `host`, or that of the kind of Pulley that runs on this machine.
    pub fn name(self) -> &'static str {
        match self {
            Target::Host => HOST,
            Target::Interpreter => PULLEY,
        }
    }

    /// As wasmtime calls it; nothing for what it takes by itself.
    pub(crate) fn triple(self) -> Option<&'static str> {
        match self {
            Target::Host => None,
            Target::Interpreter => Some(PULLEY),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// From its name; `pulley` is the interpreter on every machine.
impl FromStr for Target {
    type Err = Error;

    fn from_str(name: &str) -> Result<Target, Error> {
        if name == ANY_PULLEY {
            return Ok(Target::Interpreter);
        }
        let found = Target::AVAILABLE.iter().find(|target| target.name() == name);
        found.copied().ok_or_else(|| Error::Target { name: name.into(), available: available() })
    }
}

/// For who named one that is not.
fn available() -> String {
    let (cpu, system) = (std::env::consts::ARCH, std::env::consts::OS);
    format!(
        "`{HOST}` (this machine, {cpu} {system}) and `{PULLEY}` (wasmtime's interpreter; also \
         `{ANY_PULLEY}`)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_refused_with_what_there_is() {
        for target in Target::AVAILABLE {
            assert_eq!(target.name().parse::<Target>().unwrap(), *target);
        }
        assert_eq!("pulley".parse::<Target>().unwrap(), Target::Interpreter);
        for name in ["", "Host", "pulley16", "aarch64-unknown-linux-gnu"] {
            let error = name.parse::<Target>().unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Usage);
            let text = error.to_string();
            assert!(text.contains("`host`") && text.contains(PULLEY), "{text}");
        }
    }
}
