//! Outputs that would take the place of inputs.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::exit::Code;
use crate::failure::Failure;

/// A file that is named on the command line, and what it is there.
pub type Named<'a> = (&'a str, &'a Path);

/// That no output is one of these inputs, or another output: what is lost that way is noticed when
/// it is needed. A snapshot that is resumed may be replaced by the one that follows from it.
///
/// # Errors
/// [`Code::Usage`], naming both.
pub fn check(outputs: &[Named<'_>], inputs: &[Named<'_>]) -> Result<()> {
    for (at, (flag, output)) in outputs.iter().enumerate() {
        let Some(real) = real(output) else { continue };
        let earlier = outputs[..at].iter().map(|(flag, path)| (*flag, *path));
        for (what, other) in inputs.iter().copied().chain(earlier) {
            if self::real(other).as_deref() != Some(&real) {
                continue;
            }
            let message = format!("{flag} would overwrite {what}, `{}`", other.display());
            let failure = Failure::new(Code::Usage, message);
            return Err(failure.help(format!("give {flag} another name")).into());
        }
    }
    Ok(())
}

/// Where a path leads, links followed, whether there is a file yet or not. Nowhere that matters if
/// that is a pipe or a device, or means standard output.
fn real(path: &Path) -> Option<PathBuf> {
    if path == Path::new("-") {
        return None;
    }
    match fs::canonicalize(path) {
        Ok(real) => fs::metadata(&real).is_ok_and(|metadata| metadata.is_file()).then_some(real),
        Err(_) => {
            let name: &OsStr = path.file_name()?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            Some(fs::canonicalize(folder.unwrap_or(Path::new("."))).ok()?.join(name))
        }
    }
}
