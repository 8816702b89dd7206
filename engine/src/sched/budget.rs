//! How long a run may go on, and what of it is left.

use super::TaskletId;
use super::limits::ATOMIC_STEPS_MAX;
use super::watchers::Watcher;

/// How long [`Scheduler::run`](super::Scheduler::run) may go on, in steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    slice: Option<u64>,
    total: Option<u64>,
    soft: bool,
    round_robin: bool,
    blocking: bool,
}

impl Budget {
    /// Each tasklet may run for that many steps at a stretch; the first that has not left the
    /// processor by then is interrupted and handed out. 0 counts as 1.
    pub fn steps(slice: u64) -> Budget {
        Budget { slice: Some(slice.max(1)), ..Budget::default() }
    }

    /// The whole run is of that many steps; whoever runs then is interrupted.
    pub fn total(steps: u64) -> Budget {
        Budget { total: Some(steps), ..Budget::default() }
    }

    /// Until nothing is ready any more.
    pub fn unlimited() -> Budget {
        Budget::default()
    }

    /// The same, and the whole run is of that many steps at most.
    pub fn with_total(self, steps: u64) -> Budget {
        Budget { total: Some(steps), ..self }
    }

    /// Nobody is interrupted: once the budget is used up, the run ends where the current tasklet
    /// leaves the processor by itself, and all stay queued. One that never does is not stopped.
    pub fn soft(self) -> Budget {
        Budget { soft: true, ..self }
    }

    /// A tasklet whose slice ends is queued behind the others instead of being handed out. The
    /// total still ends the run.
    pub fn round_robin(self) -> Budget {
        Budget { round_robin: true, ..self }
    }

    /// Where nothing is ready, but some wait for time or for the system, the run waits with them
    /// instead of returning [`RunResult::Waiting`](super::RunResult::Waiting).
    pub fn blocking(self) -> Budget {
        Budget { blocking: true, ..self }
    }
}

/// What is done with a tasklet whose grant is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It is paused and handed out.
    Interrupt,
    /// It is queued, the next runs.
    Requeue,
    /// It goes on until it leaves the processor.
    GoOn,
}

/// The account of one run. What tasklets give back is signed, so sums are.
#[derive(Debug)]
pub(crate) struct Account {
    budget: Budget,
    total_left: i128,
    /// A soft run is over: it ends at the next switch.
    due: bool,
}

impl Account {
    pub(crate) fn new(budget: Budget) -> Account {
        let total_left = budget.total.map_or(i128::MAX / 2, i128::from);
        Account { budget, total_left, due: false }
    }

    /// The turn of a tasklet begins. The outermost limit counts: that of one that watches is for
    /// runs which have none.
    pub(crate) fn begin(&self, watcher: Option<Watcher>) -> Turn {
        let watcher =
            watcher.filter(|_| self.budget.slice.is_none() && self.budget.total.is_none());
        let slice = watcher.map(|watcher| watcher.steps).or(self.budget.slice);
        let slice_left = slice.map_or(i128::MAX / 2, i128::from);
        Turn { slice_left, watcher: watcher.map(|watcher| watcher.id), ..Turn::default() }
    }

    /// Whether who has used up a turn has another as long, and nobody is told.
    pub(crate) fn is_renewed(&self) -> bool {
        let Budget { total, soft, round_robin, .. } = self.budget;
        round_robin && !soft && total.is_none()
    }

    pub(crate) fn is_blocking(&self) -> bool {
        self.budget.blocking
    }

    /// The grant is used up.
    pub(crate) fn stop(&mut self) -> Stop {
        if self.budget.soft {
            self.due = true;
            return Stop::GoOn;
        }
        match self.budget.round_robin && !self.is_spent() {
            true => Stop::Requeue,
            false => Stop::Interrupt,
        }
    }

    /// Whether the run ends at this switch.
    pub(crate) fn ends_at_switch(&self) -> bool {
        self.due || self.is_spent()
    }

    fn is_spent(&self) -> bool {
        self.budget.total.is_some() && self.total_left <= 0
    }
}

/// The turn of one tasklet: what its slice has left, and by how much the atomic sections in it may
/// still overdraw it.
#[derive(Debug)]
pub(crate) struct Turn {
    slice_left: i128,
    /// Who is told when the slice ends, if it is not the run that ends it.
    pub(crate) watcher: Option<TaskletId>,
    /// What it was given last was given to a section.
    in_section: bool,
    section_left: u64,
    /// The slice has ended in a section.
    pub(crate) is_overdrawn: bool,
    /// Somebody asked for an interrupt in one.
    pub(crate) is_interrupted: bool,
}

impl Default for Turn {
    fn default() -> Turn {
        Turn {
            slice_left: 0,
            watcher: None,
            in_section: false,
            section_left: ATOMIC_STEPS_MAX,
            is_overdrawn: false,
            is_interrupted: false,
        }
    }
}

impl Turn {
    /// What the tasklet may be given now; `atomic` is whether it is in a section.
    pub(crate) fn grant(&mut self, account: &Account, atomic: bool) -> u64 {
        self.in_section = atomic && self.is_overdrawn;
        if self.in_section {
            return self.section_left;
        }
        if account.due {
            return u64::MAX;
        }
        let left = self.slice_left.min(account.total_left).max(0);
        u64::try_from(left).unwrap_or(u64::MAX)
    }

    /// It was given that much, less what it gave back.
    pub(crate) fn spend(&mut self, account: &mut Account, steps: i128) {
        self.slice_left -= steps;
        account.total_left -= steps;
        if self.in_section {
            let steps = u64::try_from(steps.max(0)).unwrap_or(u64::MAX);
            self.section_left = self.section_left.saturating_sub(steps);
        }
    }

    /// The slice has ended in a section. Whether that may still go on.
    pub(crate) fn overdraw(&mut self) -> bool {
        self.is_overdrawn = true;
        self.section_left > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_renewed_and_the_total_is_not() {
        let mut account = Account::new(Budget::steps(10).with_total(25).round_robin());
        for (grant, stop) in [(10, Stop::Requeue), (10, Stop::Requeue), (5, Stop::Interrupt)] {
            let mut turn = account.begin(None);
            assert_eq!(turn.grant(&account, false), grant);
            turn.spend(&mut account, i128::from(grant));
            assert_eq!(turn.grant(&account, false), 0);
            assert_eq!(account.stop(), stop);
        }
        assert!(account.ends_at_switch());
    }

    #[test]
    fn what_is_given_back_is_there_again() {
        let mut account = Account::new(Budget::steps(10));
        let mut turn = account.begin(None);
        turn.spend(&mut account, 4);
        assert_eq!(turn.grant(&account, false), 6);
        // Credit of an earlier slice.
        turn.spend(&mut account, -2);
        assert_eq!(turn.grant(&account, false), 8);
        turn.spend(&mut account, 20);
        assert_eq!((turn.grant(&account, false), account.stop()), (0, Stop::Interrupt));
        assert!(!account.ends_at_switch());
    }

    #[test]
    fn a_soft_run_ends_at_a_switch() {
        let mut account = Account::new(Budget::total(5).soft());
        let mut turn = account.begin(None);
        turn.spend(&mut account, 5);
        assert_eq!((account.stop(), turn.grant(&account, false)), (Stop::GoOn, u64::MAX));
        assert!(account.ends_at_switch());
        assert_eq!(Budget::steps(0), Budget::steps(1));
    }

    #[test]
    fn the_outermost_limit_counts() {
        let watcher = Watcher { id: TaskletId(3), steps: 7 };
        let limit = |budget| {
            let account = Account::new(budget);
            let mut turn = account.begin(Some(watcher));
            (turn.grant(&account, false), turn.watcher)
        };
        assert_eq!(limit(Budget::unlimited()), (7, Some(watcher.id)));
        assert_eq!(limit(Budget::unlimited().blocking()), (7, Some(watcher.id)));
        assert_eq!(limit(Budget::steps(10)), (10, None));
        assert_eq!(limit(Budget::total(30)), (30, None));
    }

    #[test]
    fn a_section_may_overdraw_its_slice_but_not_for_ever() {
        let mut account = Account::new(Budget::steps(10));
        let mut turn = account.begin(None);
        assert_eq!(turn.grant(&account, true), 10);
        turn.spend(&mut account, 10);
        assert!(turn.overdraw());
        assert_eq!(
            (turn.grant(&account, true), turn.grant(&account, false)),
            (ATOMIC_STEPS_MAX, 0)
        );
        assert_eq!(turn.grant(&account, true), ATOMIC_STEPS_MAX);
        turn.spend(&mut account, 30);
        assert_eq!(turn.grant(&account, true), ATOMIC_STEPS_MAX - 30);
        turn.spend(&mut account, i128::from(ATOMIC_STEPS_MAX));
        assert!(!turn.overdraw());
        // Another turn, another slice.
        assert_eq!(account.begin(None).grant(&account, true), 10);
    }
}
