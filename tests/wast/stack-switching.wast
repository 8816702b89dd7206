;; Continuations. Wasmtime 48 has them behind a flag, on one platform.
(module
  (type $f (func))
  (type $c (cont $f))
  (func $nothing)
  (elem declare func $nothing)
  (func (export "resume")
    (resume $c (cont.new $c (ref.func $nothing)))))

(assert_return (invoke "resume"))
