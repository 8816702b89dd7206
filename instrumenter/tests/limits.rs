//! Small modules that would take much time or memory: each is instrumented quickly, or refused with
//! an error that names the limit. They were found by looking for products: of loops and points, of
//! blocks and locals, of calls and handlers.

use std::time::{Duration, Instant};

use tasklet_instrumenter::{ErrorKind, Options, instrument};
use wasm_encoder::{
    BlockType, Catch, CodeSection, ExportKind, ExportSection, Function, FunctionSection,
    Instruction, Module, TagKind, TagSection, TagType, TypeSection, ValType,
};

use Instruction::{Block, BrIf, BrTable, Call, Drop, End, I32Const, LocalGet, Loop, TryTable};

/// What a whole list of them takes here is a tenth of this.
const PATIENCE: Duration = Duration::from_secs(30);

/// A module of these functions, all without parameters and results; the first is a loop.
fn module(functions: impl IntoIterator<Item = Function>) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let mut tags = TagSection::new();
    tags.tag(TagType { kind: TagKind::Exception, func_type_idx: 0 });
    let (mut declared, mut code) = (FunctionSection::new(), CodeSection::new());
    let first = function(0, [Loop(BlockType::Empty), I32Const(0), BrIf(0), End]);
    for function in std::iter::once(first).chain(functions) {
        declared.function(0);
        code.function(&function);
    }
    let mut exports = ExportSection::new();
    exports.export("run", ExportKind::Func, declared.len() - 1);
    let mut module = Module::new();
    module.section(&types).section(&declared).section(&tags).section(&exports).section(&code);
    module.finish()
}

fn function<'a>(locals: u32, code: impl IntoIterator<Item = Instruction<'a>>) -> Function {
    let mut function = Function::new([(locals, ValType::I32)]);
    for instruction in code {
        function.instruction(&instruction);
    }
    function.instruction(&End);
    function
}

fn repeat(count: usize, code: &[Instruction<'static>]) -> Vec<Instruction<'static>> {
    code.iter().cycle().take(count * code.len()).cloned().collect()
}

fn uses(locals: u32) -> Vec<Instruction<'static>> {
    (0..locals).flat_map(|local| [LocalGet(local), Drop]).collect()
}

/// Calls inside a `try_table` with many clauses.
fn caught(calls: usize, clauses: usize, locals: u32) -> Function {
    let catches = vec![Catch::One { tag: 0, label: 0 }; clauses];
    let mut code = vec![Block(BlockType::Empty), TryTable(BlockType::Empty, catches.into())];
    code.extend(repeat(calls, &[Call(0)]));
    code.extend([End, End]);
    code.extend(uses(locals));
    function(locals, code)
}

/// Loops inside one another, each of which reads a local, and a call in the innermost.
fn nested_loops(depth: usize, locals: u32) -> Function {
    let mut code = Vec::new();
    for local in (0..locals).cycle().take(depth) {
        code.extend([Loop(BlockType::Empty), LocalGet(local), Drop]);
    }
    code.push(Call(0));
    code.extend(repeat(depth, &[I32Const(0), BrIf(0), End]));
    function(locals, code)
}

/// Many branches forward to many labels.
fn forward(branches: usize, labels: u32) -> Function {
    let mut code = repeat(labels as usize, &[Block(BlockType::Empty)]);
    code.extend((0..labels).cycle().take(branches).flat_map(|label| [I32Const(0), BrIf(label)]));
    code.extend(repeat(labels as usize, &[End]));
    function(0, code)
}

/// A table of branches to many labels, with many operands below.
fn switch(labels: u32, operands: usize) -> Function {
    let targets: Vec<u32> = (0..labels).collect();
    let mut code = repeat(labels as usize, &[Block(BlockType::Empty)]);
    code.extend(repeat(operands + 1, &[I32Const(0)]));
    code.push(BrTable(targets.into(), 0));
    code.extend(repeat(labels as usize, &[End]));
    function(0, code)
}

fn calls(count: usize, locals: u32) -> Function {
    let mut code = repeat(count, &[Call(0)]);
    code.extend(uses(locals));
    function(locals, code)
}

/// Calls above many operands, in a loop, where points do not share the code that writes them unless
/// there are very many.
fn under_calls(operands: usize, calls: usize) -> Function {
    let mut code = vec![Loop(BlockType::Empty)];
    code.extend(repeat(operands, &[I32Const(0)]));
    code.extend(repeat(calls, &[Call(0)]));
    code.extend(repeat(operands, &[Drop]));
    code.extend([I32Const(0), BrIf(0), End]);
    function(0, code)
}

/// Instruments it; the message of the limit that is exceeded, if one is.
fn outcome(wasm: &[u8]) -> Option<String> {
    match instrument(wasm, &Options::default()) {
        Ok(_) => None,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
            Some(error.to_string())
        }
    }
}

#[test]
fn what_is_only_large_is_instrumented() {
    let begun = Instant::now();
    let many_loops = repeat(16_000, &[Loop(BlockType::Empty), I32Const(0), BrIf(0), End]);
    let modules = [
        ("forward", module([forward(60_000, 10_000)])),
        ("forward to a few", module([forward(60_000, 100)])),
        ("loops", module([function(0, many_loops)])),
        ("nested loops", module([nested_loops(1_000, 60)])),
        ("switch", module([switch(800, 5_000)])),
        ("calls", module((0..8).map(|_| calls(10_000, 0)))),
        ("caught", module([caught(100, 1_000, 60)])),
        // Larger than wasmtime takes, if each frame were written by code of its own.
        ("very large frames", module([under_calls(4_500, 200)])),
    ];
    for (name, wasm) in modules {
        assert_eq!(outcome(&wasm), None, "{name}");
    }
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}

#[test]
fn what_multiplies_is_refused() {
    let begun = Instant::now();
    let nothing = || function(49_000, []);
    let all = ", in all functions";
    let modules = [
        ("locals and operands at block boundaries", all, module((0..2_000).map(|_| nothing()))),
        ("operands at block boundaries", all, module((0..40).map(|_| switch(800, 5_000)))),
        ("operands at block boundaries", "", module([switch(800, 20_000)])),
        ("calls times catch clauses around them", "", module([caught(5_000, 1_000, 0)])),
        ("bytes when it is rewritten", "", module([caught(500, 1_000, 0)])),
        ("values live at resume points", "", module([caught(300, 1_000, 5_000)])),
        ("values live at resume points", "", module([nested_loops(1_400, 1_400)])),
        ("resume points inside loops", "", module([nested_loops(19_000, 60)])),
        ("resume points times loops", all, module((0..100).map(|_| nested_loops(1_400, 1)))),
        ("bytes of rewritten code", all, module((0..16).map(|_| under_calls(1_000, 250)))),
        ("blocks", "", module([calls(70_000, 0)])),
        ("words looked at for live locals", all, module([switches(1_000, 1_000, 49_000)])),
    ];
    for (what, whose, wasm) in modules {
        let message = outcome(&wasm).unwrap_or_else(|| panic!("{what}{whose} is not refused"));
        let named = message.contains(what) && message.contains(whose);
        assert!(named && (whose.is_empty() == message.contains("function ")), "{what}: {message}");
    }
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}

/// Tables of branches to the same labels.
fn switches(count: usize, labels: u32, locals: u32) -> Function {
    let targets: Vec<u32> = (1..=labels).collect();
    let mut code = repeat(labels as usize, &[Block(BlockType::Empty)]);
    for _ in 0..count {
        code.extend([Block(BlockType::Empty), I32Const(0)]);
        code.extend([BrTable(targets.clone().into(), 0), End]);
    }
    code.extend(repeat(labels as usize, &[End]));
    code.extend(uses(locals));
    function(locals, code)
}

/// Whatever the machine does first, it is the same function that is told of.
#[test]
fn the_first_function_that_exceeds_a_limit_is_named() {
    let wasm = module((0..30).map(|at| calls(if at % 3 == 2 { 70_000 } else { 10 }, 0)));
    let message = outcome(&wasm).expect("it has too many blocks");
    assert!(message.ends_with("in function 3"), "{message}");
}
