//! Host imports: callbacks, refusals, errors.

mod common;

use std::sync::atomic::{AtomicU32, Ordering};

use common::{invoke, module, reload, sliced, straight};
use tasklet_engine::{
    Error, Host, HostCtx, HostError, Outcome, Status, Tasklet, TrapKind, ValType, Value,
};

/// Sorts 16 numbers with the host's `qsort`, which calls the comparison by its table element.
const SORT: &str = r#"(module
    (import "host" "qsort" (func $qsort (param i32 i32 i32)))
    (memory (export "memory") 1)
    (table 1 funcref) (elem (i32.const 0) $compare)
    (global $compared (mut i32) (i32.const 0))
    (func $compare (param $a i32) (param $b i32) (result i32) (local $i i32)
      (global.set $compared (i32.add (global.get $compared) (i32.const 1)))
      (local.set $i (i32.const 3))
      (loop $l (br_if $l (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
      (i32.sub (i32.load (local.get $a)) (i32.load (local.get $b))))
    (func $fill (param $n i32)
      (loop $next
        (i32.store (i32.mul (i32.const 4) (local.get $n))
          (i32.rem_u (i32.mul (local.get $n) (i32.const 7919)) (i32.const 101)))
        (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (func (export "run") (result i32) (local $n i32) (local $ok i32)
      (call $fill (i32.const 16))
      (call $qsort (i32.const 4) (i32.const 16) (i32.const 0))
      (local.set $n (i32.const 15))
      (local.set $ok (i32.const 1))
      (loop $next
        (local.set $ok (i32.and (local.get $ok)
          (i32.le_s (i32.load (i32.mul (i32.const 4) (local.get $n)))
                    (i32.load offset=4 (i32.mul (i32.const 4) (local.get $n))))))
        (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (i32.add (local.get $ok) (global.get $compared)))
    (func (export "forever") (loop $l (br $l))))"#;

fn qsort(ctx: &mut HostCtx<'_>, args: &[Value]) -> Result<Vec<Value>, HostError> {
    let &[Value::I32(base), Value::I32(count), Value::I32(compare)] = args else {
        return Err(HostError::new("three integers"));
    };
    let at = |i: i32| (base + 4 * i) as u64;
    // Insertion sort: simple, and it calls back often.
    for i in 1..count {
        for j in (1..=i).rev() {
            let pair = [Value::I32(at(j - 1) as i32), Value::I32(at(j) as i32)];
            match ctx.call_table(0, compare as u64, &pair)?[..] {
                [Value::I32(order)] if order > 0 => {}
                _ => break,
            }
            let (mut a, mut b) = ([0; 4], [0; 4]);
            ctx.read(at(j - 1), &mut a)?;
            ctx.read(at(j), &mut b)?;
            ctx.write(at(j - 1), &b)?;
            ctx.write(at(j), &a)?;
        }
    }
    Ok(Vec::new())
}

fn sorting() -> Host {
    Host::builder().func("host", "qsort", &[ValType::I32; 3], &[], qsort).build()
}

#[test]
fn callbacks_count_the_same_however_the_slices_fall() {
    let module = module(SORT);
    let entry = invoke("run", &[]);
    let expected = straight(&module, sorting(), &entry);
    let Outcome::Finished(values) = &expected.outcome else { panic!("{:?}", expected.outcome) };
    assert!(matches!(values[..], [Value::I32(n)] if n > 16), "{values:?}");
    for budget in [1, 5, 100, 500] {
        let (found, pauses) = sliced(&module, &sorting, &sorting, &entry, budget);
        common::same(&expected, &found, budget);
        assert!(pauses > 1);
    }
}

#[test]
fn a_snapshot_inside_an_import_is_refused_and_afterwards_works() {
    let module = module(SORT);
    let refused = std::sync::Arc::new(AtomicU32::new(0));
    let count = refused.clone();
    let host = Host::builder().func("host", "qsort", &[ValType::I32; 3], &[], move |ctx, args| {
        match ctx.snapshot() {
            Err(Error::InsideHostImport { import, backtrace, .. }) => {
                assert_eq!(import, "host::qsort");
                assert!(!backtrace.is_empty());
                count.fetch_add(1, Ordering::Relaxed);
            }
            other => panic!("{other:?}"),
        }
        qsort(ctx, args)
    });
    let mut tasklet = Tasklet::spawn(&module, host.build(), invoke("run", &[])).unwrap();
    while refused.load(Ordering::Relaxed) == 0 {
        assert_eq!(tasklet.run(10).unwrap(), Outcome::OutOfBudget);
    }
    let mut again = reload(&mut tasklet, sorting());
    let expected = straight(&module, sorting(), &invoke("run", &[]));
    assert_eq!(again.run(u64::MAX).unwrap(), expected.outcome);
    assert_eq!(again.steps_used().unwrap(), expected.steps);
}

#[test]
fn an_export_can_be_called_back_up_to_the_hard_limit() {
    let module = module(SORT);
    let mut limits = tasklet_engine::Limits::default();
    limits.callback_steps = 10_000;
    let host = Host::builder()
        .func("host", "qsort", &[ValType::I32; 3], &[], |ctx, _| {
            // Swallowing the error does not save the guest.
            let _ = ctx.call_export("forever", &[]);
            Ok(vec![])
        })
        .limits(limits);
    let mut tasklet = Tasklet::spawn(&module, host.build(), invoke("run", &[])).unwrap();
    let Outcome::Trapped(trap) = tasklet.run(u64::MAX).unwrap() else { panic!("no trap") };
    assert_eq!(trap.kind, TrapKind::CallbackLimit);
    assert!(trap.message.contains("host::qsort"), "{trap}");
    assert!(matches!(tasklet.status(), Status::Trapped(_)));
}

#[test]
fn functions_pass_through_imports() {
    let wat = r#"(module
        (import "host" "same" (func $same (param funcref i64) (result i64 funcref)))
        (import "host" "call" (func $call (param funcref i32) (result i32)))
        (table 1 funcref) (elem declare func $double)
        (func $double (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2)))
        (func (export "run") (result i32) (local $f funcref)
          (call $same (ref.func $double) (i64.const 3))
          (local.set $f) (drop)
          (table.set (i32.const 0) (local.get $f))
          (i32.add (call $call (table.get (i32.const 0)) (i32.const 20))
                   (call_indirect (param i32) (result i32) (i32.const 1) (i32.const 0)))))"#;
    let host = || {
        let pair = [ValType::FuncRef, ValType::I64];
        Host::builder()
            .func("host", "same", &pair, &[ValType::I64, ValType::FuncRef], |_, args| {
                Ok(vec![args[1].clone(), args[0].clone()])
            })
            .func(
                "host",
                "call",
                &[ValType::FuncRef, ValType::I32],
                &[ValType::I32],
                |ctx, args| match args[0] {
                    Value::FuncRef(Some(index)) => ctx.call_function(index, &args[1..]),
                    _ => Err(HostError::new("null")),
                },
            )
            .build()
    };
    let module = module(wat);
    let entry = invoke("run", &[]);
    let expected = straight(&module, host(), &entry);
    assert_eq!(expected.outcome, Outcome::Finished(vec![Value::I32(42)]));
    common::same(&expected, &sliced(&module, &host, &host, &entry, 1).0, 1);
}

type Body = fn(&mut HostCtx<'_>) -> Result<Vec<Value>, HostError>;

#[test]
fn errors_of_imports_are_traps() {
    let module = module(SORT);
    let cases: [(Body, &str); 4] = [
        (|_| Err(HostError::new("broken")), "host import `host::qsort`: broken"),
        (
            |ctx| ctx.write(65535, &[0, 0]).map(|()| vec![]),
            "host import `host::qsort`: 2 bytes at 0xffff are not inside the guest's memory of \
             65536 bytes",
        ),
        (
            |ctx| ctx.call_table(0, 7, &[]),
            "host import `host::qsort`: no function in element 7 of table 0",
        ),
        (|_| Ok(vec![Value::I32(1)]), "host import `host::qsort`: returned (i32) instead of ()"),
    ];
    for (body, message) in cases {
        let host = Host::builder()
            .func("host", "qsort", &[ValType::I32; 3], &[], move |ctx, _| body(ctx))
            .build();
        let end = straight(&module, host, &invoke("run", &[]));
        let Outcome::Trapped(trap) = end.outcome else { panic!("{:?}", end.outcome) };
        assert_eq!((trap.kind, trap.message.as_str()), (TrapKind::Host, message));
    }
}
