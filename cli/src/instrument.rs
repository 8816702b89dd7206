//! `tasklet instrument`: writes a module as it is run.

use anyhow::{Context, Result};
use tasklet_instrumenter as instrumenter;

use crate::args::Instrument;
use crate::clash;
use crate::load;
use crate::output::{Readers, Talk, Target};

/// Writes it; the exit code.
///
/// # Errors
/// When the module cannot be instrumented, or the result not be written.
pub fn instrument(args: &Instrument, talk: Talk) -> Result<i32> {
    let target = Target::new(&args.output);
    clash::check(&[("-o", &args.output)], &[("the module", &args.module)])?;
    target.check()?;
    let wasm = load::module_bytes(&args.module)?;
    let made = instrumenter::instrument(&wasm, &instrumenter::Options::default())
        .with_context(|| format!("cannot instrument `{}`", args.module.display()))?;
    target.write(Readers::Usual, |out| Ok(out.write_all(&made.wasm)?))?;
    talk.detail(&format!("{} bytes from {}", made.wasm.len(), wasm.len()));
    Ok(0)
}
