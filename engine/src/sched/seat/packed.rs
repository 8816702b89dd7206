//! The seat of a tasklet that is not in memory, in few bytes: most of what a seat can hold nearly
//! none holds.

use super::{Answer, Request, Seat, TaskletId};

/// A seat whose guest has been told everything but a number, and asks for nothing but that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packed {
    asks: Asks,
    pub(crate) linked: bool,
    pub(crate) atomic: bool,
    pub(crate) block_trap: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    Nothing,
    Yield,
    Receive {
        channel: u32,
        may_wait: bool,
    },
    /// It asks for nothing any more: this is the answer.
    Told(i32),
}

impl Packed {
    /// The seat of the tasklet of that number, as it was.
    pub(crate) fn unpack(self, id: TaskletId) -> Seat {
        let (asked, answer) = match self.asks {
            Asks::Nothing => (None, None),
            Asks::Yield => (Some(Request::Yield), None),
            Asks::Receive { channel, may_wait } => {
                (Some(Request::Receive { channel, may_wait, timeout: None }), None)
            }
            Asks::Told(code) => (None, Some(Answer::Code(code.into()))),
        };
        let Packed { linked, atomic, block_trap, .. } = self;
        Seat { id, linked, atomic, block_trap, asked, answer, ..Seat::default() }
    }

    /// What it asks has been answered by that.
    pub(crate) fn told(self, code: i32) -> Packed {
        Packed { asks: Asks::Told(code), ..self }
    }
}

impl Seat {
    /// The same in few bytes; `None` if it does not fit.
    pub(crate) fn pack(&self) -> Option<Packed> {
        // All of them are named, so that what is added is not forgotten here.
        let Seat {
            id: _,
            linked,
            channels,
            argument,
            atomic,
            block_trap,
            thrown,
            overdue,
            asked,
            answer,
            // It means nothing of what waits for no time, and nothing here does.
            turn: _,
            sent,
            message,
        } = self;
        let is_empty = channels.is_empty() && argument.is_empty() && message.is_empty();
        if !is_empty || thrown.is_some() || *overdue || *sent != 0 {
            return None;
        }
        let asks = match (asked, answer) {
            (None, None) => Asks::Nothing,
            (Some(Request::Yield), None) => Asks::Yield,
            (Some(Request::Receive { channel, may_wait, timeout: None }), None) => {
                Asks::Receive { channel: *channel, may_wait: *may_wait }
            }
            (None, Some(Answer::Code(code))) => Asks::Told(i32::try_from(*code).ok()?),
            _ => return None,
        };
        Some(Packed { asks, linked: *linked, atomic: *atomic, block_trap: *block_trap })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasi::Bytes;

    #[test]
    fn what_is_packed_is_unpacked_as_it_was() {
        let id = TaskletId(7);
        let seats = [
            Seat { id, ..Seat::default() },
            Seat { id, linked: true, asked: Some(Request::Yield), ..Seat::default() },
            Seat { id, atomic: true, answer: Some(Answer::Code(-5)), ..Seat::default() },
            Seat {
                id,
                block_trap: true,
                asked: Some(Request::Receive { channel: 9, may_wait: true, timeout: None }),
                ..Seat::default()
            },
        ];
        for seat in seats {
            let packed = seat.pack().expect("it fits");
            assert_eq!(format!("{:?}", packed.unpack(id)), format!("{seat:?}"));
        }
        let told = Seat { asked: Some(Request::Yield), ..Seat::default() }.pack().expect("it fits");
        assert_eq!(told.told(-1).unpack(id).answer, Some(Answer::Code(-1)));
        assert!(size_of::<Packed>() <= 12);
    }

    #[test]
    fn what_does_not_fit_is_not_packed() {
        let with = |change: fn(&mut Seat)| {
            let mut seat = Seat::default();
            change(&mut seat);
            seat.pack()
        };
        let changes: &[fn(&mut Seat)] = &[
            |seat| seat.argument = vec![1],
            |seat| seat.message = vec![1],
            |seat| seat.sent = 1,
            |seat| seat.overdue = true,
            |seat| seat.thrown = Some(Vec::new()),
            |seat| seat.answer = Some(Answer::Code(1 << 40)),
            |seat| seat.answer = Some(Answer::Error(Bytes(Vec::new()))),
            |seat| seat.asked = Some(Request::Sleep { ns: 1 }),
            |seat| {
                seat.asked = Some(Request::Receive { channel: 0, may_wait: true, timeout: Some(0) })
            },
        ];
        for change in changes {
            assert_eq!(with(*change), None);
        }
    }
}
