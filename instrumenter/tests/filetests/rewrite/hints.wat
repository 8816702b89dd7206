;; A guest's own comparisons of 64-bit values get no hint, whatever they look like: only the fuel's
;; do. (A back edge that was taken for unlikely made this loop half as fast again.)
(module
  (global $limit (mut i64) (i64.const 9))
  (func $counted (param $from i64) (local $i i64)
    (local.set $i (local.get $from))
    (loop $next
      (local.set $i (i64.add (local.get $i) (i64.const 1)))
      (br_if $next (i64.lt_s (local.get $i) (i64.const 1000)))
      (br_if $next (i64.lt_s (global.get $limit) (i64.const 7))))))
