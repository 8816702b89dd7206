//! One instance of a script as a tasklet, and how it is driven: in slices, and through snapshots.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, ensure};
use tasklet_engine::snapshot::Limits;
use tasklet_engine::{
    Entry, Error, FunctionType, Host, HostError, Module, Outcome, Snapshot, SnapshotOptions,
    Tasklet, Value,
};

use super::Mode;

/// What the instances of one script share in one mode.
#[derive(Debug, Default)]
pub struct Totals {
    /// Steps of all instances since the script began.
    pub steps: AtomicU64,
    /// How often one of them stood still in mid-call.
    pub stops: AtomicU64,
    /// How often one of them went through a snapshot.
    pub moves: AtomicU64,
    /// Set when one instance could not call another as it does in plain wasmtime: why.
    pub crossed: Mutex<Option<String>>,
}

/// What an import is given.
#[derive(Clone)]
pub enum Given {
    /// A function of `spectest`, which does nothing.
    Print(FunctionType),
    /// A function that another instance exports.
    Export(FunctionType, Shared, String),
    /// The value of an immutable global.
    Global(Value),
    /// A memory or table of `spectest` that nobody else has: the instance may have its own.
    Own,
}

/// An import that is given.
#[derive(Clone)]
pub struct Link {
    pub module: String,
    pub name: String,
    pub given: Given,
}

/// An instance that other instances may call.
pub type Shared = Arc<Mutex<Living>>;

/// An instance.
pub struct Living {
    module: Module,
    /// `None` only while it is moved.
    tasklet: Option<Tasklet>,
    links: Vec<Link>,
    driver: Driver,
    /// Its own steps that are in the totals already.
    counted: u64,
    /// Whether it has been given a call: only then can it be written down.
    called: bool,
    /// Why its state is no longer what it is in plain wasmtime: something of it has been imported
    /// by a module that could not be given it.
    lost: Option<String>,
}

/// How instances are driven.
#[derive(Clone)]
pub struct Driver {
    pub mode: Mode,
    /// So many stops of a call go through a snapshot, then one in so many.
    pub dense: u64,
    pub stride: u64,
    /// So many slices of a call have the budget of the mode, those behind a thousand steps.
    pub slices: u64,
    pub totals: Arc<Totals>,
}

/// Slices from one look at the balance to the next, which walks all frames.
const LOOK_FOR_DEBT: u64 = 256;

impl Living {
    /// An instance whose start function is still to run.
    pub fn new(module: &Module, links: Vec<Link>, driver: Driver) -> Result<Living, Error> {
        let host = host(&links, &driver);
        let tasklet = Some(Tasklet::spawn(module, host, Entry::Start)?);
        let module = module.clone();
        Ok(Living { module, tasklet, links, driver, counted: 0, called: false, lost: None })
    }

    /// Notes that its state is no longer what it is in plain wasmtime.
    pub fn lose(&mut self, reason: &str) {
        self.lost.get_or_insert_with(|| reason.to_string());
    }

    /// Why its state is no longer what it is in plain wasmtime.
    pub fn lost(&self) -> Option<&String> {
        self.lost.as_ref()
    }

    /// The type of an exported function.
    pub fn export(&self, name: &str) -> Option<FunctionType> {
        self.module.exports().find(|(export, _)| *export == name).map(|(_, ty)| ty.clone())
    }

    /// The value of an exported global.
    pub fn global(&mut self, name: &str) -> anyhow::Result<Option<Value>> {
        Ok(self.tasklet()?.global(name)?)
    }

    /// Calls an export and runs it to its end, in the slices of the mode.
    pub fn call(&mut self, name: &str, args: &[Value]) -> anyhow::Result<Outcome> {
        self.tasklet()?.call(name, args.to_vec())?;
        self.called = true;
        self.finish()
    }

    /// Runs what has been begun to its end.
    pub fn finish(&mut self) -> anyhow::Result<Outcome> {
        let moves = self.driver.mode == Mode::Moved && self.called;
        let totals = self.driver.totals.clone();
        let budget = self.driver.mode.budget();
        let (mut used, mut places, mut slices) = (None, 0u64, 0u64);
        let outcome = loop {
            // Most slices of a budget of 1 only pay for the next step: a snapshot after each of
            // them would be the same.
            let looks = places < self.driver.dense || slices.is_multiple_of(self.driver.stride);
            if moves && looks {
                let steps = Some(self.tasklet()?.steps_used()?);
                if std::mem::replace(&mut used, steps) != steps {
                    self.go_through_a_snapshot()?;
                    totals.moves.fetch_add(1, Ordering::Relaxed);
                    places += 1;
                }
            }
            // Nothing runs before a debt is paid, so it is paid at once where it is a large one: a
            // single bulk operation may cost billions of steps.
            slices += 1;
            let debt = match slices % LOOK_FOR_DEBT {
                0 => self.tasklet()?.balance()?.min(0).unsigned_abs(),
                _ => 0,
            };
            let budget = if slices > self.driver.slices { budget.max(1000) } else { budget };
            match self.tasklet()?.run(budget.max(debt))? {
                Outcome::OutOfBudget => totals.stops.fetch_add(1, Ordering::Relaxed),
                outcome => break outcome,
            };
        };
        let steps = self.tasklet()?.steps_used()?;
        totals.steps.fetch_add(steps - self.counted, Ordering::Relaxed);
        self.counted = steps;
        Ok(outcome)
    }

    fn tasklet(&mut self) -> anyhow::Result<&mut Tasklet> {
        self.tasklet.as_mut().context("it was lost in a snapshot")
    }

    fn go_through_a_snapshot(&mut self) -> anyhow::Result<()> {
        let mut old = self.tasklet.take().context("it was lost in a snapshot")?;
        let mut options = SnapshotOptions::default();
        options.embed_module = false;
        let mut bytes = Vec::new();
        let written = old.dump(&mut bytes, &options).context("it cannot be written down")?;
        // The store goes before the next one is made.
        drop(old);
        let (snapshot, digest) = Snapshot::read_from(&mut &bytes[..], &Limits::DEFAULT)
            .context("a snapshot cannot be read")?;
        ensure!(written == digest, "the digest changes on the way");
        let host = host(&self.links, &self.driver);
        let new = Tasklet::load(&self.module, &snapshot, digest, host)
            .context("a snapshot is refused")?;
        self.tasklet = Some(new);
        Ok(())
    }
}

fn host(links: &[Link], driver: &Driver) -> Host {
    let mut builder = Host::builder();
    for Link { module, name, given } in links.iter().cloned() {
        builder = match given {
            Given::Print(ty) => {
                builder.func(&module, &name, &ty.params, &ty.results, |_, _| Ok(Vec::new()))
            }
            Given::Export(ty, other, export) => {
                let totals = driver.totals.clone();
                builder.func(&module, &name, &ty.params, &ty.results, move |_, args| {
                    across(&other, &export, args, &totals)
                })
            }
            Given::Global(value) => builder.global(&module, &name, value),
            Given::Own => builder.adopt(&module, &name),
        };
    }
    // Scripts know objects of the host's by number.
    let number = |bytes: &[u8]| match bytes.try_into() {
        Ok(bytes) => Ok(u32::from_le_bytes(bytes)),
        Err(_) => Err(HostError::new("a number has four bytes")),
    };
    builder.codec("number", |number: &u32| Ok(number.to_le_bytes().to_vec()), number).build()
}

/// Calls another instance.
fn across(
    other: &Shared,
    export: &str,
    args: &[Value],
    totals: &Totals,
) -> Result<Vec<Value>, HostError> {
    let refuse = |reason: &str| {
        *totals.crossed.lock().expect("nobody panics with it") = Some(reason.to_string());
        Err(HostError::new(reason))
    };
    const REFERENCES: &str = "references handed from one instance to another";
    if !can_cross(args) {
        return refuse(REFERENCES);
    }
    // Only a cycle of calls could meet a lock that is held, and a module is made after those it
    // imports from.
    let mut other = other.try_lock().map_err(|_| HostError::new("a call of a caller"))?;
    if let Some(reason) = other.lost() {
        return refuse(reason);
    }
    match other.call(export, args).map_err(|error| HostError::new(format!("{error:#}")))? {
        Outcome::Finished(results) if !can_cross(&results) => refuse(REFERENCES),
        Outcome::Finished(results) => Ok(results),
        Outcome::Trapped(trap) => Err(HostError::new(trap.message)),
        other => Err(HostError::new(format!("{other:?}"))),
    }
}

/// Numbers mean the same in every instance, and so does null.
fn can_cross(values: &[Value]) -> bool {
    values.iter().all(|value| !value.ty().is_reference() || *value == Value::zero(value.ty()))
}
