//! The original modules of a script in plain wasmtime: what holds there is what is asked of the
//! engine, and what a call costs there is what it costs here.

use std::collections::HashMap;
use std::sync::OnceLock;

use tasklet_engine::TrapKind;
use wasmtime::{
    AnyRef, Config, Engine, Extern, ExternRef, Func, FuncType, Global, GlobalType, Instance,
    Memory, MemoryType, Module, Mutability, Ref, RefType, Store, Table, TableType, ThrownException,
    Trap, Val, ValType,
};
use wast::core::{AbstractHeapType, HeapType, WastArgCore};
use wast::{WastArg, WastDirective, WastExecute, WastInvoke};

use super::script::Script;
use super::values::{Seen, all_match};
use crate::plain::trap_kind;

/// More than any call of the suite takes.
const FUEL: u64 = u64::MAX / 4;

/// How an assertion fared in plain wasmtime.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Nothing if it holds, else why it does not.
    pub held: Result<(), String>,
    /// The fuel of the call it makes, if that returned.
    pub fuel: Option<u64>,
    /// The trap it met: the kind, and wasmtime's words for it.
    pub trap: Option<(TrapKind, String)>,
    /// The memories and tables of `spectest` that somebody had left a mark in before it.
    pub used: Vec<&'static str>,
}

/// Why something did not return.
enum Stop {
    Trap(Trap),
    Thrown,
    /// The module is refused, by the validator or by the linker.
    Refused(String),
    /// The script asks for what it has not got.
    Missing(String),
}

impl Stop {
    fn of(error: &wasmtime::Error) -> Stop {
        match error.downcast_ref::<Trap>() {
            Some(trap) => Stop::Trap(*trap),
            None if error.is::<ThrownException>() => Stop::Thrown,
            None => Stop::Refused(format!("{error:#}")),
        }
    }

    fn text(&self) -> String {
        match self {
            Stop::Trap(trap) => trap.to_string(),
            Stop::Thrown => "an exception".into(),
            Stop::Refused(what) | Stop::Missing(what) => what.clone(),
        }
    }
}

/// A script's instances, all in one store.
pub struct Plain {
    store: Store<()>,
    counting: bool,
    spectest: HashMap<String, Extern>,
    named: HashMap<String, Option<Instance>>,
    current: Option<Instance>,
    registered: HashMap<String, Option<Instance>>,
}

/// Wasmtime with everything on that is on by default, and what it does not have on but can do and
/// the suite has a part for.
fn engine(counting: bool) -> &'static Engine {
    static ENGINES: [OnceLock<Engine>; 2] = [OnceLock::new(), OnceLock::new()];
    ENGINES[usize::from(counting)].get_or_init(|| {
        let mut config = Config::new();
        config
            .wasm_wide_arithmetic(true)
            .wasm_custom_page_sizes(true)
            .max_wasm_stack(1 << 20)
            // Modules are small, many, and run once.
            .cranelift_opt_level(wasmtime::OptLevel::None)
            .consume_fuel(counting);
        Engine::new(&config).expect("the options are good on every machine")
    })
}

impl Plain {
    /// An empty world, in which calls are counted or not.
    pub fn new(counting: bool) -> Plain {
        let mut store = Store::new(engine(counting), ());
        if counting {
            store.set_fuel(FUEL).expect("the engine counts");
        }
        let spectest = spectest(&mut store);
        let (named, registered) = (HashMap::new(), HashMap::new());
        Plain { store, counting, spectest, named, current: None, registered }
    }

    /// Does what a directive says.
    pub fn step(&mut self, script: &Script<'_>, at: usize) -> Verdict {
        use WastDirective as D;
        let used = if script.makes_instance(at) { self.used() } else { Vec::new() };
        let mut seen = Verdict { held: Ok(()), fuel: None, trap: None, used };
        let held = match &script.directives[at] {
            D::Module(module) => self.define(script, at, module.name().map(|id| id.name())),
            D::ModuleInstance { instance, .. } => {
                self.define(script, at, instance.map(|id| id.name()))
            }
            D::ModuleDefinition(_) => Ok(()),
            D::Register { name, module, .. } => {
                let found = self.instance(module.map(|id| id.name()));
                self.registered.insert(name.to_string(), found.as_ref().ok().copied());
                found.map(drop).map_err(|stop| stop.text())
            }
            D::Invoke(call) => self.invoke(call, &mut seen).map(drop).map_err(|stop| stop.text()),
            D::AssertReturn { exec, results, .. } => {
                match self.execute(script, at, exec, &mut seen) {
                    Ok(found) if all_match(results, &found) => Ok(()),
                    Ok(found) => Err(format!("it returned {found:?}")),
                    Err(stop) => Err(stop.text()),
                }
            }
            D::AssertTrap { exec, message, .. } => {
                let stop = self.execute(script, at, exec, &mut seen);
                self.traps(stop, message, &mut seen)
            }
            D::AssertExhaustion { call, message, .. } => {
                let stop = self.invoke(call, &mut seen);
                self.traps(stop, message, &mut seen)
            }
            D::AssertException { exec, .. } => match self.execute(script, at, exec, &mut seen) {
                Err(Stop::Thrown) => Ok(()),
                Err(stop) => Err(stop.text()),
                Ok(found) => Err(format!("it returned {found:?}")),
            },
            D::AssertInvalid { .. } | D::AssertMalformed { .. } => match script.wasm(at) {
                Err(_) => Ok(()),
                Ok(wasm) => match Module::new(self.store.engine(), wasm) {
                    Err(_) => Ok(()),
                    Ok(_) => Err("the module is valid".into()),
                },
            },
            D::AssertUnlinkable { .. } => match self.instantiate(script, at) {
                Err(Stop::Refused(_)) => Ok(()),
                Err(stop) => Err(stop.text()),
                Ok(_) => Err("the module can be linked".into()),
            },
            D::AssertInvalidCustom { .. }
            | D::AssertMalformedCustom { .. }
            | D::AssertSuspension { .. }
            | D::Thread(_)
            | D::Wait { .. } => Err("wasmtime has no such thing".into()),
        };
        seen.held = held;
        seen
    }

    /// Which memories and tables of `spectest` are no longer as they were in the beginning.
    fn used(&mut self) -> Vec<&'static str> {
        let mut used = Vec::new();
        for name in ["table", "table64"] {
            let table = self.spectest[name].clone().into_table().expect("it was made as one");
            let size = table.size(&self.store);
            let mut null = |at| matches!(table.get(&mut self.store, at), Some(Ref::Func(None)));
            if size != TABLE_ELEMENTS || !(0..size).all(&mut null) {
                used.push(name);
            }
        }
        let memory = self.spectest["memory"].clone().into_memory().expect("it was made as one");
        let bytes = memory.data(&self.store);
        if memory.size(&self.store) != MEMORY_PAGES || bytes.iter().any(|byte| *byte != 0) {
            used.push("memory");
        }
        used
    }

    fn define(&mut self, script: &Script<'_>, at: usize, id: Option<&str>) -> Result<(), String> {
        let made = self.instantiate(script, at);
        self.current = made.as_ref().ok().copied();
        if let Some(id) = id {
            self.named.insert(id.to_string(), self.current);
        }
        made.map(drop).map_err(|stop| stop.text())
    }

    fn instantiate(&mut self, script: &Script<'_>, at: usize) -> Result<Instance, Stop> {
        let wasm = script.wasm(at).as_ref().map_err(|error| Stop::Missing(error.clone()))?;
        let module = Module::new(self.store.engine(), wasm)
            .map_err(|error| Stop::Missing(format!("{error:#}")))?;
        let mut imports = Vec::new();
        for import in module.imports() {
            let (from, name) = (import.module(), import.name());
            let found = match self.registered.get(from) {
                Some(Some(instance)) => instance.get_export(&mut self.store, name),
                Some(None) => return Err(Stop::Missing(format!("`{from}` is not there"))),
                None if from == "spectest" => self.spectest.get(name).cloned(),
                None => None,
            };
            let unknown = || Stop::Refused(format!("unknown import {from}::{name}"));
            imports.push(found.ok_or_else(unknown)?);
        }
        Instance::new(&mut self.store, &module, &imports).map_err(|error| Stop::of(&error))
    }

    fn instance(&self, id: Option<&str>) -> Result<Instance, Stop> {
        let found = match id {
            Some(id) => self.named.get(id).copied().flatten(),
            None => self.current,
        };
        found.ok_or_else(|| Stop::Missing("no such instance".into()))
    }

    fn execute(
        &mut self,
        script: &Script<'_>,
        at: usize,
        exec: &WastExecute<'_>,
        seen: &mut Verdict,
    ) -> Result<Vec<Seen>, Stop> {
        match exec {
            WastExecute::Invoke(call) => self.invoke(call, seen),
            WastExecute::Wat(_) => self.instantiate(script, at).map(|_| Vec::new()),
            WastExecute::Get { module, global, .. } => {
                let instance = self.instance(module.map(|id| id.name()))?;
                let found = instance.get_global(&mut self.store, global);
                let found = found.ok_or_else(|| Stop::Missing(format!("no global `{global}`")))?;
                let value = found.get(&mut self.store);
                Ok(vec![seen_of(&mut self.store, &value)])
            }
        }
    }

    fn invoke(&mut self, call: &WastInvoke<'_>, seen: &mut Verdict) -> Result<Vec<Seen>, Stop> {
        let instance = self.instance(call.module.map(|id| id.name()))?;
        let function = instance.get_func(&mut self.store, call.name);
        let function = function.ok_or_else(|| Stop::Missing(format!("no `{}`", call.name)))?;
        let args = call.args.iter().map(|arg| argument(&mut self.store, arg));
        let args = args.collect::<Result<Vec<_>, _>>().map_err(Stop::Missing)?;
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        if self.counting {
            self.store.set_fuel(FUEL).expect("the engine counts");
        }
        function.call(&mut self.store, &args, &mut results).map_err(|error| Stop::of(&error))?;
        seen.fuel = self.store.get_fuel().ok().map(|left| FUEL - left);
        Ok(results.iter().map(|value| seen_of(&mut self.store, value)).collect())
    }

    /// Whether it trapped as the script says. The words are the specification's, and wasmtime says
    /// a little less in some.
    fn traps(
        &self,
        stop: Result<Vec<Seen>, Stop>,
        message: &str,
        seen: &mut Verdict,
    ) -> Result<(), String> {
        let trap = match stop {
            Err(Stop::Trap(trap)) => trap,
            Err(stop) => return Err(stop.text()),
            Ok(found) => return Err(format!("it returned {found:?}")),
        };
        let text = trap.to_string();
        seen.trap = Some((trap_kind(trap), text.clone()));
        let null = text.contains("null reference");
        let same = text.contains(message)
            || message.contains("uninitialized element") && text.contains("uninitialized element")
            || message.contains("null") && message.contains("reference") && null
            || message.contains("null function") && (null || text.contains("uninitialized"));
        if same { Ok(()) } else { Err(format!("it trapped with `{text}`")) }
    }
}

fn argument(store: &mut Store<()>, arg: &WastArg<'_>) -> Result<Val, String> {
    let WastArg::Core(arg) = arg else { return Err("a value of a component".into()) };
    let text = |error: wasmtime::Error| format!("{error:#}");
    Ok(match arg {
        WastArgCore::I32(value) => Val::I32(*value),
        WastArgCore::I64(value) => Val::I64(*value),
        WastArgCore::F32(value) => Val::F32(value.bits),
        WastArgCore::F64(value) => Val::F64(value.bits),
        WastArgCore::V128(value) => Val::V128(u128::from_le_bytes(value.to_le_bytes()).into()),
        WastArgCore::RefNull(HeapType::Abstract { ty, .. }) => {
            use AbstractHeapType as T;
            match ty {
                T::Func | T::NoFunc => Val::FuncRef(None),
                T::Extern | T::NoExtern => Val::ExternRef(None),
                T::Exn | T::NoExn => Val::ExnRef(None),
                T::Any | T::Eq | T::Struct | T::Array | T::I31 | T::None => Val::AnyRef(None),
                _ => return Err(format!("a null of type {ty:?}")),
            }
        }
        WastArgCore::RefNull(ty) => return Err(format!("a null of type {ty:?}")),
        WastArgCore::RefExtern(n) => Val::ExternRef(Some(ExternRef::new(store, *n).map_err(text)?)),
        WastArgCore::RefHost(n) => {
            let reference = ExternRef::new(&mut *store, *n).map_err(text)?;
            Val::AnyRef(Some(AnyRef::convert_extern(store, reference).map_err(text)?))
        }
    })
}

fn seen_of(store: &mut Store<()>, value: &Val) -> Seen {
    let number = |store: &Store<()>, reference: &ExternRef| {
        let data = reference.data(store).ok().flatten();
        data.and_then(|data| data.downcast_ref::<u32>()).copied()
    };
    match value {
        Val::I32(value) => Seen::I32(*value),
        Val::I64(value) => Seen::I64(*value),
        Val::F32(bits) => Seen::F32(*bits),
        Val::F64(bits) => Seen::F64(*bits),
        Val::V128(value) => Seen::V128(value.as_u128()),
        Val::FuncRef(None)
        | Val::ExternRef(None)
        | Val::AnyRef(None)
        | Val::ExnRef(None)
        | Val::ContRef(None) => Seen::Null,
        Val::FuncRef(Some(_)) | Val::ContRef(Some(_)) => Seen::Func,
        Val::ExternRef(Some(reference)) => Seen::Extern(number(store, reference)),
        Val::ExnRef(Some(_)) => Seen::Exn,
        Val::AnyRef(Some(reference)) => {
            let is = |found: wasmtime::Result<bool>| found.unwrap_or(false);
            if is(reference.is_i31(&*store)) {
                Seen::I31
            } else if is(reference.is_struct(&*store)) {
                Seen::Struct
            } else if is(reference.is_array(&*store)) {
                Seen::Array
            } else {
                let outside = ExternRef::convert_any(&mut *store, *reference).ok();
                Seen::Host(outside.and_then(|reference| number(store, &reference)))
            }
        }
    }
}

/// Initial sizes of what `spectest` has.
pub const TABLE_ELEMENTS: u64 = 10;
/// The same.
pub const MEMORY_PAGES: u64 = 1;

/// What every script may import from `spectest`.
fn spectest(store: &mut Store<()>) -> HashMap<String, Extern> {
    let mut found: HashMap<String, Extern> = HashMap::new();
    let engine = store.engine().clone();
    for (name, params) in [
        ("print", &[][..]),
        ("print_i32", &[ValType::I32]),
        ("print_i64", &[ValType::I64]),
        ("print_f32", &[ValType::F32]),
        ("print_f64", &[ValType::F64]),
        ("print_i32_f32", &[ValType::I32, ValType::F32]),
        ("print_f64_f64", &[ValType::F64, ValType::F64]),
    ] {
        let ty = FuncType::new(&engine, params.iter().cloned(), []);
        let print = Func::new(&mut *store, ty, |_, _, _| Ok(()));
        found.insert(name.into(), print.into());
    }
    for (name, value) in [
        ("global_i32", Val::I32(666)),
        ("global_i64", Val::I64(666)),
        ("global_f32", Val::F32(666.6f32.to_bits())),
        ("global_f64", Val::F64(666.6f64.to_bits())),
    ] {
        let ty = GlobalType::new(value.ty(&*store).expect("a number"), Mutability::Const);
        let global = Global::new(&mut *store, ty, value).expect("the value is of the type");
        found.insert(name.into(), global.into());
    }
    let nobody = Ref::Func(None);
    let elements = TABLE_ELEMENTS as u32;
    let table = TableType::new(RefType::FUNCREF, elements, Some(20));
    let table = Table::new(&mut *store, table, nobody.clone()).expect("it is small");
    found.insert("table".into(), table.into());
    let table = TableType::new64(RefType::FUNCREF, TABLE_ELEMENTS, Some(20));
    let table = Table::new(&mut *store, table, nobody).expect("it is small");
    found.insert("table64".into(), table.into());
    let ty = MemoryType::new(MEMORY_PAGES as u32, Some(2));
    let memory = Memory::new(store, ty).expect("it is small");
    found.insert("memory".into(), memory.into());
    found
}
