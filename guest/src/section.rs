//! Sections of a program in which something holds: that it is not interrupted, that it does not wait.

use crate::error::{Error, checked};
use crate::sys;

/// A section that lasts until this is dropped. Sections nest: the end of one restores what was before
/// it.
#[must_use = "the section ends when this is dropped"]
#[derive(Debug)]
pub struct Section {
    switch: fn(bool) -> i64,
    before: bool,
}

impl Section {
    fn begin(switch: fn(bool) -> i64) -> Result<Section, Error> {
        let before = checked(switch(true))? != 0;
        Ok(Section { switch, before })
    }

    /// Ends it, as dropping it does.
    pub fn end(self) {}
}

impl Drop for Section {
    fn drop(&mut self) {
        (self.switch)(self.before);
    }
}

/// Begins an atomic section, in which no slice ends: whatever stop falls due is made up for at its
/// end. The tasklet can still wait in it, and others run then.
///
/// # Errors
/// [`Error::InCallback`].
pub fn atomic() -> Result<Section, Error> {
    Section::begin(sys::atomic)
}

/// Begins a section in which whatever would wait fails with [`Error::WouldBlock`].
///
/// # Errors
/// [`Error::InCallback`].
pub fn block_trap() -> Result<Section, Error> {
    Section::begin(sys::block_trap)
}
