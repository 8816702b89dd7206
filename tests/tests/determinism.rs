//! The same input gives the same bytes: on each call, in each thread, in each process.

use std::process::Command;

use tasklet_engine::{Digest, Module, SnapshotOptions, Tasklet};
use tasklet_instrumenter::{Options, instrument};
use tasklet_tests::examples;
use tasklet_tests::world::World;

/// Set in the process this test starts of itself.
const CHILD: &str = "TASKLET_TESTS_CHILD";

/// One line for each program: hashes of it instrumented, and of a snapshot of it.
fn hashes() -> String {
    let instrumented = examples::programs().into_iter().map(|(path, wasm)| {
        let made = instrument(&wasm, &Options::default()).expect("examples are carried");
        format!("{} {}\n", path.display(), Digest::of(&made.wasm))
    });
    let names = ["callbacks", "simd-20", "tables", "random", "cat-stdin", "collections"];
    let snapshots = names.iter().map(|name| format!("{name} {}\n", snapshot(name)));
    instrumented.chain(snapshots).collect()
}

fn snapshot(name: &str) -> Digest {
    let example = examples::named(name);
    let module = Module::load(tasklet_tests::engine(), &example.bytes()).expect("it is carried");
    let world = World::new(&example.setup().expect("it has one")).expect("it can be made");
    let entry = example.entry().expect("it has one");
    let mut tasklet = Tasklet::spawn(&module, world.host(), entry).expect("it begins");
    for budget in [100, 1, 333, 1000] {
        tasklet.run(budget).expect("it runs");
    }
    tasklet.dump(&mut std::io::sink(), &SnapshotOptions::default()).expect("it can be written")
}

#[test]
fn the_same_on_each_call_and_thread() {
    let here = hashes();
    let there = std::thread::spawn(hashes).join().expect("nothing panics there");
    assert_eq!(here, there);
    assert_eq!(here, hashes());
}

#[test]
fn the_same_in_each_process() {
    let here = hashes();
    if std::env::var_os(CHILD).is_some() {
        println!("\n{here}");
        return;
    }
    let own = std::env::current_exe().expect("a test has an executable");
    for _ in 0..2 {
        let output = Command::new(&own)
            .args(["--exact", "--nocapture", "the_same_in_each_process"])
            .env(CHILD, "1")
            .output()
            .expect("it can be started");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}");
        assert!(text.contains(&here), "another process has other bytes:\n{text}\nnot\n{here}");
    }
}
