//! Atomic instructions on memories that are not shared, which the rewriting makes plain ones: what the
//! WebAssembly test suite says of them, in all modes of the spec suite.

use tasklet_engine::TrapKind;
use tasklet_tests::spec::script::sources;
use tasklet_tests::spec::{Mode, Verdict, verdicts};

/// The suite's file, its memory not shared, up to where something waits.
fn unshared() -> String {
    let source = sources()
        .into_iter()
        .find(|source| source.part.contains("threads") && source.name.starts_with("atomic"));
    let text =
        source.expect("the suite has it").text.replace("(memory 1 1 shared)", "(memory 1 1)");
    let end = text.find("memory.atomic.wait32").expect("something waits");
    let module = text[..end].rfind("(module").expect("in a module");
    text[..module].to_string()
}

/// All hold. Plain wasmtime is not asked: it is built without threads here.
fn hold(text: &str) {
    for mode in Mode::ALL {
        let verdicts = verdicts(text, mode, |_, plain| {
            plain.held = Ok(());
            plain.fuel = None;
            // What is not aligned.
            plain.trap = Some((TrapKind::Unreachable, String::new()));
        });
        for (at, verdict) in verdicts.expect("it can be read").iter().enumerate() {
            assert_eq!(*verdict, Verdict::Held, "directive {at}, {}", mode.name());
        }
    }
}

#[test]
fn the_suite_holds() {
    let text = unshared();
    assert!(text.matches("assert_return").count() > 100);
    hold(&text);
}

#[test]
fn nobody_waits_and_nobody_is_woken() {
    hold(
        r#"
        (module (memory i64 1)
          (func (export "notify") (param i64) (result i32)
            (atomic.fence)
            (memory.atomic.notify offset=4 (local.get 0) (i32.const 7)))
          (func (export "wait") (result i32)
            (memory.atomic.wait64 (i64.const 0) (i64.const 0) (i64.const 0)))
          (func (export "add") (param i64) (result i64)
            (i64.add
              (i64.atomic.rmw16.add_u offset=6 (local.get 0) (i64.const 0x1ffff))
              (i64.atomic.load (local.get 0)))))
        (assert_return (invoke "notify" (i64.const 8)) (i32.const 0))
        (assert_return (invoke "add" (i64.const 8)) (i64.const 0xffff000000000000))
        (assert_return (invoke "add" (i64.const 8)) (i64.const 0xfffe_00000000ffff))
        (assert_trap (invoke "add" (i64.const 9)) "unaligned atomic")
        (assert_trap (invoke "wait") "expected shared memory")
        "#,
    );
}
