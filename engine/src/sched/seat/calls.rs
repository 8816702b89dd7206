//! What each import does.

use super::{Answer, Message, Request, Seat, code};
use crate::sched::limits::{MESSAGE_BYTES_MAX, NAME_BYTES_MAX, SEQUENCE_MAX};
use crate::wasi::Bytes;

/// The type of a parameter or result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    I32,
    I64,
}

macro_rules! functions {
    ($($name:ident $import:literal ($params:literal) $result:ident,)*) => {
        /// The imports. All parameters are `i32`, but for [`Function::is_last_wide`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Function { $($name,)* }

        impl Function {
            pub(crate) fn by_name(name: &str) -> Option<Function> {
                match name { $($import => Some(Function::$name),)* _ => None }
            }

            pub(crate) fn name(self) -> &'static str {
                match self { $(Function::$name => $import,)* }
            }

            /// How many parameters it has.
            pub(crate) fn params(self) -> usize {
                match self { $(Function::$name => $params,)* }
            }

            pub(crate) fn result(self) -> Type {
                match self { $(Function::$name => Type::$result,)* }
            }
        }
    };
}

functions! {
    Id "id" (0) I64,
    Argument "argument" (2) I32,
    Channel "channel" (2) I32,
    Yield "yield" (0) I32,
    Park "park" (0) I32,
    Atomic "atomic" (1) I32,
    Send "send" (3) I32,
    SendError "send_error" (3) I32,
    TrySend "try_send" (3) I32,
    SendAll "send_all" (3) I32,
    Receive "receive" (3) I64,
    TryReceive "try_receive" (3) I64,
    Rest "rest" (3) I32,
    Balance "balance" (1) I64,
    Close "close" (1) I32,
    NewChannel "new_channel" (1) I32,
    DropChannel "drop_channel" (1) I32,
    Spawn "spawn" (4) I64,
    Fork "fork" (0) I64,
    Sleep "sleep" (1) I32,
    SendTimeout "send_timeout" (4) I32,
    ReceiveTimeout "receive_timeout" (4) I64,
    StepsLeft "steps_left" (0) I64,
    BlockTrap "block_trap" (1) I32,
    Run "run" (1) I64,
}

impl Function {
    /// Whether the last parameter is an `i64`.
    pub(crate) fn is_last_wide(self) -> bool {
        matches!(
            self,
            Function::Sleep | Function::SendTimeout | Function::ReceiveTimeout | Function::Run
        )
    }

    /// Whether it lets others run before it returns: such imports tell of errors that were thrown.
    fn waits(self) -> bool {
        self.may_block() || self == Function::Yield
    }

    /// Whether it waits for something, so that a block trap refuses it.
    fn may_block(self) -> bool {
        matches!(
            self,
            Function::Park
                | Function::Sleep
                | Function::Run
                | Function::Send
                | Function::SendError
                | Function::SendAll
                | Function::SendTimeout
                | Function::Receive
                | Function::ReceiveTimeout
        )
    }
}

/// What has become of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Called {
    Returns(i64),
    /// The guest has to unwind; the import is issued again once there is an answer.
    Asks,
}

/// Why a call ends the guest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{len} bytes at {address:#x} are not inside the guest's memory of {size} bytes")]
pub(crate) struct OutOfBounds {
    address: u32,
    len: u32,
    size: usize,
}

/// The bit that tells an error from a message in what `receive` returns.
const ERROR_BIT: i64 = 1 << 32;

impl Seat {
    /// Does one call. `can_unwind` is whether the guest can: not below a host import.
    pub(crate) fn call(
        &mut self,
        function: Function,
        args: &[u64],
        memory: &mut [u8],
        can_unwind: bool,
    ) -> Result<Called, OutOfBounds> {
        let arg = |at: usize| args.get(at).copied().unwrap_or(0) as u32;
        let asks = !matches!(
            function,
            Function::Id
                | Function::Argument
                | Function::Channel
                | Function::Rest
                | Function::StepsLeft
                | Function::BlockTrap
        );
        if !asks {
            return self.at_once(function, arg, memory).map(Called::Returns);
        }
        // A balance can be negative itself.
        let refuse = |code: i64| match function {
            Function::Balance => Ok(Called::Returns(code << 32)),
            _ => Ok(Called::Returns(code)),
        };
        if !can_unwind {
            return refuse(code::IN_CALLBACK);
        }
        let answer = self.answer.take();
        let again = self.asked.take().is_some() || answer.is_some();
        if function == Function::SendAll {
            return self.send_all([arg(0), arg(1), arg(2)], memory, again, answer);
        }
        // What has been exchanged is not lost for an error: that is told by the next.
        let tells_nothing = matches!(function, Function::Yield | Function::Park | Function::Sleep);
        if function.waits()
            && (answer.is_none() || tells_nothing)
            && let Some(refusal) = self.take_thrown()
        {
            return Ok(refusal);
        }
        if let Some(answer) = answer {
            return self.finish(answer, [arg(1), arg(2)], memory).map(Called::Returns);
        }
        // The commonest, in place: what is moved by parts and then as a whole is waited for.
        if function == Function::Yield {
            self.asked = Some(Request::Yield);
            return Ok(Called::Asks);
        }
        // The last parameter, if it is wide.
        let wide = args.get(function.params().saturating_sub(1)).copied().unwrap_or(0) as i64;
        let request = match self.request(function, arg, wide, memory)? {
            Ok(request) => request,
            Err(code) => return refuse(code),
        };
        self.asked = Some(request);
        Ok(Called::Asks)
    }

    /// The refusal by which a guest is told of an error that was thrown, if there is one.
    fn take_thrown(&mut self) -> Option<Called> {
        self.message = self.thrown.take()?;
        self.sent = 0;
        Some(Called::Returns(code::THROWN))
    }

    /// The calls that need no scheduler.
    fn at_once(
        &mut self,
        function: Function,
        arg: impl Fn(usize) -> u32,
        memory: &mut [u8],
    ) -> Result<i64, OutOfBounds> {
        Ok(match function {
            Function::Id => self.id.0 as i64,
            Function::Argument => copy_out(&self.argument, arg(0), arg(1), memory)?,
            Function::Rest => {
                let from = (arg(0) as usize).min(self.message.len());
                copy_out(&self.message[from..], arg(1), arg(2), memory)?
            }
            Function::BlockTrap => i64::from(std::mem::replace(&mut self.block_trap, arg(0) != 0)),
            _ => {
                let name = slice(memory, arg(0), arg(1))?;
                self.channels.find(name).map_or(code::NO_CHANNEL, |at| at as i64)
            }
        })
    }

    /// What is to be asked, or what is returned instead.
    fn request(
        &mut self,
        function: Function,
        arg: impl Fn(usize) -> u32,
        wide: i64,
        memory: &[u8],
    ) -> Result<Result<Request, i64>, OutOfBounds> {
        let channel = arg(0);
        let takes_channel = !matches!(
            function,
            Function::Yield
                | Function::Park
                | Function::Atomic
                | Function::Spawn
                | Function::Sleep
                | Function::Run
                | Function::Fork
                | Function::NewChannel
        );
        if takes_channel && !self.channels.has(channel) {
            return Ok(Err(code::NO_CHANNEL));
        }
        let may_wait = function.may_block() && !self.block_trap;
        // Nobody waits less than not at all.
        let at_least_zero = wide.max(0) as u64;
        let is_timed = matches!(function, Function::SendTimeout | Function::ReceiveTimeout);
        let timeout = is_timed.then_some(at_least_zero);
        Ok(match function {
            Function::Yield => Ok(Request::Yield),
            Function::Park | Function::Sleep | Function::Run if !may_wait => Err(code::WOULD_BLOCK),
            Function::Park => Ok(Request::Park),
            Function::Sleep => Ok(Request::Sleep { ns: at_least_zero }),
            Function::Run => Ok(Request::Run { steps: at_least_zero }),
            Function::Atomic => {
                let before = std::mem::replace(&mut self.atomic, arg(0) != 0);
                match self.overdue && !self.atomic {
                    true => Ok(Request::Atomic { before }),
                    false => Err(i64::from(before)),
                }
            }
            Function::Receive | Function::TryReceive | Function::ReceiveTimeout => {
                // Before the message is taken from its sender.
                slice(memory, arg(1), arg(2))?;
                Ok(Request::Receive { channel, may_wait, timeout })
            }
            Function::Balance => Ok(Request::Balance { channel }),
            Function::Close => Ok(Request::Close { channel }),
            Function::NewChannel => Ok(Request::NewChannel { preference: channel as i32 }),
            Function::DropChannel => Ok(Request::DropChannel { channel }),
            Function::Fork => Ok(Request::Fork),
            Function::Spawn => {
                spawn(slice(memory, arg(0), arg(1))?, slice(memory, arg(2), arg(3))?)
            }
            _ => {
                let error = function == Function::SendError;
                send(channel, slice(memory, arg(1), arg(2))?, error, (may_wait, timeout))
            }
        })
    }

    /// What an import returns that has been answered.
    fn finish(
        &mut self,
        answer: Answer,
        [address, capacity]: [u32; 2],
        memory: &mut [u8],
    ) -> Result<i64, OutOfBounds> {
        match answer {
            Answer::Code(code) => Ok(code),
            Answer::Message { error, bytes } => {
                self.message = bytes.0;
                let len = copy_out(&self.message, address, capacity, memory)?;
                Ok(if error { len | ERROR_BIT } else { len })
            }
            Answer::Error(bytes) => {
                self.message = bytes.0;
                Ok(code::THROWN)
            }
        }
    }

    /// Sends the messages of a list of (address, length), one after the other. The first that is
    /// refused ends it; what is returned is how many were sent, or if none was, the refusal.
    fn send_all(
        &mut self,
        [channel, list, count]: [u32; 3],
        memory: &[u8],
        again: bool,
        answer: Option<Answer>,
    ) -> Result<Called, OutOfBounds> {
        let done = |sent: u32, code: i64| {
            Ok(Called::Returns(if sent > 0 { i64::from(sent) } else { code }))
        };
        if !again {
            self.sent = 0;
        }
        match answer {
            Some(Answer::Code(code)) if code < 0 => {
                return done(std::mem::take(&mut self.sent), code);
            }
            // NB: a forged snapshot may say anything.
            Some(_) => self.sent = self.sent.saturating_add(1),
            None => {}
        }
        if count > SEQUENCE_MAX {
            return Ok(Called::Returns(code::LIMIT));
        }
        if !self.channels.has(channel) {
            return Ok(Called::Returns(code::NO_CHANNEL));
        }
        if self.sent >= count {
            self.sent = 0;
            return Ok(Called::Returns(i64::from(count)));
        }
        if let Some(refusal) = self.take_thrown() {
            return Ok(refusal);
        }
        let all = slice(memory, list, count * 8)?;
        let word = |at: usize| all[at..at + 4].iter().rev().fold(0, |n, b| n << 8 | u32::from(*b));
        let at = self.sent as usize * 8;
        let bytes = slice(memory, word(at), word(at + 4))?;
        match send(channel, bytes, false, (!self.block_trap, None)) {
            Ok(request) => {
                self.asked = Some(request);
                Ok(Called::Asks)
            }
            Err(code) => done(std::mem::take(&mut self.sent), code),
        }
    }
}

fn send(
    channel: u32,
    bytes: &[u8],
    error: bool,
    (may_wait, timeout): (bool, Option<u64>),
) -> Result<Request, i64> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(code::LIMIT);
    }
    Ok(Request::Send { channel, error, message: Bytes(bytes.to_vec()), may_wait, timeout })
}

fn spawn(entry: &[u8], argument: &[u8]) -> Result<Request, i64> {
    use crate::sched::limits::ARGUMENT_BYTES_MAX;
    if entry.len() > NAME_BYTES_MAX || argument.len() > ARGUMENT_BYTES_MAX {
        return Err(code::LIMIT);
    }
    let entry = std::str::from_utf8(entry).map_err(|_| code::NO_ENTRY)?;
    Ok(Request::Spawn { entry: entry.to_string(), argument: Bytes(argument.to_vec()) })
}

fn slice(memory: &[u8], address: u32, len: u32) -> Result<&[u8], OutOfBounds> {
    let start = address as usize;
    let found = start.checked_add(len as usize).and_then(|end| memory.get(start..end));
    found.ok_or(OutOfBounds { address, len, size: memory.len() })
}

/// Copies as much as there is room for; how much there is.
fn copy_out(
    bytes: &[u8],
    address: u32,
    capacity: u32,
    memory: &mut [u8],
) -> Result<i64, OutOfBounds> {
    slice(memory, address, capacity)?;
    let len = bytes.len().min(capacity as usize);
    memory[address as usize..address as usize + len].copy_from_slice(&bytes[..len]);
    Ok(bytes.len() as i64)
}

impl From<Message> for Vec<u8> {
    fn from(message: Message) -> Vec<u8> {
        match message {
            Message::Data(bytes) | Message::Error(bytes) => bytes,
        }
    }
}
