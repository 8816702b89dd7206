//! Fuel polls, the way one would write them for Asyncify: what a block costs is taken off a global,
//! and function entries and loop headers call an import when nothing is left.
//!
//! The costs and the places of the checks are those of tasklet (less the bytes of bulk
//! operations), so that both stop the same programs at the same places. Payments are merged as far
//! as code is straight; calls do not end a block.

use anyhow::{Context, Result, ensure};
use wasm_encoder::reencode::{self, Reencode, utils};
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, EntityType, ExportKind, ExportSection, Function,
    GlobalSection, GlobalType, ImportSection, Instruction, Module, TypeSection, ValType,
};
use wasmparser::{
    CodeSectionReader, CustomSectionReader, ExportSectionReader, FunctionBody, GlobalSectionReader,
    ImportSectionReader, Operator, Parser, Payload, TypeRef, TypeSectionReader,
};

/// Module and name of the import that is called when the fuel is used up.
pub const YIELD: [&str; 2] = ["tasklet", "yield"];
/// The name of the exported global with the fuel.
pub const FUEL: &str = "tasklet.fuel";

/// Adds the polls to a module.
pub fn add(wasm: &[u8]) -> Result<Vec<u8>> {
    let mut polls = Polls::default();
    let mut sections = 0;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::TypeSection(types) => {
                polls.yield_type = types.into_iter_err_on_gc_types().count() as u32;
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    match import?.ty {
                        TypeRef::Func(_) => polls.imported_functions += 1,
                        TypeRef::Global(_) => polls.fuel += 1,
                        _ => {}
                    }
                }
            }
            Payload::GlobalSection(globals) => polls.fuel += globals.count(),
            Payload::ExportSection(_) => {}
            _ => continue,
        }
        sections += 1;
    }
    // Every program that a compiler makes has them.
    ensure!(sections == 4, "the module lacks types, imports, globals or exports to add to");
    let mut module = Module::new();
    polls
        .parse_core_module(&mut module, Parser::new(0), wasm)
        .map_err(|error| anyhow::anyhow!("{error}"))
        .context("cannot add fuel polls")?;
    Ok(module.finish())
}

type Outcome = Result<(), reencode::Error<std::convert::Infallible>>;

/// Indices of what is added: each is behind all of its kind, but for the import, which is in front
/// of the module's own functions.
#[derive(Debug, Default)]
struct Polls {
    imported_functions: u32,
    yield_type: u32,
    fuel: u32,
}

impl Polls {
    fn charge(&self, function: &mut Function, cost: &mut i64) {
        let cost = std::mem::take(cost);
        if cost > 0 {
            function.instruction(&Instruction::GlobalGet(self.fuel));
            function.instruction(&Instruction::I64Const(cost));
            function.instruction(&Instruction::I64Sub);
            function.instruction(&Instruction::GlobalSet(self.fuel));
        }
    }

    fn check(&self, function: &mut Function) {
        function.instruction(&Instruction::GlobalGet(self.fuel));
        function.instruction(&Instruction::I64Const(0));
        function.instruction(&Instruction::I64LtS);
        function.instruction(&Instruction::If(BlockType::Empty));
        function.instruction(&Instruction::Call(self.imported_functions));
        function.instruction(&Instruction::End);
    }
}

impl Reencode for Polls {
    type Error = std::convert::Infallible;

    fn function_index(&mut self, index: u32) -> Result<u32, reencode::Error> {
        Ok(if index < self.imported_functions { index } else { index + 1 })
    }

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: TypeSectionReader<'_>,
    ) -> Outcome {
        utils::parse_type_section(self, types, section)?;
        types.ty().function([], []);
        Ok(())
    }

    fn parse_import_section(
        &mut self,
        imports: &mut ImportSection,
        section: ImportSectionReader<'_>,
    ) -> Outcome {
        utils::parse_import_section(self, imports, section)?;
        imports.import(YIELD[0], YIELD[1], EntityType::Function(self.yield_type));
        Ok(())
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: GlobalSectionReader<'_>,
    ) -> Outcome {
        utils::parse_global_section(self, globals, section)?;
        let ty = GlobalType { val_type: ValType::I64, mutable: true, shared: false };
        globals.global(ty, &ConstExpr::i64_const(0));
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: ExportSectionReader<'_>,
    ) -> Outcome {
        utils::parse_export_section(self, exports, section)?;
        exports.export(FUEL, ExportKind::Global, self.fuel);
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Outcome {
        section.into_iter().try_for_each(|body| self.parse_function_body(code, body?))
    }

    fn parse_function_body(&mut self, code: &mut CodeSection, body: FunctionBody<'_>) -> Outcome {
        let mut function = self.new_function_with_parsed_locals(&body)?;
        self.check(&mut function);
        // 1 for entering the function.
        let mut cost = 1;
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let operator = operators.read()?;
            cost += price(&operator);
            if ends_block(&operator) {
                self.charge(&mut function, &mut cost);
            }
            let header = matches!(operator, Operator::Loop { .. });
            function.instruction(&self.instruction(operator)?);
            if header {
                self.check(&mut function);
            }
        }
        code.function(&function);
        Ok(())
    }

    fn parse_custom_section(&mut self, _: &mut Module, _: CustomSectionReader<'_>) -> Outcome {
        Ok(())
    }
}

/// wasmtime's default prices, which tasklet has too; written down once more, as a rival must not
/// depend on what it is compared with.
fn price(operator: &Operator<'_>) -> i64 {
    match operator {
        Operator::Nop
        | Operator::Drop
        | Operator::Block { .. }
        | Operator::Loop { .. }
        | Operator::Unreachable
        | Operator::Return
        | Operator::Else
        | Operator::End => 0,
        _ => 1,
    }
}

fn ends_block(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::Else
            | Operator::End
            | Operator::Br { .. }
            | Operator::BrIf { .. }
            | Operator::BrTable { .. }
            | Operator::Return
            | Operator::Unreachable
    )
}
