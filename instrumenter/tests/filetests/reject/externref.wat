(module (func $f (param externref)))
