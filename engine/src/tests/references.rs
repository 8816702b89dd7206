//! References and imported state against the ABI alone, by a module instrumented by hand
//! (`references.wat`).

use tasklet_instrumenter::{
    Export, Field, FunctionInfo, FunctionType, GlobalInfo, MemoryInfo, Metadata, Place, Point,
    PointKind, TableInfo, TagInfo, ValType, abi,
};

use crate::snapshot::{
    Exception as WrittenException, Limits as ReadLimits, RefType, Value as Written,
};
use crate::*;

/// What the tests give to guests.
#[derive(Debug, PartialEq)]
struct Name(String);

fn env(name: &str) -> Option<(String, String)> {
    Some(("env".into(), name.into()))
}

fn table(index: u32, element: ValType, import: Option<(String, String)>) -> TableInfo {
    let (elements, elements_max, table64, exports) = (2, None, false, vec![]);
    TableInfo { index, element, elements, elements_max, table64, import, exports }
}

fn metadata(original: &[u8]) -> Metadata {
    use ValType::{ExnRef, ExternRef, I32};
    let ty = |params: &[ValType], results: &[ValType]| FunctionType {
        params: params.to_vec(),
        results: results.to_vec(),
    };
    let function = |ty, slot, points| FunctionInfo {
        ty,
        name: Some(["make", "throw", "main"][ty as usize].into()),
        slot,
        first_point: 0,
        points,
        code_offset: 70,
    };
    let local = |index, ty, at| Field { ty, at, place: Place::Local(index) };
    let point = |kind, offset, frame_bytes, fields| Point {
        function: 2,
        kind,
        offset,
        frame_bytes,
        callee: None,
        prepaid: 0,
        fields,
    };
    let global =
        |index, ty, mutable, import| GlobalInfo { index, ty, mutable, import, exports: vec![] };
    let tag = |index, params: &[ValType], import| TagInfo { index, params: params.into(), import };
    Metadata {
        abi_version: abi::ABI_VERSION,
        cost_table: abi::COST_TABLE_VERSION,
        original_hash: Digest::of(original).0,
        frames_base: 64,
        refs_base: 2,
        types: vec![
            ty(&[I32], &[ExternRef]),
            ty(&[ExternRef], &[]),
            ty(&[ExternRef], &[ExternRef, ExnRef]),
        ],
        functions: vec![function(0, None, 0), function(1, None, 0), function(2, Some(0), 2)],
        imported_functions: 2,
        imports: vec![("host".into(), "make".into()), ("host".into(), "throw".into())],
        points: vec![
            point(PointKind::Entry, 70, 16, vec![local(0, ExternRef, 0)]),
            point(
                PointKind::Loop,
                80,
                24,
                vec![local(0, ExternRef, 0), local(1, ExnRef, 1), local(2, I32, 0)],
            ),
        ],
        exports: vec![Export { name: "main".into(), function: 2 }],
        start: None,
        memories: vec![MemoryInfo {
            index: 0,
            pages: 1,
            pages_max: None,
            memory64: false,
            import: env("memory"),
            exports: vec![],
        }],
        globals: vec![global(0, I32, false, env("base")), global(1, ExternRef, true, None)],
        tables: vec![table(0, ExternRef, env("objects")), table(1, ExnRef, None)],
        tags: vec![tag(0, &[I32, ExternRef, ExnRef], env("tag")), tag(1, &[ExnRef], None)],
        referenced_functions: vec![],
        data_segments: 1,
        element_segments: 0,
        stack_bytes_per_step: 0,
        stack_bytes_fixed: 0,
    }
}

fn module() -> Module {
    module_within(EngineOptions::default().reference_heap_bytes)
}

fn module_within(reference_heap_bytes: u64) -> Module {
    let options = EngineOptions { reference_heap_bytes, ..super::options() };
    let engine = Engine::new(&options).expect("the default options work everywhere");
    let wasm = wat::parse_str(include_str!("references.wat")).expect("it is a module");
    Module::from_parts(&engine, b"the original", &wasm, metadata(b"the original"))
        .expect("it compiles")
}

/// Throws (4, the argument, an exception that is the last of so many).
fn thrower(depth: u32) -> impl Fn(&mut HostCtx<'_>, &[Value]) -> Result<Vec<Value>, HostError> {
    move |ctx, args| {
        let mut chain = None;
        for _ in 0..depth {
            chain = Some(ctx.make_exception(1, &[Value::ExnRef(chain)])?);
        }
        Err(ctx.throw(0, &[Value::I32(4), args[0].clone(), Value::ExnRef(chain)]))
    }
}

fn make(_: &mut HostCtx<'_>, args: &[Value]) -> Result<Vec<Value>, HostError> {
    let name = Name(format!("made {}", args[0]));
    Ok(vec![Value::ExternRef(Some(HostObject::new(name)))])
}

fn without_codec(depth: u32) -> HostBuilder {
    Host::builder()
        .func("host", "make", &[ValType::I32], &[ValType::ExternRef], make)
        .func("host", "throw", &[ValType::ExternRef], &[], thrower(depth))
        .global("env", "base", Value::I32(100))
        .adopt("env", "memory")
        .adopt("env", "objects")
        .adopt("env", "tag")
}

fn builder(depth: u32) -> HostBuilder {
    without_codec(depth).codec(
        "name",
        |name: &Name| Ok(name.0.clone().into_bytes()),
        |bytes| match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Name(text.into())),
            Err(_) => Err(HostError::new("not text")),
        },
    )
}

fn main_of(name: &str) -> Entry {
    let object = HostObject::new(Name(name.into()));
    Entry::Invoke { name: "main".into(), args: vec![Value::ExternRef(Some(object))] }
}

fn spawn(module: &Module, depth: u32) -> Tasklet {
    Tasklet::spawn(module, builder(depth).build(), main_of("input")).expect("it can be spawned")
}

fn capture(tasklet: &mut Tasklet) -> Snapshot<'static> {
    let mut bytes = Vec::new();
    tasklet.dump(&mut bytes, &SnapshotOptions::default()).expect("it can be written");
    Snapshot::read_from(&mut &bytes[..], &ReadLimits::DEFAULT).expect("it can be read").0
}

fn load(module: &Module, snapshot: &Snapshot<'_>) -> Result<Tasklet, Error> {
    // Who has not thrown yet throws this.
    Tasklet::load(module, snapshot, Digest([0; 32]), builder(3).build())
}

fn name_of(value: &Value) -> &str {
    let Value::ExternRef(Some(object)) = value else { panic!("{value:?} is no object") };
    &object.downcast_ref::<Name>().expect("it is a name").0
}

/// The results: the argument, and the exception that holds it.
fn check_results(tasklet: &mut Tasklet, depth: u32) {
    let Status::Finished(results) = tasklet.status().clone() else { panic!("it has not finished") };
    assert_eq!(name_of(&results[0]), "input");
    let Value::ExnRef(Some(exception)) = &results[1] else { panic!("{results:?}") };
    let (tag, payload) = tasklet.exception(exception).expect("it is the tasklet's");
    assert_eq!((tag, &payload[0], &payload[1]), (0, &Value::I32(4), &results[0]));
    let mut inner = payload[2].clone();
    let mut found = 0;
    while let Value::ExnRef(Some(exception)) = &inner {
        let (tag, payload) = tasklet.exception(exception).expect("it is the tasklet's");
        assert_eq!((tag, payload.len()), (1, 1));
        inner = payload[0].clone();
        found += 1;
    }
    assert_eq!(found, depth);
}

#[test]
fn references_go_through_snapshots_at_every_pause() {
    let module = module();
    for budget in 1..16 {
        let mut tasklet = spawn(&module, 3);
        while tasklet.run(budget).expect("it runs") == Outcome::OutOfBudget {
            let written = capture(&mut tasklet);
            tasklet = load(&module, &written).expect("it can be loaded");
            let again = capture(&mut tasklet);
            assert_eq!(Snapshot { parent: written.parent, ..again }, written, "budget {budget}");
        }
        check_results(&mut tasklet, 3);
        assert_eq!(tasklet.steps_used().expect("it is known"), 5 + 4 * 2, "budget {budget}");
        let ended = capture(&mut tasklet);
        check_results(&mut load(&module, &ended).expect("it can be loaded"), 3);
    }
}

#[test]
fn each_object_and_exception_is_written_once() {
    let module = module();
    let mut tasklet = spawn(&module, 2);
    assert_eq!(tasklet.run(8).expect("it runs"), Outcome::OutOfBudget);
    let written = capture(&mut tasklet);
    let object = |index| Written::ExternRef(Some(index));
    let exception = |index| Written::ExnRef(Some(index));
    let names: Vec<_> = written.objects.iter().map(|object| &object.bytes[..]).collect();
    assert_eq!(names, [&b"input"[..], b"made 7"]);
    assert_eq!(written.entry.args, [object(0)]);
    let locals = [(0, object(0)), (1, exception(2)), (2, Written::I32(3))];
    assert_eq!(written.frames[0].locals, locals);
    assert_eq!(written.globals, [(0, Written::I32(100)), (1, object(1))]);
    assert_eq!(written.tables[0].runs[0].elements, [Some(0)]);
    assert_eq!((written.tables[1].element, written.tables[1].runs[0].first), (RefType::Exn, 0));
    assert_eq!(written.tables[1].runs[0].elements, [Some(2)]);
    assert_eq!(
        written.exceptions,
        [
            WrittenException { tag: 1, fields: vec![Written::ExnRef(None)] },
            WrittenException { tag: 1, fields: vec![exception(0)] },
            WrittenException { tag: 0, fields: vec![Written::I32(4), object(0), exception(1)] },
        ]
    );
    // The memory is the tasklet's own, with its data in it, which the snapshot need not repeat.
    assert_eq!(written.memories[0].runs, []);
    let mut again = load(&module, &written).expect("it can be loaded");
    let views = again.backtrace().expect("it can be shown");
    assert_eq!(name_of(&views[0].values[0].1), "input");
    let exports = again.exports.clone();
    assert_eq!(exports.memories[0].data(&again.store)[100..105], *b"hello");
}

/// A guest can chain exceptions as it likes; nothing here recurses along the chain.
#[test]
fn long_chains_of_exceptions() {
    let module = module();
    let mut tasklet = spawn(&module, 100_000);
    assert_eq!(tasklet.run(6).expect("it runs"), Outcome::OutOfBudget);
    let written = capture(&mut tasklet);
    assert_eq!(written.exceptions.len(), 100_001);
    let mut again = load(&module, &written).expect("it can be loaded");
    assert!(matches!(again.run(u64::MAX).expect("it runs"), Outcome::Finished(_)));
    check_results(&mut again, 100_000);
}

/// What is in use has to fit; what is not is freed.
#[test]
fn the_heap_of_references_is_bounded() {
    let small = module_within(1 << 20);
    let mut tasklet = spawn(&small, 100_000);
    let Outcome::Trapped(trap) = tasklet.run(u64::MAX).unwrap() else { panic!("no trap") };
    assert_eq!(trap.kind, TrapKind::Host);
    assert!(trap.message.contains("the heap of references"), "{trap}");
    let mut large = spawn(&module(), 100_000);
    large.run(6).unwrap();
    let error = load(&small, &capture(&mut large)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    // A hundred times what fits, one after the other.
    let forgetful = |ctx: &mut HostCtx<'_>, args: &[Value]| {
        for _ in 0..100_000 {
            ctx.make_exception(1, &[Value::ExnRef(None)])?;
        }
        Err(ctx.throw(0, &[Value::I32(1), args[0].clone(), Value::ExnRef(None)]))
    };
    let host = builder(0).func("host", "throw", &[ValType::ExternRef], &[], forgetful).build();
    let mut tasklet = Tasklet::spawn(&small, host, main_of("x")).unwrap();
    let outcome = tasklet.run(u64::MAX).unwrap();
    assert!(matches!(outcome, Outcome::Finished(_)), "{outcome:?}");
}

#[test]
fn what_has_no_codec_is_named_with_its_place() {
    let module = module();
    let mut tasklet = Tasklet::spawn(&module, without_codec(0).build(), main_of("x")).unwrap();
    let refused = |tasklet: &mut Tasklet| {
        let error = tasklet.snapshot(&SnapshotOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let Error::NoCodec { type_name, place } = error else { panic!("{error:?}") };
        assert!(type_name.ends_with("Name"), "{type_name}");
        place
    };
    assert_eq!(refused(&mut tasklet), "`main`, argument 0");
    // It runs none the less.
    assert!(matches!(tasklet.run(8).unwrap(), Outcome::OutOfBudget));
    let null = Value::ExternRef(None);
    tasklet.entry.as_mut().expect("it was given one").args = vec![null.clone()];
    assert_eq!(refused(&mut tasklet), "local 0 of main (function 2)");
    let exports = tasklet.exports.clone();
    let nothing = wasmtime::Ref::Extern(None);
    let sp = u64::from(module.metadata().refs_base);
    let shadow = exports.shadow_table(ValType::ExternRef).unwrap();
    shadow.set(&mut tasklet.store, sp, nothing.clone()).unwrap();
    let inside = "field 1 of an exception of tag 0, local 1 of main (function 2)";
    assert_eq!(refused(&mut tasklet), inside);
    let shadow = exports.shadow_table(ValType::ExnRef).unwrap();
    shadow.set(&mut tasklet.store, sp + 1, wasmtime::Ref::Exn(None)).unwrap();
    assert_eq!(refused(&mut tasklet), "global 1");
    exports.globals[1].set(&mut tasklet.store, wasmtime::Val::ExternRef(None)).unwrap();
    assert_eq!(refused(&mut tasklet), "element 1 of table 0");
    exports.tables[0].set(&mut tasklet.store, 1, nothing).unwrap();
    assert_eq!(refused(&mut tasklet), "field 1 of an exception of tag 0, element 0 of table 1");
}

#[test]
fn codecs_can_fail_on_both_sides() {
    let module = module();
    let refusing = without_codec(0)
        .codec::<Name>("name", |_| Err(HostError::new("it is open")), |_| unreachable!())
        .build();
    let mut tasklet = Tasklet::spawn(&module, refusing, main_of("x")).unwrap();
    let error = tasklet.snapshot(&SnapshotOptions::default()).unwrap_err();
    let text = "cannot write down the object in `main`, argument 0: codec `name`: it is open";
    assert_eq!(error.to_string(), text);
    let mut written = capture(&mut spawn(&module, 0));
    let bare = Tasklet::load(&module, &written, Digest([0; 32]), without_codec(0).build());
    assert_eq!(bare.unwrap_err().kind(), ErrorKind::Incompatible);
    written.objects[0].bytes = vec![0xff];
    assert_eq!(load(&module, &written).unwrap_err().kind(), ErrorKind::Snapshot);
}

#[test]
fn imported_state_needs_the_hosts_word() {
    let module = module();
    let spawn = |host: HostBuilder| Tasklet::spawn(&module, host.build(), main_of("x"));
    for (name, kind) in [("memory", "memory"), ("objects", "table"), ("tag", "tag")] {
        let mut host = builder(0).build();
        std::sync::Arc::make_mut(&mut host.adopted).remove(&env(name).unwrap());
        let error = Tasklet::spawn(&module, host, main_of("x")).unwrap_err();
        let Error::UnknownImport { name: found, ty, way_out, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!((found.as_str(), ty.as_str()), (name, kind));
        assert!(way_out.contains("HostBuilder::adopt"), "{way_out}");
    }
    let mut host = builder(0).build();
    host.globals.clear();
    let error = Tasklet::spawn(&module, host, main_of("x")).unwrap_err();
    assert!(error.to_string().contains("`env::base` of type global i32"), "{error}");
    let error = spawn(builder(0).global("env", "base", Value::I64(1))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Import);
    // A segment that does not fit is the module's fault, as in wasmtime.
    let error = spawn(builder(0).global("env", "base", Value::I32(-1))).unwrap_err();
    assert!(matches!(error, Error::Instantiate(_)), "{error:?}");
}

/// An immutable global is part of the snapshot: whoever loads it need not know, but must not
/// contradict it.
#[test]
fn imported_globals_are_inputs() {
    let module = module();
    let host = builder(0).global("env", "base", Value::I32(5000)).build();
    let mut tasklet = Tasklet::spawn(&module, host, main_of("x")).unwrap();
    tasklet.run(8).unwrap();
    let written = capture(&mut tasklet);
    assert_eq!(written.memories[0].runs, [], "the initial image depends on the global");
    let error = load(&module, &written).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    assert!(error.to_string().contains("was 5000, the host gives 100"), "{error}");
    let mut host = builder(0).build();
    host.globals.clear();
    let again = Tasklet::load(&module, &written, Digest([0; 32]), host).unwrap();
    let memory = again.exports.memories[0];
    assert_eq!(memory.data(&again.store)[5000..5005], *b"hello");
}

#[test]
fn uncaught_exceptions_are_traps_that_tell_their_payload() {
    let module = module();
    let throwing = |tag, payload: fn(&mut HostCtx<'_>) -> Vec<Value>| {
        let throw = move |ctx: &mut HostCtx<'_>, _: &[Value]| {
            let payload = payload(ctx);
            Err(ctx.throw(tag, &payload))
        };
        let host = builder(0).func("host", "throw", &[ValType::ExternRef], &[], throw).build();
        let mut tasklet = Tasklet::spawn(&module, host, main_of("x")).unwrap();
        let Outcome::Trapped(trap) = tasklet.run(u64::MAX).unwrap() else { panic!("no trap") };
        let mut again = load(&module, &capture(&mut tasklet)).unwrap();
        let Outcome::Trapped(same) = again.run(1).unwrap() else { panic!("no trap") };
        assert_eq!((trap.kind, &trap.message), (same.kind, &same.message));
        (trap.kind, trap.message)
    };
    let (kind, message) = throwing(1, |_| vec![Value::ExnRef(None)]);
    assert_eq!(kind, TrapKind::UncaughtException);
    assert_eq!(message, "uncaught exception: tag 1 (null)");
    let (_, message) = throwing(1, |ctx| {
        vec![Value::ExnRef(Some(ctx.make_exception(1, &[Value::ExnRef(None)]).unwrap()))]
    });
    assert_eq!(message, "uncaught exception: tag 1 (exn)");
    // What does not fit is an error of the import.
    let (kind, message) = throwing(1, |_| vec![Value::I32(1)]);
    assert_eq!(kind, TrapKind::Host);
    assert!(message.contains("arguments of `tag 1`: expected (exnref), found (i32)"), "{message}");
    assert_eq!(throwing(9, |_| vec![]).0, TrapKind::Host);
}

#[test]
fn forged_references_are_refused() {
    let module = module();
    let mut tasklet = spawn(&module, 1);
    tasklet.run(8).unwrap();
    let good = capture(&mut tasklet);
    let kind = |change: &dyn Fn(&mut Snapshot<'_>)| {
        let mut bad = good.clone();
        change(&mut bad);
        load(&module, &bad).map(drop).map_err(|error| error.kind())
    };
    let invalid = Err(ErrorKind::Snapshot);
    assert_eq!(kind(&|_| {}), Ok(()));
    assert_eq!(kind(&|s| s.objects.clear()), invalid);
    assert_eq!(kind(&|s| s.objects[0].codec = "other".into()), Err(ErrorKind::Incompatible));
    assert_eq!(kind(&|s| s.exceptions.clear()), invalid);
    assert_eq!(kind(&|s| s.exceptions[0].tag = 7), invalid);
    assert_eq!(kind(&|s| s.exceptions[0].fields.clear()), invalid);
    assert_eq!(kind(&|s| s.exceptions[0].fields[0] = Written::ExnRef(Some(0))), invalid);
    assert_eq!(kind(&|s| s.exceptions[0].fields[0] = Written::ExnRef(Some(1))), invalid);
    assert_eq!(kind(&|s| s.exceptions[1].fields[0] = Written::I64(1)), invalid);
    assert_eq!(kind(&|s| s.exceptions[1].fields[1] = Written::ExternRef(Some(9))), invalid);
    assert_eq!(kind(&|s| s.tables[0].element = RefType::Exn), invalid);
    assert_eq!(kind(&|s| s.tables[0].runs[0].elements[0] = Some(2)), invalid);
    assert_eq!(kind(&|s| s.tables[1].runs[0].elements[0] = Some(2)), invalid);
    assert_eq!(kind(&|s| s.frames[0].locals[0].1 = Written::ExnRef(Some(0))), invalid);
    assert_eq!(kind(&|s| s.frames[0].locals[1].1 = Written::ExnRef(Some(7))), invalid);
    assert_eq!(kind(&|s| s.globals[1].1 = Written::FuncRef(None)), invalid);
    assert_eq!(kind(&|s| s.globals[1].1 = Written::ExternRef(Some(7))), invalid);
    assert_eq!(kind(&|s| s.globals[0].1 = Written::ExternRef(None)), invalid);
    assert_eq!(kind(&|s| s.globals.truncate(1)), invalid);
    assert_eq!(kind(&|s| s.entry.args[0] = Written::ExternRef(Some(7))), invalid);
}

/// An exception belongs to one store, and is refused by others: wasmtime would panic.
#[test]
fn exceptions_of_another_tasklet_are_refused() {
    let module = module();
    let mut one = spawn(&module, 0);
    one.run(u64::MAX).unwrap();
    let Status::Finished(results) = one.status().clone() else { panic!("it has not finished") };
    let Value::ExnRef(Some(exception)) = &results[1] else { panic!("{results:?}") };
    let mut other = spawn(&module, 0);
    assert_eq!(other.exception(exception).unwrap_err().kind(), ErrorKind::Unsupported);
}
