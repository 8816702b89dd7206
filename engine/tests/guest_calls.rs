//! Everything that the crate and the header for guests have, called in a scheduler.

mod common;
#[path = "../examples/outside/mod.rs"]
mod outside;

use common::engine;
use tasklet_engine::{RunResult, VirtualClock};

const EXPECTED: &[&str] = &[
    "argument: hello",
    "numbered: true",
    "steps left: no end",
    "yield: done",
    "sleep: done",
    "unknown channel: no such channel",
    "unknown entry: no exported function of that name without parameters and results",
    "try_send: it would have to wait",
    "try_receive: it would have to wait",
    "send_timeout: the time is up",
    "receive_timeout: the time is up",
    "send in a block trap: it would have to wait",
    "receive in an atomic section: the time is up",
    "balance: 1",
    "a long message: 512 bytes, 65280 in all",
    "an error: an error was received: oops",
    "one of many: a",
    "one of many: bb",
    "one of many: ccc",
    "balance: -1",
    "send: the channel is closed",
    "an answer: answer",
    "a channel that was released: no such channel",
    "its number is used again: true",
    "channels until a limit is exceeded: 1024",
    "run: all have run",
    "run: interrupted",
    "run: an error was thrown",
];

/// What the children say comes in between, when they have their turn.
const CHILDREN: &[&str] =
    &["sent of many: 3", "the receiver: the channel is closed", "a channel that was made: done"];

#[test]
fn whatever_a_guest_can_call_does_what_it_says() {
    let engine = engine();
    for (guest, thrown) in
        [("calls", false), ("calls", true), ("calls-c", false), ("calls-c", true)]
    {
        let module = outside::module(&engine, guest).unwrap();
        let mut sched = outside::begin(&engine, &module, "calls", "hello", &["c"]).unwrap();
        sched.set_clock(VirtualClock::default());
        let main = sched.tasklets()[0];
        let (mut said, mut by_children) = (Vec::new(), Vec::new());
        let result = outside::run(&mut sched, |line| match CHILDREN.contains(&line) {
            true => by_children.push(line.to_string()),
            false => said.push(line.to_string()),
        });
        assert_eq!(result.unwrap(), RunResult::Finished);
        assert_eq!(said, EXPECTED, "{guest}");
        assert_eq!(by_children, CHILDREN, "{guest}");
        // It has parked, and all others have ended.
        assert!(sched.flags(main).paused);
        assert_eq!(sched.tasklets(), [main]);
        let expected = match thrown {
            true => {
                sched.throw(main, b"enough", false).unwrap();
                "parked: an error was thrown into the tasklet: enough"
            }
            false => {
                sched.insert(main).unwrap();
                "parked: done"
            }
        };
        let mut said = Vec::new();
        outside::run(&mut sched, |line| said.push(line.to_string())).unwrap();
        assert_eq!(said, [expected]);
        assert!(sched.tasklets().is_empty());
    }
}
