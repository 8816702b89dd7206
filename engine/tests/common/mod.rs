//! What the tests share.
#![allow(dead_code, reason = "no test uses all of it")]

pub mod guests;

use std::path::Path;
use std::process::{Child, Command, Stdio};

use tasklet_engine::{
    CacheMode, Engine, EngineOptions, Entry, Host, Memories, Module, Outcome, Snapshot,
    SnapshotOptions, Tasklet, Value, snapshot,
};

/// As users have them, but without a cache, and with the memories that `TASKLET_TESTS_MEMORIES` says
/// (`dense`).
pub fn options() -> EngineOptions {
    let mut options = EngineOptions::default();
    options.cache = CacheMode::Off;
    if let Ok(name) = std::env::var("TASKLET_TESTS_MEMORIES") {
        assert_eq!(name, "dense", "TASKLET_TESTS_MEMORIES can be `dense`");
        options.memories = Memories::Dense;
    }
    options
}

pub fn engine() -> Engine {
    Engine::new(&options()).expect("the default options work everywhere")
}

/// With those memories, whatever the environment says.
pub fn engine_of(memories: Memories) -> Engine {
    let mut options = options();
    options.memories = memories;
    Engine::new(&options).expect("the options work everywhere")
}

pub fn module(wat: &str) -> Module {
    load(&engine(), wat)
}

pub fn load(engine: &Engine, wat: &str) -> Module {
    let wasm = wat::parse_str(wat).expect("the test's text is a module");
    Module::load(engine, &wasm).expect("the module can be loaded")
}

/// A process that runs one test of this file, with a variable set; it is to be killed.
pub fn test_process(test: &str, variable: &str, value: &Path) -> Child {
    Command::new(std::env::current_exe().expect("it has a name"))
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(variable, value)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the test can be started")
}

pub fn invoke(name: &str, args: &[Value]) -> Entry {
    Entry::Invoke { name: name.into(), args: args.to_vec() }
}

/// Through the file format into a new tasklet. What it would write is what was read.
pub fn reload(tasklet: &mut Tasklet, host: Host) -> Tasklet {
    let module = tasklet.module().clone();
    let mut bytes = Vec::new();
    tasklet.dump(&mut bytes, &SnapshotOptions::default()).expect("it can be written");
    let (snapshot, digest) = Snapshot::read_from(&mut &bytes[..], &snapshot::Limits::DEFAULT)
        .expect("what was written can be read");
    let mut again = Tasklet::load(&module, &snapshot, digest, host).expect("it can be loaded");
    let mut same = again.snapshot(&SnapshotOptions::default()).expect("it can be written again");
    same.parent = snapshot.parent;
    // The host's clock has moved on. NB: no `assert_eq`, which would print megabytes.
    same.host.clone_from(&snapshot.host);
    assert!(same == snapshot, "a loaded snapshot makes the same snapshot");
    again
}

/// All that can be compared between two ways of running the same.
#[derive(Debug, PartialEq)]
pub struct End {
    pub outcome: Outcome,
    pub steps: u64,
    pub snapshot: Snapshot<'static>,
}

/// Runs without a pause.
pub fn straight(module: &Module, host: Host, entry: &Entry) -> End {
    let mut tasklet = Tasklet::spawn(module, host, entry.clone()).expect("it can be spawned");
    let outcome = tasklet.run(u64::MAX).expect("it runs");
    end(tasklet, outcome)
}

/// Runs in slices, each in a tasklet of its own. Returns the number of pauses too.
pub fn sliced(
    module: &Module,
    host: &dyn Fn() -> Host,
    restored: &dyn Fn() -> Host,
    entry: &Entry,
    budget: u64,
) -> (End, u64) {
    let mut tasklet = Tasklet::spawn(module, host(), entry.clone()).expect("it can be spawned");
    let mut pauses = 0;
    loop {
        let outcome = tasklet.run(budget).expect("it runs");
        if outcome != Outcome::OutOfBudget {
            return (end(tasklet, outcome), pauses);
        }
        pauses += 1;
        assert_eq!(tasklet.granted(), pauses * budget);
        tasklet = reload(&mut tasklet, restored());
    }
}

/// What can be compared of a tasklet that ended so.
pub fn end(mut tasklet: Tasklet, outcome: Outcome) -> End {
    let steps = tasklet.steps_used().expect("steps can be counted");
    let mut options = SnapshotOptions::default();
    options.embed_module = false;
    let mut bytes = Vec::new();
    tasklet.dump(&mut bytes, &options).expect("it can be written");
    let (mut snapshot, _) = Snapshot::read_from(&mut &bytes[..], &snapshot::Limits::DEFAULT)
        .expect("what was written can be read");
    // These tell how it was run, not what it did.
    (snapshot.parent, snapshot.balance) = (None, 0);
    End { outcome, steps, snapshot }
}

/// Compares two ways of running the same; a failure prints no memories.
pub fn same(expected: &End, found: &End, budget: u64) {
    assert_eq!(expected.outcome, found.outcome, "budget {budget}");
    assert_eq!(expected.steps, found.steps, "steps at budget {budget}");
    assert!(expected.snapshot == found.snapshot, "state at budget {budget}");
}
