//! wasmtime's own async fibers: each guest has a native stack, and is switched away from on it. The
//! guests are those of `bench/src/scheduler`, but that their imports are async functions of the
//! host's. Instances come from the pooling allocator, which is wasmtime's fastest.

mod common;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use common::{Asked, asked, cpu, memory, print};
use wasmtime::{
    Caller, Config, Engine, InstanceAllocationStrategy, InstancePre, Linker, Module,
    PoolingAllocationConfig, Result, Store,
};

const GUESTS: &str = r#"(module
    (import "host" "yield" (func $yield))
    (import "host" "send" (func $send (param i32)))
    (import "host" "receive" (func $receive (param i32)))
    (memory (export "memory") 1)
    (func (export "yield") (param $left i32)
      (loop $l
        (call $yield)
        (br_if $l (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))
    (func (export "ping") (param $left i32)
      (loop $l
        (call $send (i32.const 0))
        (call $receive (i32.const 1))
        (br_if $l (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))
    (func (export "pong") (param $left i32)
      (loop $l
        (call $receive (i32.const 0))
        (call $send (i32.const 1))
        (br_if $l (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))
    (func (export "nothing") (param i32))
    (func (export "wait") (param i32) (i32.store (i32.const 0) (local.get 0)) (call $yield)))"#;

/// What two guests exchange: eight bytes at a time, on two channels.
type Channels = Arc<Mutex<[Option<u64>; 2]>>;
type Task = Pin<Box<dyn Future<Output = Result<()>>>>;

struct Guests {
    engine: Engine,
    pre: InstancePre<Channels>,
    channels: Channels,
}

fn main() -> Result<()> {
    match asked() {
        Asked::Times { turns, messages, spawns } => times(turns, messages, spawns),
        Asked::Memory { count } => live(count),
    }
}

fn guests(count: u32) -> Result<Guests> {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_core_instances(count).total_memories(count).total_stacks(count);
    pool.total_tables(count).max_memory_size(1 << 16);
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    // Or a process has no address space for many: accesses are compared with the size instead.
    config.memory_reservation(1 << 16).memory_guard_size(0);
    config.async_stack_size(64 << 10).max_wasm_stack(32 << 10);
    let engine = Engine::new(&config)?;
    let mut linker: Linker<Channels> = Linker::new(&engine);
    linker.func_wrap_async("host", "yield", |_: Caller<'_, Channels>, ()| Box::new(pause()))?;
    linker.func_wrap_async("host", "send", |mut caller: Caller<'_, Channels>, (to,): (i32,)| {
        Box::new(async move {
            let memory = caller.get_export("memory").and_then(|it| it.into_memory());
            let bytes = memory.expect("it has one").data(&caller)[..8].try_into();
            let message = u64::from_le_bytes(bytes.expect("eight bytes"));
            let channels = caller.data_mut().clone();
            while channels.lock().expect("one thread")[to as usize].is_some() {
                pause().await;
            }
            channels.lock().expect("one thread")[to as usize] = Some(message);
        })
    })?;
    linker.func_wrap_async(
        "host",
        "receive",
        |mut caller: Caller<'_, Channels>, (of,): (i32,)| {
            Box::new(async move {
                let channels = caller.data_mut().clone();
                let message = loop {
                    if let Some(message) = channels.lock().expect("one thread")[of as usize].take()
                    {
                        break message;
                    }
                    pause().await;
                };
                let memory = caller.get_export("memory").and_then(|it| it.into_memory());
                let memory = memory.expect("it has one");
                memory.data_mut(&mut caller)[..8].copy_from_slice(&message.to_le_bytes());
            })
        },
    )?;
    let module = Module::new(&engine, wat::parse_str(GUESTS).expect("it is a module"))?;
    let pre = linker.instantiate_pre(&module)?;
    Ok(Guests { engine, pre, channels: Channels::default() })
}

/// Lets the others run.
async fn pause() {
    let mut paused = false;
    poll_fn(|_| match std::mem::replace(&mut paused, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

impl Guests {
    fn task(&self, name: &'static str, argument: u32) -> Task {
        let mut store = Store::new(&self.engine, self.channels.clone());
        let pre = self.pre.clone();
        Box::pin(async move {
            let instance = pre.instantiate_async(&mut store).await?;
            let run = instance.get_typed_func::<u32, ()>(&mut store, name)?;
            run.call_async(&mut store, argument).await
        })
    }
}

/// Polls them in turn until all have ended.
fn run(mut tasks: Vec<Task>) -> Result<()> {
    let mut context = Context::from_waker(Waker::noop());
    while !tasks.is_empty() {
        let error = RefCell::new(None);
        tasks.retain_mut(|task| match task.as_mut().poll(&mut context) {
            Poll::Pending => true,
            Poll::Ready(Ok(())) => false,
            Poll::Ready(Err(failed)) => {
                error.replace(Some(failed));
                false
            }
        });
        if let Some(error) = error.into_inner() {
            return Err(error);
        }
    }
    Ok(())
}

fn times(turns: u32, messages: u32, spawns: u32) -> Result<()> {
    let guests = guests(10)?;
    let begun = cpu();
    run(vec![guests.task("yield", turns), guests.task("yield", turns)])?;
    print("turn", begun, 2 * turns);
    let begun = cpu();
    run(vec![guests.task("pong", messages / 2), guests.task("ping", messages / 2)])?;
    print("message", begun, messages);
    let begun = cpu();
    for _ in 0..spawns {
        run(vec![guests.task("nothing", 0)])?;
    }
    print("spawn", begun, spawns);
    Ok(())
}

fn live(count: u32) -> Result<()> {
    let guests = guests(count)?;
    let before = memory();
    let mut tasks: Vec<Task> = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    for number in 0..count {
        let mut task = guests.task("wait", number);
        match task.as_mut().poll(&mut context) {
            Poll::Pending => tasks.push(task),
            Poll::Ready(ended) => return ended,
        }
    }
    println!("memory {}", (memory() - before) / u64::from(count));
    Ok(())
}
