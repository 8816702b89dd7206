//! Emitting the rewritten module: the bytes, the branch hints, the metadata; validated.

use walrus::Module;
use wasmparser::{
    Operator, Parser, Payload, ValType, ValidPayload, Validator, ValidatorResources,
    WasmModuleResources,
};

use crate::abi;
use crate::error::{Error, ErrorKind};
use crate::features;
use crate::metadata::Metadata;

/// The section of the branch hinting proposal.
const HINTS: &str = "metadata.code.branch_hint";
const CODE_SECTION: u8 = 10;
const CUSTOM_SECTION: u8 = 0;

/// Emits the module.
///
/// # Errors
/// [`ErrorKind::Internal`] if what was made is not valid.
pub(crate) fn emit(mut module: Module, metadata: &Metadata) -> Result<Vec<u8>, Error> {
    let wasm = module.emit_wasm();
    drop(module);
    let (code_start, hints) = validate(&wasm)?;
    let mut out = Vec::with_capacity(wasm.len() + hints.len() + 64);
    // The hints must come before the code.
    let (head, tail) = wasm.split_at(code_start.unwrap_or(wasm.len()));
    out.extend_from_slice(head);
    if code_start.is_some() {
        custom_section(&mut out, HINTS, &hints);
    }
    out.extend_from_slice(tail);
    custom_section(&mut out, abi::SECTION, &metadata.encode());
    Ok(out)
}

fn custom_section(out: &mut Vec<u8>, name: &str, data: &[u8]) {
    let mut header = Vec::new();
    leb128(&mut header, name.len() as u64);
    header.extend_from_slice(name.as_bytes());
    out.push(CUSTOM_SECTION);
    leb128(out, (header.len() + data.len()) as u64);
    out.extend_from_slice(&header);
    out.extend_from_slice(data);
}

fn leb128(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            return out.push(byte);
        }
        out.push(byte | 0x80);
    }
}

/// What is wrong with the rewritten module: it has outgrown a limit of wasm's implementations, or
/// there is a bug here.
fn invalid(error: wasmparser::BinaryReaderError) -> Error {
    let message = error.message();
    let outgrown = ["limit", "out of bounds", "too large", "too big", "maximum", "size"];
    if outgrown.iter().any(|word| message.contains(word)) {
        let message = format!("the rewritten module is too large: {message}; split it");
        return Error::new(ErrorKind::Limit, message);
    }
    Error::new(ErrorKind::Internal, format!("the instrumented module is not valid: {error}"))
}

/// The local that holds the fuel of a rewritten function: its last parameter.
fn fuel_local(func: &wasmparser::FuncValidator<ValidatorResources>, ty: u32) -> Option<u32> {
    let ty = func.resources().sub_type_at(ty)?;
    let wasmparser::CompositeInnerType::Func(ty) = &ty.composite_type.inner else { return None };
    let last = (ty.params().len() as u32).checked_sub(1)?;
    (ty.params().last() == Some(&ValType::I64)).then_some(last)
}

/// Validates the module. Returns where its code section starts and the hints for its branches.
fn validate(wasm: &[u8]) -> Result<(Option<usize>, Vec<u8>), Error> {
    let mut validator = Validator::new_with_features(features::recognised());
    let mut allocations = wasmparser::FuncValidatorAllocations::default();
    let mut code_start = None;
    let mut count = 0;
    let mut hints = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(invalid)?;
        if let Payload::CodeSectionStart { range, .. } = &payload {
            code_start = section_start(wasm, range.start);
        }
        if let ValidPayload::Func(to_validate, body) =
            validator.payload(&payload).map_err(invalid)?
        {
            let (index, to_validate_type) = (to_validate.index, to_validate.ty);
            let mut func = to_validate.into_validator(allocations);
            let mut hinter = Hinter::new(fuel_local(&func, to_validate_type));
            let mut reader = body.get_binary_reader();
            func.read_locals(&mut reader).map_err(invalid)?;
            let start = body.range().start;
            let mut operators = wasmparser::OperatorsReader::new(reader);
            while !operators.eof() {
                let (op, offset) = operators.read_with_offset().map_err(invalid)?;
                hinter.see(&op, offset - start);
                func.op(offset, &op).map_err(invalid)?;
            }
            operators.finish().map_err(invalid)?;
            if !hinter.hints.is_empty() {
                count += 1;
                hinter.write(index, &mut hints);
            }
            allocations = func.into_allocations();
        }
    }
    let mut section = Vec::with_capacity(hints.len() + 5);
    leb128(&mut section, count);
    section.extend_from_slice(&hints);
    Ok((code_start, section))
}

/// The offset of the section's id, given that of its contents.
fn section_start(wasm: &[u8], contents: usize) -> Option<usize> {
    // The size in between is LEB128 of at most five bytes.
    (2..=6).filter_map(|back| contents.checked_sub(back)).find(|start| {
        let length = &wasm[start + 1..contents];
        let (last, continued) = length.split_last().expect("the range is not empty");
        wasm[*start] == CODE_SECTION
            && last & 0x80 == 0
            && continued.iter().all(|byte| byte & 0x80 != 0)
    })
}

/// Finds the branches to cold code and past it: those on the fuel, and the constant ones by which
/// cold code is entered.
struct Hinter {
    fuel: Option<u32>,
    seen: Seen,
    /// Offset in the function body, and whether the branch is likely.
    hints: Vec<(u32, bool)>,
}

/// How much has been seen of
/// - `local.get $fuel; i64.const limit; i64.lt_s; br_if`, which is unlikely,
/// - `local.get $fuel; i64.const limit; i64.ge_s; br_if`, which is likely,
/// - `block; i32.const 0; br_if 0`, which is past cold code.
#[derive(Debug, PartialEq)]
enum Seen {
    Nothing,
    Fuel,
    Limit,
    Block,
    Condition { likely: bool },
}

impl Hinter {
    fn new(fuel: Option<u32>) -> Hinter {
        Hinter { fuel, seen: Seen::Nothing, hints: Vec::new() }
    }

    fn see(&mut self, op: &Operator<'_>, offset: usize) {
        self.seen = match (&self.seen, op) {
            (_, Operator::LocalGet { local_index }) if Some(*local_index) == self.fuel => {
                Seen::Fuel
            }
            (Seen::Fuel, Operator::I64Const { .. }) => Seen::Limit,
            (Seen::Limit, Operator::I64LtS) => Seen::Condition { likely: false },
            (Seen::Limit, Operator::I64GeS) => Seen::Condition { likely: true },
            (_, Operator::Block { .. }) => Seen::Block,
            (Seen::Block, Operator::I32Const { value: 0 }) => Seen::Condition { likely: true },
            (Seen::Condition { likely }, Operator::If { .. } | Operator::BrIf { .. }) => {
                self.hints.push((offset as u32, *likely));
                Seen::Nothing
            }
            _ => Seen::Nothing,
        };
    }

    fn write(&self, function: u32, out: &mut Vec<u8>) {
        leb128(out, u64::from(function));
        leb128(out, self.hints.len() as u64);
        for (offset, likely) in &self.hints {
            leb128(out, u64::from(*offset));
            // The length of the hint, and the hint.
            out.extend_from_slice(&[1, u8::from(*likely)]);
        }
    }
}
