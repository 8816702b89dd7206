//! `tasklet run`: starts a program.

use anyhow::Result;
use tasklet_engine::wasi::{Stdin, WasiOptions};
use tasklet_engine::{Entry, Error, Host, Module, Tasklet, ValType, Value};

use crate::args::{Clock, Run};
use crate::drive::{self, Slice};
use crate::exit::Code;
use crate::failure::Failure;
use crate::load;
use crate::output::Talk;
use crate::signals;

/// Runs it; the exit code.
///
/// # Errors
/// Whatever keeps it from being run or saved; traps are not among it.
pub fn run(args: &Run, talk: Talk) -> Result<i32> {
    let slice = Slice::new(&args.slice, &args.machine, &[("the module", &args.module)], talk)?;
    signals::install()?;
    let wasm = load::module_bytes(&args.module)?;
    let engine = load::engine(&args.machine, args.deterministic)?;
    let module = load::compile(&engine, &wasm, talk)?;
    drop(wasm);
    let entry = entry(args, &module)?;
    let limits = drive::limits(&args.machine, None);
    let host = Host::builder().wasi(system(args, &slice)?).limits(limits).build();
    let limits = load::limits(args.machine.max_memory, args.machine.max_stack);
    let files = slice.open_base(&[], &limits)?;
    let base = files.as_ref().map(|files| files.resolve(&limits)).transpose()?;
    let tasklet = Tasklet::spawn(&module, host, entry).map_err(|error| explain(error, &module))?;
    drive::drive(tasklet, None, base.as_ref(), &slice)
}

/// What the guest is told of its world.
fn system(args: &Run, slice: &Slice) -> Result<WasiOptions> {
    // As wasmtime has it: programs find the name they are stored by.
    let name = args.module.file_name().unwrap_or(args.module.as_os_str());
    let mut argv = vec![name.to_string_lossy().into_owned()];
    argv.extend(args.args.iter().cloned());
    let (stdout, stderr) = drive::outputs(slice);
    if args.deterministic && args.clock == Some(Clock::Host) {
        let message = "a deterministic program cannot have the host's clock";
        return Err(Failure::new(Code::Usage, message).help("leave out --clock").into());
    }
    let clock = if args.deterministic { Clock::Virtual } else { Clock::Host };
    let stdin = args.machine.stdin();
    let stdin = match args.deterministic {
        true => stdin.map(load::stdin_bytes).transpose()?.unwrap_or(Stdin::Null),
        false => stdin.unwrap_or(Stdin::Inherit),
    };
    Ok(WasiOptions {
        args: argv,
        env: args.env.clone(),
        preopens: args.machine.dirs.clone(),
        stdin,
        stdout,
        stderr,
        seed: args.seed,
        clock: args.clock.unwrap_or(clock).into(),
    })
}

/// What to call, with which arguments.
fn entry(args: &Run, module: &Module) -> Result<Entry> {
    let Some(name) = &args.invoke else { return Ok(Entry::Command) };
    let Some((_, ty)) = module.exports().find(|(export, _)| export == name) else {
        return Err(explain(Error::NoSuchExport { name: name.clone() }, module));
    };
    let usage = |message: String| Failure::new(Code::Usage, message);
    if ty.params.len() != args.args.len() {
        let (wanted, found) = (ty.params.len(), args.args.len());
        let types = names(&ty.params);
        let message = format!("`{name}` takes {wanted} arguments ({types}), {found} are given");
        return Err(usage(message).into());
    }
    let mut values = Vec::with_capacity(ty.params.len());
    for (position, (&param, text)) in (1..).zip(ty.params.iter().zip(&args.args)) {
        let value = Value::parse(param, text).ok_or_else(|| {
            let only = if param.is_reference() { "; from here it can only be null" } else { "" };
            let ty = names(&[param]);
            usage(format!("argument {position} of `{name}`: `{text}` is no {ty}{only}"))
        })?;
        values.push(value);
    }
    Ok(Entry::Invoke { name: name.clone(), args: values })
}

fn names(types: &[ValType]) -> String {
    let names: Vec<String> =
        types.iter().map(|ty| format!("{ty:?}").to_ascii_lowercase()).collect();
    names.join(", ")
}

/// Adds what there is to call where something is called that there is not.
fn explain(error: Error, module: &Module) -> anyhow::Error {
    let Error::NoSuchExport { name } = &error else { return error.into() };
    let exports: Vec<&str> = module.exports().map(|(name, _)| name).collect();
    let help = match &exports[..] {
        [] => "it exports no functions at all".into(),
        some => format!("call one of its functions with --invoke: {}", some.join(", ")),
    };
    let message = format!("the module exports no function `{name}`");
    Failure::new(Code::Usage, message).help(help).into()
}
