;; A bulk operation costs one step more per byte. A constant length is part of the static charge;
;; any other is paid when it is known, and what would take the fuel too low goes on the debt.
(module
  (memory 1)
  (func (export "run") (param $n i32)
    (memory.fill (i32.const 0) (i32.const 1) (i32.const 16))
    (memory.copy (i32.const 64) (i32.const 0) (local.get $n))))
