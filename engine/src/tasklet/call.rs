//! What can be done with an instance between calls: make the next, read its globals.

use tasklet_instrumenter::abi;

use super::spawn::resolve;
use super::{Status, Tasklet, push_call};
use crate::error::Error;
use crate::snapshot::PauseReason;
use crate::value::{self, Value};

impl Tasklet {
    /// Begins another call on the same instance: of an exported function, with arguments. The
    /// tasklet then stands before that function's first instruction, and is run and snapshotted
    /// as before; steps go on being counted from where they are.
    ///
    /// The call before must have ended. If it ended with a trap, the instance is as the trap left
    /// it, and the steps of that call are the last count known.
    ///
    /// # Errors
    /// [`Error::CannotCall`] while a call is going on, and when the guest has exited;
    /// [`Error::NoSuchExport`], [`Error::Arguments`], [`Error::Limit`].
    pub fn call(&mut self, name: &str, args: Vec<Value>) -> Result<(), Error> {
        let refuse = |what| Err(Error::CannotCall { name: name.to_string(), what });
        match self.status {
            Status::Finished(_) | Status::Trapped(_) => {}
            Status::Paused(_) => return refuse("a call is going on: run it to its end"),
            Status::Exited(_) => return refuse("the guest has exited: spawn it again"),
        }
        let (entry, call) = resolve(&self.module, name, args)?;
        push_call(&mut self.store, call.function, &call.args)?;
        self.current = call.function;
        self.entry = Some(entry);
        self.status = Status::Paused(PauseReason::Requested);
        Ok(())
    }

    /// The value of an exported global; `None` if no global is exported by that name.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when it is a reference that is not to a function of the module.
    pub fn global(&mut self, name: &str) -> Result<Option<Value>, Error> {
        // The instrumented module's own are not the guest's.
        if name.starts_with(abi::PREFIX) {
            return Ok(None);
        }
        let instance = self.exports.instance;
        let Some(global) = instance.get_global(&mut self.store, name) else { return Ok(None) };
        let value = global.get(&mut self.store);
        value::from_wasm(&mut self.store, &value).map(Some)
    }
}
