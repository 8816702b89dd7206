//! Wherever and with whatever a restartable import is called, it can be paused, moved and issued
//! again.

mod common;

use std::task::Poll;

use common::{invoke, module, reload};
use tasklet_engine::{
    Delivery, Entry, Host, HostCtx, HostError, HostObject, Module, Outcome, Progress, Tasklet,
    ValType, Value,
};

/// There when it has been polled twice, over all issues.
async fn twice(progress: Progress<u8>) {
    std::future::poll_fn(move |_| match progress.get() {
        Some(2) => Poll::Ready(()),
        polls => {
            progress.set(polls.unwrap_or(0) + 1);
            Poll::Pending
        }
    })
    .await
}

/// What does not wait, for comparison, or is restartable.
fn host(waits: bool) -> Host {
    let double = |n: i32| match n {
        7 => Err(7),
        n => Ok(n * 2),
    };
    let builder = match waits {
        false => Host::builder().func_wrap("host", "ask", move |ctx: &mut HostCtx<'_>, n: i32| {
            double(n).map_err(|n| ctx.throw(0, &[Value::I32(n)]))
        }),
        true => Host::builder().restartable_wrap(
            "host",
            "ask",
            move |_: &mut HostCtx<'_>, progress: Progress<u8>, n: i32| {
                Ok(async move {
                    twice(progress).await;
                    Ok(Delivery::new(move |ctx| {
                        double(n).map_err(|n| ctx.throw(0, &[Value::I32(n)]))
                    }))
                })
            },
        ),
    };
    builder.build()
}

/// Runs to the end, through a file at every stop; how often it waited too.
fn moved(
    module: &Module,
    host: &dyn Fn() -> Host,
    entry: &Entry,
    budget: u64,
) -> (common::End, u32) {
    let mut tasklet = Tasklet::spawn(module, host(), entry.clone()).unwrap();
    let mut waits = 0;
    loop {
        match tasklet.run(budget).unwrap() {
            Outcome::Waiting(_) => waits += 1,
            Outcome::OutOfBudget => {}
            outcome => return (common::end(tasklet, outcome), waits),
        }
        tasklet = reload(&mut tasklet, host());
    }
}

/// Functions `run` of one parameter, in which the import is called in some way.
const SHAPES: &[(&str, &str)] = &[
    ("the import itself", r#"(export "run" (func $ask))"#),
    (
        "a tail call",
        r#"(func (export "run") (param i32) (result i32)
            (return_call $ask (i32.add (local.get 0) (i32.const 1))))"#,
    ),
    (
        "a call through a table",
        r#"(table funcref (elem $ask $inner))
        (func $inner (param i32) (result i32)
          (call_indirect (param i32) (result i32) (local.get 0) (i32.const 0)))
        (func (export "run") (param i32) (result i32)
          (i32.add (call_indirect (param i32) (result i32) (local.get 0) (i32.const 1))
                   (call_indirect (param i32) (result i32) (local.get 0) (i32.const 0))))"#,
    ),
    (
        "a call by reference",
        r#"(type $f (func (param i32) (result i32))) (elem declare func $ask)
        (func (export "run") (param i32) (result i32)
          (i32.add (i32.const 5) (call_ref $f (local.get 0) (ref.func $ask))))"#,
    ),
    (
        "the start function",
        r#"(global $g (mut i32) (i32.const 0))
        (func $begin (global.set $g (call $ask (i32.const 20)))) (start $begin)
        (func (export "run") (param i32) (result i32)
          (i32.add (global.get $g) (call $ask (local.get 0))))"#,
    ),
    (
        "operands below and a loop's parameters",
        r#"(func (export "run") (param i32) (result i32) (local $i i32)
          (local.set $i (i32.const 3))
          (i64.const 9) (i32.const 1)
          (loop $l (param i32) (result i32)
            (i32.add (call $ask (local.get 0)))
            (local.set $i (i32.sub (local.get $i) (i32.const 1)))
            (br_if $l (local.get $i)))
          (local.set 0) (drop) (local.get 0))"#,
    ),
    (
        "an exception caught below, one thrown on, and one nobody catches",
        r#"(func $deep (param i32) (result i32)
          (block $h (result exnref)
            (try_table (catch_all_ref $h) (return (call $ask (local.get 0)))) unreachable)
          throw_ref)
        (func (export "run") (param i32) (result i32)
          (local.set 0 (i32.add (local.get 0)
            (block $caught (result i32)
              (try_table (catch $e $caught) (br $caught (call $ask (i32.const 7))))
              unreachable)))
          (i32.add (call $ask (local.get 0)) (call $ask (i32.const 7))))"#,
    ),
];

#[test]
fn the_import_is_called_in_all_ways() {
    for (what, functions) in SHAPES {
        let wat = format!(
            r#"(module (import "host" "ask" (func $ask (param i32) (result i32)))
               (tag $e (param i32)) {functions})"#
        );
        let module = module(&wat);
        let entry = invoke("run", &[Value::I32(11)]);
        let expected = common::straight(&module, host(false), &entry);
        for budget in [1, 4, u64::MAX] {
            let (found, waits) = moved(&module, &|| host(true), &entry, budget);
            assert!(waits >= 2 && waits % 2 == 0, "{what}: {waits} waits at budget {budget}");
            assert_eq!(found.outcome, expected.outcome, "{what}");
            common::same(&expected, &found, budget);
        }
    }
}

/// Vectors, functions, objects of the host's and exceptions as arguments and results.
#[test]
fn references_and_vectors_wait_and_move() {
    let wat = r#"(module
        (import "host" "new" (func $new (result externref)))
        (import "host" "same" (func $same (param v128 funcref externref exnref)
          (result exnref externref funcref v128)))
        (import "host" "name" (func $name (param externref) (result i32)))
        (tag $e (param i32))
        (table $t 1 funcref) (elem declare func $double)
        (func $double (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2)))
        (func $thrown (result exnref)
          (block $h (result exnref)
            (try_table (catch_all_ref $h) (throw $e (i32.const 30))) unreachable))
        (func (export "run") (result i32)
          (local $x externref) (local $f funcref) (local $exn exnref) (local $v v128) (local $n i32)
          (call $same (v128.const i32x4 1 2 3 4) (ref.func $double) (call $new) (call $thrown))
          (local.set $v) (local.set $f) (local.set $x) (local.set $exn)
          (table.set $t (i32.const 0) (local.get $f))
          (local.set $n (block $h (result i32)
            (try_table (catch $e $h) (throw_ref (local.get $exn))) unreachable))
          (i32.add (i32.add (i32x4.extract_lane 3 (local.get $v)) (local.get $n))
            (i32.add (call $name (local.get $x))
              (call_indirect (param i32) (result i32) (i32.const 50) (i32.const 0))))))"#;
    let host = |waits: bool| {
        use ValType::{ExnRef, ExternRef, FuncRef, V128};
        let params = [V128, FuncRef, ExternRef, ExnRef];
        let results = [ExnRef, ExternRef, FuncRef, V128];
        let reversed = |args: &[Value]| args.iter().rev().cloned().collect::<Vec<_>>();
        let builder = Host::builder()
            .func("host", "new", &[], &[ExternRef], |_, _| {
                Ok(vec![Value::ExternRef(Some(HostObject::new(String::from("name"))))])
            })
            .func("host", "name", &[ExternRef], &[ValType::I32], |_, args| match &args[0] {
                Value::ExternRef(Some(object)) => {
                    let name = object.downcast_ref::<String>();
                    let name = name.ok_or_else(|| HostError::new("another object"))?;
                    Ok(vec![Value::I32(name.len() as i32)])
                }
                _ => Err(HostError::new("no object")),
            })
            .codec(
                "name",
                |name: &String| Ok(name.clone().into_bytes()),
                |bytes| {
                    String::from_utf8(bytes.to_vec()).map_err(|e| HostError::new(e.to_string()))
                },
            );
        let builder = match waits {
            false => {
                builder.func("host", "same", &params, &results, move |_, args| Ok(reversed(args)))
            }
            true => {
                builder.restartable("host", "same", &params, &results, move |_, args, progress| {
                    let values = reversed(args);
                    Ok(async move {
                        twice(progress).await;
                        Ok(values)
                    })
                })
            }
        };
        builder.build()
    };
    let module = module(wat);
    let entry = invoke("run", &[]);
    let expected = common::straight(&module, host(false), &entry);
    assert_eq!(expected.outcome, Outcome::Finished(vec![Value::I32(4 + 30 + 4 + 100)]));
    for budget in [1, u64::MAX] {
        let (found, waits) = moved(&module, &|| host(true), &entry, budget);
        assert_eq!(waits, 2);
        common::same(&expected, &found, budget);
    }
}

#[test]
fn a_tasklet_that_waits_can_go_to_another_thread() {
    fn goes<T: Send>(_: &T) {}
    let wat = r#"(module (import "host" "ask" (func $ask (param i32) (result i32)))
        (tag (param i32)) (export "run" (func $ask)))"#;
    let module = module(wat);
    let mut tasklet = Tasklet::spawn(&module, host(true), invoke("run", &[Value::I32(4)])).unwrap();
    goes(&tasklet);
    assert!(matches!(tasklet.run(u64::MAX).unwrap(), Outcome::Waiting(_)));
    let run = move || {
        while let Outcome::Waiting(_) = tasklet.run(u64::MAX).unwrap() {}
        tasklet.run(u64::MAX).unwrap()
    };
    let outcome = std::thread::spawn(run).join().unwrap();
    assert_eq!(outcome, Outcome::Finished(vec![Value::I32(8)]));
}
