//! Shapes of code that the transform has rules of its own for, in all modes of the spec suite: never
//! paused, at budgets of 1 and 7, and moved at every stop; steps are wasmtime's fuel.

use tasklet_tests::spec::{Verdict, in_all_modes};

/// A module's definitions, and what its export `f` returns for which argument.
fn check(module: &str, cases: &[(i32, i64)]) {
    let asserts = cases.iter().map(|(argument, result)| {
        format!("(assert_return (invoke \"f\" (i32.const {argument})) (i64.const {result}))")
    });
    let asserts: String = asserts.collect();
    let verdicts = in_all_modes(&format!("(module {module}) {asserts}"));
    assert_eq!(verdicts, vec![Verdict::Held; cases.len() + 1]);
}

/// Something that can pause.
const DOUBLE: &str = r#"
    (func $double (param $n i64) (result i64) (local $sum i64)
      (block $done
        (loop $next
          (br_if $done (i64.eqz (local.get $n)))
          (local.set $sum (i64.add (local.get $sum) (i64.const 2)))
          (local.set $n (i64.sub (local.get $n) (i64.const 1)))
          (br $next)))
      (local.get $sum))"#;

/// Many points want `$sum`, so it is loaded in front of the dispatch, to the entry too. There it is
/// zero, and the function counts on it.
#[test]
fn locals_are_zero_at_an_entry_that_is_resumed() {
    let f = r#"
        (func (export "f") (param $n i32) (result i64) (i64.add (call $g (i64.const 3)) (call $g (i64.const 4))))
        (func $g (param $n i64) (result i64) (local $sum i64)
          (local.set $sum (i64.add (local.get $sum) (call $double (local.get $n))))
          (local.set $sum (i64.add (local.get $sum) (call $double (local.get $n))))
          (local.set $sum (i64.add (local.get $sum) (call $double (local.get $n))))
          (local.set $sum (i64.add (local.get $sum) (call $double (local.get $n))))
          (i64.add (local.get $sum) (call $double (local.get $n))))"#;
    check(&format!("{DOUBLE} {f}"), &[(0, 70)]);
}

/// What is nowhere live together has one place, whatever its type; what is live together has not.
#[test]
fn values_of_all_sizes_share_places() {
    let f = r#"
        (func (export "f") (param $n i32) (result i64)
          (local $a i32) (local $b i64) (local $c f32) (local $d f64) (local $v v128) (local $e i64)
          (local.set $a (i32.wrap_i64 (call $double (i64.const 5))))
          (local.set $b (call $double (i64.extend_i32_u (local.get $a))))
          (local.set $c (f32.convert_i64_u (call $double (local.get $b))))
          (local.set $v (i64x2.splat (call $double (i64.trunc_f32_u (local.get $c)))))
          (local.set $d (f64.convert_i64_u (call $double (i64.const 1))))
          (local.set $e (call $double (i64x2.extract_lane 1 (local.get $v))))
          (i64.add
            (i64.add (local.get $e) (call $double (i64.trunc_f64_u (local.get $d))))
            (i64.add (i64x2.extract_lane 0 (local.get $v)) (i64.trunc_f32_u (local.get $c)))))"#;
    check(&format!("{DOUBLE} {f}"), &[(0, 160 + 4 + 80 + 40)]);
}

/// Points in a loop in a loop, with values that are live around both, around the inner one, and at
/// the points alone.
#[test]
fn values_are_reloaded_outside_and_inside_of_loops() {
    let f = r#"
        (func (export "f") (param $n i32) (result i64)
          (local $i i32) (local $j i32) (local $x i64) (local $y i64) (local $sum i64)
          (loop $outer
            (local.set $x (call $double (i64.extend_i32_u (local.get $i))))
            (local.set $j (i32.const 0))
            (loop $inner
              (local.set $y (call $double (i64.add (local.get $x) (i64.const 1))))
              (local.set $sum (i64.add (local.get $sum) (call $double (local.get $y))))
              (local.set $sum (i64.add (local.get $sum) (call $double (local.get $x))))
              (local.set $sum (i64.add (local.get $sum) (i64.add (local.get $y) (call $double (i64.const 1)))))
              (local.set $j (i32.add (local.get $j) (i32.const 1)))
              (br_if $inner (i32.lt_u (local.get $j) (i32.const 2))))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $outer (i32.lt_u (local.get $i) (local.get $n))))
          (local.get $sum))"#;
    // For each i twice: y = 4i + 2, and 2y + 4i + y + 2.
    let sum = |n: i64| (0..n).map(|i| 2 * (3 * (4 * i + 2) + 4 * i + 2)).sum();
    check(&format!("{DOUBLE} {f}"), &[(1, sum(1)), (3, sum(3))]);
}

/// The driver calls functions in groups of 1024: here there are two, with results of several types.
#[test]
fn more_functions_than_the_driver_calls_at_once() {
    const COUNT: i64 = 1_100;
    let mut all = String::from(DOUBLE);
    for at in 0..COUNT {
        let next = if at + 1 < COUNT && at % 100 != 99 { at + 1 } else { -1 };
        let more = match next {
            -1 => "(i64.const 0) (f64.const 0)".into(),
            next => format!("(call $f{next})"),
        };
        all += &format!(
            "(func $f{at} (result i64 f64) (local $d f64)
               {more} (local.set $d)
               (i64.add (call $double (i64.const {})))
               (f64.add (local.get $d) (f64.const 1)))",
            at % 3
        );
    }
    let chains: String = (0..COUNT / 100)
        .map(|chain| format!("(call $f{}) (i64.trunc_f64_u) (i64.add) (i64.add)", chain * 100))
        .collect();
    all += &format!("(func (export \"f\") (param i32) (result i64) (i64.const 0) {chains})");
    let result = (0..COUNT).map(|at| 2 * (at % 3) + 1).sum();
    check(&all, &[(0, result)]);
}

/// A segment that is active has been dropped already; to drop it again is noted, and nothing more.
#[test]
fn active_segments_are_dropped_where_there_are_no_others() {
    let f = r#"
        (memory 1) (data $d (i32.const 8) "x") (table 1 funcref) (elem $e (i32.const 0) $double)
        (func (export "f") (param i32) (result i64)
          (data.drop $d) (elem.drop $e)
          (memory.init $d (i32.const 0) (i32.const 0) (i32.const 0))
          (i64.add (call $double (i64.const 2)) (i64.load8_u (i32.const 8))))"#;
    check(&format!("{DOUBLE} {f}"), &[(0, 4 + 120)]);
}

/// A function whose frames have so many values, in a loop, that what they have in common is written by
/// the same code: 700 calls with some 400 values live across each. Of those a third changes from call
/// to call.
#[test]
fn very_large_functions_share_what_writes_their_frames() {
    const VALUES: i64 = 400;
    const CALLS: i64 = 700;
    let locals: String = (0..VALUES).map(|at| format!("(local $v{at} i64)")).collect();
    let set: String = (0..VALUES)
        .map(|at| format!("(local.set $v{at} (i64.add (local.get $v{at}) (i64.const {at})))"))
        .collect();
    let calls: String = (0..CALLS)
        .map(|at| {
            let (from, to) = (at * 3 % VALUES, at * 7 % VALUES);
            format!(
                "(local.set $v{to} (i64.sub (call $half (local.get $v{from})) (local.get $v{to})))"
            )
        })
        .collect();
    let sum: String = (0..VALUES).map(|at| format!("(local.get $v{at}) (i64.xor)")).collect();
    let f = format!(
        "(func $half (param $n i64) (result i64) (local $i i32)
           (loop $l (local.set $i (i32.add (local.get $i) (i32.const 1)))
             (br_if $l (i32.lt_u (local.get $i) (i32.const 2))))
           (i64.shr_s (local.get $n) (i64.const 1)))
         (func (export \"f\") (param $n i32) (result i64) {locals}
           (loop $next {set} {calls}
             (local.set $n (i32.sub (local.get $n) (i32.const 1)))
             (br_if $next (i32.gt_s (local.get $n) (i32.const 0))))
           (i64.const 0) {sum})"
    );
    let result = |rounds: i64| {
        let mut values = vec![0i64; VALUES as usize];
        for _ in 0..rounds {
            (0..).zip(&mut values).for_each(|(at, value)| *value += at);
            for at in 0..CALLS {
                let (from, to) = ((at * 3 % VALUES) as usize, (at * 7 % VALUES) as usize);
                values[to] = (values[from] >> 1) - values[to];
            }
        }
        values.iter().fold(0, |all, value| all ^ value)
    };
    check(&f, &[(2, result(2))]);
}
