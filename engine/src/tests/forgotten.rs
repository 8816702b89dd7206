//! What is no longer in a frame is no longer in the shadow tables either: it would be kept alive, and
//! how much of its heap a guest could use would depend on how it was paused.

use wasmtime::RootScope;

use crate::*;

const PROGRAM: &str = r#"(module
  (import "env" "object" (func $object (result externref)))
  (tag $t (param i32))
  (func $pass (param externref) (result externref)
    (loop $l (br_if $l (i32.const 0))) (local.get 0))
  (func $thrown (param i32) (result exnref) (local $exception exnref)
    (block $caught (result i32 exnref)
      (try_table (catch_ref $t $caught) (throw $t (local.get 0))) (unreachable))
    (local.set $exception) (drop) (local.get $exception))
  (func $deep (param i32) (local $object externref) (local $exception exnref)
    (local.set $object (call $object))
    (local.set $exception (call $thrown (local.get 0)))
    (if (local.get 0) (then (call $deep (i32.sub (local.get 0) (i32.const 1)))))
    (drop (call $pass (local.get $object)))
    (if (ref.is_null (local.get $exception)) (then (unreachable))))
  (func (export "run") (local $i i32)
    (call $deep (i32.const 30))
    (loop $l
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $l (i32.lt_u (local.get $i) (i32.const 100))))))"#;

/// Elements of the shadow tables in use, and those beside them that hold something.
fn held(tasklet: &mut Tasklet) -> (u32, usize) {
    let exports = tasklet.exports.clone();
    let top = exports.ref_sp.get(&mut tasklet.store).i32().unwrap_or(0) as u32;
    let results = tasklet.module.metadata().refs_base;
    let mut stale = 0;
    for (_, table) in exports.shadow_tables().iter().filter(|(ty, _)| *ty != ValType::FuncRef) {
        let size = table.size(&tasklet.store) as u32;
        for element in (0..results).chain(top..size) {
            let mut scope = RootScope::new(&mut tasklet.store);
            let value = table.get(&mut scope, u64::from(element));
            stale += usize::from(value.is_some_and(|value| !value.is_null()));
        }
    }
    (top - results, stale)
}

#[test]
fn references_taken_out_of_frames_are_forgotten() {
    let options = super::options();
    let engine = Engine::new(&options).unwrap();
    let module = Module::load(&engine, &wat::parse_str(PROGRAM).unwrap()).unwrap();
    for budget in [1, 7, 100, 400] {
        let object = |_: &mut HostCtx<'_>, _: &[Value]| {
            Ok(vec![Value::ExternRef(Some(HostObject::new(7u32)))])
        };
        let results = [ValType::ExternRef];
        let host = Host::builder().func("env", "object", &[], &results, object).build();
        let entry = Entry::Invoke { name: "run".into(), args: vec![] };
        let mut tasklet = Tasklet::spawn(&module, host, entry).unwrap();
        let mut most = 0;
        while tasklet.run(budget).unwrap() == Outcome::OutOfBudget {
            let (used, stale) = held(&mut tasklet);
            assert_eq!(stale, 0, "at {} steps of {budget}", tasklet.steps_used().unwrap());
            most = used.max(most);
        }
        assert!(most > 40, "{most}");
        assert_eq!(held(&mut tasklet), (0, 0));
    }
}
