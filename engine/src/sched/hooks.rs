//! What a scheduler calls when something happens. None of it can reach the scheduler.

use super::channel::Direction;
use super::{ChannelId, Scheduler, TaskletId};
use crate::host::Host;
use crate::trap::Trap;

type OnSwitch = Box<dyn FnMut(Option<TaskletId>, Option<TaskletId>) + Send>;
type OnChannel = Box<dyn FnMut(ChannelId, TaskletId, Direction, bool) + Send>;
type OnTrap = Box<dyn FnMut(TaskletId, &Trap) + Send>;
type ChildHost = Box<dyn FnMut(TaskletId) -> Host + Send>;

#[derive(Default)]
pub(super) struct Hooks {
    pub(super) on_switch: Option<OnSwitch>,
    pub(super) on_channel: Option<OnChannel>,
    pub(super) on_trap: Option<OnTrap>,
    pub(super) child_host: Option<ChildHost>,
}

impl Scheduler {
    /// Calls this whenever another tasklet runs than before: with the one that ran, unless a run
    /// begins, and the one that will, unless it ends.
    pub fn on_switch(
        &mut self,
        call: impl FnMut(Option<TaskletId>, Option<TaskletId>) + Send + 'static,
    ) {
        self.hooks.on_switch = Some(Box::new(call));
    }

    /// Calls this before a tasklet sends or receives: with the channel, the tasklet, what it wants,
    /// and whether it will have to wait.
    pub fn on_channel(
        &mut self,
        call: impl FnMut(ChannelId, TaskletId, Direction, bool) + Send + 'static,
    ) {
        self.hooks.on_channel = Some(Box::new(call));
    }

    /// Calls this when a tasklet has ended with a trap. The run then goes on instead of returning
    /// [`RunResult::Trapped`](super::RunResult::Trapped).
    pub fn on_trap(&mut self, call: impl FnMut(TaskletId, &Trap) + Send + 'static) {
        self.hooks.on_trap = Some(Box::new(call));
    }

    /// Makes the hosts of tasklets that guests spawn, of which it is told the parent. Otherwise these
    /// are given nothing but their parent's limits and channels.
    pub fn child_host(&mut self, make: impl FnMut(TaskletId) -> Host + Send + 'static) {
        self.hooks.child_host = Some(Box::new(make));
    }
}
