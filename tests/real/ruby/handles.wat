;; Handles of the bridge to JavaScript: there are none.
(module
  (func (export "resource_drop_js-abi-value") (param i32))
  (func (export "resource_new_rb-abi-value") (param i32) (result i32) (i32.const 0))
  (func (export "resource_get_rb-abi-value") (param i32) (result i32) (i32.const 0)))
