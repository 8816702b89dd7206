//! What imports do, without a guest.

use super::*;
use crate::sched::limits::MESSAGE_BYTES_MAX;

fn seat() -> Seat {
    let name = |guest: &str| ChannelName { guest: guest.into(), channel: format!("the {guest}") };
    Seat::new(vec![name("in"), name("out")], b"argument".to_vec())
}

fn call(seat: &mut Seat, function: Function, args: &[u32], memory: &mut [u8]) -> Called {
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
    assert!(seat.call(Function::Channel, &at(u32::MAX, u32::MAX), &mut memory, true).is_err());
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
    let long = MESSAGE_BYTES_MAX as u32 + 1;
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
    for ask in [Function::Send, Function::Receive, Function::Close, Function::Yield] {
        call(&mut seat, ask, &[0, 0, 7], &mut memory);
        let state = seat.state();
        let value = ciborium::Value::serialized(&state).unwrap();
        let read: SeatState = value.deserialized().unwrap();
        assert_eq!(read, state);
        let again = Seat::restore(read).unwrap();
        assert_eq!((again.state(), again.atomic), (state, true));
        seat.deliver(Message::Error(b"no".to_vec()));
        let answered = seat.state();
        assert_eq!(Seat::restore(answered.clone()).unwrap().state(), answered);
        seat.answer = None;
    }
}
