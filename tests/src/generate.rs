//! Random modules: wasm-smith with a seed, changed so that it makes what tasklet carries.

use std::convert::Infallible;

use anyhow::Context;
use arbitrary::Unstructured;
use tasklet_engine::{FunctionType, ValType};
use wasm_encoder::reencode::{Error, Reencode};

use crate::random::Random;
use crate::world::{Import, Setup, value_of};

/// A module that is valid and whose functions all end.
pub struct Generated {
    /// The module.
    pub wasm: Vec<u8>,
    /// A world that has what it imports.
    pub setup: Setup,
}

/// The module of that seed; `None` if the seed gives none.
pub fn module(seed: u64) -> anyhow::Result<Option<Generated>> {
    let mut random = Random::new(seed);
    let mut config = config(&mut random);
    // There are enough functions among the references only if some modules have no others.
    let functions_only = !config.exceptions_enabled && random.one_in(3);
    let mut setup = Setup::default();
    if random.one_in(3) {
        setup = surroundings(&mut random, functions_only, config.exceptions_enabled);
        config.available_imports = Some(wat::parse_str(declare(&mut random, &mut setup))?);
    }
    let len = 200 + random.below(6000) as usize;
    let bytes = random.bytes(len);
    let Ok(mut module) = wasm_smith::Module::new(config, &mut Unstructured::new(&bytes)) else {
        return Ok(None);
    };
    let fuel = *random.choose(&[100, 500, 1_500]);
    if module.ensure_termination(fuel).is_err() {
        return Ok(None);
    }
    let mut wasm = module.to_bytes();
    if functions_only {
        wasm = without_externref(&wasm)?;
    }
    Ok(Some(Generated { wasm, setup }))
}

/// Everything the instrumenter carries. What came after wasm 2.0 is on by turns, so that what was
/// before stays well covered.
fn config(random: &mut Random) -> wasm_smith::Config {
    let late = !random.one_in(4);
    let mut by_turns = || late && random.one_in(2);
    let (exceptions, tail_calls) = (by_turns(), by_turns());
    let (memory64, memories) = (by_turns(), if by_turns() { 3 } else { 1 });
    let (relaxed_simd, wide_arithmetic) = (by_turns(), by_turns());
    wasm_smith::Config {
        // One seed in four may trap anywhere.
        disallow_traps: !random.one_in(4),
        reference_types_enabled: exceptions || random.one_in(2),
        simd_enabled: relaxed_simd || random.one_in(2),
        allow_start_export: random.one_in(4),
        max_nesting_depth: 5 + random.below(10) as usize,
        bulk_memory_enabled: true,
        multi_value_enabled: true,
        extended_const_enabled: true,
        canonicalize_nans: true,
        export_everything: true,
        exceptions_enabled: exceptions,
        tail_call_enabled: tail_calls,
        relaxed_simd_enabled: relaxed_simd,
        memory64_enabled: memory64,
        wide_arithmetic_enabled: wide_arithmetic,
        // wasm-smith makes typed function references only together with garbage collection.
        gc_enabled: false,
        threads_enabled: false,
        custom_page_sizes_enabled: false,
        shared_everything_threads_enabled: false,
        custom_descriptors_enabled: false,
        max_imports: 0,
        min_types: 3,
        min_funcs: 1,
        max_funcs: 12,
        max_instructions: 400,
        min_memories: 1,
        max_memories: memories,
        max_memory32_bytes: 1 << 20,
        max_memory64_bytes: 1 << 20,
        max_tags: 5,
        memory_max_size_required: true,
        max_data_segments: 8,
        min_tables: 1,
        max_tables: 3,
        max_table_elements: 1000,
        max_elements: 20,
        max_globals: 8,
        ..wasm_smith::Config::default()
    }
}

/// Functions to import.
fn surroundings(random: &mut Random, functions_only: bool, exceptions: bool) -> Setup {
    let mut all = vec![ValType::I32, ValType::I64, ValType::F32, ValType::F64, ValType::V128];
    all.push(ValType::FuncRef);
    all.extend((!functions_only).then_some(ValType::ExternRef));
    all.extend(exceptions.then_some(ValType::ExnRef));
    let mut types = |most: u64| {
        let count = random.below(most + 1);
        (0..count).map(|_| *random.choose(&all)).collect::<Vec<_>>()
    };
    let import = |number| Import {
        module: "env".into(),
        name: format!("f{number}"),
        ty: FunctionType { params: types(4), results: types(3) },
    };
    Setup { imports: (0..4).map(import).collect(), ..Setup::default() }
}

/// A module that has these imports, for wasm-smith to choose from, and some state to import.
fn declare(random: &mut Random, setup: &mut Setup) -> String {
    let name = |ty: &ValType| format!("{ty:?}").to_lowercase();
    let list = |keyword: &str, types: &[ValType]| {
        let names: Vec<String> = types.iter().map(name).collect();
        format!("({keyword} {})", names.join(" "))
    };
    let one = |import: &Import| {
        let Import { module, name, ty } = import;
        let (params, results) = (list("param", &ty.params), list("result", &ty.results));
        format!("(import \"{module}\" \"{name}\" (func {params} {results}))")
    };
    let mut text: String = setup.imports.iter().map(one).collect();
    let known = |ty| setup.imports.iter().any(|import| import.ty.params.contains(&ty));
    let types = [ValType::I32, ValType::I64, ValType::F64, ValType::ExternRef];
    let types = types.into_iter().filter(|ty| *ty != ValType::ExternRef || known(*ty));
    for (number, ty) in types.enumerate().filter(|_| random.one_in(2)).collect::<Vec<_>>() {
        let written = if random.one_in(2) { format!("(mut {})", name(&ty)) } else { name(&ty) };
        text += &format!("(import \"env\" \"g{number}\" (global {written}))");
        let value = value_of(ty, random.word());
        setup.globals.push(("env".into(), format!("g{number}"), value));
    }
    let state = ["(memory 1 9)", "(table 3 30 funcref)"];
    for (number, ty) in state.into_iter().enumerate().filter(|_| random.one_in(3)) {
        text += &format!("(import \"env\" \"s{number}\" {ty})");
        setup.adopted.push(("env".into(), format!("s{number}")));
    }
    format!("(module {text})")
}

/// wasm-smith has no switch for funcref without externref. This makes each externref a funcref:
/// what is valid stays so, and more references are alive across pauses.
fn without_externref(wasm: &[u8]) -> anyhow::Result<Vec<u8>> {
    struct Rewrite;
    impl Reencode for Rewrite {
        type Error = Infallible;
        fn abstract_heap_type(
            &mut self,
            ty: wasmparser::AbstractHeapType,
        ) -> Result<wasm_encoder::AbstractHeapType, Error<Infallible>> {
            match ty {
                wasmparser::AbstractHeapType::Extern => Ok(wasm_encoder::AbstractHeapType::Func),
                other => Ok(wasm_encoder::reencode::utils::abstract_heap_type(self, other)),
            }
        }
    }
    let mut module = wasm_encoder::Module::new();
    Rewrite
        .parse_core_module(&mut module, wasmparser::Parser::new(0), wasm)
        .map_err(|error| anyhow::anyhow!("{error}"))
        .context("rewriting a generated module")?;
    Ok(module.finish())
}

/// How many seeds a test tries: the environment variable, else a number that takes a minute.
pub fn seeds(default: u64) -> std::ops::Range<u64> {
    let first = number("TASKLET_SEED_FIRST").unwrap_or(0);
    first..first + number("TASKLET_SEEDS").unwrap_or(default)
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Keeps a module that failed, and says where.
pub fn keep(seed: u64, wasm: &[u8]) -> String {
    let path = std::env::temp_dir().join(format!("tasklet-seed-{seed}.wasm"));
    match std::fs::write(&path, wasm) {
        Ok(()) => format!("seed {seed}, kept as {}", path.display()),
        Err(error) => format!("seed {seed}, not kept: {error}"),
    }
}
