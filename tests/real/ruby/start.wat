;; What a host in JavaScript would do with a Ruby that is a library: start it, and have it load the
;; script `program.rb` of the folder it is given. The exit code is 0, or that of the exception.
(module
  (import "main" "memory" (memory 0))
  (import "main" "_initialize" (func $initialize))
  (import "main" "cabi_realloc" (func $allocate (param i32 i32 i32 i32) (result i32)))
  (import "main" "ruby-init: func(args: list<string>) -> ()" (func $init (param i32 i32)))
  (import "main" "rb-eval-string-protect: func(str: string) -> tuple<handle<rb-abi-value>, s32>"
    (func $evaluate (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))

  ;; The arguments, from 0, of 9, 7 and 5 bytes; then what is evaluated.
  (data $text "ruby.wasm\00-EUTF-8\00-e_=0\00"
    "begin; load './program.rb'; rescue SystemExit => e; $stdout.flush; p e.status;"
    "rescue Exception => e; p e; puts e.backtrace; end; $stdout.flush")

  (func $argument (param $list i32) (param $number i32) (param $at i32) (param $size i32)
    (local.set $list (i32.add (local.get $list) (i32.shl (local.get $number) (i32.const 3))))
    (i32.store (local.get $list) (local.get $at))
    (i32.store offset=4 (local.get $list) (local.get $size)))

  (func (export "_start") (local $text i32) (local $list i32)
    (call $initialize)
    (local.set $text (call $allocate (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 166)))
    (memory.init $text (local.get $text) (i32.const 0) (i32.const 166))
    (local.set $list (call $allocate (i32.const 0) (i32.const 0) (i32.const 4) (i32.const 24)))
    (call $argument (local.get $list) (i32.const 0) (local.get $text) (i32.const 9))
    (call $argument (local.get $list) (i32.const 1)
      (i32.add (local.get $text) (i32.const 10)) (i32.const 7))
    (call $argument (local.get $list) (i32.const 2)
      (i32.add (local.get $text) (i32.const 18)) (i32.const 5))
    (call $init (local.get $list) (i32.const 3))
    (call $exit (i32.load offset=4
      (call $evaluate (i32.add (local.get $text) (i32.const 24)) (i32.const 142))))))
