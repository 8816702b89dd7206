//! Emitting the rewritten module: its sections, the branch hints, the metadata; validated.

mod sections;

use wasm_encoder::{Encode, Section};
use wasmparser::{Parser, ValidPayload, Validator};

use crate::abi;
use crate::error::{Error, ErrorKind};
use crate::facts::ModuleFacts;
use crate::features;
use crate::metadata::Metadata;
use crate::parallel;
use crate::rewrite::code::Body;
use crate::rewrite::{AddedFunction, Rewritten};

/// The section of the branch hinting proposal.
const HINTS: &str = "metadata.code.branch_hint";
const CODE_SECTION: u8 = 10;

/// Emits the module.
///
/// # Errors
/// [`ErrorKind::Internal`] if what was made is not valid.
pub(crate) fn emit(
    original: &[u8],
    facts: &ModuleFacts,
    rewritten: Rewritten,
    metadata: &Metadata,
) -> Result<Vec<u8>, Error> {
    let Rewritten { bodies, add, exported, wrappers } = rewritten;
    let mut sections = sections::Sections::new(facts, &add, &exported, wrappers);
    let names = sections.names();
    sections.read(original)?;
    let mut out = wasm_encoder::Module::HEADER.to_vec();
    sections.before_code(&mut out);
    let after = sections.after_code();
    let added: Vec<Body> =
        add.functions.into_iter().map(|AddedFunction { body, .. }| body).collect();
    hint_section(&mut out, facts.imported_functions, bodies.iter().chain(&added));
    code_section(&mut out, bodies.into_iter().chain(added));
    out.extend_from_slice(&after);
    names.append_to(&mut out);
    let metadata = metadata.encode();
    let section =
        wasm_encoder::CustomSection { name: abi::SECTION.into(), data: metadata.as_slice().into() };
    section.append_to(&mut out);
    validate(&out)?;
    Ok(out)
}

/// The hints for the branches of all functions; they must come before the code.
fn hint_section<'a>(out: &mut Vec<u8>, imported: u32, bodies: impl Iterator<Item = &'a Body>) {
    let mut count = 0u32;
    let mut hints = Vec::new();
    for (function, body) in (imported..).zip(bodies) {
        if body.hints.is_empty() {
            continue;
        }
        count += 1;
        function.encode(&mut hints);
        body.hints.len().encode(&mut hints);
        for (offset, likely) in &body.hints {
            offset.encode(&mut hints);
            // The length of the hint, and the hint.
            hints.extend_from_slice(&[1, u8::from(*likely)]);
        }
    }
    let mut data = Vec::with_capacity(hints.len() + 5);
    count.encode(&mut data);
    data.append(&mut hints);
    wasm_encoder::CustomSection { name: HINTS.into(), data: data.into() }.append_to(out);
}

/// NB: written by hand, because wasm-encoder would hold all code twice.
fn code_section(out: &mut Vec<u8>, bodies: impl Iterator<Item = Body>) {
    let bodies: Vec<Body> = bodies.collect();
    let mut lengths = Vec::new();
    bodies.len().encode(&mut lengths);
    let mut size = lengths.len();
    for body in &bodies {
        lengths.clear();
        body.bytes.len().encode(&mut lengths);
        size += lengths.len() + body.bytes.len();
    }
    out.reserve_exact(size + 16);
    out.push(CODE_SECTION);
    size.encode(out);
    bodies.len().encode(out);
    for body in bodies {
        body.bytes.len().encode(out);
        out.extend_from_slice(&body.bytes);
    }
}

/// What is wrong with the rewritten module: it has outgrown a limit of wasm's implementations, or
/// there is a bug here.
fn invalid(error: wasmparser::BinaryReaderError) -> Error {
    let message = error.message();
    let outgrown = ["exceeds limit", "exceed maximum", "function body size", "too many"];
    if outgrown.iter().any(|word| message.contains(word)) {
        let message = format!("the rewritten module is too large: {message}; split it");
        return Error::new(ErrorKind::Limit, message);
    }
    Error::new(ErrorKind::Internal, format!("the instrumented module is not valid: {error}"))
}

fn validate(wasm: &[u8]) -> Result<(), Error> {
    let mut validator = Validator::new_with_features(features::recognised());
    let mut bodies = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(invalid)?;
        if let ValidPayload::Func(to_validate, body) =
            validator.payload(&payload).map_err(invalid)?
        {
            bodies.push((to_validate, body));
        }
    }
    let results = parallel::map(bodies, Default::default, |allocations, _, body| {
        let (to_validate, body): crate::facts::ToValidate<'_> = body;
        let mut func = to_validate.into_validator(std::mem::take(allocations));
        func.validate(&body)?;
        *allocations = func.into_allocations();
        Ok(())
    })?;
    results.into_iter().collect::<Result<(), _>>().map_err(invalid)
}
