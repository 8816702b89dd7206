//! A module that makes the calls of a case, keeps what each answered, and writes all of it to
//! standard error in the end.

use std::collections::BTreeSet;
use std::fmt::Write;

use tasklet_engine::wasi::{Abi, Function};

use super::{Arg, Case};

/// Offset in a call's record of what it puts into memory; the number it returns comes first.
pub const FIRST_OUT: u32 = 8;

/// Paths, buffers and the like lie from here on, records from the other on.
const DATA: u32 = 0x400;
const RECORDS: u32 = 0x8000;

/// A case as a program.
pub struct Guest {
    /// The module.
    pub wasm: Vec<u8>,
    /// Where in what it writes in the end a call's record begins.
    pub records: Vec<u32>,
    /// The size of all of them.
    pub size: u32,
}

/// As large as it is in memory, so that everything is aligned.
pub fn aligned(size: u32) -> u32 {
    size.next_multiple_of(8)
}

/// What has been laid out so far.
#[derive(Default)]
struct Layout {
    data: Vec<u8>,
    records: u32,
}

impl Layout {
    fn put(&mut self, bytes: &[u8]) -> u32 {
        let at = DATA + self.data.len() as u32;
        self.data.extend(bytes);
        self.data.resize(aligned(self.data.len() as u32) as usize, 0);
        at
    }

    fn record(&mut self, size: u32) -> u32 {
        let at = RECORDS + self.records;
        self.records += aligned(size);
        at
    }

    fn buffer(&mut self, at: u32, size: u32) -> u32 {
        let [low, high] = [at.to_le_bytes(), size.to_le_bytes()];
        self.put(&[low, high].concat())
    }

    /// The values passed for an argument.
    fn values(&mut self, arg: &Arg) -> Vec<u64> {
        let values = match arg {
            Arg::Number(number) => return vec![*number],
            Arg::Bytes(bytes) => vec![self.put(bytes), bytes.len() as u32],
            Arg::Written(bytes) => {
                let at = self.put(bytes);
                vec![self.buffer(at, bytes.len() as u32), 1]
            }
            Arg::Read(size) => {
                let at = self.record(*size);
                vec![self.buffer(at, *size), 1]
            }
            Arg::Out(..) | Arg::Time => vec![self.record(arg.room())],
            Arg::Subscriptions(bytes) => vec![self.put(bytes)],
        };
        values.into_iter().map(u64::from).collect()
    }
}

/// Makes the module of a case. Each call is in a function of its own, where a program can pause; the
/// mutable global 0 says how many have been made.
///
/// # Errors
///
/// If it is not valid, which is a mistake of this function's.
pub fn build(case: &Case) -> anyhow::Result<Guest> {
    let mut layout = Layout::default();
    let (mut functions, mut start, mut records) = (String::new(), String::new(), Vec::new());
    for (index, call) in case.calls.iter().enumerate() {
        let at = layout.record(FIRST_OUT);
        records.push(at - RECORDS);
        let values: Vec<u64> = call.args.iter().flat_map(|arg| layout.values(arg)).collect();
        let params = call.function.params().iter().zip(values);
        let operands: String = params.map(|(ty, value)| constant(*ty, value)).collect();
        let name = call.function.name();
        let made = match call.function {
            Function::ProcExit => {
                // There is nothing after it.
                writeln!(start, "(call $tell)")?;
                format!("(call ${name} {operands})")
            }
            _ => format!("(i32.store16 (i32.const {at}) (call ${name} {operands}))"),
        };
        writeln!(functions, "(func $call{index} {made} (global.set 0 (i32.const {})))", index + 1)?;
        writeln!(start, "(call $call{index})")?;
    }
    let all = layout.buffer(RECORDS, layout.records);
    let written = layout.put(&[0; 4]);
    let data: String = layout.data.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let text = format!(
        "(module {} (memory (export \"memory\") 1) (global (mut i32) (i32.const 0))
        (data (i32.const {DATA}) \"{data}\") {functions}
        (func $tell
            (drop (call $fd_write (i32.const 2) (i32.const {all}) (i32.const 1) (i32.const {written}))))
        (func (export \"_start\") {start} (call $tell)))",
        imports(case),
    );
    Ok(Guest { wasm: wat::parse_str(text)?, records, size: layout.records })
}

fn constant(ty: Abi, value: u64) -> String {
    match ty {
        Abi::I32 => format!("(i32.const {})", value as i32),
        Abi::I64 => format!("(i64.const {})", value as i64),
    }
}

fn imports(case: &Case) -> String {
    let called = case.calls.iter().map(|call| call.function);
    let functions: BTreeSet<Function> = called.chain([Function::FdWrite]).collect();
    let types = |types: &[Abi]| -> String {
        types.iter().map(|ty| if *ty == Abi::I32 { " i32" } else { " i64" }).collect()
    };
    let import = |function: Function| {
        let (name, params) = (function.name(), types(function.params()));
        let results = types(function.results());
        format!(
            "(func ${name} (import \"wasi_snapshot_preview1\" \"{name}\")
            (param{params}) (result{results}))"
        )
    };
    functions.into_iter().map(import).collect()
}
