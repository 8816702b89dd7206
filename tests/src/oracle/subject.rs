//! Programs and runs of them, cut up in any way, with what must hold at every stop.

use anyhow::{Context, bail, ensure};
use tasklet_engine::snapshot::{self, Limits, PAGE_BYTES, PageData, Snapshot};
use tasklet_engine::wasi::Clock;
use tasklet_engine::{Entry, Module, Outcome, SnapshotOptions, Tasklet, TrapKind, Value};

use crate::plain::{Ending, Observation, Plain, Seen, State};
use crate::random::Random;
use crate::world::{Setup, World, written_number};

/// A program to be checked: a module, its surroundings and where to begin.
pub struct Subject {
    /// The original.
    pub wasm: Vec<u8>,
    /// Compiled by the engine.
    pub module: Module,
    /// Compiled by plain wasmtime.
    pub plain: Plain,
    /// How its world begins.
    pub setup: Setup,
    /// Where it begins.
    pub entry: Entry,
    image: State,
}

/// The sizes of the slices of a run.
#[derive(Debug, Clone)]
pub enum Budgets {
    /// All the same.
    Fixed(u64),
    /// From 1 to a bound.
    Random(Random, u64),
    /// These, then without end.
    Then(Vec<u64>),
}

impl Budgets {
    fn next(&mut self, stop: u64) -> u64 {
        match self {
            Budgets::Fixed(budget) => *budget,
            Budgets::Random(random, bound) => 1 + random.below(*bound),
            Budgets::Then(budgets) => budgets.get(stop as usize).copied().unwrap_or(u64::MAX),
        }
    }
}

/// How a run is cut up.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The slices.
    pub budgets: Budgets,
    /// Whether the program moves into a fresh store at every stop where it has got any further.
    pub moves: bool,
    /// Give up after so many stops: the program is endless.
    pub stops_max: u64,
}

impl Plan {
    /// Without a pause.
    pub fn straight() -> Plan {
        Plan { budgets: Budgets::Then(vec![]), moves: false, stops_max: u64::MAX }
    }

    /// With slices of one size.
    pub fn fixed(budget: u64, moves: bool) -> Plan {
        Plan { budgets: Budgets::Fixed(budget), moves, stops_max: u64::MAX }
    }

    /// With one pause.
    pub fn pause_at(k: u64) -> Plan {
        Plan { budgets: Budgets::Then(vec![k]), moves: true, stops_max: u64::MAX }
    }
}

/// A run by the engine.
#[derive(Debug, Clone)]
pub struct Run {
    /// What was seen; `None` if it was given up.
    pub end: Option<Observation>,
    /// How often it stopped.
    pub stops: u64,
    /// How often it moved.
    pub moves: u64,
}

impl Subject {
    /// Prepares a program. `None` if it cannot be instantiated, which both sides agree on.
    pub fn new(wasm: &[u8], setup: Setup, entry: Entry) -> anyhow::Result<Option<Subject>> {
        let module = Module::load(crate::engine(), wasm)?;
        Subject::of(module, setup, entry)
    }

    /// The same with a module that is compiled already.
    pub fn of(module: Module, setup: Setup, entry: Entry) -> anyhow::Result<Option<Subject>> {
        let wasm = module.original().to_vec();
        let plain = Plain::new(&wasm)?;
        let Some(image) = plain.image(&World::new(&setup)?)? else {
            let world = World::new(&setup)?;
            let spawned = Tasklet::spawn(&module, world.host(), entry);
            ensure!(spawned.is_err(), "only plain wasmtime fails to instantiate it");
            return Ok(None);
        };
        Ok(Some(Subject { wasm, module, plain, setup, entry, image }))
    }

    /// Runs it in plain wasmtime.
    pub fn run_plain(&self) -> anyhow::Result<Observation> {
        self.plain.run(&World::new(&self.setup)?, &self.entry)
    }

    /// Runs it in the engine.
    pub fn run(&self, mut plan: Plan) -> anyhow::Result<Run> {
        let world = World::new(&self.setup)?;
        let mut tasklet = Tasklet::spawn(&self.module, world.host(), self.entry.clone())?;
        let mut run = Run { end: None, stops: 0, moves: 0 };
        let (mut granted, mut used) = (0u64, 0);
        loop {
            let budget = plan.budgets.next(run.stops);
            match tasklet.run(budget)? {
                Outcome::OutOfBudget => granted += budget,
                Outcome::Waiting(_) => {
                    tasklet = self.moved(tasklet, &world, true)?;
                    // A snapshot does not know what it waits for: the call is issued again.
                    let _ = tasklet.run(0)?;
                    tasklet.wait();
                    granted = tasklet.granted();
                }
                Outcome::Interrupted => bail!("nobody interrupts it"),
                _ => break,
            }
            run.stops += 1;
            if run.stops >= plan.stops_max {
                return Ok(run);
            }
            // Walking the frames at each of millions of stops would take most of the time.
            if plan.moves || run.stops < 5_000 || run.stops.is_multiple_of(997) {
                account(&mut tasklet, granted)?;
            }
            if plan.moves && std::mem::replace(&mut used, tasklet.steps_used()?) != used {
                run.moves += 1;
                let thorough = run.moves < 20 || run.moves.is_multiple_of(16);
                tasklet = self.moved(tasklet, &world, thorough)?;
            }
        }
        run.end = Some(self.ended(tasklet, &world)?);
        Ok(run)
    }

    /// Stops after so many steps and looks at everything there.
    pub fn stop_at(&self, mut budgets: Vec<u64>) -> anyhow::Result<Option<Vec<u8>>> {
        let world = World::new(&self.setup)?;
        let mut tasklet = Tasklet::spawn(&self.module, world.host(), self.entry.clone())?;
        for budget in budgets.drain(..) {
            if tasklet.run(budget)? != Outcome::OutOfBudget {
                return Ok(None);
            }
        }
        let mut bytes = Vec::new();
        tasklet.dump(&mut bytes, &options(true))?;
        Ok(Some(bytes))
    }

    /// The tasklet in a fresh store, by way of the bytes of a snapshot; now and then as a fork, which
    /// must give the same bytes.
    fn moved(&self, mut old: Tasklet, world: &World, thorough: bool) -> anyhow::Result<Tasklet> {
        let mut bytes = Vec::new();
        let written = old.dump(&mut bytes, &options(false))?;
        let forked = thorough.then(|| old.fork(world.host_again())).transpose();
        let forked = forked.context("a fork is refused")?;
        drop(old);
        let (snapshot, digest) = Snapshot::read_from(&mut &bytes[..], &Limits::DEFAULT)?;
        ensure!(written == digest, "the digest changes on the way");
        let mut new = Tasklet::load(&self.module, &snapshot, digest, world.host_again())
            .context("a snapshot is refused")?;
        // The host's clock does not stand still for a comparison.
        if thorough && self.setup.clock == Clock::Virtual {
            let again = |tasklet: &mut Tasklet| -> anyhow::Result<Vec<u8>> {
                let mut again = tasklet.snapshot(&options(false))?;
                ensure!(again.parent == Some(digest), "the parent is another");
                again.parent = snapshot.parent;
                let mut same = Vec::new();
                again.write_to(&mut same)?;
                Ok(same)
            };
            ensure!(bytes == again(&mut new)?, "a snapshot changes by being loaded");
            if let Some(mut fork) = forked {
                ensure!(bytes == again(&mut fork)?, "a fork is another");
                // Either may go on.
                return Ok(if digest.0[0] % 2 == 0 { fork } else { new });
            }
        }
        Ok(new)
    }

    fn ended(&self, mut tasklet: Tasklet, world: &World) -> anyhow::Result<Observation> {
        let outcome = tasklet.run(1)?;
        let steps = tasklet.steps_used()?;
        ensure!(tasklet.balance()? <= 0, "an ended tasklet holds budget");
        let state = self.state(&tasklet.snapshot(&options(false))?)?;
        // The end too can be written down.
        let mut moved = self.moved(tasklet, world, true)?;
        let again = moved.run(1)?;
        let ending = match (outcome, again) {
            (Outcome::Finished(values), Outcome::Finished(again))
                if seen(&values) == seen(&again) =>
            {
                Ending::Returned(seen(&values))
            }
            (Outcome::Exited(code), Outcome::Exited(again)) if code == again => {
                Ending::Exited(code)
            }
            (Outcome::Trapped(trap), Outcome::Trapped(again)) if trap == again => {
                Ending::Trapped(trap.kind)
            }
            (before, after) => bail!("its end {before:?} became {after:?} in a snapshot"),
        };
        // Of the traps only our own limit on depth has an exact count.
        let exact = match ending {
            Ending::Trapped(kind) => kind == TrapKind::StackOverflow,
            _ => true,
        };
        let steps = exact.then_some(steps);
        Ok(Observation { ending, steps, traces: world.traces()?, state })
    }

    /// The state a snapshot speaks of.
    fn state(&self, snapshot: &Snapshot<'_>) -> anyhow::Result<State> {
        let mut state = self.image.clone();
        for (memory, found) in state.memories.iter_mut().zip(&snapshot.memories) {
            memory.resize(found.pages as usize * 65536, 0);
            for run in &found.runs {
                let start = run.first as usize * PAGE_BYTES;
                let bytes = &mut memory[start..start + run.count as usize * PAGE_BYTES];
                match &run.data {
                    PageData::Zero => bytes.fill(0),
                    PageData::Bytes(data) => bytes.copy_from_slice(data),
                }
            }
        }
        for (table, found) in state.tables.iter_mut().zip(&snapshot.tables) {
            table.resize(found.size as usize, None);
            for run in &found.runs {
                let start = run.first as usize;
                for (place, element) in table[start..].iter_mut().zip(&run.elements) {
                    let seen = written(snapshot, found.element.value(*element))?;
                    *place = seen.bits.checked_sub(1).map(|number| number as u32);
                }
            }
        }
        let globals =
            snapshot.globals.iter().map(|(index, value)| Ok((*index, written(snapshot, *value)?)));
        state.globals = globals.collect::<anyhow::Result<_>>()?;
        Ok(state)
    }
}

fn seen(values: &[Value]) -> Vec<Seen> {
    values.iter().map(Seen::from).collect()
}

/// A value in a snapshot as it is compared.
fn written(snapshot: &Snapshot<'_>, value: snapshot::Value) -> anyhow::Result<Seen> {
    let bits = match (value.plain(), value) {
        (Some(plain), _) => return Ok(Seen::from(&plain)),
        (None, snapshot::Value::ExternRef(Some(place))) => {
            u128::from(written_number(&snapshot.objects[place as usize])?) + 1
        }
        (None, _) => 1,
    };
    Ok(Seen { ty: value.ty(), bits })
}

fn options(embed_module: bool) -> SnapshotOptions {
    let mut options = SnapshotOptions::default();
    options.embed_module = embed_module;
    options
}

fn account(tasklet: &mut Tasklet, granted: u64) -> anyhow::Result<()> {
    let (used, balance) = (tasklet.steps_used()?, tasklet.balance()?);
    ensure!(
        i128::from(used) + i128::from(balance) == i128::from(granted),
        "{granted} steps were granted, {used} used, the balance is {balance}"
    );
    ensure!(tasklet.granted() == granted, "granted: {}", tasklet.granted());
    Ok(())
}
