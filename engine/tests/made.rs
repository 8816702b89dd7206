//! Channels that guests make: what they are, how long they last, and that a scheduler of guests that
//! make them can be moved at every stop, one by one or as a whole.

mod common;

use std::time::Duration;

use common::guests::World;
use tasklet_engine::{
    Budget, ChannelId, ChannelOptions, Error, ErrorKind, Executor, ExecutorOptions, Handed,
    LoadOptions, MemoryStore, Message, Preference, RunResult, Scheduler, SetOptions,
    SnapshotOptions, Spawn, TaskletId,
};

const IMPORTS: &str = r#"
    (import "tasklet" "new_channel" (func $new (param i32) (result i32)))
    (import "tasklet" "drop_channel" (func $drop (param i32) (result i32)))
"#;

const GUESTS: &str = r#"
    (data (i32.const 8) "stagepairechoend")
    (func $spawn_with (param $name i32) (param $length i32) (param $told i32)
      (i32.store8 (i32.const 80) (local.get $told))
      (if (i64.lt_s (call $spawn (local.get $name) (local.get $length)
          (i32.const 80) (i32.const 1)) (i64.const 0)) (then unreachable)))
    (func $told (result i32)
      (drop (call $argument (i32.const 84) (i32.const 1)))
      (i32.load8_u (i32.const 84)))
    (func $put (param $channel i32) (param $value i32)
      (i32.store8 (i32.const 88) (local.get $value))
      (if (call $send (local.get $channel) (i32.const 88) (i32.const 1)) (then unreachable)))
    ;; What comes on a channel, or less than 0.
    (func $get (param $channel i32) (result i32) (local $got i64)
      (local.set $got (call $receive (local.get $channel) (i32.const 96) (i32.const 1)))
      (if (i64.lt_s (local.get $got) (i64.const 0))
        (then (return (i32.wrap_i64 (local.get $got)))))
      (i32.load8_u (i32.const 96)))
    ;; Makes a channel, and a tasklet that reads there and makes the next, three levels deep; closes
    ;; what it has sent to, so that the others end.
    (func $line (param $level i32) (param $n i32) (local $next i32) (local $i i32)
      (local.set $next (call $new (i32.sub (local.get $level) (i32.const 1))))
      (call $spawn_with (i32.const 8) (i32.const 5) (local.get $next))
      (loop $l
        (call $put (local.get $next) (i32.add (local.get $i) (i32.const 10)))
        (drop (call $count (i32.const 3)))
        (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
      (call $say (call $close (local.get $next)))
      (call $say (call $drop (local.get $next)))
      (call $say (call $drop (local.get $next))))
    (func (export "main") (call $line (i32.const 0) (i32.const 4)))
    (func (export "stage") (local $from i32) (local $value i32) (local $made i32) (local $sum i32)
      (local.set $from (call $told))
      (block $done
        (loop $l
          (local.set $value (call $get (local.get $from)))
          (br_if $done (i32.lt_s (local.get $value) (i32.const 0)))
          (local.set $sum (i32.add (local.get $sum) (local.get $value)))
          (call $say (local.get $sum))
          (if (i32.and (local.get $value) (i32.const 1)) (then
            ;; A pair of channels for a question and an answer, which nobody else has.
            (local.set $made (call $new (i32.const 0)))
            (call $say (local.get $made))
            (call $spawn_with (i32.const 13) (i32.const 4) (local.get $made))
            (call $put (local.get $made) (local.get $value))
            (call $say (call $get (local.get $made)))
            (call $say (call $drop (local.get $made)))))
          (br $l)))
      (call $say (local.get $value))
      (if (i32.lt_u (local.get $from) (i32.const 3))
        (then (call $line (local.get $from) (i32.const 2)))))
    ;; Answers by the double, and forks before it does.
    (func (export "pair") (local $on i32) (local $value i32)
      (local.set $on (call $told))
      (local.set $value (call $get (local.get $on)))
      (if (i64.eqz (call $fork)) (then
        (call $log (call $balance (local.get $on)))
        (call $say (call $new (i32.const 2)))
        (return)))
      (call $put (local.get $on) (i32.mul (local.get $value) (i32.const 2))))
    ;; Echoes on the channel that it is told, until that is closed.
    (func (export "echo") (local $on i32) (local $value i32)
      (local.set $on (call $told))
      (block $done (loop $l
        (local.set $value (call $get (local.get $on)))
        (br_if $done (i32.lt_s (local.get $value) (i32.const 0)))
        (call $put (local.get $on) (local.get $value))
        (br $l)))
      (call $say (local.get $value)))
    ;; What everybody writes first: a channel, a tasklet, and a talk, of which the program outside
    ;; hears on the channel "c".
    (func (export "talk") (local $on i32) (local $i i32)
      (local.set $on (call $new (i32.const -1)))
      (call $spawn_with (i32.const 17) (i32.const 4) (local.get $on))
      (loop $l
        (call $put (local.get $on) (local.get $i))
        (call $say (call $get (local.get $on)))
        (drop (call $park))
        (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 4))))
      (call $say (call $close (local.get $on))))
    (func (export "end"))
    (func (export "idle") (drop (call $park)))
    ;; Makes as many as it can, and says how many those were.
    (func (export "many") (local $n i32)
      (block $done (loop $l
        (br_if $done (i32.lt_s (call $new (i32.const 0)) (i32.const 0)))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br $l)))
      (call $say (local.get $n))
      (call $say (call $new (i32.const 0)))
      (drop (call $park)))
    ;; Makes one after the other, of which it keeps none, and has each known by a child that ends.
    (func (export "loop") (local $n i32) (local $made i32)
      (loop $l
        (local.set $made (call $new (i32.const 0)))
        (call $spawn_with (i32.const 21) (i32.const 3) (local.get $made))
        (drop (call $yield))
        (if (call $drop (local.get $made)) (then unreachable))
        (br_if $l (i32.lt_s (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 500)))))
    (func (export "waits") (local $made i32)
      (local.set $made (call $new (i32.const 1)))
      (call $say (call $get (local.get $made))))
    (func (export "closed") (local $made i32)
      (local.set $made (call $new (i32.const 2)))
      (drop (call $close (local.get $made)))
      (drop (call $park))
      (call $say (call $get (local.get $made))))
    (func (export "numbers")
      (call $say (call $c))
      (call $say (call $drop (call $c)))
      (call $say (call $c))
      (call $say (call $new (i32.const 0)))
      (call $say (call $new (i32.const 0)))
      (call $say (call $drop (i32.const 0)))
      (call $say (call $drop (i32.const 7)))
      (call $say (call $drop (i32.const -1)))
      (call $say (call $new (i32.const 0))))
"#;

fn world() -> World {
    let mut w = World::with_imports(IMPORTS, GUESTS);
    give_children_the_list(&mut w);
    w
}

fn give_children_the_list(w: &mut World) {
    let log = w.log.clone();
    w.sched.child_host(move |_| log.host());
}

fn spawn(w: &mut World, export: &str) -> TaskletId {
    let spawn = w.of(export);
    w.sched.spawn(&w.module, spawn).unwrap()
}

fn dump_all(sched: &mut Scheduler) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut options = SnapshotOptions::default();
    options.embed_module = false;
    sched.dump_all(&mut bytes, &options).unwrap();
    bytes
}

fn load_set(w: &World, sched: &mut Scheduler, bytes: &[u8]) -> tasklet_engine::Loaded {
    let options = SetOptions::default().hosts(|_| w.log.host()).module(&w.module);
    sched.load_set(bytes, options).unwrap()
}

/// How the tasklets are moved at a stop.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Moved {
    Not,
    /// All into a new scheduler.
    AsASet,
    /// Who has been interrupted is written down, destroyed, and loaded where it was.
    Alone,
    /// The same, taken out and put back.
    Taken,
    /// Whatever can be is hibernated.
    Asleep,
}

/// What was said in which order, what each who was interrupted was like, and how often there was a
/// stop.
type Course = (Vec<i64>, Vec<Vec<u8>>, usize);

/// Its state as bytes, less what tells only how it was run.
fn state(sched: &mut Scheduler, id: TaskletId) -> Vec<u8> {
    let mut options = SnapshotOptions::default();
    options.embed_module = false;
    let mut snapshot = sched.tasklet_mut(id).unwrap().snapshot(&options).unwrap();
    snapshot.parent = None;
    let mut bytes = Vec::new();
    snapshot.write_to(&mut bytes).unwrap();
    bytes
}

fn move_at_a_stop(w: &mut World, id: TaskletId, moved: Moved) -> TaskletId {
    match moved {
        Moved::Not => id,
        Moved::AsASet => {
            let bytes = dump_all(&mut w.sched);
            let mut fresh = Scheduler::new(&w.engine);
            load_set(w, &mut fresh, &bytes);
            assert!(dump_all(&mut fresh) == bytes, "what was loaded makes the same set");
            assert_eq!(fresh.made_channels(), w.sched.made_channels());
            w.sched = fresh;
            give_children_the_list(w);
            id
        }
        Moved::Alone => {
            let bytes = w.sched.dump(id).unwrap();
            w.sched.kill(id).unwrap();
            let options = LoadOptions::default().host(w.log.host()).same_channels();
            w.sched.load_with(&bytes, options).unwrap()
        }
        Moved::Taken => {
            let taken = w.sched.take(id).unwrap();
            w.sched.put(taken).unwrap()
        }
        Moved::Asleep => {
            for id in w.sched.tasklets() {
                w.sched.hibernate(id).unwrap();
            }
            id
        }
    }
}

fn course(budget: u64, moved: Moved) -> Course {
    let mut w = world();
    if moved == Moved::Asleep {
        w.sched.set_store(MemoryStore::default(), Default::default()).unwrap();
    }
    spawn(&mut w, "main");
    let (mut states, mut stops) = (Vec::new(), 0);
    loop {
        match w.sched.run(Budget::steps(budget)).unwrap() {
            RunResult::Interrupted(id) => {
                states.push(state(&mut w.sched, id));
                let id = move_at_a_stop(&mut w, id, moved);
                w.sched.insert(id).unwrap();
                stops += 1;
            }
            RunResult::Finished => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(w.sched.tasklets().is_empty());
    // Nobody is there, so no channel is.
    assert_eq!(w.sched.made_channels(), 0);
    (w.log.take(), states, stops)
}

/// The oracle: moved at every stop, in each of the ways there are, everything comes out as without,
/// and everybody is at every stop what he is without, steps and memory included.
#[test]
fn moved_at_every_stop_it_is_the_same() {
    let (said, ..) = course(1_000_000, Moved::Not);
    assert!(said.len() > 30, "{said:?}");
    for budget in [1, 2, 7, 50] {
        let (expected, states, stops) = course(budget, Moved::Not);
        assert!(stops > 10 && states.len() == stops);
        for moved in [Moved::AsASet, Moved::Alone, Moved::Taken, Moved::Asleep] {
            let (found, other, _) = course(budget, moved);
            assert_eq!(found, expected, "{moved:?} at budget {budget}");
            assert!(other == states, "{moved:?} at budget {budget}");
        }
    }
}

#[test]
fn what_everybody_writes_first() {
    let mut w = world();
    let talk = spawn(&mut w, "talk");
    let RunResult::Deadlock(waiting) = w.sched.run(Budget::unlimited()).unwrap() else {
        panic!("the one is parked, the other waits for more");
    };
    let [channel] = w.sched.channels_of(talk)[..] else { panic!("it has made one") };
    assert_eq!(w.sched.waiting_on(channel.unwrap()).unwrap(), waiting);
    assert_eq!(w.log.take(), [0]);
    for said in 1..4 {
        w.sched.insert(talk).unwrap();
        w.sched.run(Budget::unlimited()).unwrap();
        assert_eq!(w.log.take(), [said]);
    }
    w.sched.insert(talk).unwrap();
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!((w.log.take(), w.sched.made_channels()), (vec![0, -1], 0));
}

/// On threads they are the same, and gone when all have ended.
#[test]
fn on_threads_too() {
    let mut w = world();
    for _ in 0..8 {
        spawn(&mut w, "main");
    }
    let mut options = ExecutorOptions::default();
    (options.workers, options.slice_steps) = (2, 50);
    let executor = Executor::start(w.sched, &options).unwrap();
    assert_eq!(executor.wait(Duration::from_secs(120)), Some(RunResult::Finished));
    executor.with(|sched| {
        assert!(sched.tasklets().is_empty());
        assert_eq!(sched.made_channels(), 0);
    });
    let mut w = World { sched: Scheduler::new(&w.engine), ..w };
    let said = w.log.take();
    give_children_the_list(&mut w);
    for _ in 0..8 {
        spawn(&mut w, "main");
    }
    w.sched.run(Budget::unlimited()).unwrap();
    // Not what: who comes first sees another balance.
    assert_eq!(said.len(), w.log.take().len());
}

/// The numbers that a guest has for its channels: the lowest that is free.
#[test]
fn numbers_are_used_again() {
    let mut w = world();
    let c = w.sched.channel("1", ChannelOptions::default()).unwrap();
    let spawn = w.of("numbers").channel("c", c);
    w.sched.spawn(&w.module, spawn).unwrap();
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(w.log.take(), [0, 0, -3, 0, 1, 0, -3, -3, 0]);
    // Whatever its name, one of the program's is another, and is still there.
    assert_eq!((w.sched.find_channel("1"), w.sched.made_channels()), (Some(c), 0));
}

/// A guest that makes channels without end makes the host's memory no fuller.
#[test]
fn what_nobody_has_is_gone() {
    let mut w = world();
    spawn(&mut w, "loop");
    loop {
        let result = w.sched.run(Budget::steps(1_000)).unwrap();
        assert!(w.sched.made_channels() <= 2, "{}", w.sched.made_channels());
        match result {
            RunResult::Interrupted(id) => w.sched.insert(id).unwrap(),
            RunResult::Finished => break,
            other => panic!("{other:?}"),
        }
    }
    // However one goes: by the end of its program, a trap, taken out, destroyed, or in the store.
    let mut w = world();
    w.sched.set_store(MemoryStore::default(), Default::default()).unwrap();
    for (way, kept) in [("killed", 0), ("taken", 0), ("asleep", 1), ("killed asleep", 0)] {
        let id = spawn(&mut w, "waits");
        w.sched.run(Budget::unlimited()).unwrap();
        assert_eq!(w.sched.made_channels(), 1);
        match way {
            "taken" => drop(w.sched.take(id).unwrap()),
            "killed" => w.sched.kill(id).unwrap(),
            _ => w.sched.hibernate(id).unwrap(),
        }
        if way == "killed asleep" {
            w.sched.kill(id).unwrap();
        }
        assert_eq!(w.sched.made_channels(), kept, "{way}");
        w.sched.tasklets().into_iter().for_each(|id| w.sched.kill(id).unwrap());
        assert_eq!(w.sched.made_channels(), 0, "{way}");
    }
    // A fork has them too, from outside and from within.
    let id = spawn(&mut w, "waits");
    w.sched.run(Budget::unlimited()).unwrap();
    let fork = w.sched.fork(id).unwrap();
    assert_eq!(w.sched.channels_of(fork), w.sched.channels_of(id));
    w.sched.kill(id).unwrap();
    assert_eq!(w.sched.made_channels(), 1);
    let [Some(channel)] = w.sched.channels_of(fork)[..] else { panic!("it has one") };
    let sent = w.sched.try_send(channel, Message::Data(vec![5])).unwrap();
    assert_eq!(sent, Handed::To(fork));
    w.sched.run(Budget::unlimited()).unwrap();
    assert_eq!((w.log.take(), w.sched.made_channels()), (vec![5], 0));
    let gone = w.sched.balance(channel).unwrap_err();
    assert!(matches!(gone, Error::NoSuchChannel { .. }), "{gone}");
}

#[test]
fn there_are_limits() {
    let mut w = world();
    spawn(&mut w, "many");
    w.sched.run(Budget::unlimited()).unwrap();
    assert_eq!(w.log.take(), [1024, -5]);
    assert_eq!(w.sched.made_channels(), 1024);
    // All of them: then none is made for anybody, and the program outside has the other half.
    for _ in 1..512 {
        spawn(&mut w, "many");
    }
    w.sched.run(Budget::unlimited()).unwrap();
    w.log.take();
    assert_eq!(w.sched.made_channels(), 512 * 1024);
    let one = spawn(&mut w, "many");
    w.sched.run(Budget::unlimited()).unwrap();
    assert_eq!(w.log.take(), [0, -5]);
    w.sched.channel("still", ChannelOptions::default()).unwrap();
    // One that would bring more is not let in.
    let full = w.sched.tasklets()[0];
    let bytes = w.sched.dump(full).unwrap();
    let load = |w: &mut World| w.sched.load_with(&bytes, LoadOptions::default().host(w.log.host()));
    assert_eq!(load(&mut w).unwrap_err().kind(), ErrorKind::Limit);
    w.sched.kill(full).unwrap();
    load(&mut w).unwrap();
    w.sched.kill(one).unwrap();
}

/// Loaded alone, it has a channel like the one that it had, which nobody else has; unless it is said
/// to be the same.
#[test]
fn who_is_loaded_alone_talks_to_nobody_by_accident() {
    let mut w = world();
    let talk = spawn(&mut w, "talk");
    w.sched.run(Budget::unlimited()).unwrap();
    w.log.take();
    let bytes = w.sched.dump(talk).unwrap();
    let channel = |w: &World, id| w.sched.channels_of(id)[0].unwrap();
    let (other, same) = (LoadOptions::default(), LoadOptions::default().same_channels());
    let other = w.sched.load_with(&bytes, other.host(w.log.host())).unwrap();
    let same = w.sched.load_with(&bytes, same.host(w.log.host())).unwrap();
    assert_ne!(channel(&w, other), channel(&w, talk));
    assert_eq!(channel(&w, same), channel(&w, talk));
    w.sched.insert(other).unwrap();
    let RunResult::Deadlock(waiting) = w.sched.run(Budget::unlimited()).unwrap() else {
        panic!("nobody answers it");
    };
    assert!(waiting.contains(&other) && w.log.take().is_empty());
    w.sched.insert(same).unwrap();
    w.sched.run(Budget::unlimited()).unwrap();
    assert_eq!(w.log.take(), [1]);
    // Put into another scheduler, in which there is a channel of that number.
    let mut elsewhere = world();
    let theirs = spawn(&mut elsewhere, "waits");
    elsewhere.sched.run(Budget::unlimited()).unwrap();
    let taken = w.sched.take(talk).unwrap();
    let here = elsewhere.sched.put(taken).unwrap();
    assert_ne!(channel(&elsewhere, here), channel(&elsewhere, theirs));
    assert_eq!(elsewhere.sched.made_channels(), 2);
}

/// How a channel behaves, and whether it is closed, goes along with one tasklet, and with a set.
#[test]
fn channels_are_what_they_were() {
    let mut w = world();
    let closed = spawn(&mut w, "closed");
    let waits = spawn(&mut w, "waits");
    w.sched.run(Budget::unlimited()).unwrap();
    let both = [closed, waits].map(|id| w.sched.channels_of(id)[0].unwrap());
    let external = ChannelOptions { preference: Preference::Sender, external: true };
    w.sched.set_channel_options(both[1], external).unwrap();
    let outcome = |sched: &mut Scheduler, w: &World, closed, waits| {
        sched.insert(closed).unwrap();
        let result = sched.run(Budget::unlimited()).unwrap();
        assert_eq!(result, RunResult::Blocked(vec![waits]));
        assert_eq!(w.log.take(), [-1]);
    };
    let mut alone = Scheduler::new(&w.engine);
    let ids = [closed, waits].map(|id| {
        let bytes = w.sched.dump(id).unwrap();
        let options = LoadOptions::default().host(w.log.host());
        alone.load_with(&bytes, options).unwrap()
    });
    alone.insert(ids[1]).unwrap();
    outcome(&mut alone, &w, ids[0], ids[1]);
    let bytes = dump_all(&mut w.sched);
    let mut set = Scheduler::new(&w.engine);
    load_set(&w, &mut set, &bytes);
    outcome(&mut set, &w, closed, waits);
}

/// A set that is loaded twice is two worlds, and takes nothing from the one that is there.
#[test]
fn identity_is_kept_within_a_set() {
    let mut w = world();
    let talk = spawn(&mut w, "talk");
    w.sched.run(Budget::unlimited()).unwrap();
    w.log.take();
    let (bytes, all) = (dump_all(&mut w.sched), w.sched.tasklets());
    let mut sched = std::mem::replace(&mut w.sched, Scheduler::new(&w.engine));
    let worlds = [0, 1].map(|_| load_set(&w, &mut sched, &bytes));
    assert_eq!(sched.made_channels(), 3);
    for (said, world) in (1..).zip(&worlds) {
        assert_eq!(world.made.len(), 1);
        let id = world.tasklets.iter().find(|(old, _)| *old == talk.number()).unwrap().1;
        assert_eq!(sched.channels_of(id), [Some(world.made[0].1)]);
        sched.insert(id).unwrap();
        sched.run(Budget::unlimited()).unwrap();
        assert_eq!(w.log.take(), [1], "{said}");
    }
    // Only what the tasklets of a set have is in it, whatever else is named.
    let made: Vec<ChannelId> = worlds.iter().map(|world| world.made[0].1).collect();
    let mut one = Vec::new();
    sched.dump_set(&mut one, &all, &made, &SnapshotOptions::default()).unwrap();
    let mut fresh = Scheduler::new(&w.engine);
    assert_eq!(load_set(&w, &mut fresh, &one).made.len(), 1);
    // The program outside can have one of its own used instead.
    let mut fresh = Scheduler::new(&w.engine);
    let mine = fresh.channel("mine", ChannelOptions::default()).unwrap();
    let options = SetOptions::default().hosts(|_| w.log.host()).module(&w.module);
    let options = options.channels(|channel| channel.made.map(|_| mine));
    let loaded = fresh.load_set(&bytes, options).unwrap();
    assert_eq!((loaded.made[0].1, fresh.made_channels()), (mine, 0));
    assert_eq!(fresh.waiting_on(mine).unwrap().len(), 1);
    // It is known by its name now.
    let bytes = fresh.dump(loaded.tasklets[0].1).unwrap();
    let error = Scheduler::new(&w.engine)
        .load_with(&bytes, LoadOptions::default().host(w.log.host()))
        .unwrap_err();
    assert!(matches!(error, Error::NoSuchChannel { name } if name == "mine"));
}

/// One that a guest made can be given to another tasklet by the program outside.
#[test]
fn what_a_guest_made_can_be_given_away() {
    let mut w = world();
    let waits = spawn(&mut w, "waits");
    w.sched.run(Budget::unlimited()).unwrap();
    let made = w.sched.channels_of(waits)[0].unwrap();
    let spawn = Spawn::export("idle").host(w.log.host()).channel("c", made);
    let idle = w.sched.spawn(&w.module, spawn).unwrap();
    w.sched.run(Budget::unlimited()).unwrap();
    w.sched.kill(waits).unwrap();
    assert_eq!((w.sched.channels_of(idle), w.sched.made_channels()), (vec![Some(made)], 1));
    // Removed, it is closed to who has it, and comes closed into another scheduler.
    w.sched.remove_channel(made).unwrap();
    assert_eq!((w.sched.channels_of(idle), w.sched.made_channels()), (vec![None], 0));
    let bytes = w.sched.dump(idle).unwrap();
    let mut fresh = Scheduler::new(&w.engine);
    let id = fresh.load_with(&bytes, LoadOptions::default().host(w.log.host())).unwrap();
    let again = fresh.channels_of(id)[0].unwrap();
    let closed = fresh.try_receive(again).unwrap_err();
    assert!(matches!(closed, Error::ChannelClosed { .. }), "{closed}");
    let set = dump_all(&mut w.sched);
    load_set(&w, &mut Scheduler::new(&w.engine), &set);
}
