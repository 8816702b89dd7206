(module (type $t (sub (func))) (func (type $t)))
