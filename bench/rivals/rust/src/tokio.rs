//! Tokio's tasks on one thread: no stack, no isolation, nothing that could be written down.

mod common;

use common::{Asked, asked, cpu, memory, print};
use tokio::sync::{Notify, mpsc};
use tokio::task::yield_now;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    match asked() {
        Asked::Times { turns, messages, spawns } => {
            runtime.block_on(times(turns, messages, spawns));
        }
        Asked::Memory { count } => runtime.block_on(live(count)),
    }
}

async fn times(turns: u32, messages: u32, spawns: u32) {
    let begun = cpu();
    let yields = || {
        tokio::spawn(async move {
            for _ in 0..turns {
                yield_now().await;
            }
        })
    };
    let (one, other) = (yields(), yields());
    one.await.expect("it ends");
    other.await.expect("it ends");
    print("turn", begun, 2 * turns);

    let (to, mut from) = mpsc::channel::<u64>(1);
    let (back_to, mut back) = mpsc::channel::<u64>(1);
    let begun = cpu();
    let echo = tokio::spawn(async move {
        while let Some(message) = from.recv().await {
            back_to.send(message).await.expect("somebody receives");
        }
    });
    let ping = tokio::spawn(async move {
        for message in 0..u64::from(messages / 2) {
            to.send(message).await.expect("somebody receives");
            assert_eq!(back.recv().await, Some(message));
        }
    });
    ping.await.expect("it ends");
    echo.await.expect("it ends");
    print("message", begun, messages);

    let begun = cpu();
    for _ in 0..spawns {
        tokio::spawn(async {}).await.expect("it ends");
    }
    print("spawn", begun, spawns);
}

async fn live(count: u32) {
    let notify = std::sync::Arc::new(Notify::new());
    let before = memory();
    for _ in 0..count {
        let notify = notify.clone();
        tokio::spawn(async move { notify.notified().await });
    }
    yield_now().await;
    println!("memory {}", (memory() - before) / u64::from(count));
}
