//! The modules of a script as tasklets: each instance one, linked through host functions.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};

use tasklet_engine::{Error, ErrorKind, Module, Outcome, Trap, TrapKind};
use wasmparser::{Import, Parser, Payload};
use wast::{WastDirective, WastExecute, WastInvoke};

use super::links::{SPECTEST_SHARED, Slot, from_instance, from_spectest, lock};
use super::living::{Driver, Given, Link, Living, Shared};
use super::plain::Verdict as Plainly;
use super::script::Script;
use super::values::{Seen, all_match, argument};
use super::{EXHAUSTION, Mode, NOT_HELD, Verdict};

/// Instrumented modules of one script, made when first needed and shared by all modes.
pub struct Modules {
    made: Vec<OnceLock<Result<Module, Arc<Error>>>>,
}

impl Modules {
    /// Nothing yet.
    pub fn new(script: &Script<'_>) -> Modules {
        Modules { made: script.directives.iter().map(|_| OnceLock::new()).collect() }
    }

    fn get(&self, script: &Script<'_>, at: usize) -> Result<&Module, Stop> {
        let wasm = script.wasm(at).as_ref().map_err(|error| Stop::Skip(error.clone()))?;
        let made = self.made[script.module(at)]
            .get_or_init(|| Module::load(super::engine(), wasm).map_err(Arc::new));
        made.as_ref().map_err(|error| Stop::refused(error))
    }
}

/// Why something did not return.
#[derive(Debug)]
enum Stop {
    Skip(String),
    Trap(Trap),
    /// The host lacks an import, or has it with another type.
    Unlinkable(String),
    Failed(String),
}

impl Stop {
    fn refused(error: &Error) -> Stop {
        match error.kind() {
            ErrorKind::Unsupported => Stop::Skip(feature(&chain(error))),
            // The limits differ from case to case, which are few.
            ErrorKind::Limit => Stop::Skip(format!("{REFUSED}a limit is exceeded")),
            _ => Stop::Failed(chain(error)),
        }
    }

    fn verdict(self) -> Verdict {
        match self {
            Stop::Skip(reason) => Verdict::Skipped(reason),
            Stop::Trap(trap) => Verdict::Failed(format!("it trapped with `{}`", trap.message)),
            Stop::Unlinkable(what) => Verdict::Failed(format!("it cannot be linked: {what}")),
            Stop::Failed(what) => Verdict::Failed(what),
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}

/// What a refusal names, without the place and the way out.
fn feature(text: &str) -> String {
    let end = [", in function ", ", at byte offset "].iter().filter_map(|at| text.find(at)).min();
    let text = &text[..end.unwrap_or(text.len())];
    let text = match text.rfind(" (") {
        Some(at) if text.ends_with(')') => &text[..at],
        _ => text,
    };
    let text = text.trim_start_matches("cannot instrument the module: ");
    format!("{REFUSED}{}", text.trim_start_matches("unsupported: "))
}

const REFUSED: &str = "refused: ";

/// Whether a reason is a refusal of the module.
pub fn is_refusal(reason: &str) -> bool {
    reason.starts_with(REFUSED)
}

/// The instances of a script.
pub struct Tasklets<'s> {
    script: &'s Script<'s>,
    modules: &'s Modules,
    driver: Driver,
    /// The instances that have a memory or table of `spectest` for their own.
    owners: Vec<(String, Shared)>,
    named: HashMap<String, Slot>,
    current: Slot,
    registered: HashMap<String, Slot>,
}

impl<'s> Tasklets<'s> {
    /// An empty world.
    pub fn new(script: &'s Script<'s>, modules: &'s Modules, driver: Driver) -> Tasklets<'s> {
        let current = Err("no module yet".into());
        let (named, registered) = (HashMap::new(), HashMap::new());
        Tasklets { script, modules, driver, owners: Vec::new(), named, current, registered }
    }

    /// Does what a directive says, and compares with how it fared in plain wasmtime.
    pub fn step(&mut self, at: usize, plain: &Plainly) -> Verdict {
        use WastDirective as D;
        match &self.script.directives[at] {
            D::Module(module) => {
                let id = module.name().map(|id| id.name());
                return self.define(at, id, plain);
            }
            D::ModuleInstance { instance, .. } => {
                return self.define(at, instance.map(|id| id.name()), plain);
            }
            D::Register { name, module, .. } => {
                let slot = self.slot(module.map(|id| id.name()));
                self.registered.insert(name.to_string(), slot);
                return Verdict::Held;
            }
            D::ModuleDefinition(_) => return Verdict::Held,
            D::AssertInvalidCustom { .. } | D::AssertMalformedCustom { .. } => {
                return Verdict::Skipped("contents of custom sections".into());
            }
            D::Thread(_) | D::Wait { .. } => return Verdict::Skipped("threads of scripts".into()),
            D::AssertSuspension { .. } => return Verdict::Skipped("stack switching".into()),
            D::AssertMalformed { .. } | D::AssertInvalid { .. }
                if self.script.wasm(at).is_err() =>
            {
                return Verdict::Skipped("the text is refused by its parser: no module".into());
            }
            _ => {}
        }
        // What does not hold there still has effects that later assertions may build on.
        match self.assert(at, plain) {
            Verdict::Skipped(reason) if is_refusal(&reason) => Verdict::Skipped(reason),
            _ if plain.held.is_err() => Verdict::Skipped(NOT_HELD.into()),
            verdict => verdict,
        }
    }

    fn assert(&mut self, at: usize, plain: &Plainly) -> Verdict {
        use WastDirective as D;
        let script = self.script;
        match &script.directives[at] {
            D::Invoke(call) => self.returns(plain, |this| this.invoke(call), |_| true),
            D::AssertReturn { exec, results, .. } => self.returns(
                plain,
                |this| this.execute(at, exec, plain),
                |found| all_match(results, found),
            ),
            D::AssertTrap { exec, .. } => {
                let stop = self.execute(at, exec, plain);
                trapped(stop, plain)
            }
            D::AssertExhaustion { call, .. } => match self.driver.mode {
                Mode::Never => {
                    let stop = self.invoke(call);
                    trapped(stop, plain)
                }
                _ => Verdict::Skipped(EXHAUSTION.into()),
            },
            D::AssertException { exec, .. } => match self.execute(at, exec, plain) {
                Err(Stop::Trap(trap)) if is(&trap, TrapKind::UncaughtException) => Verdict::Held,
                Err(stop) => stop.verdict(),
                Ok(found) => Verdict::Failed(format!("it returned {found:?}")),
            },
            D::AssertInvalid { .. } | D::AssertMalformed { .. } => self.refuses(at),
            D::AssertUnlinkable { .. } => match self.instantiate(at, plain) {
                Err(Stop::Unlinkable(_)) => Verdict::Held,
                Err(stop) => stop.verdict(),
                Ok(_) => Verdict::Failed("it can be linked".into()),
            },
            _ => Verdict::Failed("a directive without a case".into()),
        }
    }

    fn refuses(&self, at: usize) -> Verdict {
        let Ok(wasm) = self.script.wasm(at) else { return Verdict::Held };
        match Module::load(super::engine(), wasm) {
            Err(error) if error.kind() == ErrorKind::Module => Verdict::Held,
            Err(error) => Stop::refused(&error).verdict(),
            Ok(_) => Verdict::Failed("an invalid module is taken".into()),
        }
    }

    fn returns(
        &mut self,
        plain: &Plainly,
        run: impl FnOnce(&mut Self) -> Result<Vec<Seen>, Stop>,
        expected: impl FnOnce(&[Seen]) -> bool,
    ) -> Verdict {
        let totals = self.driver.totals.clone();
        let before = totals.steps.load(Ordering::Relaxed);
        let found = match run(self) {
            Ok(found) => found,
            Err(stop) => return stop.verdict(),
        };
        if !expected(&found) {
            return Verdict::Failed(format!("it returned {found:?}"));
        }
        let steps = totals.steps.load(Ordering::Relaxed) - before;
        match plain.fuel {
            Some(fuel) if fuel != steps => {
                Verdict::Failed(format!("it took {steps} steps, plain wasmtime {fuel} fuel"))
            }
            _ => Verdict::Held,
        }
    }

    fn slot(&self, id: Option<&str>) -> Slot {
        match id {
            None => self.current.clone(),
            Some(id) => {
                self.named.get(id).cloned().unwrap_or_else(|| Err("no such instance".into()))
            }
        }
    }

    fn define(&mut self, at: usize, id: Option<&str>, plain: &Plainly) -> Verdict {
        let made = match (&plain.held, self.modules.get(self.script, at)) {
            (Ok(()), _) => self.instantiate(at, plain),
            // What is refused here too is listed with its reason.
            (Err(_), Err(Stop::Skip(reason))) if is_refusal(&reason) => Err(Stop::Skip(reason)),
            (Err(_), _) => Err(Stop::Skip(NOT_HELD.into())),
        };
        let (slot, verdict) = match made {
            Ok(living) => (Ok(living), Verdict::Held),
            Err(stop) => {
                let verdict = stop.verdict();
                let reason = match &verdict {
                    Verdict::Skipped(reason) => reason.clone(),
                    _ => "its module failed".into(),
                };
                (Err(reason), verdict)
            }
        };
        self.current = slot.clone();
        if let Some(id) = id {
            self.named.insert(id.to_string(), slot);
        }
        verdict
    }

    fn instantiate(&mut self, at: usize, plain: &Plainly) -> Result<Shared, Stop> {
        let links = match self.script.wasm(at) {
            Ok(wasm) => self.links(wasm, self.script.makes_instance(at), plain)?,
            Err(error) => return Err(Stop::Skip(error.clone())),
        };
        let own: Vec<String> = (links.iter())
            .filter(|link| matches!(link.given, Given::Own))
            .map(|link| link.name.clone())
            .collect();
        let module = self.modules.get(self.script, at)?;
        let mut living = match Living::new(module, links, self.driver.clone()) {
            Ok(living) => living,
            Err(error) => return Err(not_spawned(&error)),
        };
        match living.finish() {
            Ok(Outcome::Finished(_)) => {
                let living = Arc::new(Mutex::new(living));
                self.owners.extend(own.into_iter().map(|name| (name, living.clone())));
                Ok(living)
            }
            other => Err(self.ended(other)),
        }
    }

    fn ended(&self, outcome: anyhow::Result<Outcome>) -> Stop {
        let crossed = self.driver.totals.crossed.lock().expect("nobody panics with it").take();
        match (crossed, outcome) {
            (Some(reason), _) => Stop::Skip(reason),
            (None, Ok(Outcome::Trapped(trap))) => Stop::Trap(trap),
            (None, Ok(outcome)) => Stop::Failed(format!("it ended with {outcome:?}")),
            (None, Err(error)) => match error.downcast_ref::<Error>() {
                Some(refused) => Stop::refused(refused),
                None => Stop::Failed(format!("{error:#}")),
            },
        }
    }

    fn execute(
        &mut self,
        at: usize,
        exec: &WastExecute<'_>,
        plain: &Plainly,
    ) -> Result<Vec<Seen>, Stop> {
        match exec {
            WastExecute::Invoke(call) => self.invoke(call),
            WastExecute::Wat(_) => self.instantiate(at, plain).map(|_| Vec::new()),
            WastExecute::Get { module, global, .. } => {
                let living = self.slot(module.map(|id| id.name())).map_err(Stop::Skip)?;
                let mut living = lock(&living).map_err(Stop::Skip)?;
                match living.global(global) {
                    Ok(Some(value)) => Ok(vec![Seen::of(&value)]),
                    Ok(None) => Err(Stop::Failed(format!("no global `{global}`"))),
                    Err(error) => Err(self.ended(Err(error))),
                }
            }
        }
    }

    fn invoke(&mut self, call: &WastInvoke<'_>) -> Result<Vec<Seen>, Stop> {
        let living = self.slot(call.module.map(|id| id.name())).map_err(Stop::Skip)?;
        let args = call.args.iter().map(argument).collect::<Result<Vec<_>, _>>();
        let args = args.map_err(Stop::Skip)?;
        let mut living = lock(&living).map_err(Stop::Skip)?;
        match living.call(call.name, &args) {
            Ok(Outcome::Finished(values)) => Ok(values.iter().map(Seen::of).collect()),
            other => Err(self.ended(other)),
        }
    }

    /// The imports of a module that it can be given. Those that are left out are unknown.
    /// `shares` tells whether plain wasmtime gets as far as making the instance.
    fn links(&mut self, wasm: &[u8], shares: bool, plain: &Plainly) -> Result<Vec<Link>, Stop> {
        let (mut links, mut refused) = (Vec::new(), None);
        // The instrumenter and plain wasmtime have their say on what cannot be parsed.
        for payload in Parser::new(0).parse_all(wasm).map_while(Result::ok) {
            let Payload::ImportSection(imports) = payload else { continue };
            for import in imports.into_imports().map_while(Result::ok) {
                let given = match self.registered.get(import.module) {
                    Some(slot) => from_instance(slot, &import, shares),
                    None if import.module == "spectest" => {
                        if shares {
                            self.disown(&import);
                        }
                        from_spectest(&import, shares, plain)
                    }
                    None => Ok(None),
                };
                let (module, name) = (import.module.to_string(), import.name.to_string());
                match given {
                    Ok(given) => links.extend(given.map(|given| Link { module, name, given })),
                    // All imports are looked at: each may share an instance's state.
                    Err(reason) => refused = refused.or(Some(reason)),
                }
            }
        }
        match refused {
            Some(reason) => Err(Stop::Skip(reason)),
            None => Ok(links),
        }
    }

    /// Another module imports what an instance has for its own: in plain wasmtime they share it.
    fn disown(&self, import: &Import<'_>) {
        for (_, living) in self.owners.iter().filter(|(name, _)| name == import.name) {
            living.lock().expect("nobody panics with it").lose(SPECTEST_SHARED);
        }
    }
}

fn not_spawned(error: &Error) -> Stop {
    let text = chain(error);
    match error {
        Error::UnknownImport { ty, .. }
            if ["memory", "table", "global", "tag"].contains(&&**ty) =>
        {
            Stop::Skip(format!("{REFUSED}an imported {ty}"))
        }
        Error::UnknownImport { .. } | Error::ImportType { .. } => Stop::Unlinkable(text),
        Error::Instantiate(_) => {
            let kinds = [TrapKind::MemoryOutOfBounds, TrapKind::TableOutOfBounds];
            match kinds.into_iter().find(|kind| text.contains(kind.text())) {
                Some(kind) => {
                    Stop::Trap(Trap { kind, message: kind.text().into(), backtrace: Vec::new() })
                }
                None => Stop::Failed(text),
            }
        }
        error => Stop::refused(error),
    }
}

/// Whether it is a trap of that kind, here or in an instance it called.
fn is(trap: &Trap, kind: TrapKind) -> bool {
    trap.kind == kind || trap.kind == TrapKind::Host && trap.message.ends_with(kind.text())
}

/// Whether it trapped as plain wasmtime did.
fn trapped(stop: Result<Vec<Seen>, Stop>, plain: &Plainly) -> Verdict {
    let trap = match stop {
        Err(Stop::Trap(trap)) => trap,
        Err(stop) => return stop.verdict(),
        Ok(found) => return Verdict::Failed(format!("it returned {found:?} instead of trapping")),
    };
    match &plain.trap {
        Some((TrapKind::Other, text)) if trap.message.ends_with(text) => Verdict::Held,
        Some((kind, _)) if *kind != TrapKind::Other && is(&trap, *kind) => Verdict::Held,
        expected => {
            Verdict::Failed(format!("it trapped with `{}`, not {expected:?}", trap.message))
        }
    }
}
