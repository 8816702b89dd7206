;; Exception handling as it was before `try_table`. Wasmtime 48 has only the new form.
(module
  (tag $e (param i32))
  (func (export "caught") (result i32)
    try (result i32)
      i32.const 5
      throw $e
    catch $e
      i32.const 1
      i32.add
    end))

(assert_return (invoke "caught") (i32.const 6))
