//! Arguments and environment: fixed at the start, handed out on request.

use crate::wasi::error::WasiError;
use crate::wasi::limits::ARGS_BYTES_MAX;
use crate::wasi::memory::{Call, offset};
use crate::wasi::{Answer, DONE, Errno, Wasi};

/// Checks what a guest is to be started with.
pub(super) fn check(args: &[String], env: &[(String, String)]) -> Result<(), WasiError> {
    let nul = |text: &str| text.contains('\0');
    if let Some(arg) = args.iter().find(|arg| nul(arg)) {
        return Err(WasiError::NulByte { what: format!("the argument {arg:?}") });
    }
    if let Some((name, _)) = env.iter().find(|(name, value)| nul(name) || nul(value)) {
        return Err(WasiError::NulByte { what: format!("the variable {name:?}") });
    }
    // 5 and 6: the pointer the guest gets for each, its NUL and its `=`.
    let args = args.iter().map(|arg| arg.len() + 5);
    let env = env.iter().map(|(name, value)| name.len() + value.len() + 6);
    if args.chain(env).fold(0, usize::saturating_add) > ARGS_BYTES_MAX {
        return Err(WasiError::TooLarge {
            what: "bytes of arguments and environment",
            max: ARGS_BYTES_MAX as u64,
        });
    }
    Ok(())
}

impl Wasi {
    pub(super) fn args_get(&mut self, call: &mut Call<'_>) -> Answer {
        write_strings(call, self.args.iter().map(|arg| arg.as_bytes().to_vec()))
    }

    pub(super) fn args_sizes_get(&mut self, call: &mut Call<'_>) -> Answer {
        write_sizes(call, self.args.iter().map(String::len))
    }

    pub(super) fn environ_get(&mut self, call: &mut Call<'_>) -> Answer {
        let join = |(name, value): &(String, String)| format!("{name}={value}").into_bytes();
        write_strings(call, self.env.iter().map(join))
    }

    pub(super) fn environ_sizes_get(&mut self, call: &mut Call<'_>) -> Answer {
        let len = |(name, value): &(String, String)| name.len() + 1 + value.len();
        write_sizes(call, self.env.iter().map(len))
    }
}

/// Writes an array of pointers at argument 0, the strings they point to, each
/// ended by a NUL, at argument 1.
fn write_strings(call: &mut Call<'_>, strings: impl Iterator<Item = Vec<u8>>) -> Answer {
    let (mut pointers, mut buffer) = (call.u32(0), call.u32(1));
    for mut string in strings {
        string.push(0);
        call.memory.set_u32(pointers, buffer)?;
        call.memory.write(buffer, &string)?;
        pointers = offset(pointers, 4)?;
        let len = u32::try_from(string.len()).map_err(|_| Errno::Overflow)?;
        buffer = offset(buffer, len)?;
    }
    DONE
}

/// Writes how many strings there are, and their bytes with all NULs.
fn write_sizes(call: &mut Call<'_>, lens: impl Iterator<Item = usize>) -> Answer {
    let (mut count, mut bytes) = (0u32, 0u32);
    for len in lens {
        let len = u32::try_from(len + 1).map_err(|_| Errno::Overflow)?;
        count = count.checked_add(1).ok_or(Errno::Overflow)?;
        bytes = bytes.checked_add(len).ok_or(Errno::Overflow)?;
    }
    // Last to first, as wasmtime stores them.
    call.memory.set_u32(call.u32(1), bytes)?;
    call.memory.set_u32(call.u32(0), count)?;
    DONE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasi::testing::Guest;
    use crate::wasi::{Function, WasiOptions};

    fn guest() -> Guest {
        Guest::new(WasiOptions {
            args: vec!["prog".into(), "é".into()],
            env: vec![("A".into(), "1".into()), ("EMPTY".into(), String::new())],
            ..WasiOptions::default()
        })
    }

    #[test]
    fn arguments_and_environment_arrive_and_move() {
        for mut guest in [guest(), guest().moved()] {
            assert_eq!(guest.call(Function::ArgsSizesGet, &[0, 4]), 0);
            assert_eq!((guest.u32(0), guest.u32(4)), (2, 8));
            assert_eq!(guest.call(Function::ArgsGet, &[0, 16]), 0);
            assert_eq!((guest.u32(0), guest.u32(4)), (16, 21));
            assert_eq!(&guest.memory[16..24], "prog\0é\0".as_bytes());
            assert_eq!(guest.call(Function::EnvironSizesGet, &[0, 4]), 0);
            assert_eq!((guest.u32(0), guest.u32(4)), (2, 11));
            assert_eq!(guest.call(Function::EnvironGet, &[0, 16]), 0);
            assert_eq!(&guest.memory[16..27], b"A=1\0EMPTY=\0");
            assert_eq!(guest.call(Function::EnvironGet, &[0, u64::from(u32::MAX)]), 21);
        }
    }

    #[test]
    fn what_c_strings_cannot_hold_is_refused() {
        let nul = Wasi::new(WasiOptions { args: vec!["a\0b".into()], ..WasiOptions::default() });
        assert!(matches!(nul, Err(WasiError::NulByte { .. })));
        let big = Wasi::new(WasiOptions {
            args: vec!["a".repeat(ARGS_BYTES_MAX)],
            ..WasiOptions::default()
        });
        assert!(matches!(big, Err(WasiError::TooLarge { .. })));
    }
}
