//! What a call of a host import costs, by the kind of import.
//!
//! `target/release/imports`

#[allow(dead_code, reason = "it belongs to the other benchmarks too")]
mod cpu;

use tasklet_engine::{
    CacheMode, Engine, EngineOptions, Entry, Host, HostBuilder, HostCtx, Module, Outcome, Progress,
    Tasklet,
};

const CALLS: u32 = 200_000;

/// Calls the import so often, below so many other calls.
const GUEST: &str = r#"(module
    (import "host" "ask" (func $ask (param i32) (result i32)))
    (func $below (export "run") (param $calls i32) (param $depth i32)
      (if (local.get $depth)
        (then
          (call $below (local.get $calls) (i32.sub (local.get $depth) (i32.const 1)))
          (return)))
      (loop $l
        (drop (call $ask (local.get $calls)))
        (br_if $l (local.tee $calls (i32.sub (local.get $calls) (i32.const 1)))))))"#;

type Provide = fn(HostBuilder) -> HostBuilder;

const KINDS: [(&str, Provide); 4] = [
    ("immediate", |builder| builder.func_wrap("host", "ask", |_: &mut HostCtx<'_>, n: i32| n)),
    ("suspending, there at once", |builder| {
        builder.suspending_wrap("host", "ask", |_: &mut HostCtx<'_>, n: i32| {
            Ok(std::future::ready(Ok(n)))
        })
    }),
    ("restartable, there at once", |builder| {
        builder.restartable_wrap("host", "ask", |_: &mut HostCtx<'_>, _: Progress<()>, n: i32| {
            Ok(std::future::ready(Ok(n)))
        })
    }),
    ("suspending, there when asked again", |builder| {
        builder.suspending_wrap("host", "ask", |_: &mut HostCtx<'_>, n: i32| {
            let mut is_there = false;
            Ok(std::future::poll_fn(move |_| match std::mem::replace(&mut is_there, true) {
                true => std::task::Poll::Ready(Ok(n)),
                false => std::task::Poll::Pending,
            }))
        })
    }),
];

/// Nanoseconds of one call.
fn measure(module: &Module, provide: Provide, depth: u32) -> anyhow::Result<f64> {
    let entry = Entry::invoke("run", [CALLS.into(), depth.into()]);
    let (seconds, ()) = cpu::repeatedly(|| {
        let host = provide(Host::builder()).build();
        let mut tasklet = Tasklet::spawn(module, host, entry.clone())?;
        loop {
            match tasklet.run(u64::MAX)? {
                Outcome::Waiting(_) => {}
                Outcome::Finished(_) => return anyhow::Ok(()),
                other => anyhow::bail!("{other:?}"),
            }
        }
    })?;
    Ok(seconds * 1e9 / f64::from(CALLS))
}

fn main() -> anyhow::Result<()> {
    let mut options = EngineOptions::default();
    options.cache = CacheMode::Off;
    let engine = Engine::new(&options)?;
    let module = Module::load(&engine, &wat::parse_str(GUEST)?)?;
    println!("nanoseconds of CPU time a call     directly below 1,000 others");
    for (name, provide) in KINDS {
        let [flat, deep] = [0, 1000].map(|depth| measure(&module, provide, depth));
        println!("{name:<34} {:>8.0} {:>19.0}", flat?, deep?);
    }
    Ok(())
}
