(module (func $f (atomic.fence)))
