(module (rec (type (func)) (type (func (param i32)))))
