//! Whose turn it is, for whoever wants to know.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Scheduler, TaskletId};

/// Tells which tasklet runs in [`Scheduler::run`], from wherever it is asked: a hook, a host import,
/// another thread that watches over the first. Cheap to clone.
///
/// ```
/// # use std::time::Duration;
/// # use tasklet_engine::{Budget, Engine, EngineOptions, Scheduler};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let mut sched = Scheduler::new(&Engine::new(&EngineOptions::default())?);
/// let current = sched.current();
/// std::thread::spawn(move || {
///     std::thread::sleep(Duration::from_secs(1));
///     if let Some(id) = current.get() {
///         eprintln!("tasklet {id} runs");
///     }
/// });
/// sched.run(Budget::unlimited())?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Current {
    /// 0 is nobody's number.
    id: Arc<AtomicU64>,
}

impl Current {
    /// The tasklet whose turn it is; `None` when no run is going on.
    ///
    /// For another thread it is one that has had its turn a moment ago: when it is asked the next may
    /// run already.
    pub fn get(&self) -> Option<TaskletId> {
        match self.id.load(Ordering::Relaxed) {
            0 => None,
            id => Some(TaskletId(id)),
        }
    }

    pub(super) fn set(&self, id: Option<TaskletId>) {
        self.id.store(id.map_or(0, |id| id.0), Ordering::Relaxed);
    }
}

impl Scheduler {
    /// Tells which tasklet runs, now and in every run to come: Stackless's `getcurrent`, which can be
    /// asked from anywhere. In an [`Executor`](crate::Executor), where many run, it tells of none.
    pub fn current(&self) -> Current {
        self.current.clone()
    }
}
