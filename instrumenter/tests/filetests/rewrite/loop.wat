;; A loop without calls: one check per iteration, one resume point at its header, which is resumed
;; by entering the loop from outside. `$n` is loop-invariant and stays so.
(module
  (func (export "sum") (param $n i64) (result i64) (local $i i64) (local $s i64)
    (loop $next
      (local.set $s (i64.add (local.get $s) (local.get $i)))
      (local.set $i (i64.add (local.get $i) (i64.const 1)))
      (br_if $next (i64.lt_u (local.get $i) (local.get $n))))
    (local.get $s)))
