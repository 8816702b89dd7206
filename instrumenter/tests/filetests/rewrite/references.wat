;; Live references go to the shadow table of their kind; a typed one is cast when it comes back.
(module
  (type $t (func (param i32) (result i32)))
  (func $apply (export "apply") (param $f (ref $t)) (param $x externref) (result externref)
    (drop (call_ref $t (i32.const 1) (local.get $f)))
    (drop (call_ref $t (i32.const 2) (local.get $f)))
    (local.get $x)))
