//! Runs of a case in this process, paused and moved into fresh stores.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context, bail, ensure};
use tasklet_engine::snapshot::{self, Limits, Snapshot};
use tasklet_engine::wasi::{Capture, Clock, Output, RestoreOptions, Stdin, WasiOptions};
use tasklet_engine::{Engine, Entry, Host, Module, Outcome, SnapshotOptions, Tasklet};
use tasklet_tests::states::guest::{self, Guest};
use tasklet_tests::states::scene::{ARGS, ENV, INPUT, contents, folder, preopens};
use tasklet_tests::states::{Arg, Case};

/// Where a run is paused.
#[derive(Debug)]
pub enum Paused {
    Never,
    /// With a budget of 1.
    Everywhere {
        moves: bool,
    },
    /// Once, when so many steps have been granted.
    After(u64),
}

/// All there is to see of a run.
#[derive(Debug, PartialEq)]
pub struct Seen {
    pub exit: u32,
    pub output: Vec<u8>,
    /// What it wrote to standard error itself.
    pub errors: Vec<u8>,
    /// What each call answered.
    pub records: Vec<Vec<u8>>,
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    pub steps: u64,
}

/// A case ready to be run.
pub struct Program<'a> {
    pub case: &'a Case,
    pub guest: Guest,
    module: Module,
}

fn engine(deterministic: bool) -> &'static Engine {
    static ENGINES: [OnceLock<Engine>; 2] = [OnceLock::new(), OnceLock::new()];
    ENGINES[usize::from(deterministic)].get_or_init(|| {
        let mut options = tasklet_tests::options();
        options.deterministic = deterministic;
        Engine::new(&options).expect("the options are good on every machine")
    })
}

fn moved(mut tasklet: Tasklet, module: &Module, again: RestoreOptions) -> anyhow::Result<Tasklet> {
    let mut bytes = Vec::new();
    tasklet.dump(&mut bytes, &SnapshotOptions::default())?;
    drop(tasklet);
    let (snapshot, digest) = Snapshot::read_from(&mut &bytes[..], &Limits::DEFAULT)?;
    Ok(Tasklet::load(module, &snapshot, digest, Host::builder().wasi_restore(again).build())?)
}

/// How many calls have been made: what the guest's own counter says.
fn made(tasklet: &mut Tasklet) -> anyhow::Result<usize> {
    match tasklet.snapshot(&SnapshotOptions::default())?.globals[..] {
        [(0, snapshot::Value::I32(made))] => Ok(made as usize),
        ref globals => bail!("other globals: {globals:?}"),
    }
}

impl Program<'_> {
    pub fn new(case: &Case) -> anyhow::Result<Program<'_>> {
        let guest = guest::build(case)?;
        let module = Module::load(engine(case.deterministic), &guest.wasm)?;
        Ok(Program { case, guest, module })
    }

    pub fn run(&self, paused: &Paused) -> anyhow::Result<Seen> {
        self.play(paused, |_| Ok(()))
    }

    /// How many calls have been made when 0, 1, 2 and so on steps have been granted.
    pub fn pauses(&self) -> anyhow::Result<Vec<usize>> {
        let mut pauses = vec![0];
        self.play(&Paused::Everywhere { moves: false }, |tasklet| {
            pauses.push(made(tasklet)?);
            Ok(())
        })?;
        Ok(pauses)
    }

    /// Fails if a run that is paused so is another.
    pub fn same(&self, whole: &Seen, paused: &Paused) -> anyhow::Result<()> {
        let what = format!("paused {paused:?}");
        let found = self.run(paused).with_context(|| what.clone())?;
        self.compare(&what, whole, &found)
    }

    fn play(
        &self,
        paused: &Paused,
        mut at_pause: impl FnMut(&mut Tasklet) -> anyhow::Result<()>,
    ) -> anyhow::Result<Seen> {
        let folder = folder()?;
        let (output, errors) = (Capture::default(), Capture::default());
        let again = || RestoreOptions {
            preopens: preopens(folder.path()),
            stdout: Output::new(output.clone()),
            stderr: Output::new(errors.clone()),
            ..RestoreOptions::default()
        };
        let options = WasiOptions {
            args: ARGS.map(str::to_owned).into(),
            env: ENV.map(|(name, value)| (name.into(), value.into())).into(),
            preopens: preopens(folder.path()),
            stdin: Stdin::Bytes(INPUT.into()),
            stdout: Output::new(output.clone()),
            stderr: Output::new(errors.clone()),
            seed: Some(1),
            clock: if self.case.host_clock { Clock::Host } else { Clock::Virtual },
        };
        let host = Host::builder().wasi(options).build();
        let mut tasklet = Tasklet::spawn(&self.module, host, Entry::Command)?;
        let moves = !matches!(paused, Paused::Everywhere { moves: false });
        let mut budget = match paused {
            Paused::Never => u64::MAX,
            Paused::Everywhere { .. } => 1,
            Paused::After(steps) => *steps,
        };
        let exit = loop {
            match tasklet.run(budget)? {
                Outcome::OutOfBudget => at_pause(&mut tasklet)?,
                Outcome::Waiting(_) => {
                    if moves {
                        tasklet = moved(tasklet, &self.module, again())?;
                        // A snapshot does not know what it waits for: the call is issued again.
                        let _ = tasklet.run(0)?;
                    }
                    tasklet.wait();
                    continue;
                }
                Outcome::Finished(_) => break 0,
                Outcome::Exited(code) => break code,
                other => bail!("it ended with {other:?}"),
            }
            if moves {
                tasklet = moved(tasklet, &self.module, again())?;
            }
            if let Paused::After(_) = paused {
                budget = u64::MAX;
            }
        };
        let steps = tasklet.steps_used()?;
        // The end can be written down as well, and is told again.
        let end = moved(tasklet, &self.module, again())?.run(1)?;
        let told = match end {
            Outcome::Finished(_) => 0,
            Outcome::Exited(code) => code,
            other => bail!("the end has become {other:?}"),
        };
        ensure!(told == exit, "the end has become {told}");
        let files = contents(folder.path())?;
        self.seen(exit, output.bytes(), errors.bytes(), files, steps)
    }

    /// What was seen of a run; what it wrote to standard error last are the records.
    pub fn seen(
        &self,
        exit: u32,
        output: Vec<u8>,
        mut errors: Vec<u8>,
        files: BTreeMap<PathBuf, Vec<u8>>,
        steps: u64,
    ) -> anyhow::Result<Seen> {
        let own = errors.len().checked_sub(self.guest.size as usize).context("no records")?;
        let all = errors.split_off(own);
        let starts = self.guest.records.iter().map(|at| *at as usize);
        let ends = starts.clone().skip(1).chain([all.len()]);
        let records = starts.zip(ends).map(|(from, to)| all[from..to].to_vec()).collect();
        Ok(Seen { exit, output, errors, records, files, steps })
    }

    /// Fails if two runs differ in anything that is the same everywhere.
    pub fn compare(&self, what: &str, whole: &Seen, found: &Seen) -> anyhow::Result<()> {
        let mut last = 0;
        for (index, call) in self.case.calls.iter().enumerate() {
            let (one, other) = (&whole.records[index], &found.records[index]);
            let (one, other) = (call.answered(one), call.answered(other));
            ensure!(one == other, "{what}: {} answers {other:?}, not {one:?}", call.text);
            if call.args.contains(&Arg::Time) {
                let at = guest::FIRST_OUT as usize;
                let time = u64::from_le_bytes(found.records[index][at..at + 8].try_into()?);
                ensure!(time >= last, "{what}: {} runs backwards by {}", call.text, last - time);
                last = time;
            }
        }
        ensure!(whole.exit == found.exit, "{what}: it exits with {}", found.exit);
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        for (one, other) in [(&whole.output, &found.output), (&whole.errors, &found.errors)] {
            ensure!(one == other, "{what}: it prints {}, not {}", text(other), text(one));
        }
        ensure!(whole.files == found.files, "{what}: other files: {:?}", found.files);
        ensure!(whole.steps == found.steps, "{what}: {} steps", found.steps);
        Ok(())
    }
}
