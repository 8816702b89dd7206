//! A program that has WASI and takes part in a scheduler: `guest-examples/tasklets/rust/report`, whose
//! tasklets read files and print, and talk over a channel that the first makes.

mod common;
#[path = "../examples/outside/mod.rs"]
mod outside;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use common::engine;
use tasklet_engine::wasi::{Clock, Output, Preopen, RestoreOptions, WasiOptions};
use tasklet_engine::{
    Budget, Engine, Entry, Host, LoadOptions, Module, RunResult, Scheduler, SetOptions,
    SnapshotOptions, Spawn, TaskletId,
};

const NAMES: [&str; 3] = ["text.txt", "nowhere.txt", "demo.txt"];

/// What all of them print to.
#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics with it").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn folder() -> Vec<Preopen> {
    let host = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../guest-examples/input"));
    vec![Preopen { guest: ".".into(), host, read_only: true }]
}

impl Screen {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("nobody panics with it").clone()).unwrap()
    }

    fn host(&self) -> Host {
        let args = ["report"].iter().chain(&NAMES).map(ToString::to_string).collect();
        let stdout = Output::new(self.clone());
        let (preopens, clock) = (folder(), Clock::Virtual);
        let seed = Some(1);
        let options = WasiOptions { args, preopens, stdout, clock, seed, ..WasiOptions::default() };
        Host::builder().wasi(options).build()
    }

    fn restored(&self) -> Host {
        let stdout = Output::new(self.clone());
        let options = RestoreOptions { preopens: folder(), stdout, ..RestoreOptions::default() };
        Host::builder().wasi_restore(options).build()
    }

    fn give_children_a_host(&self, sched: &mut Scheduler) {
        let screen = self.clone();
        sched.child_host(move |_| screen.host());
    }
}

/// How all are moved at a stop.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Moved {
    Not,
    AsASet,
    Alone,
}

fn dump(sched: &mut Scheduler) -> Vec<u8> {
    let mut options = SnapshotOptions::default();
    options.embed_module = false;
    let mut bytes = Vec::new();
    sched.dump_all(&mut bytes, &options).unwrap();
    bytes
}

fn begin(engine: &Engine, module: &Module, screen: &Screen) -> Scheduler {
    let mut sched = Scheduler::new(engine);
    screen.give_children_a_host(&mut sched);
    sched.spawn(module, Spawn::new(Entry::Command).host(screen.host())).unwrap();
    sched
}

/// What was printed, and all that there was of them at each stop.
fn run(engine: &Engine, module: &Module, budget: Budget, moved: Moved) -> (String, Vec<Vec<u8>>) {
    let screen = Screen::default();
    let (mut sched, mut states) = (begin(engine, module, &screen), Vec::new());
    loop {
        let mut id = match sched.run(budget).unwrap() {
            RunResult::Interrupted(id) => id,
            RunResult::Finished => break,
            other => panic!("{other:?}"),
        };
        match moved {
            Moved::Not => states.push(dump(&mut sched)),
            Moved::AsASet => {
                let bytes = dump(&mut sched);
                let mut fresh = Scheduler::new(engine);
                let options = SetOptions::default().module(module).hosts(|_| screen.restored());
                fresh.load_set(&bytes, options).unwrap();
                sched = fresh;
                screen.give_children_a_host(&mut sched);
                states.push(bytes);
            }
            Moved::Alone => id = reload(&mut sched, module, &screen, id),
        }
        sched.insert(id).unwrap();
    }
    assert_eq!(sched.made_channels(), 0);
    (screen.text(), states)
}

fn reload(sched: &mut Scheduler, module: &Module, screen: &Screen, id: TaskletId) -> TaskletId {
    let bytes = sched.dump(id).unwrap();
    sched.kill(id).unwrap();
    let options = LoadOptions::default().module(module).host(screen.restored());
    sched.load_with(&bytes, options.same_channels()).unwrap()
}

#[test]
fn a_program_has_a_system_and_channels() {
    let engine = engine();
    let module = outside::module(&engine, "report").unwrap();
    let (text, _) = run(&engine, &module, Budget::unlimited(), Moved::Not);
    // They take turns line by line; each for itself prints what is in its file.
    let mut words = 0;
    for name in NAMES {
        let path = folder()[0].host.join(name);
        let prefix = format!("{name}: ");
        let found: Vec<&str> = text.lines().filter_map(|it| it.strip_prefix(&prefix)).collect();
        let Ok(content) = std::fs::read_to_string(path) else {
            assert!(found.len() == 1 && found[0].contains("os error"), "{found:?}");
            continue;
        };
        let counts = content.lines().map(|line| line.split_whitespace().count());
        let expected =
            (1..).zip(counts.clone()).map(|(n, count)| format!("line {n} has {count} words"));
        assert_eq!(found, expected.collect::<Vec<_>>());
        words += counts.sum::<usize>();
    }
    assert!(text.starts_with("3 files\ntext.txt: line 1 "), "{text}");
    assert!(text.ends_with(&format!("\n{words} words in all\n")), "{text}");
    assert!(text.contains("line 1 has") && words > 30);
    for (budget, least) in [(1_009, 10), (211, 100)] {
        let budget = Budget::steps(budget);
        let (expected, states) = run(&engine, &module, budget, Moved::Not);
        assert!(states.len() > least, "{}", states.len());
        let (found, others) = run(&engine, &module, budget, Moved::AsASet);
        assert_eq!(found, expected);
        assert!(others == states, "steps, memories and all else");
        assert_eq!(run(&engine, &module, budget, Moved::Alone).0, expected);
    }
}
