//! The engine against the ABI alone, by a module instrumented by hand (`tests/hand.wat`).

mod forgotten;
mod references;

use std::sync::Mutex;

use tasklet_instrumenter::{
    Export, Field, FunctionInfo, FunctionType, GlobalInfo, MemoryInfo, Metadata, Place, Point,
    PointKind, TableInfo, ValType, abi,
};

use crate::snapshot::{Limits as ReadLimits, Position, Value as Written};
use crate::*;

const CALL_OFFSET: u32 = 90;

pub(crate) fn metadata(original: &[u8]) -> Metadata {
    let i32_to_i32 = FunctionType { params: vec![ValType::I32], results: vec![ValType::I32] };
    let local = |index, at| Field { ty: ValType::I32, at, place: Place::Local(index) };
    let point = |function, kind, offset, prepaid, fields: Vec<Field>| Point {
        function,
        kind,
        offset,
        frame_bytes: 16 + 8 * fields.len() as u32,
        prepaid,
        fields,
        callee: (kind == PointKind::Call).then_some(0),
    };
    let acc = Field { ty: ValType::I32, at: 8, place: Place::Operand(0) };
    Metadata {
        abi_version: abi::ABI_VERSION,
        cost_table: abi::COST_TABLE_VERSION,
        original_hash: Digest::of(original).0,
        frames_base: 64,
        refs_base: 1,
        types: vec![i32_to_i32],
        functions: vec![function("tick", 0, 0, 1), function("sum", 1, 1, 3)],
        imported_functions: 1,
        imports: vec![("env".into(), "tick".into())],
        points: vec![
            point(0, PointKind::Import, 0, 0, vec![local(0, 0)]),
            point(1, PointKind::Entry, 70, 0, vec![local(0, 0)]),
            point(1, PointKind::Loop, 80, 0, vec![local(0, 0), local(1, 8)]),
            point(1, PointKind::Call, CALL_OFFSET, 3, vec![local(0, 0), acc]),
        ],
        exports: vec![Export { name: "sum".into(), function: 1 }],
        start: None,
        memories: vec![MemoryInfo {
            index: 0,
            pages: 1,
            pages_max: None,
            memory64: false,
            import: None,
            exports: vec!["memory".into()],
        }],
        globals: vec![GlobalInfo {
            index: 0,
            ty: ValType::I64,
            mutable: true,
            import: None,
            exports: vec![],
        }],
        tables: vec![TableInfo {
            index: 0,
            element: ValType::FuncRef,
            elements: 2,
            elements_max: None,
            table64: false,
            import: None,
            exports: vec![],
        }],
        tags: vec![],
        referenced_functions: vec![1],
        data_segments: 1,
        element_segments: 1,
        stack_bytes_per_step: 0,
        stack_bytes_fixed: 0,
    }
}

fn function(name: &str, slot: u32, first_point: u32, points: u32) -> FunctionInfo {
    FunctionInfo {
        ty: 0,
        name: Some(name.into()),
        slot: Some(slot),
        first_point,
        points,
        code_offset: 70,
    }
}

/// Without a cache, and with the memories that `TASKLET_TESTS_MEMORIES` says.
fn options() -> EngineOptions {
    let mut options = EngineOptions { cache: CacheMode::Off, ..Default::default() };
    if std::env::var("TASKLET_TESTS_MEMORIES").is_ok_and(|name| name == "dense") {
        options.memories = Memories::Dense;
    }
    options
}

fn module() -> Module {
    let options = options();
    let engine = Engine::new(&options).expect("the default options work everywhere");
    let wasm = wat::parse_str(include_str!("tests/hand.wat")).expect("hand.wat is a module");
    Module::from_parts(&engine, b"the original", &wasm, metadata(b"the original"))
        .expect("hand.wat compiles")
}

fn host(
    tick: impl Fn(&mut HostCtx<'_>, i32) -> Result<i32, HostError> + Send + Sync + 'static,
) -> Host {
    let tick = move |ctx: &mut HostCtx<'_>, args: &[Value]| match args {
        [Value::I32(n)] => Ok(vec![Value::I32(tick(ctx, *n)?)]),
        _ => Err(HostError::new("tick takes an i32")),
    };
    Host::builder().func("env", "tick", &[ValType::I32], &[ValType::I32], tick).build()
}

fn plain() -> Host {
    host(|_, n| Ok(n))
}

fn sum(n: i32) -> Entry {
    Entry::Invoke { name: "sum".into(), args: vec![Value::I32(n)] }
}

fn reload(module: &Module, tasklet: &mut Tasklet, host: Host) -> Tasklet {
    let mut bytes = Vec::new();
    let written = tasklet.dump(&mut bytes, &SnapshotOptions::default()).expect("it can be written");
    let (snapshot, digest) =
        Snapshot::read_from(&mut &bytes[..], &ReadLimits::DEFAULT).expect("it can be read");
    assert_eq!(written, digest);
    let mut again = Tasklet::load(module, &snapshot, digest, host).expect("it can be loaded");
    let mut same = Vec::new();
    again.parent = snapshot.parent;
    again.dump(&mut same, &SnapshotOptions::default()).expect("it can be written again");
    assert_eq!(bytes, same, "a snapshot of a loaded snapshot is the same");
    again
}

#[test]
fn tasklets_move_between_threads() {
    fn send<T: Send>() {}
    fn shared<T: Send + Sync>() {}
    send::<Tasklet>();
    send::<Host>();
    shared::<Engine>();
    shared::<Module>();
    shared::<TaskletHandle>();
}

#[test]
fn runs_to_the_end_and_counts() {
    let module = module();
    let mut tasklet = Tasklet::spawn(&module, plain(), sum(10)).unwrap();
    assert_eq!(tasklet.status(), &Status::Paused(PauseReason::Requested));
    let outcome = tasklet.run(u64::MAX).unwrap();
    assert_eq!(outcome, Outcome::Finished(vec![Value::I32(55)]));
    assert_eq!(tasklet.steps_used().unwrap(), 52);
    assert_eq!(tasklet.balance().unwrap(), 0);
    assert_eq!(tasklet.run(1).unwrap(), outcome);
}

#[test]
fn every_budget_ends_with_the_same() {
    let module = module();
    for budget in 1..60 {
        let mut tasklet = Tasklet::spawn(&module, plain(), sum(10)).unwrap();
        let mut granted = 0;
        let outcome = loop {
            granted += budget;
            let outcome = tasklet.run(budget).unwrap();
            if outcome != Outcome::OutOfBudget {
                break outcome;
            }
            assert_eq!(tasklet.granted(), granted);
            let (used, balance) = (tasklet.steps_used().unwrap(), tasklet.balance().unwrap());
            assert_eq!(used as i64 + balance, granted as i64);
            tasklet = reload(&module, &mut tasklet, plain());
            assert_eq!(tasklet.steps_used().unwrap(), used);
            assert_eq!(tasklet.balance().unwrap(), balance);
        };
        assert_eq!(outcome, Outcome::Finished(vec![Value::I32(55)]), "budget {budget}");
        assert_eq!(tasklet.steps_used().unwrap(), 52, "budget {budget}");
        let mut ended = reload(&module, &mut tasklet, plain());
        assert_eq!(ended.run(1).unwrap(), outcome);
    }
}

#[test]
fn small_internal_slices_change_nothing() {
    let options = EngineOptions { slice_steps: 1, ..options() };
    let engine = Engine::new(&options).unwrap();
    let wasm = wat::parse_str(include_str!("tests/hand.wat")).unwrap();
    let small = Module::from_parts(&engine, b"o", &wasm, metadata(b"o")).unwrap();
    let large = module();
    for budget in 1..60 {
        let [mut a, mut b] = [&small, &large].map(|module| {
            let mut tasklet = Tasklet::spawn(module, plain(), sum(10)).unwrap();
            assert_eq!(tasklet.run(budget).unwrap() == Outcome::OutOfBudget, budget < 52);
            tasklet
        });
        assert_eq!(a.backtrace().unwrap(), b.backtrace().unwrap());
        assert_eq!(a.steps_used().unwrap(), b.steps_used().unwrap());
        assert_eq!(a.balance().unwrap(), b.balance().unwrap());
    }
}

#[test]
fn callbacks_are_counted_and_never_paused() {
    let module = module();
    // On tick(3) the host calls sum(4) through the export and sum(2) through the table.
    let nesting = || {
        host(|ctx, n| {
            if n != 3 || ctx.user::<Mutex<bool>>().is_some_and(|done| *done.lock().unwrap()) {
                return Ok(n);
            }
            if let Some(done) = ctx.user::<Mutex<bool>>() {
                *done.lock().unwrap() = true;
            }
            let a = ctx.call_export("sum", &[Value::I32(4)])?;
            let b = ctx.call_table(0, 1, &[Value::I32(2)])?;
            assert_eq!((a, b), (vec![Value::I32(10)], vec![Value::I32(3)]));
            Ok(n)
        })
    };
    for budget in [1, 3, 7, u64::MAX] {
        let mut nesting = nesting();
        nesting.user = Box::new(Mutex::new(false));
        let mut tasklet = Tasklet::spawn(&module, nesting, sum(5)).unwrap();
        let outcome = loop {
            match tasklet.run(budget).unwrap() {
                Outcome::OutOfBudget => {}
                outcome => break outcome,
            }
        };
        assert_eq!(outcome, Outcome::Finished(vec![Value::I32(15)]));
        // The callbacks come to 22 and 12 more steps.
        assert_eq!(tasklet.steps_used().unwrap(), 27 + 22 + 12);
    }
}

#[test]
fn a_callback_has_a_hard_limit() {
    let module = module();
    for table in [false, true] {
        let mut endless = host(move |ctx, n| {
            let args = [Value::I32(1000)];
            let _ = match table {
                _ if n != 2 => return Ok(n),
                true => ctx.call_table(0, 1, &args),
                false => ctx.call_export("sum", &args),
            };
            Ok(n)
        });
        endless.limits.callback_steps = 100;
        let mut tasklet = Tasklet::spawn(&module, endless, sum(2)).unwrap();
        let Outcome::Trapped(trap) = tasklet.run(7).unwrap() else { panic!("it must trap") };
        assert_eq!(trap.kind, TrapKind::CallbackLimit);
        assert_eq!(trap.message, "callback hard limit in `env::tick`");
        let again = reload(&module, &mut tasklet, plain()).run(1).unwrap();
        assert_eq!(again, Outcome::Trapped(trap));
    }
}

#[test]
fn a_snapshot_is_refused_inside_an_import_and_works_after() {
    let module = module();
    let refusing = host(|ctx, n| {
        let Err(error) = ctx.snapshot() else { return Err(HostError::new("not refused")) };
        let Error::InsideHostImport { import, backtrace, .. } = &error else {
            return Err(HostError::new("refused otherwise"));
        };
        assert_eq!((import.as_str(), error.kind()), ("env::tick", ErrorKind::InsideHostImport));
        assert_eq!(backtrace[0].to_string(), "sum (function 1)");
        let handle =
            ctx.user::<Mutex<Option<TaskletHandle>>>().and_then(|h| h.lock().unwrap().clone());
        if let Some(handle) = handle {
            let error = handle.request_snapshot().unwrap_err();
            assert!(error.to_string().contains("`env::tick`"), "{error}");
        }
        Ok(n)
    });
    let mut tasklet = Tasklet::spawn(&module, refusing, sum(3)).unwrap();
    let handle = tasklet.handle();
    tasklet.store.data_mut().user = Box::new(Mutex::new(Some(handle)));
    assert_eq!(tasklet.run(8).unwrap(), Outcome::OutOfBudget);
    let mut again = reload(&module, &mut tasklet, plain());
    assert_eq!(again.run(100).unwrap(), Outcome::Finished(vec![Value::I32(6)]));
    tasklet.handle().request_snapshot().unwrap();
    assert_eq!(tasklet.run(100).unwrap(), Outcome::Interrupted);
    assert_eq!(tasklet.run(100).unwrap(), Outcome::Finished(vec![Value::I32(6)]));
}

#[test]
fn a_failing_import_traps_with_the_whole_backtrace() {
    let module = module();
    let failing = host(|_, n| if n == 1 { Err(HostError::new("no more")) } else { Ok(n) });
    let mut tasklet = Tasklet::spawn(&module, failing, sum(3)).unwrap();
    while tasklet.run(1).unwrap() == Outcome::OutOfBudget {}
    let Status::Trapped(trap) = tasklet.status() else { panic!("it must trap") };
    assert_eq!(trap.kind, TrapKind::Host);
    assert_eq!(trap.message, "host import `env::tick`: no more");
    assert_eq!(trap.backtrace.len(), 1);
    assert_eq!(trap.backtrace[0].name, "sum");
}

#[test]
fn an_import_that_unwinds_is_issued_again() {
    use crate::state::{Context, Pause};
    let module = module();
    let waiting = || {
        let asked = Mutex::new(0);
        // What WASI's waiting calls do, without WASI.
        Host::builder()
            .func("env", "tick", &[ValType::I32], &[ValType::I32], move |ctx, args| {
                let mut asked = asked.lock().unwrap();
                *asked += 1;
                if *asked % 2 == 1 {
                    let reason = crate::state::PauseReason::Wait(Default::default());
                    let fuel = ctx.store().read_fuel();
                    ctx.store().data_mut().pause = Some(Pause { reason, fuel });
                    ctx.store().write_fuel(abi::UNWIND).unwrap();
                }
                Ok(args.to_vec())
            })
            .build()
    };
    let mut tasklet = Tasklet::spawn(&module, waiting(), sum(3)).unwrap();
    for calls in 0..3 {
        assert_eq!(
            tasklet.run(100).unwrap(),
            Outcome::Waiting(crate::Wait::System(Default::default()))
        );
        assert_eq!(tasklet.steps_used().unwrap(), 2 + 5 * calls + 2);
        let frames = tasklet.backtrace().unwrap();
        assert_eq!(frames.len(), 2);
        assert_eq!((frames[0].function, frames[0].kind), (0, PointKind::Import));
        assert_eq!(frames[1].offset, CALL_OFFSET);
        tasklet = reload(&module, &mut tasklet, waiting());
        assert_eq!(
            tasklet.run(0).unwrap(),
            Outcome::Waiting(crate::Wait::System(Default::default()))
        );
        let mut copy = reload(&module, &mut tasklet, plain());
        assert_eq!(copy.run(100).unwrap(), Outcome::Finished(vec![Value::I32(6)]));
        assert_eq!(copy.steps_used().unwrap(), 17);
    }
}

#[test]
fn hostile_snapshots_are_refused() {
    let module = module();
    let mut tasklet = Tasklet::spawn(&module, plain(), sum(10)).unwrap();
    tasklet.run(20).unwrap();
    let good = tasklet.snapshot(&SnapshotOptions::default()).unwrap();
    let kind = |change: &dyn Fn(&mut Snapshot<'_>)| {
        let mut bad = good.clone();
        change(&mut bad);
        match Tasklet::load(&module, &bad, Digest([0; 32]), plain()) {
            Ok(_) => None,
            Err(error) => Some(error.kind()),
        }
    };
    use ErrorKind::{Incompatible, Limit, Snapshot as Invalid};
    assert_eq!(kind(&|_| {}), None);
    assert_eq!(kind(&|s| s.module.hash = Digest([1; 32])), Some(Incompatible));
    assert_eq!(kind(&|s| s.cost_table += 1), Some(Incompatible));
    assert_eq!(kind(&|s| s.frames[0].at = Position::Loop { offset: 1 }), Some(Incompatible));
    assert_eq!(kind(&|s| s.frames[0].at = Position::Call { offset: CALL_OFFSET }), Some(Invalid));
    assert_eq!(kind(&|s| s.frames[0].function = 7), Some(Invalid));
    assert_eq!(kind(&|s| s.frames[0].function = 0), Some(Incompatible));
    assert_eq!(kind(&|s| s.frames[0].locals[1].1 = Written::I64(1)), Some(Invalid));
    assert_eq!(kind(&|s| s.frames[0].locals.reverse()), Some(Invalid));
    assert_eq!(kind(&|s| s.frames[0].locals.truncate(1)), None);
    assert_eq!(kind(&|s| s.frames[0].operands.push(Written::I32(1))), Some(Invalid));
    assert_eq!(kind(&|s| s.frames.clear()), Some(Invalid));
    assert_eq!(kind(&|s| s.frames.push(s.frames[0].clone())), Some(Invalid));
    assert_eq!(kind(&|s| s.memories.clear()), Some(Invalid));
    assert_eq!(kind(&|s| s.memories[0].pages = 0), Some(Invalid));
    assert_eq!(kind(&|s| s.memories[0].pages = 1 << 40), Some(Limit));
    assert_eq!(kind(&|s| s.memories[0].runs[0].first = 16), Some(Invalid));
    assert_eq!(kind(&|s| s.memories[0].runs[0].count = u64::MAX), Some(Invalid));
    assert_eq!(kind(&|s| s.globals[0].1 = Written::I32(1)), Some(Invalid));
    assert_eq!(kind(&|s| s.globals.clear()), Some(Invalid));
    assert_eq!(kind(&|s| s.tables[0].size = u64::MAX), Some(Limit));
    let run = |first, function| snapshot::TableRun { first, elements: vec![Some(function)] };
    assert_eq!(kind(&|s| s.tables[0].runs = vec![run(0, 1)]), None);
    assert_eq!(kind(&|s| s.tables[0].runs = vec![run(0, 0)]), Some(Invalid));
    assert_eq!(kind(&|s| s.tables[0].runs = vec![run(2, 1)]), Some(Invalid));
    assert_eq!(kind(&|s| s.dropped_data.push(64)), Some(Invalid));
    assert_eq!(kind(&|s| s.dropped_data.push(0)), Some(Invalid));
    assert_eq!(kind(&|s| s.balance = i64::MAX), Some(Invalid));
    assert_eq!(kind(&|s| s.balance = i64::MIN), Some(Invalid));
    assert_eq!(kind(&|s| s.entry.export = "other".into()), Some(Invalid));
    assert_eq!(kind(&|s| s.entry.args.clear()), Some(Invalid));
    assert_eq!(kind(&|s| s.status = snapshot::Status::Exited { code: 0 }), Some(Invalid));
    let call = snapshot::PendingCall { function: 1, args: vec![] };
    assert_eq!(kind(&|s| s.pending.push(call.clone())), Some(Invalid));
    assert_eq!(kind(&|s| s.host.push(("x".into(), snapshot::HostValue::Null))), Some(Incompatible));
}

#[test]
fn what_does_not_fit_is_named() {
    let module = module();
    let spawn = |host, entry| Tasklet::spawn(&module, host, entry).map(drop).unwrap_err();
    let error = spawn(Host::empty(), sum(1));
    assert_eq!(error.kind(), ErrorKind::Import);
    assert!(error.to_string().contains("unknown import `env::tick`"), "{error}");
    let other = Host::builder().func("env", "tick", &[], &[], |_, _| Ok(vec![])).build();
    let error = spawn(other, sum(1));
    assert_eq!(error.kind(), ErrorKind::Import);
    assert!(error.to_string().contains("the host has () -> ()"), "{error}");
    assert_eq!(
        spawn(plain(), Entry::Command).to_string(),
        "the module exports no function `_start`"
    );
    let untyped = Entry::Invoke { name: "sum".into(), args: vec![Value::I64(1)] };
    assert_eq!(
        spawn(plain(), untyped).to_string(),
        "arguments of `sum`: expected (i32), found (i64)"
    );
    let mut small = plain();
    small.limits.memory_bytes = 1000;
    assert_eq!(spawn(small, sum(1)).kind(), ErrorKind::Limit);
}
