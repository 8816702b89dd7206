(module (tag $t) (func $f (throw $t)))
