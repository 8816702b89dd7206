//! What all functions of a module take together: many small ones may take as much as a large one.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::abi::limits;
use crate::error::{Error, ErrorKind};

/// Counts of work and memory, in units that are the same on every machine. Functions are worked on in
/// any order; whether the sum exceeds a limit does not depend on it.
#[derive(Debug)]
pub(crate) struct Effort {
    operands: Sum,
    liveness: Sum,
    targets: Sum,
    code: Sum,
}

#[derive(Debug)]
struct Sum {
    sum: AtomicU64,
    limit: u64,
    what: &'static str,
}

impl Sum {
    fn new(what: &'static str, limit: u64) -> Sum {
        Sum { sum: AtomicU64::new(0), limit, what }
    }

    /// Adds and tells whether the sum is within the limit.
    fn add(&self, count: u64) -> bool {
        self.sum.fetch_add(count, Ordering::Relaxed) + count <= self.limit
    }
}

impl Effort {
    /// Nothing yet, for a module of so many bytes.
    pub fn new(bytes: usize) -> Effort {
        let code = limits::GROWTH_BYTES + limits::GROWTH_FACTOR * bytes as u64;
        Effort {
            operands: Sum::new(
                "locals and operands at block boundaries",
                limits::MODULE_BOUNDARY_OPERANDS_MAX,
            ),
            liveness: Sum::new(
                "words looked at for live locals",
                limits::MODULE_LIVENESS_STEPS_MAX,
            ),
            targets: Sum::new(
                "resume points times loops around them",
                limits::MODULE_DISPATCH_TARGETS_MAX,
            ),
            code: Sum::new("bytes of rewritten code", code),
        }
    }

    /// Counts locals, or operands at block boundaries; false if they are too many.
    pub fn operands(&self, count: usize) -> bool {
        self.operands.add(count as u64)
    }

    /// Counts words that the analysis of live locals looks at; false if they are too many.
    pub fn liveness(&self, words: usize) -> bool {
        self.liveness.add(words as u64)
    }

    /// Counts entries of dispatches; false if they are too many.
    pub fn targets(&self, count: usize) -> bool {
        self.targets.add(count as u64)
    }

    /// Counts bytes of rewritten code; false if they are too many.
    pub fn code(&self, bytes: usize) -> bool {
        self.code.add(bytes as u64)
    }

    /// Fails if a limit was exceeded.
    ///
    /// # Errors
    /// It says which, but not where: that depends on who came first.
    pub fn check(&self) -> Result<(), Error> {
        for Sum { sum, limit, what } in [&self.operands, &self.liveness, &self.targets, &self.code]
        {
            if sum.load(Ordering::Relaxed) > *limit {
                let message =
                    format!("more {what}, in all functions, than {limit}; split the module");
                return Err(Error::new(ErrorKind::Limit, message));
            }
        }
        Ok(())
    }
}
