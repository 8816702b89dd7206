(module (func (export "tasklet.run")))
