//! The guests of `guest-examples/tasklets`, by the programs of `examples`: what they say is what is
//! known to be right, and the same when at every stop the whole scheduler is written down and given
//! up, and goes on as a new one, in fresh stores; and so are steps, memories and all else there is of them.
#![allow(clippy::duplicate_mod, reason = "the examples share a module")]

#[path = "../examples/chat.rs"]
#[expect(dead_code, reason = "its `main` is a program of its own")]
mod chat;
mod common;
#[path = "../examples/game.rs"]
#[expect(dead_code, reason = "its `main` is a program of its own")]
mod game;
#[path = "../examples/outside/mod.rs"]
mod outside;
#[path = "../examples/philosophers.rs"]
#[expect(dead_code, reason = "its `main` is a program of its own")]
mod philosophers;
#[path = "../examples/ping-pong.rs"]
#[expect(dead_code, reason = "its `main` is a program of its own")]
mod ping_pong;
#[path = "../examples/pipeline.rs"]
#[expect(dead_code, reason = "its `main` is a program of its own")]
mod pipeline;
#[path = "../examples/tree.rs"]
#[expect(dead_code, reason = "its `main` is a program of its own")]
mod tree;

use common::{engine, options};
use tasklet_engine::{
    Budget, Digest, Engine, Memories, Message, RunResult, Scheduler, SetOptions, SnapshotOptions,
    TaskletId,
};

/// What was said, how it ended, how often it was stopped; and what all were like, steps and memories
/// included, whenever they waited for the program outside, and at the end.
type Told = (Vec<String>, RunResult, usize, Vec<Digest>);

/// Without a stop.
fn straight(mut sched: Scheduler) -> Told {
    let (mut lines, mut states) = (Vec::new(), Vec::new());
    loop {
        let result = sched.run(Budget::unlimited()).unwrap();
        states.push(state(&mut sched));
        let said = listen(&mut sched);
        if said.is_empty() || !matches!(result, RunResult::Blocked(_)) {
            return (lines, result, 0, states);
        }
        lines.extend(said);
    }
}

/// In slices of that many steps; at each stop all move into a new scheduler. Beside it the same runs
/// without moving: at every stop, or of those beyond the thousandth at every sixteenth, what would be
/// written of the whole scheduler is the same, byte for byte.
fn sliced(engine: &Engine, [mut still, mut sched]: [Scheduler; 2], budget: u64) -> Told {
    let (mut lines, mut stops, mut states) = (Vec::new(), 0, Vec::new());
    loop {
        let result = sched.run(Budget::steps(budget)).unwrap();
        assert_eq!(still.run(Budget::steps(budget)).unwrap(), result);
        let victim = match &result {
            RunResult::Interrupted(id) => Some(*id),
            _ => None,
        };
        if victim.is_none() {
            states.push(state(&mut sched));
            let said = listen(&mut sched);
            assert_eq!(listen(&mut still), said);
            if said.is_empty() || !matches!(result, RunResult::Blocked(_)) {
                return (lines, result, stops, states);
            }
            lines.extend(said);
        }
        stops += 1;
        let bytes = dump(&mut sched);
        if stops < 1000 || stops % 16 == 0 {
            assert!(dump(&mut still) == bytes, "stop {stops} in slices of {budget}");
        }
        sched = moved(engine, sched, &bytes, victim);
        if let Some(victim) = victim {
            still.run_now(victim).unwrap();
        }
    }
}

/// What they say to the program outside.
fn listen(sched: &mut Scheduler) -> Vec<String> {
    let out = sched.find_channel("out").unwrap();
    let mut lines = Vec::new();
    while let Some(message) = sched.try_receive(out).unwrap() {
        lines.push(String::from_utf8(message.into()).unwrap());
    }
    lines
}

/// All that is there of all of them, but for what tells in which slices they ran.
fn state(sched: &mut Scheduler) -> Digest {
    let mut digests = Vec::new();
    for id in sched.tasklets() {
        let options = without_module();
        let mut snapshot = sched.tasklet_mut(id).unwrap().snapshot(&options).unwrap();
        (snapshot.parent, snapshot.balance) = (None, 0);
        digests.extend(snapshot.write_to(&mut std::io::sink()).unwrap().0);
    }
    Digest::of(&digests)
}

fn dump(sched: &mut Scheduler) -> Vec<u8> {
    let mut bytes = Vec::new();
    sched.dump_all(&mut bytes, &without_module()).unwrap();
    bytes
}

/// What is written of the whole scheduler goes on in a new one, and who was interrupted goes first.
fn moved(engine: &Engine, old: Scheduler, bytes: &[u8], victim: Option<TaskletId>) -> Scheduler {
    let module = old.tasklet(old.tasklets()[0]).unwrap().module().clone();
    let mut new = Scheduler::new(engine);
    new.load_set(bytes, SetOptions::default().module(&module)).unwrap();
    assert_eq!((new.tasklets(), new.ready()), (old.tasklets(), old.ready()));
    drop(old);
    if let Some(victim) = victim {
        let ready = new.ready();
        for id in &ready {
            new.remove(*id).unwrap();
        }
        for id in [victim].iter().chain(&ready) {
            new.insert(*id).unwrap();
        }
    }
    new
}

fn without_module() -> SnapshotOptions {
    let mut options = SnapshotOptions::default();
    options.embed_module = false;
    options
}

/// Compares the ways to run it.
fn check(begin: impl Fn(&Engine) -> Scheduler, budgets: &[u64], expected: (&[String], &RunResult)) {
    let engine = engine();
    let (lines, result, _, states) = straight(begin(&engine));
    assert_eq!((&lines[..], &result), expected);
    for budget in budgets {
        let both = [begin(&engine), begin(&engine)];
        let (lines, result, stops, found) = sliced(&engine, both, *budget);
        assert!(stops > lines.len());
        assert_eq!((&lines[..], &result), expected, "in slices of {budget}");
        assert_eq!(found, states, "in slices of {budget}");
    }
}

fn lines(lines: impl IntoIterator<Item = impl ToString>) -> Vec<String> {
    lines.into_iter().map(|line| line.to_string()).collect()
}

#[test]
fn ping_pong() {
    let expected = lines((1..=3).flat_map(|n| [format!("ping {n}"), format!("pong {n}")]));
    let begin = |engine: &Engine| ping_pong::table(engine, "3").unwrap();
    check(begin, &[1, 2, 7, 50], (&expected, &RunResult::Finished));
}

#[test]
fn a_pipeline_of_generators() {
    let is_prime = |n: &u32| (2..*n).all(|d| !n.is_multiple_of(d));
    for (limit, budgets) in [(8, &[1][..]), (14, &[97]), (30, &[1_000])] {
        let primes = lines((2..=limit).filter(is_prime));
        let begin = |engine: &Engine| pipeline::sieve(engine, &limit.to_string()).unwrap();
        check(begin, budgets, (&primes, &RunResult::Finished));
    }
    // The channels are gone with the stages that made them.
    let mut sched = pipeline::sieve(&engine(), "300").unwrap();
    let mut primes = 0;
    let result = outside::run(&mut sched, |_| primes += 1).unwrap();
    assert_eq!((result, primes, sched.made_channels()), (RunResult::Finished, 62, 0));
}

#[test]
fn the_dining_philosophers() {
    let begin = |engine: &Engine| philosophers::dinner(engine, "2").unwrap();
    let (said, ..) = straight(begin(&engine()));
    let meal = |who, meal| format!("philosopher {who} eats meal {meal}");
    let mut all = said.clone();
    all.sort();
    assert_eq!(all, lines((0..5).flat_map(|who| [meal(who, 1), meal(who, 2)])));
    for who in 0..5 {
        let at = |n| said.iter().position(|line| *line == meal(who, n));
        assert!(at(1) < at(2));
    }
    let finished = RunResult::Finished;
    check(begin, &[60], (&said, &finished));
    let begin = |engine: &Engine| philosophers::dinner(engine, "1").unwrap();
    let (said, ..) = straight(begin(&engine()));
    check(begin, &[5], (&said, &finished));
    // All have a fork and want another: nobody has eaten, and the forks wait to be brought back.
    let begin = |engine: &Engine| philosophers::dinner(engine, "1 greedily").unwrap();
    let stuck = straight(begin(&engine())).1;
    assert!(matches!(&stuck, RunResult::Deadlock(ids) if ids.len() == 11), "{stuck:?}");
    check(begin, &[1], (&[], &stuck));
}

/// What the room says, computed without a room.
fn chat_log(members: u32, rounds: u32) -> Vec<String> {
    let mix = |hash: u32, word: u32| (hash ^ word).wrapping_mul(16_777_619);
    let mut digest = 2_166_136_261;
    let round = |round: u32| {
        let answers = (0..members).map(|member| mix(mix(digest, round), member));
        digest = answers.fold(0, u32::wrapping_add);
        format!("round {round}: {members} have spoken, digest {digest}")
    };
    (1..=rounds).map(round).collect()
}

#[test]
fn a_small_chat() {
    let begin = |engine: &Engine| chat::room(engine, "6", "3").unwrap();
    check(begin, &[1, 40], (&chat_log(6, 3), &RunResult::Finished));
}

/// In the middle of the conversation all ten thousand move into another scheduler.
#[test]
fn a_chat_of_ten_thousand() {
    let mut options = options();
    options.memories = Memories::Dense;
    let engine = Engine::new(&options).unwrap();
    let mut sched = chat::room(&engine, "10000", "3").unwrap();
    let expected = chat_log(10_000, 3);
    let out = sched.find_channel("out").unwrap();
    let RunResult::Blocked(_) = sched.run(Budget::unlimited()).unwrap() else {
        panic!("it says something after the first round");
    };
    assert_eq!(sched.tasklets().len(), 10_001);
    let first = sched.try_receive(out).unwrap();
    assert_eq!(first, Some(Message::Data(expected[0].clone().into_bytes())));
    // Some have been told the news of the second round, some not.
    let RunResult::Interrupted(room) = sched.run(Budget::total(300_000)).unwrap() else {
        panic!("the second round takes longer than that");
    };
    let speak = sched.find_channel("speak").unwrap();
    let spoken = sched.balance(speak).unwrap();
    assert!(spoken > 100 && spoken < 9_900, "{spoken} have spoken");
    let bytes = dump(&mut sched);
    let sched = moved(&engine, sched, &bytes, Some(room));
    assert_eq!(sched.tasklets().len(), 10_001);
    let (said, result, ..) = straight(sched);
    assert_eq!((&said[..], result), (&expected[1..], RunResult::Finished));
}

/// Boards as the guest walks them: how many solutions, and how many branches.
fn queens(size: u32, columns: &mut Vec<u32>) -> (u32, u32) {
    if columns.len() as u32 == size {
        return (1, 1);
    }
    let (mut solutions, mut branches) = (0, 1);
    for column in 0..size {
        let row = columns.len() as u32;
        let safe = |(at, other): (u32, &u32)| {
            *other != column && other.abs_diff(column) != row.abs_diff(at)
        };
        if (0..).zip(columns.iter()).all(safe) {
            columns.push(column);
            let below = queens(size, columns);
            (solutions, branches) = (solutions + below.0, branches + below.1);
            columns.pop();
        }
    }
    (solutions, branches)
}

#[test]
fn a_walk_of_a_tree() {
    // OEIS A000170.
    for (size, known) in [(1, 1), (2, 0), (3, 0), (4, 2), (5, 10), (6, 4)] {
        let (solutions, branches) = queens(size, &mut Vec::new());
        assert_eq!(solutions, known);
        let begin = |engine: &Engine| tree::tree(engine, &size.to_string()).unwrap();
        let (said, result, ..) = straight(begin(&engine()));
        assert_eq!(result, RunResult::Finished);
        let (last, boards) = said.split_last().unwrap();
        assert_eq!(*last, format!("{solutions} solutions, found by {branches} tasklets"));
        let mut different = boards.to_vec();
        different.sort();
        different.dedup();
        assert_eq!(different.len() as u32, solutions);
        for board in boards {
            let columns: Vec<u32> = board.chars().filter_map(|c| c.to_digit(10)).collect();
            let safe = |row: usize| {
                (0..row).all(|r| {
                    columns[r] != columns[row]
                        && columns[r].abs_diff(columns[row]) as usize != row - r
                })
            };
            assert!(columns.len() as u32 == size && (0..columns.len()).all(safe), "{board}");
        }
        let budgets: &[u64] = if size < 4 { &[1, 10] } else { &[150] };
        check(begin, budgets, (&said, &RunResult::Finished));
    }
}

/// A glider has moved by one cell after four rounds, so that on 16 times 16 cells it is where it was
/// after 64. The world is written down and reloaded before each of them, and in their middle.
#[test]
fn a_game_whose_world_is_dumped_and_reloaded() {
    let engine = engine();
    let glider = |x| game::Command::Glider { x, y: 0 };
    let play = |budget: Option<u64>| {
        let mut sched = game::game(&engine).unwrap();
        game::give(&mut sched, &glider(0)).unwrap();
        let (mut frames, mut states) = (Vec::new(), Vec::new());
        for _ in 0..68 {
            game::give(&mut sched, &game::Command::Step).unwrap();
            while let Some(budget) = budget {
                let result = sched.run(Budget::steps(budget)).unwrap();
                let RunResult::Interrupted(id) = result else { break };
                let bytes = dump(&mut sched);
                sched = moved(&engine, sched, &bytes, Some(id));
            }
            if budget.is_some() {
                let bytes = dump(&mut sched);
                sched = moved(&engine, sched, &bytes, None);
            }
            frames.push(game::frame(&mut sched).unwrap());
            states.push(state(&mut sched));
        }
        (frames, states)
    };
    let (frames, states) = play(None);
    let (moved_frames, moved_states) = play(Some(20_000));
    assert_eq!((&frames, states), (&moved_frames, moved_states));
    for (at, frame) in frames.iter().enumerate() {
        assert_eq!((frame.round as usize, frame.alive), (at + 1, 5));
    }
    for at in 0..64 {
        let mut rows: Vec<String> = frames[at].rows.clone();
        rows.rotate_right(1);
        for row in &mut rows {
            let last = row.pop().unwrap();
            row.insert(0, last);
        }
        assert_eq!(rows, frames[at + 4].rows, "four rounds after {}", at + 1);
    }
    assert_eq!(frames[0].rows, frames[64].rows);
    assert_eq!(frames[0].rows[1][..4], *"#.#.");
    // A player can do something at any time, also when what plays has been loaded twice.
    let mut sched = game::game(&engine).unwrap();
    game::give(&mut sched, &glider(0)).unwrap();
    sched.run(Budget::unlimited()).unwrap();
    let mut saved = Vec::new();
    sched.dump_all(&mut saved, &SnapshotOptions::default()).unwrap();
    let alive = [5, 10].map(|alive| {
        let mut sched = Scheduler::new(&engine);
        sched.load_set(&saved, SetOptions::default()).unwrap();
        if alive == 10 {
            game::give(&mut sched, &glider(8)).unwrap();
        }
        game::give(&mut sched, &game::Command::Step).unwrap();
        let seen = game::frame(&mut sched).unwrap().alive;
        game::give(&mut sched, &game::Command::Stop).unwrap();
        assert_eq!(sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
        seen
    });
    assert_eq!(alive, [5, 10]);
}
