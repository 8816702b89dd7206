//! That the oracle of the spec suite notices what is wrong, and links what it says it links.

use tasklet_engine::TrapKind;
use tasklet_tests::spec::plain::Verdict as Expected;
use tasklet_tests::spec::{Mode, NOT_HELD, Verdict, in_all_modes, verdicts};

fn failed(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Failed(_))
}

fn skipped(verdict: &Verdict, words: &str) -> bool {
    matches!(verdict, Verdict::Skipped(reason) if reason.contains(words))
}

const PLAIN: &str = r#"
    (module (func (export "next") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
            (func (export "trap") (unreachable)))
    (assert_return (invoke "next" (i32.const 1)) (i32.const 2))
    (assert_trap (invoke "trap") "unreachable")
    (assert_invalid (module (func (result i32))) "type mismatch")"#;

#[test]
fn what_holds_holds_and_what_does_not_is_left_out() {
    assert_eq!(in_all_modes(PLAIN), vec![Verdict::Held; 4]);
    let wrong = PLAIN.replace("(i32.const 2)", "(i32.const 3)");
    assert_eq!(in_all_modes(&wrong)[1], Verdict::Skipped(NOT_HELD.into()));
}

#[test]
fn differences_from_plain_wasmtime_are_failures() {
    let mode = Mode::Moved;
    let one = |text: &str, forge: &dyn Fn(&mut Expected)| {
        verdicts(text, mode, |_, expected| forge(expected)).expect("the script parses")
    };
    // Other results than expected, where plain wasmtime had the expected ones.
    let results = one(&PLAIN.replace("(i32.const 2)", "(i32.const 3)"), &|e| e.held = Ok(()));
    assert!(failed(&results[1]), "{results:?}");
    // One step more or less.
    for (more, less) in [(1, 0), (0, 1)] {
        let steps = one(PLAIN, &|e| e.fuel = e.fuel.map(|fuel| fuel + more - less));
        assert!(failed(&steps[1]), "{steps:?}");
    }
    // Another trap, and none.
    let trap = (TrapKind::IntegerOverflow, "wasm trap: integer overflow".to_string());
    assert!(failed(&one(PLAIN, &|e| e.trap = Some(trap.clone()))[2]));
    let returns = PLAIN
        .replace("(assert_trap (invoke \"trap\")", "(assert_trap (invoke \"next\" (i32.const 0))");
    assert!(failed(&one(&returns, &|e| e.held = Ok(()))[2]));
    // A valid module that is said to be invalid.
    let valid = PLAIN.replace("(module (func (result i32)))", "(module)");
    assert!(failed(&one(&valid, &|e| e.held = Ok(()))[3]));
}

#[test]
fn functions_of_other_instances_can_be_imported() {
    let script = r#"
        (module $counter
          (global $n (mut i32) (i32.const 0))
          (func (export "add") (param $times i32) (result i32)
            (loop $next
              (global.set $n (i32.add (global.get $n) (i32.const 1)))
              (local.set $times (i32.sub (local.get $times) (i32.const 1)))
              (br_if $next (local.get $times)))
            (global.get $n))
          (func (export "fail") (unreachable)))
        (register "counter" $counter)
        (module
          (import "counter" "add" (func $add (param i32) (result i32)))
          (import "counter" "fail" (func $fail))
          (import "spectest" "print_i32" (func $print (param i32)))
          (func $start (call $print (call $add (i32.const 3))))
          (start $start)
          (func (export "twice") (param i32) (result i32)
            (i32.mul (call $add (local.get 0)) (call $add (local.get 0))))
          (func (export "fail") (call $fail))
          (export "again" (func $add)))
        (assert_return (invoke "twice" (i32.const 2)) (i32.const 35))
        (assert_trap (invoke "fail") "unreachable")
        (assert_return (invoke "again" (i32.const 1)) (i32.const 8))
        (assert_return (invoke $counter "add" (i32.const 1)) (i32.const 9))
        (assert_unlinkable
          (module (import "counter" "add" (func (param i64) (result i32))))
          "incompatible import type")
        (assert_unlinkable (module (import "counter" "none" (func))) "unknown import")"#;
    assert_eq!(in_all_modes(script), vec![Verdict::Held; 9]);
}

#[test]
fn shared_state_is_never_replaced_by_a_copy() {
    let script = |export: &str, import: &str| {
        format!(
            r#"(module $owner {export} (func (export "one") (result i32) (i32.const 1)))
               (register "owner" $owner)
               (assert_return (invoke $owner "one") (i32.const 1))
               (module $user {import} (func (export "two") (result i32) (i32.const 2)))
               (assert_return (invoke $user "two") (i32.const 2))
               (assert_return (invoke $owner "one") (i32.const 1))"#
        )
    };
    for (what, export, import) in [
        ("memories", r#"(memory (export "x") 1)"#, r#"(memory (import "owner" "x") 1)"#),
        (
            "tables",
            r#"(table (export "x") 1 funcref)"#,
            r#"(table (import "owner" "x") 1 funcref)"#,
        ),
        (
            "mutable globals",
            r#"(global (export "x") (mut i32) (i32.const 1))"#,
            r#"(global (import "owner" "x") (mut i32))"#,
        ),
    ] {
        let found = in_all_modes(&script(export, import));
        let shared = format!("{what} shared between instances");
        assert_eq!(found[..3], vec![Verdict::Held; 3], "{what}: before it is shared");
        // The user is skipped, and so is from then on what the owner does.
        assert!(found[3..].iter().all(|verdict| skipped(verdict, &shared)), "{what}: {found:?}");
    }
}

#[test]
fn references_do_not_cross() {
    let script = r#"
        (module $owner
          (func $f) (elem declare func $f)
          (func (export "null") (result funcref) (ref.null func))
          (func (export "some") (result funcref) (ref.func $f)))
        (register "owner" $owner)
        (module
          (import "owner" "null" (func $null (result funcref)))
          (import "owner" "some" (func $some (result funcref)))
          (func (export "null") (result i32) (ref.is_null (call $null)))
          (func (export "some") (result i32) (ref.is_null (call $some))))
        (assert_return (invoke "null") (i32.const 1))
        (assert_return (invoke "some") (i32.const 0))
        (assert_return (invoke $owner "some") (ref.func))"#;
    let found = in_all_modes(script);
    assert!(skipped(&found[4], "references handed from one instance to another"), "{found:?}");
    let others: Vec<&Verdict> =
        found.iter().enumerate().filter(|(at, _)| *at != 4).map(|(_, v)| v).collect();
    assert!(others.iter().all(|verdict| **verdict == Verdict::Held), "{found:?}");
}

#[test]
fn refusals_are_skipped_by_the_name_of_the_feature() {
    let script = r#"(module (type $f (func)) (type $c (cont $f)) (func (export "f") (param (ref null $c))))
        (invoke "f" (ref.null func))"#;
    let found = in_all_modes(script);
    assert!(found.iter().all(|verdict| skipped(verdict, "refused: ")), "{found:?}");
}
