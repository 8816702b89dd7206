;; On a memory that is not shared: plain accesses, and a trap where they are not aligned.
(module
  (memory 1)
  (func $add (param i32 i32) (result i32)
    (atomic.fence)
    (i32.atomic.rmw16.add_u offset=6 (local.get 0) (local.get 1)))
  (func $exchange (param i32 i64 i64) (result i64)
    (i64.atomic.rmw.cmpxchg (local.get 0) (local.get 1) (local.get 2)))
)
