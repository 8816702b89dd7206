//! What a program is given, and what it leaves behind there.
//!
//! A world outlives the pauses of its program: output is appended to, files stay where they are,
//! host imports go on. It is the same under plain wasmtime and under the engine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tasklet_engine::wasi::{Capture, Clock, Output, Preopen, RestoreOptions, Stdin, WasiOptions};
use tasklet_engine::{FunctionType, Host, HostCtx, HostError, HostObject, Limits, ValType, Value};
use tempfile::TempDir;

use crate::plain::Seen;

/// What every program of these tests may take, under plain wasmtime too.
pub const MEMORY_BYTES_MAX: u64 = 4 << 30;
/// The same for tables.
pub const TABLE_ELEMENTS_MAX: u64 = 1 << 20;

/// How deep calls may be nested, in bytes of frames; under plain wasmtime its native stack counts.
pub const STACK_BYTES_MAX: u64 = 4 << 20;

/// The module name of WASI, and of what replaces one of its functions.
pub const WASI: &str = "wasi_snapshot_preview1";
/// The function that is replaced.
pub const TICKER: &str = "clock_time_get";

/// How a world begins.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Whether there is WASI; the other fields up to `clock` are its.
    pub wasi: bool,
    /// Arguments, the program's name first.
    pub args: Vec<String>,
    /// Environment.
    pub env: Vec<(String, String)>,
    /// Standard input.
    pub stdin: Vec<u8>,
    /// Files of a fresh folder that is given: name and source.
    pub files: Option<Vec<(String, PathBuf)>>,
    /// By what name that is given.
    pub folder: String,
    /// The clocks. Virtual ones make runs repeatable.
    pub clock: Clock,
    /// Whether `clock_time_get` is replaced by one that ticks with its own calls. The virtual clock
    /// ticks with the steps charged, which are ahead of those used by what charges are merged, so
    /// that plain wasmtime sees other times.
    pub ticking: bool,
    /// Imported functions, answered by a fixed rule.
    pub imports: Vec<Import>,
    /// Imported globals: the two parts of the name, and the value.
    pub globals: Vec<(String, String, Value)>,
    /// Imported memories, tables and tags, of which the program gets its own.
    pub adopted: Vec<(String, String)>,
}

/// A function imported from the world.
#[derive(Debug, Clone)]
pub struct Import {
    /// First part of its name.
    pub module: String,
    /// Second part.
    pub name: String,
    /// Its type.
    pub ty: FunctionType,
}

/// A world in which one program runs once.
pub struct World {
    setup: Setup,
    folder: Option<TempDir>,
    output: Capture,
    errors: Capture,
    calls: Arc<Mutex<Calls>>,
}

/// All calls of imports so far: how many, and a hash of them in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    /// How many.
    pub count: u64,
    /// Of what was called with what.
    pub hash: u64,
}

/// What a program left in its world.
#[derive(Debug, Clone, PartialEq)]
pub struct Traces {
    /// Standard output.
    pub output: Vec<u8>,
    /// Standard error.
    pub errors: Vec<u8>,
    /// The files of its folder.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// Its calls of imports.
    pub calls: Calls,
}

impl World {
    /// A world that begins so.
    pub fn new(setup: &Setup) -> anyhow::Result<World> {
        let folder = setup.files.as_ref().map(|_| tempfile::tempdir()).transpose()?;
        if let (Some(folder), Some(files)) = (&folder, &setup.files) {
            for (name, source) in files {
                std::fs::copy(source, folder.path().join(name))?;
            }
        }
        Ok(World {
            setup: setup.clone(),
            folder,
            output: Capture::default(),
            errors: Capture::default(),
            calls: Arc::default(),
        })
    }

    /// Its WASI, for a program that begins.
    pub fn wasi_options(&self) -> WasiOptions {
        WasiOptions {
            args: self.setup.args.clone(),
            env: self.setup.env.clone(),
            preopens: self.preopens(),
            stdin: Stdin::Bytes(self.setup.stdin.clone()),
            stdout: Output::new(self.output.clone()),
            stderr: Output::new(self.errors.clone()),
            seed: Some(20),
            clock: self.setup.clock,
        }
    }

    /// The folder that is given.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_ref().map(TempDir::path)
    }

    /// Removes the files that were not there in the beginning, so that another run finds the folder as
    /// it was: those that were keep their inodes and times, which a program may look at.
    pub fn remove_what_was_made(&self) -> anyhow::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let given = self.setup.files.iter().flatten().map(|(name, _)| name.as_str());
        let given: Vec<&str> = given.collect();
        for entry in std::fs::read_dir(folder.path())? {
            let entry = entry?;
            if given.iter().any(|name| entry.file_name() == *name) {
                continue;
            }
            match entry.file_type()?.is_dir() {
                true => std::fs::remove_dir_all(entry.path())?,
                false => std::fs::remove_file(entry.path())?,
            }
        }
        Ok(())
    }

    fn preopens(&self) -> Vec<Preopen> {
        let preopen = |folder: &TempDir| Preopen {
            host: folder.path().to_path_buf(),
            guest: self.setup.folder.clone(),
            read_only: false,
        };
        self.folder.iter().map(preopen).collect()
    }

    /// What the engine is to give a program that begins.
    pub fn host(&self) -> Host {
        let mut builder = self.imports();
        if self.setup.wasi {
            builder = builder.wasi(self.wasi_options());
        }
        builder.build()
    }

    /// What the engine is to give a program that comes out of a snapshot.
    pub fn host_again(&self) -> Host {
        let mut builder = self.imports();
        if self.setup.wasi {
            builder = builder.wasi_restore(RestoreOptions {
                preopens: self.preopens(),
                stdout: Output::new(self.output.clone()),
                stderr: Output::new(self.errors.clone()),
                ..RestoreOptions::default()
            });
        }
        builder.build()
    }

    fn imports(&self) -> tasklet_engine::HostBuilder {
        let mut limits = Limits::default();
        limits.memory_bytes = MEMORY_BYTES_MAX;
        limits.table_elements = TABLE_ELEMENTS_MAX;
        limits.stack_bytes = STACK_BYTES_MAX;
        let mut builder = Host::builder().limits(limits).codec(CODEC, encode, decode);
        for (module, name, value) in &self.setup.globals {
            builder = builder.global(module, name, value.clone());
        }
        for (module, name) in &self.setup.adopted {
            builder = builder.adopt(module, name);
        }
        if self.setup.ticking {
            let caller = self.ticker();
            let params = [ValType::I32, ValType::I64, ValType::I32];
            let tick = move |ctx: &mut HostCtx<'_>, args: &[Value]| {
                Ok(caller.tick(args, ctx.memory().unwrap_or_default()))
            };
            builder = builder.func(WASI, TICKER, &params, &[ValType::I32], tick);
        }
        for (index, import) in self.setup.imports.iter().enumerate() {
            let caller = self.caller(index);
            let Import { module, name, ty } = import;
            builder = builder.func(module, name, &ty.params, &ty.results, move |ctx, args| {
                let args: Vec<Seen> = args.iter().map(Seen::from).collect();
                Ok(caller.call(&args, ctx.memory().unwrap_or_default()))
            });
        }
        builder
    }

    /// The import with that number.
    pub fn caller(&self, index: usize) -> Caller {
        let ty = self.setup.imports[index].ty.clone();
        Caller { index, ty, calls: self.calls.clone() }
    }

    /// The clock of a world with `ticking`.
    pub fn ticker(&self) -> Caller {
        let ty = FunctionType { params: Vec::new(), results: Vec::new() };
        Caller { index: 0, ty, calls: self.calls.clone() }
    }

    /// How it began.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// What was left in it.
    pub fn traces(&self) -> anyhow::Result<Traces> {
        let mut files = BTreeMap::new();
        if let Some(folder) = &self.folder {
            collect(folder.path(), Path::new(""), &mut files)?;
        }
        Ok(Traces {
            output: self.output.bytes(),
            errors: self.errors.bytes(),
            files,
            calls: *self.calls.lock().expect("nothing panics while it holds the lock"),
        })
    }
}

fn collect(
    folder: &Path,
    below: &Path,
    files: &mut BTreeMap<PathBuf, Vec<u8>>,
) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            files.insert(name.clone(), b"folder".to_vec());
            collect(&entry.path(), &name, files)?;
        } else {
            files.insert(name, std::fs::read(entry.path())?);
        }
    }
    Ok(())
}

/// One import, ready to be called.
pub struct Caller {
    index: usize,
    ty: FunctionType,
    calls: Arc<Mutex<Calls>>,
}

impl Caller {
    /// Writes the time at the address that is the third argument: 10 ms later at each call.
    pub fn tick(&self, args: &[Value], memory: &mut [u8]) -> Vec<Value> {
        const BEGUN_NS: u64 = 1_800_000_000_000_000_000;
        let mut calls = self.calls.lock().expect("nothing panics while it holds the lock");
        calls.count += 1;
        let now = BEGUN_NS + calls.count * 10_000_000;
        if let [_, _, Value::I32(at)] = *args
            && let Some(place) = memory.get_mut(at as u32 as usize..).and_then(|m| m.get_mut(..8))
        {
            place.copy_from_slice(&now.to_le_bytes());
        }
        vec![Value::I32(0)]
    }

    /// Notes the call, changes eight bytes of the memory, and returns values, all of them
    /// following from the arguments alone.
    pub fn call(&self, args: &[Seen], memory: &mut [u8]) -> Vec<Value> {
        let mut hash = mix(0, self.index as u64);
        for arg in args {
            hash = mix(mix(hash, arg.bits as u64), (arg.bits >> 64) as u64);
        }
        let mut calls = self.calls.lock().expect("nothing panics while it holds the lock");
        calls.count += 1;
        calls.hash = mix(calls.hash, hash);
        if let Some(last) = memory.len().checked_sub(8) {
            let at = hash as usize % (last + 1);
            memory[at..at + 8].copy_from_slice(&hash.to_le_bytes());
        }
        let value = |(position, ty): (usize, &_)| value_of(*ty, mix(hash, position as u64));
        self.ty.results.iter().enumerate().map(value).collect()
    }
}

fn mix(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

/// A value as a number; two values of one type differ just when their numbers do.
pub fn bits(value: &Value) -> u128 {
    match *value {
        Value::I32(v) => v as u32 as u128,
        Value::I64(v) => v as u64 as u128,
        Value::F32(v) => v as u128,
        Value::F64(v) => v as u128,
        Value::V128(v) => v,
        Value::FuncRef(v) => v.map_or(0, |v| v as u128 + 1),
        Value::ExternRef(ref object) => {
            object.as_ref().map_or(0, |object| u128::from(number_of(object)) + 1)
        }
        // Which exception it is cannot be told in numbers that hold elsewhere.
        Value::ExnRef(ref exception) => exception.is_some().into(),
        Value::AnyRef => 0,
    }
}

/// Some value of a type; no float is a NaN.
pub fn value_of(ty: ValType, random: u64) -> Value {
    match ty {
        // Small numbers are good addresses and loop counts, large ones are good at edges.
        ValType::I32 if random & 1 == 0 => Value::I32((random >> 1) as i32 % 100),
        ValType::I32 => Value::I32((random >> 1) as i32),
        ValType::I64 if random & 1 == 0 => Value::I64((random >> 1) as i64 % 100),
        ValType::I64 => Value::I64(random as i64),
        ValType::F32 => Value::F32((random as i32 as f32).to_bits()),
        ValType::F64 => Value::F64((random as i32 as f64).to_bits()),
        ValType::V128 => Value::V128(random as u128 * 0x1_0000_0001_0000_0001),
        ValType::ExternRef if random & 3 != 0 => object((random >> 2) as u32 % OBJECTS),
        reference => Value::zero(reference),
    }
}

/// What the objects of a world are to its host: numbers.
struct Number(u32);

/// Numbers of objects are below this.
const OBJECTS: u32 = 1000;

/// What snapshots know the objects by.
const CODEC: &str = "number";

fn encode(number: &Number) -> Result<Vec<u8>, HostError> {
    Ok(number.0.to_le_bytes().to_vec())
}

fn decode(bytes: &[u8]) -> Result<Number, HostError> {
    let bytes = bytes.try_into().map_err(|_| HostError::new("a number has four bytes"))?;
    Ok(Number(u32::from_le_bytes(bytes)))
}

/// A fresh object with that number.
pub fn object(number: u32) -> Value {
    Value::ExternRef(Some(HostObject::new(Number(number))))
}

/// The number of an object of a world.
pub fn number_of(object: &HostObject) -> u32 {
    object.downcast_ref::<Number>().expect("a world has no other objects").0
}

/// The number of an object in a snapshot.
pub fn written_number(object: &tasklet_engine::snapshot::Object) -> anyhow::Result<u32> {
    anyhow::ensure!(object.codec == CODEC, "an object of another codec: {}", object.codec);
    Ok(decode(&object.bytes)?.0)
}
