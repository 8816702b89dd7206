//! What imports do, without a guest.

use super::*;
use crate::sched::limits::MESSAGE_BYTES_MAX;

fn seat() -> Seat {
    let name = |guest: &str| {
        let channel = Known::Named(format!("the {guest}"));
        Some(Grant { guest: Some(guest.into()), channel })
    };
    Seat::new(Grants::new(vec![name("in"), name("out")]), b"argument".to_vec())
}

fn call(seat: &mut Seat, function: Function, args: &[u64], memory: &mut [u8]) -> Called {
    seat.call(function, args, memory, true).unwrap()
}

#[test]
fn what_needs_no_scheduler_is_done_at_once() {
    let (mut seat, mut memory) = (seat(), *b"outin.......");
    seat.id = TaskletId(5);
    assert_eq!(call(&mut seat, Function::Id, &[], &mut memory), Called::Returns(5));
    let at = |from, len| [from, len];
    assert_eq!(call(&mut seat, Function::Channel, &at(0, 3), &mut memory), Called::Returns(1));
    assert_eq!(call(&mut seat, Function::Channel, &at(3, 2), &mut memory), Called::Returns(0));
    let unknown = call(&mut seat, Function::Channel, &at(0, 2), &mut memory);
    assert_eq!(unknown, Called::Returns(code::NO_CHANNEL));
    assert_eq!(call(&mut seat, Function::Argument, &at(5, 3), &mut memory), Called::Returns(8));
    assert_eq!(&memory, b"outinarg....");
    assert!(seat.call(Function::Argument, &at(5, 8), &mut memory, true).is_err());
    assert!(
        seat.call(
            Function::Channel,
            &at(u64::from(u32::MAX), u64::from(u32::MAX)),
            &mut memory,
            true
        )
        .is_err()
    );
    assert_eq!(&memory, b"outinarg....");
}

#[test]
fn a_call_asks_until_it_is_answered() {
    let (mut seat, mut memory) = (seat(), *b"message");
    let args = [1, 0, 7];
    let asked = Request::Send {
        channel: 1,
        error: false,
        message: Bytes(b"message".to_vec()),
        may_wait: true,
        timeout: None,
    };
    for _ in 0..2 {
        assert_eq!(call(&mut seat, Function::Send, &args, &mut memory), Called::Asks);
        assert_eq!(seat.asked.as_ref(), Some(&asked));
    }
    assert_eq!(asked.waits_on(), Some((1, Direction::Send)));
    assert_eq!(seat.sending(), Some(Message::Data(b"message".to_vec())));
    seat.answer(Answer::Code(0));
    assert_eq!(seat.asked, None);
    assert_eq!(call(&mut seat, Function::Send, &args, &mut memory), Called::Returns(0));
    // That was all: the next call asks anew.
    assert_eq!(call(&mut seat, Function::TrySend, &args, &mut memory), Called::Asks);
    assert_eq!(seat.asked.as_ref().and_then(Request::waits_on), None);
}

#[test]
fn below_a_host_import_nothing_asks() {
    let (mut seat, mut memory) = (seat(), [0; 8]);
    for function in [Function::Yield, Function::Send, Function::Receive, Function::Atomic] {
        let refused = seat.call(function, &[0, 0, 0], &mut memory, false).unwrap();
        assert_eq!(refused, Called::Returns(code::IN_CALLBACK));
    }
    let refused = seat.call(Function::Balance, &[0], &mut memory, false).unwrap();
    assert_eq!(refused, Called::Returns(code::IN_CALLBACK << 32));
    assert_eq!((seat.asked, seat.atomic), (None, false));
}

#[test]
fn a_section_asks_at_its_end_only_if_the_slice_is_over() {
    let (mut seat, mut memory) = (seat(), []);
    let begin = call(&mut seat, Function::Atomic, &[1], &mut memory);
    assert_eq!((begin, seat.atomic), (Called::Returns(0), true));
    let inner = call(&mut seat, Function::Atomic, &[1], &mut memory);
    assert_eq!(inner, Called::Returns(1));
    seat.overdue = true;
    // Handed back at the end of the inner section, it goes on.
    assert_eq!(call(&mut seat, Function::Atomic, &[1], &mut memory), Called::Returns(1));
    assert_eq!(call(&mut seat, Function::Atomic, &[0], &mut memory), Called::Asks);
    assert_eq!(seat.asked, Some(Request::Atomic { before: true }));
    seat.answer(Answer::Code(1));
    assert_eq!(call(&mut seat, Function::Atomic, &[0], &mut memory), Called::Returns(1));
    assert!(!seat.atomic);
}

#[test]
fn limits_are_told() {
    let mut memory = vec![0; MESSAGE_BYTES_MAX + 8];
    let mut seat = seat();
    let limit = Called::Returns(code::LIMIT);
    let long = MESSAGE_BYTES_MAX as u64 + 1;
    assert_eq!(call(&mut seat, Function::Send, &[0, 0, long], &mut memory), limit);
    assert_eq!(call(&mut seat, Function::Spawn, &[0, 1025, 0, 0], &mut memory), limit);
    assert_eq!(call(&mut seat, Function::Spawn, &[0, 1, 0, 1 << 21], &mut memory), limit);
    assert_eq!(call(&mut seat, Function::SendAll, &[0, 0, (1 << 20) + 1], &mut memory), limit);
    assert_eq!(seat.asked, None);
    assert_eq!(call(&mut seat, Function::Send, &[0, 0, long - 1], &mut memory), Called::Asks);
}

#[test]
fn what_is_written_down_is_the_same_again() {
    let (mut seat, mut memory) = (seat(), *b"message");
    seat.atomic = true;
    let asks = [
        Function::Send,
        Function::Receive,
        Function::Close,
        Function::NewChannel,
        Function::DropChannel,
        Function::Yield,
        Function::Sleep,
        Function::Run,
        Function::SendTimeout,
        Function::ReceiveTimeout,
    ];
    for ask in asks {
        call(&mut seat, ask, &[0, 0, 7, 1_000], &mut memory);
        assert!(seat.asked.is_some());
        let state = seat.state();
        let value = ciborium::Value::serialized(&state).unwrap();
        let read: SeatState = value.deserialized().unwrap();
        assert_eq!(read, state);
        let again = Seat::restore(read).unwrap();
        assert_eq!((again.state(), again.atomic), (state, true));
        seat.deliver(Message::Error(b"no".to_vec()));
        let answered = seat.state();
        assert_eq!(Seat::restore(answered.clone()).unwrap().state(), answered);
        seat.answer(Answer::Error(Bytes(b"trap".to_vec())));
        (seat.block_trap, seat.thrown) = (true, Some(b"thrown".to_vec()));
        let thrown = seat.state();
        assert_eq!(Seat::restore(thrown.clone()).unwrap().state(), thrown);
        (seat.block_trap, seat.thrown, seat.answer) = (false, None, None);
    }
}

/// What was written down before there were any of these is the same as one without them.
#[test]
fn what_is_not_there_is_not_written_down() {
    let mut seat = seat();
    seat.asked = Some(Request::Receive { channel: 0, may_wait: true, timeout: None });
    let ciborium::Value::Map(pairs) = ciborium::Value::serialized(&seat.state()).unwrap() else {
        panic!("a seat is a map");
    };
    assert!(!format!("{pairs:?}").contains("made"));
    let keys: Vec<&str> = pairs.iter().filter_map(|(key, _)| key.as_text()).collect();
    assert_eq!(keys, ["channels", "argument", "atomic", "asked", "answer", "sent", "message"]);
    assert!(!format!("{pairs:?}").contains("timeout"));
}

#[test]
fn an_error_is_told_once_and_no_answer_is_lost_for_it() {
    let (mut seat, mut memory) = (seat(), [0; 8]);
    let thrown = Called::Returns(code::THROWN);
    let throw = |seat: &mut Seat| seat.thrown = Some(b"oh".to_vec());
    for function in [Function::Yield, Function::Park, Function::Receive, Function::SendAll] {
        // Before it asks, and while it does.
        throw(&mut seat);
        assert_eq!(call(&mut seat, function, &[0, 0, 1], &mut memory), thrown);
        assert_eq!(call(&mut seat, function, &[0, 0, 1], &mut memory), Called::Asks);
        throw(&mut seat);
        assert_eq!(call(&mut seat, function, &[0, 0, 1], &mut memory), thrown);
        assert_eq!((&seat.asked, &seat.thrown), (&None, &None));
        assert_eq!(call(&mut seat, Function::Rest, &[0, 4, 4], &mut memory), Called::Returns(2));
        assert_eq!(&memory[4..6], b"oh");
        memory = [0; 8];
    }
    // These never wait.
    throw(&mut seat);
    assert_eq!(call(&mut seat, Function::TrySend, &[0, 0, 1], &mut memory), Called::Asks);
    seat.answer(Answer::Code(0));
    assert_eq!(call(&mut seat, Function::TrySend, &[0, 0, 1], &mut memory), Called::Returns(0));
    // A message that has come is read first.
    seat.deliver(Message::Data(vec![7]));
    assert_eq!(call(&mut seat, Function::Receive, &[0, 0, 1], &mut memory), Called::Returns(1));
    assert_eq!((memory[0], call(&mut seat, Function::Yield, &[], &mut memory)), (7, thrown));
    // What `park` would return is nothing.
    throw(&mut seat);
    seat.answer(Answer::Code(0));
    assert_eq!(call(&mut seat, Function::Park, &[], &mut memory), thrown);
}

#[test]
fn a_block_trap_refuses_what_would_wait() {
    let (mut seat, mut memory) = (seat(), [0; 8]);
    assert_eq!(call(&mut seat, Function::BlockTrap, &[1], &mut memory), Called::Returns(0));
    let refused = Called::Returns(code::WOULD_BLOCK);
    for function in [Function::Park, Function::Sleep, Function::Run] {
        assert_eq!(call(&mut seat, function, &[5], &mut memory), refused);
    }
    assert_eq!(call(&mut seat, Function::Receive, &[0, 0, 1], &mut memory), Called::Asks);
    assert_eq!(seat.asked.take().and_then(|asked| asked.waits_on()), None);
    assert_eq!(call(&mut seat, Function::Yield, &[], &mut memory), Called::Asks);
    assert_eq!(call(&mut seat, Function::BlockTrap, &[0], &mut memory), Called::Returns(1));
    seat.asked = None;
    assert_eq!(call(&mut seat, Function::Park, &[], &mut memory), Called::Asks);
}

#[test]
fn what_is_left_of_a_wait_can_be_written_into_it() {
    let (mut seat, mut memory) = (seat(), [0; 8]);
    let negative = -5i64 as u64;
    for (function, args, left) in [
        (Function::Sleep, [3_000_000_000, 0, 0, 0], Some(3_000_000_000)),
        (Function::Sleep, [negative, 0, 0, 0], Some(0)),
        (Function::SendTimeout, [0, 0, 1, 9], Some(9)),
        (Function::ReceiveTimeout, [0, 0, 1, 1 << 40], Some(1 << 40)),
        (Function::Receive, [0, 0, 1, 0], None),
    ] {
        assert_eq!(call(&mut seat, function, &args, &mut memory), Called::Asks);
        assert_eq!(seat.asked.take().unwrap().left_ns().copied(), left);
    }
}

#[test]
fn channels_that_were_dropped_leave_a_gap() {
    let (mut seat, mut memory) = (seat(), [0; 8]);
    let made = |number| {
        let made = Made { number, options: Default::default(), closed: false };
        Grant { guest: None, channel: Known::Made(made) }
    };
    assert_eq!(seat.channels.free(), Some(2));
    seat.channels.put(2, made(7));
    seat.channels.put(3, made(9));
    seat.channels.drop(1);
    assert_eq!((seat.channels.free(), seat.channels.len()), (Some(1), 4));
    for ask in [Function::Send, Function::Receive, Function::Balance, Function::DropChannel] {
        let refused = call(&mut seat, ask, &[1, 0, 0], &mut memory);
        assert!(matches!(refused, Called::Returns(code::NO_CHANNEL | -12_884_901_888)), "{ask:?}");
    }
    let refused = call(&mut seat, Function::SendAll, &[1, 0, 0], &mut memory);
    assert_eq!(refused, Called::Returns(code::NO_CHANNEL));
    // It is found neither by its name.
    assert_eq!(seat.channels.find(b"out"), None);
    assert_eq!(call(&mut seat, Function::DropChannel, &[3], &mut memory), Called::Asks);
    let state = seat.state();
    let value = ciborium::Value::serialized(&state).unwrap();
    let again = Seat::restore(value.deserialized().unwrap()).unwrap();
    assert_eq!((again.channels, again.asked), (seat.channels.clone(), seat.asked.take()));
    seat.channels.drop(3);
    seat.channels.drop(2);
    assert_eq!((seat.channels.len(), seat.channels.free()), (1, Some(1)));
    for number in 0..1024 {
        seat.channels.put(1 + number, made(number as u64 + 1));
    }
    assert_eq!(seat.channels.free(), None);
}

/// What a stranger may write down as a tasklet's channels.
#[test]
fn forged_channels_are_refused() {
    let state = ciborium::Value::serialized(&seat().state()).unwrap();
    let with = |channel: ciborium::Value| {
        let mut state = state.clone();
        let Some(pairs) = state.as_map_mut() else { panic!("a seat is a map") };
        pairs[0].1 = ciborium::Value::Array(vec![channel]);
        let state: Result<SeatState, _> = state.deserialized();
        state.is_ok_and(|state| Seat::restore(state).is_ok())
    };
    let map = |pairs: &[(&str, ciborium::Value)]| {
        let pairs = pairs.iter().map(|(key, value)| ((*key).into(), value.clone()));
        ciborium::Value::Map(pairs.collect())
    };
    let made = |number: u64| map(&[("number", number.into()), ("preference", "both".into())]);
    let name = || ciborium::Value::from("c");
    assert!(with(ciborium::Value::Null));
    assert!(with(map(&[("channel", name())])));
    assert!(with(map(&[("guest", name()), ("channel", name())])));
    assert!(with(map(&[("made", made(1))])) && with(map(&[("made", made(1 << 62))])));
    assert!(!with(map(&[("made", made(0))])) && !with(map(&[("made", made((1 << 62) + 1))])));
    assert!(!with(map(&[])) && !with(map(&[("guest", name())])));
    assert!(!with(map(&[("channel", name()), ("made", made(1))])));
    assert!(!with(map(&[("channel", "c".repeat(1025).into())])));
    assert!(!with(map(&[("made", map(&[("number", 1.into()), ("preference", name())]))])));
    assert!(!with(map(&[("channel", name()), ("other", name())])));
}
