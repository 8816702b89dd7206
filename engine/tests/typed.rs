//! Imports of closures with wasm's types.

mod common;

use common::{invoke, module};
use tasklet_engine::{
    Entry, ErrorKind, Host, HostCtx, HostError, Outcome, Tasklet, TrapKind, Value,
};

const TYPED: &str = r#"(module
    (import "host" "none" (func $none))
    (import "host" "swap" (func $swap (param i32 i64 f32 f64) (result f64 f32 i64 i32)))
    (import "host" "half" (func $half (param i32) (result i64)))
    (memory (export "memory") 1)
    (func (export "run") (result f64 f32 i64 i32 i64)
      (call $none)
      (call $swap (i32.const -1) (i64.const -2) (f32.const 1.5) (f64.const 2.5))
      (call $half (i32.const -2)))
    (func (export "odd") (result i64) (call $half (i32.const 7))))"#;

fn host() -> Host {
    Host::builder()
        .func_wrap("host", "none", |ctx: &mut HostCtx<'_>| ctx.write(0, &[1]))
        .func_wrap("host", "swap", |_: &mut HostCtx<'_>, a: i32, b: i64, c: f32, d: f64| {
            (d, c, b, a)
        })
        .func_wrap("host", "half", |_: &mut HostCtx<'_>, n: u32| match n % 2 {
            0 => Ok(u64::from(n / 2)),
            _ => Err(HostError::new("it is odd")),
        })
        .build()
}

#[test]
fn values_go_in_and_out_by_their_types() {
    let module = module(TYPED);
    let mut tasklet = Tasklet::spawn(&module, host(), invoke("run", &[])).unwrap();
    let values = vec![
        Value::F64(2.5f64.to_bits()),
        Value::F32(1.5f32.to_bits()),
        Value::I64(-2),
        Value::I32(-1),
        Value::I64(0x7fff_ffff),
    ];
    assert_eq!(tasklet.run(u64::MAX).unwrap(), Outcome::Finished(values));
    tasklet.call("odd", vec![]).unwrap();
    let Outcome::Trapped(trap) = tasklet.run(u64::MAX).unwrap() else { panic!("no trap") };
    assert_eq!(trap.kind, TrapKind::Host);
    assert!(trap.message.ends_with("it is odd"), "{trap}");
}

#[test]
fn other_types_are_refused() {
    let wrong =
        Host::builder().func_wrap("host", "none", |_: &mut HostCtx<'_>, _: f32| 1i64).build();
    let error = Tasklet::spawn(&module(TYPED), wrong, invoke("run", &[])).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Import);
    assert!(error.to_string().contains("the host has (f32) -> (i64)"), "{error}");
}

#[test]
fn values_of_numbers_and_back() {
    assert_eq!(Value::from(u32::MAX), Value::I32(-1));
    assert_eq!(Value::from(1.5f64), Value::F64(1.5f64.to_bits()));
    assert_eq!((Value::I64(-1).get(), Value::I64(-1).get()), (Some(-1i64), Some(u64::MAX)));
    assert_eq!((Value::I64(-1).get::<i32>(), Value::FuncRef(None).get::<i64>()), (None, None));
    let entry = Entry::invoke("half", [7.into(), 2u64.into()]);
    assert_eq!(entry, invoke("half", &[Value::I32(7), Value::I64(2)]));
}
