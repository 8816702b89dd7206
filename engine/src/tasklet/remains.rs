//! What stays in memory of a tasklet whose snapshot is elsewhere: what of it is the host's.

use std::any::Any;
use std::sync::Arc;

use super::{Shared, Tasklet, Wait};
use crate::error::Error;
use crate::host::{Codecs, Heritage, Host, WasiSetup};
use crate::limits::Limits;
use crate::module::Module;
use crate::sched::Seat;
use crate::snapshot::{self, Snapshot};
use crate::wasi::Wasi;

/// What of a tasklet is not in its snapshot, or would have to be made anew by who loads it.
pub(crate) struct Remains {
    heritage: Heritage,
    codecs: Arc<Codecs>,
    limits: Limits,
    user: Box<dyn Any + Send + Sync>,
    /// Files stay open.
    wasi: Option<Wasi>,
    /// Handles stay valid.
    shared: Arc<Shared>,
    waiting: Option<Wait>,
    trace_imports: bool,
}

/// What a snapshot was written with, this reads, however much that is.
const LIMITS: snapshot::Limits = snapshot::Limits {
    memory_bytes: u64::MAX,
    table_elements: u64::MAX,
    object_bytes: u64::MAX,
    host_bytes: u64::MAX,
    ..snapshot::Limits::DEFAULT
};

impl Tasklet {
    /// Ends the instance, and keeps what is left. Nothing is kept of one that was given nothing.
    pub(crate) fn into_remains(self) -> (Option<Box<Remains>>, Option<Seat>) {
        let waiting = self.waiting;
        let state = self.store.into_data();
        let remains = Remains {
            heritage: state.heritage,
            codecs: state.codecs,
            limits: state.limiter.limits,
            user: state.user,
            wasi: state.wasi,
            shared: state.shared,
            waiting,
            trace_imports: state.trace_imports,
        };
        (remains.is_something().then(|| Box::new(remains)), state.seat)
    }

    /// Makes the instance again, of the bytes of its snapshot. If that fails, what is left of it is
    /// left.
    pub(crate) fn revive(
        module: &Module,
        bytes: &[u8],
        remains: &mut Option<Box<Remains>>,
    ) -> Result<Tasklet, Error> {
        let (snapshot, digest) = Snapshot::read_slice(bytes, &LIMITS)?;
        let mut host = remains.as_ref().map_or_else(Host::empty, |remains| remains.host());
        host.seat = Some(Seat::default());
        let parent = snapshot.parent;
        let mut tasklet = Tasklet::load_owned(module, snapshot, digest, host)?;
        // What comes of it is the same as if it had never left.
        tasklet.parent = parent;
        if let Some(remains) = remains.take() {
            tasklet.waiting = remains.waiting;
            let state = tasklet.store.data_mut();
            (state.user, state.wasi, state.shared) = (remains.user, remains.wasi, remains.shared);
        }
        Ok(tasklet)
    }
}

impl Remains {
    fn is_something(&self) -> bool {
        !self.heritage.is_nothing()
            || !self.codecs.is_empty()
            || self.limits != Limits::default()
            || !(*self.user).is::<()>()
            || self.wasi.is_some()
            || self.waiting.is_some()
            || self.trace_imports
            || Arc::strong_count(&self.shared) > 1
            || self.shared.interrupted()
    }

    /// A host to load it with. What there is only one of takes its place afterwards.
    fn host(&self) -> Host {
        let mut host = self.heritage.host();
        host.codecs = self.codecs.clone();
        host.limits = self.limits.clone();
        host.trace_imports = self.trace_imports;
        host.wasi = self.wasi.as_ref().map(|_| WasiSetup::Later);
        host
    }
}
