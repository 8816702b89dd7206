//! Runs the *original* module in plain wasmtime with `consume_fuel`: the outside opinion on what a
//! program prints, returns and leaves behind, and on how many steps it takes.
//!
//! Steps count from after instantiation (whose fuel differs between hosts). The start function is
//! stripped and called by hand, so that it counts; so is a reactor's `_initialize`.

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use anyhow::Context as _;
use tasklet_engine::wasi::{Function, Outcome, Wasi};
use tasklet_engine::{Entry, FunctionType, TrapKind, ValType, Value};
use wasmtime::{
    Caller, Config, Engine, Extern, ExternRef, ExternType, Func, FuncType, Global, Instance,
    Memory, Ref, Store, StoreLimits, StoreLimitsBuilder, Table, Tag, ThrownException, Trap, Val,
};

use crate::reveal::{self, Inside};
use crate::world::{self, MEMORY_BYTES_MAX, TABLE_ELEMENTS_MAX, TICKER, Traces, WASI, World};

/// More than any test takes.
const FUEL: u64 = u64::MAX / 4;

/// How a program ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// The entry returned.
    Returned(Vec<Seen>),
    /// The guest exited.
    Exited(u32),
    /// The guest trapped.
    Trapped(TrapKind),
}

/// A value as it can be compared between stores: an object is its number, an exception only is
/// there or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The type.
    pub ty: ValType,
    /// The value as [`world::bits`] has it.
    pub bits: u128,
}

impl From<&Value> for Seen {
    fn from(value: &Value) -> Seen {
        Seen { ty: value.ty(), bits: world::bits(value) }
    }
}

/// As results are printed.
impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ty {
            ValType::I32 => Value::I32(self.bits as i32).fmt(f),
            ValType::I64 => Value::I64(self.bits as i64).fmt(f),
            ValType::F32 => Value::F32(self.bits as u32).fmt(f),
            ValType::F64 => Value::F64(self.bits as u64).fmt(f),
            ValType::V128 => Value::V128(self.bits).fmt(f),
            reference => write!(f, "{reference:?} {}", self.bits),
        }
    }
}

/// Everything the guest can see of itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    /// Sizes in bytes and contents of the memories.
    pub memories: Vec<Vec<u8>>,
    /// Indices and values of the globals that are mutable or imported.
    pub globals: Vec<(u32, Seen)>,
    /// Contents of the tables: functions by index, objects by number, of exceptions 0.
    pub tables: Vec<Vec<Option<u32>>>,
}

/// All there is to see of a run that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// How it ended.
    pub ending: Ending,
    /// Steps; `None` after a trap, where neither side promises a count.
    pub steps: Option<u64>,
    /// What it did to its world.
    pub traces: Traces,
    /// Its state at the end.
    pub state: State,
}

struct Data {
    limits: StoreLimits,
    wasi: Option<Wasi>,
    exit: Option<u32>,
    functions: HashMap<usize, u32>,
    memory: Option<Memory>,
}

/// A module made ready.
pub struct Plain {
    module: wasmtime::Module,
    inside: Inside,
}

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let mut config = Config::new();
        config.consume_fuel(true).max_wasm_stack(1 << 20);
        // What the engine has on too, and what leaves nothing open of the results.
        config.wasm_wide_arithmetic(true).wasm_exceptions(true).relaxed_simd_deterministic(true);
        Engine::new(&config).expect("the options are good on every machine")
    })
}

impl Plain {
    /// Compiles a module.
    pub fn new(wasm: &[u8]) -> anyhow::Result<Plain> {
        let inside = reveal::reveal(wasm)?;
        let module = wasmtime::Module::new(engine(), &inside.wasm)
            .map_err(refused)
            .context("plain wasmtime refuses it")?;
        Ok(Plain { module, inside })
    }

    /// The state after instantiation, before anything has run. `None` if it cannot be instantiated.
    pub fn image(&self, world: &World) -> anyhow::Result<Option<State>> {
        match self.instantiate(world)? {
            Some((mut store, instance)) => Ok(Some(self.state(&mut store, &instance))),
            None => Ok(None),
        }
    }

    /// Runs it from the start function to the end of the entry.
    pub fn run(&self, world: &World, entry: &Entry) -> anyhow::Result<Observation> {
        let instantiated = self.instantiate(world)?;
        let (mut store, instance) = instantiated.context("it cannot be instantiated")?;
        store.set_fuel(FUEL).map_err(refused)?;
        let (mut name, mut args) = ("_start", &[][..]);
        if let Entry::Invoke { name: invoked, args: given } = entry {
            (name, args) = (invoked, given);
        }
        let mut calls = Vec::new();
        if let Some(start) = self.inside.start {
            calls.push((format!("{}func.{start}", reveal::PREFIX), &[][..]));
        }
        let reactor = instance.get_func(&mut store, "_initialize").is_some();
        if reactor && !["_start", "_initialize"].contains(&name) {
            calls.push(("_initialize".into(), &[]));
        }
        calls.push((name.into(), args));
        let mut ending = Ending::Returned(Vec::new());
        for (name, args) in calls {
            let function = instance.get_func(&mut store, &name).context("no such export")?;
            ending = call(&mut store, function, args)?;
            if !matches!(ending, Ending::Returned(_)) {
                break;
            }
        }
        let trapped = matches!(ending, Ending::Trapped(_));
        let steps = (!trapped).then_some(FUEL - store.get_fuel().map_err(refused)?);
        let state = self.state(&mut store, &instance);
        Ok(Observation { ending, steps, traces: world.traces()?, state })
    }

    fn instantiate(&self, world: &World) -> anyhow::Result<Option<(Store<Data>, Instance)>> {
        let limits = StoreLimitsBuilder::new()
            .memory_size(MEMORY_BYTES_MAX as usize)
            .table_elements(TABLE_ELEMENTS_MAX as usize)
            .build();
        let wasi = world.setup().wasi.then(|| Wasi::new(world.wasi_options())).transpose()?;
        let data = Data { limits, wasi, exit: None, functions: HashMap::new(), memory: None };
        let mut store = Store::new(engine(), data);
        store.limiter(|data| &mut data.limits);
        store.set_fuel(FUEL).map_err(refused)?;
        let mut imports: Vec<Extern> = Vec::new();
        for import in self.module.imports() {
            let (module, name) = (import.module(), import.name());
            imports.push(match import.ty() {
                ExternType::Func(ty) => link(&mut store, world, module, name, ty)?.into(),
                ty => state_of(&mut store, world, module, name, ty)?,
            });
        }
        let instance = match Instance::new(&mut store, &self.module, &imports) {
            Ok(instance) => instance,
            Err(error) if error.is::<Trap>() => return Ok(None),
            Err(error) => return Err(refused(error)),
        };
        for index in 0..self.inside.functions {
            let name = format!("{}func.{index}", reveal::PREFIX);
            let function = instance.get_func(&mut store, &name).context("it was revealed")?;
            let raw = function.to_raw(&mut store) as usize;
            store.data_mut().functions.insert(raw, index);
        }
        let first = format!("{}memory.0", reveal::PREFIX);
        let memory = instance.get_memory(&mut store, "memory");
        store.data_mut().memory = memory.or_else(|| instance.get_memory(&mut store, &first));
        Ok(Some((store, instance)))
    }

    fn state(&self, store: &mut Store<Data>, instance: &Instance) -> State {
        let name = |what: &str, index: u32| format!("{}{what}.{index}", reveal::PREFIX);
        let mut state = State::default();
        for index in 0..self.inside.memories {
            let memory = instance.get_memory(&mut *store, &name("memory", index));
            state.memories.push(memory.expect("it was revealed").data(&*store).to_vec());
        }
        for &index in &self.inside.globals {
            let global = instance.get_global(&mut *store, &name("global", index));
            let value = global.expect("it was revealed").get(&mut *store);
            state.globals.push((index, seen(&mut *store, value)));
        }
        for index in 0..self.inside.tables {
            let table = instance.get_table(&mut *store, &name("table", index));
            let table = table.expect("it was revealed");
            let size = table.size(&*store);
            let element = |element| {
                let found = table.get(&mut *store, element).expect("it is below the size");
                let one_more = seen(&mut *store, found.into()).bits;
                one_more.checked_sub(1).map(|number| number as u32)
            };
            state.tables.push((0..size).map(element).collect());
        }
        state
    }
}

/// wasmtime's error type is not a standard one.
fn refused(error: wasmtime::Error) -> anyhow::Error {
    anyhow::Error::from_boxed(error.into_boxed_dyn_error())
}

fn call(store: &mut Store<Data>, function: Func, args: &[Value]) -> anyhow::Result<Ending> {
    let to_val = |value| to_val(&mut *store, value);
    let args = args.iter().map(to_val).collect::<wasmtime::Result<Vec<_>>>().map_err(refused)?;
    let ty = function.ty(&*store);
    let mut results = vec![Val::I32(0); ty.results().len()];
    match function.call(&mut *store, &args, &mut results) {
        Ok(()) => {
            let results = results.into_iter().map(|value| seen(&mut *store, value)).collect();
            Ok(Ending::Returned(results))
        }
        Err(error) => match (store.data().exit, error.downcast_ref::<Trap>()) {
            (Some(code), _) => Ok(Ending::Exited(code)),
            (None, Some(trap)) => Ok(Ending::Trapped(trap_kind(*trap))),
            (None, None) if error.is::<ThrownException>() => {
                Ok(Ending::Trapped(TrapKind::UncaughtException))
            }
            (None, None) => Err(refused(error)),
        },
    }
}

fn link(
    store: &mut Store<Data>,
    world: &World,
    module: &str,
    name: &str,
    ty: FuncType,
) -> anyhow::Result<Func> {
    if world.setup().ticking && (module, name) == (WASI, TICKER) {
        let ticker = world.ticker();
        let tick = move |mut caller: Caller<'_, Data>, args: &[Val], results: &mut [Val]| {
            let args: Vec<Value> = args.iter().map(|arg| from_val(&mut caller, *arg)).collect();
            let memory = caller.data().memory;
            let memory = memory.map_or(&mut [][..], |memory| memory.data_mut(&mut caller));
            let result = ticker.tick(&args, memory);
            results[0] = to_val(&mut caller, &result[0])?;
            Ok(())
        };
        return Ok(Func::new(store, ty, tick));
    }
    if world.setup().wasi && module == WASI {
        let function = Function::by_name(name).context("no such function in WASI")?;
        let wasi = move |caller: Caller<'_, Data>, args: &[Val], results: &mut [Val]| {
            issue(caller, function, args, results)
        };
        return Ok(Func::new(store, ty, wasi));
    }
    let mut imports = world.setup().imports.iter();
    let found = imports.position(|import| (&*import.module, &*import.name) == (module, name));
    let answers = world.caller(found.with_context(|| format!("unknown import {module}::{name}"))?);
    Ok(Func::new(store, ty, move |mut caller: Caller<'_, Data>, args, results| {
        let args: Vec<Seen> = args.iter().map(|arg| seen(&mut caller, *arg)).collect();
        let memory = caller.data().memory;
        let memory = memory.map_or(&mut [][..], |memory| memory.data_mut(&mut caller));
        let answer = answers.call(&args, memory);
        for (slot, value) in results.iter_mut().zip(&answer) {
            *slot = to_val(&mut caller, value)?;
        }
        Ok(())
    }))
}

/// An imported global, memory, table or tag: what the engine makes of its own.
fn state_of(
    mut store: &mut Store<Data>,
    world: &World,
    module: &str,
    name: &str,
    ty: ExternType,
) -> anyhow::Result<Extern> {
    let made: wasmtime::Result<Extern> = match ty {
        ExternType::Global(ty) => {
            let mut given = world.setup().globals.iter();
            let given = given.find(|(m, n, _)| (&**m, &**n) == (module, name));
            let (_, _, value) = given.with_context(|| format!("unknown {module}::{name}"))?;
            let value = to_val(&mut store, value).map_err(refused)?;
            Global::new(store, ty, value).map(Extern::Global)
        }
        ExternType::Memory(ty) => Memory::new(store, ty).map(Extern::Memory),
        ExternType::Table(ty) => {
            let null = Ref::null(ty.element().heap_type());
            Table::new(store, ty, null).map(Extern::Table)
        }
        ExternType::Tag(ty) => Tag::new(store, &ty).map(Extern::Tag),
        ExternType::Func(_) => unreachable!("functions are linked elsewhere"),
    };
    made.map_err(refused)
}

/// One call of WASI, which blocks where the engine would have the program wait.
fn issue(
    mut caller: Caller<'_, Data>,
    function: Function,
    args: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<()> {
    let widen = |arg: &Val| match arg {
        Val::I32(value) => *value as u32 as u64,
        Val::I64(value) => *value as u64,
        _ => 0,
    };
    let args: Vec<u64> = args.iter().map(widen).collect();
    let steps = FUEL - caller.get_fuel()?;
    loop {
        let memory = caller.data().memory;
        let (memory, data) = match memory {
            Some(memory) => memory.data_and_store_mut(&mut caller),
            None => (&mut [][..], caller.data_mut()),
        };
        let wasi = data.wasi.as_mut().expect("it is linked only if it is there");
        match wasi.call(function, &args, memory, steps) {
            Outcome::Return(errno) => {
                if let Some(result) = results.first_mut() {
                    *result = Val::I32(errno.code().into());
                }
                return Ok(());
            }
            Outcome::Exit(code) => {
                data.exit = Some(code);
                return Err(wasmtime::Error::msg("exit"));
            }
            Outcome::Trap(why) => return Err(wasmtime::Error::msg(why)),
            Outcome::HostFailed(why) => return Err(wasmtime::Error::msg(why)),
            Outcome::Wait(wait) => wasi.block_on(&wait, &|| false),
        }
    }
}

fn to_val(
    store: &mut impl wasmtime::AsContextMut<Data = Data>,
    value: &Value,
) -> wasmtime::Result<Val> {
    Ok(match *value {
        Value::I32(value) => Val::I32(value),
        Value::I64(value) => Val::I64(value),
        Value::F32(bits) => Val::F32(bits),
        Value::F64(bits) => Val::F64(bits),
        Value::V128(bits) => Val::V128(bits.into()),
        Value::FuncRef(None) => Val::FuncRef(None),
        Value::ExternRef(None) => Val::ExternRef(None),
        Value::ExnRef(None) => Val::ExnRef(None),
        Value::AnyRef => Val::AnyRef(None),
        Value::ExternRef(Some(ref object)) => {
            Val::ExternRef(Some(ExternRef::new(store, world::number_of(object))?))
        }
        Value::FuncRef(Some(_)) | Value::ExnRef(Some(_)) => {
            unreachable!("no test hands over the module's own references")
        }
    })
}

/// The value as a guest's results and state are compared.
fn seen(mut store: impl wasmtime::AsContextMut<Data = Data>, value: Val) -> Seen {
    match value {
        Val::ExnRef(exception) => Seen { ty: ValType::ExnRef, bits: exception.is_some().into() },
        value => Seen::from(&from_val(&mut store, value)),
    }
}

fn from_val(mut store: impl wasmtime::AsContextMut<Data = Data>, value: Val) -> Value {
    match value {
        Val::I32(value) => Value::I32(value),
        Val::I64(value) => Value::I64(value),
        Val::F32(bits) => Value::F32(bits),
        Val::F64(bits) => Value::F64(bits),
        Val::V128(bits) => Value::V128(bits.into()),
        Val::FuncRef(function) => Value::FuncRef(function.map(|function| {
            let raw = function.to_raw(&mut store) as usize;
            store.as_context().data().functions[&raw]
        })),
        Val::ExternRef(None) => Value::ExternRef(None),
        Val::ExternRef(Some(object)) => {
            let data = object.data(&store).ok().flatten();
            let number = data.and_then(|data| data.downcast_ref::<u32>());
            world::object(*number.expect("a world has no other objects"))
        }
        other => unreachable!("a value of a refused type: {other:?}"),
    }
}

pub(crate) fn trap_kind(trap: Trap) -> TrapKind {
    match trap {
        Trap::UnreachableCodeReached => TrapKind::Unreachable,
        Trap::MemoryOutOfBounds => TrapKind::MemoryOutOfBounds,
        Trap::TableOutOfBounds => TrapKind::TableOutOfBounds,
        Trap::IndirectCallToNull => TrapKind::IndirectCallToNull,
        Trap::BadSignature => TrapKind::BadSignature,
        Trap::IntegerOverflow => TrapKind::IntegerOverflow,
        Trap::IntegerDivisionByZero => TrapKind::IntegerDivisionByZero,
        Trap::BadConversionToInteger => TrapKind::BadConversionToInteger,
        Trap::NullReference => TrapKind::NullReference,
        Trap::StackOverflow => TrapKind::StackOverflow,
        _ => TrapKind::Other,
    }
}

/// The types of the exported functions, as far as tests can call them.
pub fn exports(metadata: &tasklet_engine::Metadata) -> Vec<(String, FunctionType)> {
    let exports = metadata.exports.iter();
    exports.filter_map(|e| Some((e.name.clone(), metadata.type_of(e.function)?.clone()))).collect()
}

/// Arguments of those types.
pub fn arguments(types: &[ValType], random: &mut crate::random::Random) -> Vec<Value> {
    types.iter().map(|ty| crate::world::value_of(*ty, random.word())).collect()
}
