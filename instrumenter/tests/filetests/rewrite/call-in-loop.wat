;; A call inside a loop: its resume point is reached through the loop's header. `$n` is live round
;; the loop and reloaded outside of it, `$t` is not and is reloaded inside.
(module
  (import "host" "next" (func $next (param i32) (result i32)))
  (func (export "run") (param $n i32) (result i32) (local $t i32) (local $s i32)
    (loop $again
      (local.set $t (i32.mul (local.get $n) (i32.const 3)))
      (local.set $s (i32.add (call $next (local.get $n)) (local.get $t)))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if $again (local.get $n)))
    (local.get $s)))
