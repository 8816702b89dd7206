;; A call inside a `try_table` gets one of its own, and a frame that is resumed finds the exception
;; of its callee in a global.
(module
  (tag $t (param i32))
  (func $f (param i32)
    (if (local.get 0) (then (call $f (i32.sub (local.get 0) (i32.const 1)))))
    (throw $t (local.get 0)))
  (func (export "main") (param i32) (result i32)
    (block $caught (result i32)
      (try_table (catch $t $caught)
        (call $f (local.get 0)))
      (local.get 0))))
