use std::time::{Duration, Instant};

use tempfile::tempdir;

use crate::wasi::testing::{Guest, READ, through_cbor};
use crate::wasi::{Clock, Function, Stdin, Wait, Wasi, WasiOptions};

const EVENTS: u64 = 0x2000;
const COUNT: u64 = 0x3000;

fn clock(guest: &mut Guest, index: usize, id: u32, timeout_ns: u64, flags: u16) {
    let at = index * 48;
    guest.put(at, &(100 + index as u64).to_le_bytes());
    guest.put(at + 8, &[0]);
    guest.put(at + 16, &id.to_le_bytes());
    guest.put(at + 24, &timeout_ns.to_le_bytes());
    guest.put(at + 40, &flags.to_le_bytes());
}

fn descriptor(guest: &mut Guest, index: usize, kind: u8, fd: u32) {
    let at = index * 48;
    guest.put(at, &(100 + index as u64).to_le_bytes());
    guest.put(at + 8, &[kind]);
    guest.put(at + 16, &fd.to_le_bytes());
}

fn args(count: u64) -> [u64; 4] {
    [0, EVENTS, count, COUNT]
}

/// Userdata, error, kind, bytes and flags of the events there are.
fn events(guest: &Guest) -> Vec<(u64, u16, u8, u64, u16)> {
    let count = guest.u32(COUNT as usize) as usize;
    let event = |index| {
        let at = EVENTS as usize + index * 32;
        let kind = guest.memory[at + 10];
        (guest.u64(at), guest.u16(at + 8), kind, guest.u64(at + 16), guest.u16(at + 24))
    };
    (0..count).map(event).collect()
}

#[test]
fn a_sleep_keeps_its_deadline_across_a_move() {
    let mut guest = Guest::new(WasiOptions::default());
    clock(&mut guest, 0, 1, 60_000_000, 0);
    let first = guest.waits(Function::PollOneoff, &args(1));
    assert!(first.deadline_ns.unwrap() >= 60_000_000);
    std::thread::sleep(Duration::from_millis(30));
    let mut guest = guest.moved();
    let again = guest.waits(Function::PollOneoff, &args(1));
    assert_eq!(first, again, "issued again, it is the same sleep");
    let left = guest.wasi.time_left(&again).unwrap();
    assert!(left <= Duration::from_millis(31), "{left:?}");
    guest.wasi.block_on(&again, &|| false);
    assert_eq!(guest.call(Function::PollOneoff, &args(1)), 0);
    assert_eq!(events(&guest), [(100, 0, 0, 0, 0)]);
    assert_eq!(guest.wasi.state().unwrap().pending, None);
    // The same call once more is another sleep.
    let next = guest.waits(Function::PollOneoff, &args(1));
    assert!(next.deadline_ns > first.deadline_ns);
}

#[test]
fn another_call_ends_the_wait() {
    let mut guest = Guest::new(WasiOptions::default());
    clock(&mut guest, 0, 0, 1_000_000_000_000, 0);
    guest.waits(Function::PollOneoff, &args(1));
    assert!(guest.wasi.state().unwrap().pending.is_some());
    guest.call(Function::SchedYield, &[]);
    assert!(guest.wasi.state().unwrap().pending.is_none());
}

#[test]
fn time_stands_still_in_a_snapshot() {
    let mut guest = Guest::new(WasiOptions::default());
    clock(&mut guest, 0, 1, 200_000_000, 0);
    let wait = guest.waits(Function::PollOneoff, &args(1));
    let state = through_cbor(&guest.wasi.state().unwrap());
    std::thread::sleep(Duration::from_millis(250));
    assert!(guest.wasi.is_ready(&wait));
    let mut later = Wasi::restore(state, guest.options()).unwrap();
    assert!(!later.is_ready(&wait));
}

#[test]
fn absolute_deadlines() {
    let mut guest = Guest::new(WasiOptions::default());
    clock(&mut guest, 0, 1, 0, 1);
    clock(&mut guest, 1, 0, 1, 1);
    assert_eq!(guest.call(Function::PollOneoff, &args(2)), 0);
    assert_eq!(events(&guest).len(), 2);
    clock(&mut guest, 0, 0, u64::MAX, 1);
    let wait = guest.waits(Function::PollOneoff, &args(1));
    assert!(guest.wasi.time_left(&wait).unwrap() > Duration::from_secs(1 << 30));
    clock(&mut guest, 0, 1, u64::MAX, 1);
    assert_eq!(guest.waits(Function::PollOneoff, &args(1)).deadline_ns, Some(u64::MAX));
}

#[test]
fn virtual_sleeps_are_over_at_once() {
    for (id, flags, timeout) in [
        (1, 0, 3_600_000_000_000),
        (0, 0, 5),
        (1, 1, 9_999),
        (0, 1, 1_767_225_600_000_009_999),
        (1, 0, u64::MAX),
        (0, 1, u64::MAX),
    ] {
        let mut guest = Guest::new(WasiOptions { clock: Clock::Virtual, ..WasiOptions::default() });
        guest.steps = 1_000;
        clock(&mut guest, 0, id, timeout, flags);
        clock(&mut guest, 1, 1, u64::MAX, 1);
        assert_eq!(guest.call(Function::PollOneoff, &args(2)), 0);
        assert_eq!(events(&guest)[0].0, 100);
        let mut guest = guest.moved();
        assert_eq!(guest.call(Function::ClockTimeGet, &[u64::from(id), 0, 0]), 0);
        let now = if id == 0 { guest.u64(0) - 1_767_225_600_000_000_000 } else { guest.u64(0) };
        match (flags, timeout) {
            (_, u64::MAX) => {}
            (0, timeout) => assert_eq!(now, 1_000 + timeout),
            _ => assert_eq!(now, 9_999),
        }
    }
}

#[test]
fn descriptors_are_ready() {
    let dir = tempdir().unwrap();
    std::fs::write(dir.path().join("f"), b"12345").unwrap();
    let mut guest = Guest::in_dir(dir.path());
    guest.wasi.stdin = crate::wasi::stdin::Source::new(Stdin::Bytes(b"abc".to_vec())).unwrap();
    let file = guest.open("f", 0, READ, 0).unwrap();
    guest.read(file, 2).unwrap();
    descriptor(&mut guest, 0, 1, 0);
    descriptor(&mut guest, 1, 1, file as u32);
    descriptor(&mut guest, 2, 2, 1);
    clock(&mut guest, 3, 1, 1 << 60, 0);
    assert_eq!(guest.call(Function::PollOneoff, &args(4)), 0);
    assert_eq!(events(&guest), [(100, 0, 1, 1, 0), (101, 0, 1, 1, 0), (102, 0, 2, 1, 0)]);
    guest.read(file, 3).unwrap();
    descriptor(&mut guest, 0, 1, file as u32);
    assert_eq!(guest.call(Function::PollOneoff, &args(1)), 0);
    assert_eq!(events(&guest), [(100, 0, 1, 1, 1)], "the end is a hangup");
    for (kind, fd) in [(1, 77), (1, 1), (2, 0), (1, 3)] {
        descriptor(&mut guest, 2, kind, fd);
        assert_eq!(guest.call(Function::PollOneoff, &args(3)), 8, "{kind} of {fd}");
    }
}

#[test]
fn nonsense_is_refused() {
    let mut guest = Guest::new(WasiOptions::default());
    assert_eq!(guest.call(Function::PollOneoff, &args(0)), 28);
    assert_eq!(guest.call(Function::PollOneoff, &args(70_000)), 48);
    assert_eq!(guest.call(Function::PollOneoff, &args(2_000)), 21);
    clock(&mut guest, 0, 2, 5, 0);
    assert_eq!(guest.call(Function::PollOneoff, &args(1)), 28);
    clock(&mut guest, 0, 1, 5, 2);
    assert_eq!(guest.call(Function::PollOneoff, &args(1)), 28);
    descriptor(&mut guest, 0, 3, 0);
    assert_eq!(guest.call(Function::PollOneoff, &args(1)), 28);
}

#[test]
fn waits_can_be_interrupted() {
    let mut guest = Guest::new(WasiOptions::default());
    let wait = Wait { deadline_ns: Some(u64::MAX), stdin: false };
    let began = Instant::now();
    guest.wasi.block_on(&wait, &|| began.elapsed() > Duration::from_millis(20));
    assert!(began.elapsed() < Duration::from_secs(5));
}
