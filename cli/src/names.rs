//! The names a module gives its functions and their locals.

use std::collections::HashMap;

use wasmparser::{KnownCustom, Name, Parser, Payload, TypeRef};

/// Names by index.
#[derive(Debug, Default)]
pub struct Names {
    functions: HashMap<u32, String>,
    locals: HashMap<(u32, u32), String>,
    imported_functions: u32,
}

impl Names {
    /// The names in a module, as far as it can be read: names are a help, no more.
    pub fn of_module(wasm: &[u8]) -> Names {
        let mut names = Names::default();
        // What was read before an error is as good as without.
        let _ = names.read(wasm);
        names
    }

    /// The name of a function; an imported one is called `module::name`.
    pub fn function(&self, index: u32) -> Option<&str> {
        self.functions.get(&index).map(String::as_str)
    }

    /// The name of a local.
    pub fn local(&self, function: u32, local: u32) -> Option<&str> {
        self.locals.get(&(function, local)).map(String::as_str)
    }

    fn read(&mut self, wasm: &[u8]) -> wasmparser::Result<()> {
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import?;
                        if let TypeRef::Func(_) | TypeRef::FuncExact(_) = import.ty {
                            let name = format!("{}::{}", import.module, import.name);
                            self.functions.insert(self.imported_functions, name);
                            self.imported_functions += 1;
                        }
                    }
                }
                Payload::CustomSection(section) => {
                    if let KnownCustom::Name(section) = section.as_known() {
                        section.into_iter().try_for_each(|name| self.add(name?))?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn add(&mut self, name: Name<'_>) -> wasmparser::Result<()> {
        match name {
            Name::Function(map) => {
                for naming in map {
                    let naming = naming?;
                    if naming.index >= self.imported_functions {
                        self.functions.insert(naming.index, naming.name.to_string());
                    }
                }
            }
            Name::Local(functions) => {
                for function in functions {
                    let function = function?;
                    for naming in function.names {
                        let naming = naming?;
                        let key = (function.index, naming.index);
                        self.locals.insert(key, naming.name.to_string());
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
