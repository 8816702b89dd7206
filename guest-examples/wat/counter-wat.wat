;; The seed of the project by hand: count for ever, report every tenth turn.
;; No libc; what the module needs of WASI is fd_write alone.
(module $counter
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param $fd i32) (param $iovs i32) (param $iovs_len i32) (param $written i32) (result i32)))

  ;; 0..8    the one iovec (address, length)
  ;; 8..12   where fd_write says how much it wrote
  ;; 16..64  the line, put together from its end
  (memory (export "memory") 1)

  (func $print (param $n i64)
    (local $at i32)
    (local.set $at (i32.const 63))
    (i32.store8 (local.get $at) (i32.const 10)) ;; newline
    (loop $digit
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at)
        (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $n) (i64.const 10)))))
      (local.set $n (i64.div_u (local.get $n) (i64.const 10)))
      (br_if $digit (i64.ne (local.get $n) (i64.const 0))))
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (i32.sub (i32.const 64) (local.get $at)))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))

  (func $main (export "_start")
    (local $busy i64)
    (loop $forever
      (local.set $busy (i64.add (local.get $busy) (i64.const 1)))
      (if (i64.eqz (i64.rem_u (local.get $busy) (i64.const 10)))
        (then (call $print (local.get $busy))))
      (br $forever))))
