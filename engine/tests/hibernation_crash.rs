//! A process that hibernates tasklets all the time is killed at any moment. What it had hibernated
//! goes on in another.

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use tasklet_engine::snapshot::PageData;
use tasklet_engine::{
    Budget, DirectoryOptions, DirectoryStore, Handed, Hibernation, LoadOptions, Message, Module,
    RunResult, Scheduler, Spawn, Store, TaskletId,
};

/// Counts its messages, at byte 1024. Its memory is not all alike, so that records are long.
const GUEST: &str = r#"(module
    (import "tasklet" "id" (func $id (result i64)))
    (import "tasklet" "receive" (func $receive (param i32 i32 i32) (result i64)))
    (memory (export "memory") 1)
    (func (export "main") (local $at i32) (local $x i64)
      (loop $messages
        (drop (call $receive (i32.const 0) (i32.const 64) (i32.const 8)))
        (i64.store (i32.const 1024) (i64.add (i64.load (i32.const 1024)) (i64.const 1)))
        (local.set $at (i32.const 2048))
        (local.set $x (i64.add (i64.load (i32.const 1024)) (call $id)))
        (loop $l
          (local.set $x (i64.add (i64.const 1442695040888963407)
            (i64.mul (local.get $x) (i64.const 6364136223846793005))))
          (i64.store (local.get $at) (local.get $x))
          (br_if $l (i32.lt_u
            (local.tee $at (i32.add (local.get $at) (i32.const 8))) (i32.const 3000))))
        (br $messages))))"#;

const TASKLETS: u64 = 6;
const NAMES: [&str; TASKLETS as usize] = ["a", "b", "c", "d", "e", "f"];

/// Set in a process that is to be killed: the directory of its store.
const DIRECTORY: &str = "TASKLET_TEST_HIBERNATES";

fn open(directory: &Path) -> DirectoryStore {
    let mut options = DirectoryOptions::default();
    options.segment_bytes = 30_000;
    DirectoryStore::open_with(directory, options).unwrap()
}

/// The process. It says the number of each round in which all have had a message. Without its
/// variable it is no test.
#[test]
fn hibernates() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let engine = common::engine();
    let module = Module::load(&engine, &wat::parse_str(GUEST).unwrap()).unwrap();
    let mut sched = Scheduler::new(&engine);
    sched.set_store(open(directory.as_ref()), Hibernation::after_turns(0)).unwrap();
    let channels = NAMES.map(|name| sched.channel(name, Default::default()).unwrap());
    for channel in channels {
        sched.spawn(&module, Spawn::export("main").channel("own", channel)).unwrap();
    }
    for round in 0u64.. {
        assert!(matches!(sched.run(Budget::unlimited()).unwrap(), RunResult::Deadlock(_)));
        assert_eq!(sched.hibernated() as u64, TASKLETS);
        println!("round {round}");
        for channel in channels {
            let handed = sched.try_send(channel, Message::Data(vec![1])).unwrap();
            assert!(matches!(handed, Handed::To(_)));
        }
    }
}

/// What one has counted to.
fn count(sched: &mut Scheduler, id: TaskletId) -> u64 {
    let snapshot = sched.tasklet_mut(id).unwrap().snapshot(&Default::default()).unwrap();
    match snapshot.memories[0].runs.first().map(|run| (run.first, &run.data)) {
        Some((0, PageData::Bytes(bytes))) => {
            u64::from_le_bytes(bytes[1024..1032].try_into().unwrap())
        }
        _ => 0,
    }
}

#[test]
fn whoever_was_hibernated_by_a_process_that_is_killed_goes_on() {
    for kill in 0..12u64 {
        let folder = tempfile::tempdir().unwrap();
        let mut child = common::test_process("hibernates", DIRECTORY, folder.path());
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let rounds = lines.filter_map(|line| line.unwrap().split("round ").nth(1)?.parse().ok());
        let said: u64 = rounds.take(1 + kill as usize * 9).last().unwrap();
        std::thread::sleep(Duration::from_micros(kill * 373 % 1900));
        child.kill().unwrap();
        child.wait().unwrap();
        goes_on(folder.path(), said);
    }
}

/// Each is as it was hibernated last: none is behind the last round that was said to be over.
fn goes_on(directory: &Path, said: u64) {
    let engine = common::engine();
    let mut sched = Scheduler::new(&engine);
    let channels = NAMES.map(|name| sched.channel(name, Default::default()).unwrap());
    let mut store = open(directory);
    let keys = store.keys().unwrap();
    assert_eq!(keys.len() as u64, TASKLETS);
    let ids: Vec<_> = (keys.iter())
        .map(|key| sched.load_stored(&mut store, *key, LoadOptions::default()).unwrap())
        .collect();
    let counts: Vec<u64> = ids.iter().map(|id| count(&mut sched, *id)).collect();
    assert!(counts.iter().all(|count| *count >= said), "{said}: {counts:?}");
    // They have their messages in turn.
    assert!(counts.windows(2).all(|two| two[0] == two[1] || two[0] == two[1] + 1), "{counts:?}");
    sched.set_store(store, Hibernation::after_turns(0)).unwrap();
    for (id, channel) in ids.iter().zip(channels) {
        sched.insert(*id).unwrap();
        sched.try_send(channel, Message::Data(vec![1])).unwrap();
    }
    assert!(matches!(sched.run(Budget::unlimited()).unwrap(), RunResult::Deadlock(_)));
    assert_eq!(sched.hibernated() as u64, TASKLETS);
    let after: Vec<u64> = ids.iter().map(|id| count(&mut sched, *id)).collect();
    assert_eq!(after, counts.iter().map(|count| count + 1).collect::<Vec<_>>());
}
