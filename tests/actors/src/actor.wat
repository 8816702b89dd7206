;; Who talks in `actors`. `actor.wasm` is made of this; a test compares.
(module
  (import "tasklet" "id" (func $id (result i64)))
  (import "tasklet" "channel" (func $channel (param i32 i32) (result i32)))
  (import "tasklet" "send" (func $send (param i32 i32 i32) (result i32)))
  (import "tasklet" "receive" (func $receive (param i32 i32 i32) (result i64)))
  (memory (export "memory") 1)
  (data (i32.const 0) "inoutboard")
  (func $mix (param $h i64) (param $x i64) (result i64)
    (i64.rotl (i64.mul (i64.xor (local.get $h) (local.get $x)) (i64.const 0x9e3779b97f4a7c15))
      (i64.const 29)))
  ;; What it has heard so far is at 64, the message at 128.
  (func $hear (param $channel i32)
    (drop (call $receive (local.get $channel) (i32.const 128) (i32.const 8)))
    (i64.store (i32.const 64) (call $mix (i64.load (i32.const 64)) (i64.load (i32.const 128)))))
  (func $say (param $channel i32)
    (i64.store (i32.const 128) (call $mix (i64.load (i32.const 64)) (call $id)))
    (drop (call $send (local.get $channel) (i32.const 128) (i32.const 8))))
  ;; Hears from the one before, writes to the board now and then, tells the next.
  (func (export "actor") (param $begins i32) (param $rounds i32) (result i64) (local $i i32)
    (if (local.get $begins) (then (call $say (call $channel (i32.const 2) (i32.const 3)))))
    (loop $l
      (call $hear (call $channel (i32.const 0) (i32.const 2)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (if (i32.and (local.get $i) (i32.const 1))
        (then (call $say (call $channel (i32.const 5) (i32.const 5)))))
      (if (i32.lt_s (local.get $i) (local.get $rounds))
        (then (call $say (call $channel (i32.const 2) (i32.const 3))) (br $l)))
      (if (i32.eqz (local.get $begins))
        (then (call $say (call $channel (i32.const 2) (i32.const 3))))))
    (i64.load (i32.const 64)))
  (func (export "board") (param $messages i32) (result i64) (local $i i32)
    (loop $l
      (call $hear (call $channel (i32.const 5) (i32.const 5)))
      (br_if $l (i32.lt_s
        (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $messages))))
    (i64.load (i32.const 64))))
