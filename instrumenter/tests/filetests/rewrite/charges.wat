;; Payments: both arms of the `if` are followed by the same code, so what all paths share is paid
;; at the loop's header; the `continue` on the third path ends that.
(module
  (func (export "run") (param $n i32) (local $i i32)
    (loop $continue
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $continue (i32.eq (local.get $i) (i32.const 7)))
      (if (i32.and (local.get $i) (i32.const 1))
        (then (local.set $n (i32.sub (local.get $n) (i32.const 1))))
        (else (local.set $n (i32.shr_u (local.get $n) (i32.const 1)))))
      (br_if $continue (local.get $n)))))
