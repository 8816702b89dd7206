;; A cheap function without loops and calls is charged, but neither checked nor resumable, and
;; callers do not check after it. A call whose result is returned as it is needs no check either.
(module
  (func $square (param i32) (result i32) (i32.mul (local.get 0) (local.get 0)))
  (func $tail (param i32) (result i32)
    (call $main (call $square (local.get 0))))
  (func $main (export "main") (param i32) (result i32)
    (if (result i32) (local.get 0)
      (then (call $tail (i32.sub (local.get 0) (i32.const 1))))
      (else (call $square (i32.const 3))))))
