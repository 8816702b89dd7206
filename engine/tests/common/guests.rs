//! Guests that take part in a scheduler, and what their tests share.

use std::sync::{Arc, Mutex};

use tasklet_engine::{
    Budget, Engine, Host, HostBuilder, LoadOptions, Module, RunResult, Scheduler, SetOptions,
    Spawn, ValType, Value, VirtualClock,
};

/// What all of these guests import and define: `$log` puts a number on the list, `$c` is the
/// channel that the guest calls "c".
pub const PRELUDE: &str = r#"
    (import "tasklet" "id" (func $id (result i64)))
    (import "tasklet" "argument" (func $argument (param i32 i32) (result i32)))
    (import "tasklet" "channel" (func $channel (param i32 i32) (result i32)))
    (import "tasklet" "yield" (func $yield (result i32)))
    (import "tasklet" "park" (func $park (result i32)))
    (import "tasklet" "atomic" (func $atomic (param i32) (result i32)))
    (import "tasklet" "send" (func $send (param i32 i32 i32) (result i32)))
    (import "tasklet" "send_error" (func $send_error (param i32 i32 i32) (result i32)))
    (import "tasklet" "try_send" (func $try_send (param i32 i32 i32) (result i32)))
    (import "tasklet" "send_all" (func $send_all (param i32 i32 i32) (result i32)))
    (import "tasklet" "receive" (func $receive (param i32 i32 i32) (result i64)))
    (import "tasklet" "try_receive" (func $try_receive (param i32 i32 i32) (result i64)))
    (import "tasklet" "rest" (func $rest (param i32 i32 i32) (result i32)))
    (import "tasklet" "balance" (func $balance (param i32) (result i64)))
    (import "tasklet" "close" (func $close (param i32) (result i32)))
    (import "tasklet" "spawn" (func $spawn (param i32 i32 i32 i32) (result i64)))
    (import "tasklet" "fork" (func $fork (result i64)))
    (import "tasklet" "sleep" (func $sleep (param i64) (result i32)))
    (import "tasklet" "send_timeout"
      (func $send_timeout (param i32 i32 i32 i64) (result i32)))
    (import "tasklet" "receive_timeout"
      (func $receive_timeout (param i32 i32 i32 i64) (result i64)))
    (import "tasklet" "steps_left" (func $steps_left (result i64)))
    (import "tasklet" "block_trap" (func $block_trap (param i32) (result i32)))
    (import "tasklet" "run" (func $run (param i64) (result i64)))
    (import "test" "log" (func $log (param i64)))
    (memory (export "memory") 1)
    (data (i32.const 0) "c")
    (func $c (result i32) (call $channel (i32.const 0) (i32.const 1)))
    (func $say (param i32) (call $log (i64.extend_i32_s (local.get 0))))
    ;; What was received, or thrown: its first byte.
    (func $first (call $say (i32.load8_u (i32.const 64)))
      (i32.store8 (i32.const 64) (i32.const 0)))
    (func $why (drop (call $rest (i32.const 0) (i32.const 64) (i32.const 8))) (call $first))
    ;; Counts to n, in 8 steps a round or so.
    (func $count (param $n i32) (result i32) (local $i i32)
      (loop $l (br_if $l (i32.lt_s
        (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
      (local.get $i))
"#;

/// The list that guests write to.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<i64>>>);

impl Log {
    /// What is on it, which is taken off.
    pub fn take(&self) -> Vec<i64> {
        std::mem::take(&mut self.0.lock().expect("nobody panics with it"))
    }

    /// How many hold it: the test, and each tasklet's host that is still there.
    pub fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    pub fn push(&self, value: &Value) {
        if let Value::I64(value) = value {
            self.0.lock().expect("nobody panics with it").push(*value);
        }
    }

    pub fn builder(&self) -> HostBuilder {
        let list = self.clone();
        Host::builder().func("test", "log", &[ValType::I64], &[], move |_, args| {
            list.push(&args[0]);
            Ok(vec![])
        })
    }

    pub fn host(&self) -> Host {
        self.builder().build()
    }
}

/// A scheduler, a module of guests, and their list.
pub struct World {
    pub engine: Engine,
    pub module: Module,
    pub log: Log,
    pub sched: Scheduler,
}

impl World {
    /// A module of the prelude and these functions.
    pub fn new(functions: &str) -> World {
        World::with_imports("", functions)
    }

    /// The same, with imports in front of the prelude's.
    pub fn with_imports(imports: &str, functions: &str) -> World {
        let engine = super::engine();
        let wasm = wat::parse_str(format!("(module {imports} {PRELUDE} {functions})"));
        let wasm = wasm.expect("the test's text is a module");
        let module = Module::load(&engine, &wasm).expect("the module can be loaded");
        World { sched: Scheduler::new(&engine), log: Log::default(), engine, module }
    }

    /// Runs to the end; what is interrupted is queued again, and at every stop all are moved. Returns
    /// how it ended, and what was logged.
    pub fn run_moved(&mut self, budget: Budget) -> (RunResult, Vec<i64>) {
        loop {
            match self.sched.run(budget).expect("it runs") {
                RunResult::Interrupted(id) => {
                    self.sched.insert(id).expect("it can be inserted");
                    self.move_all();
                }
                RunResult::Expired => self.move_all(),
                result => return (result, self.log.take()),
            }
        }
    }

    /// Dumps all that are there, destroys them and loads them again, in the order in which they are
    /// ready or else of their numbers.
    pub fn move_all(&mut self) {
        let ready = self.sched.ready();
        let rest = self.sched.tasklets().into_iter().filter(|id| !ready.contains(id));
        let all: Vec<_> = ready.iter().copied().chain(rest).collect();
        let all: Vec<_> = all.into_iter().map(|id| (id, self.sched.flags(id).paused)).collect();
        let dumps: Vec<_> =
            all.iter().map(|(id, _)| self.sched.dump(*id).expect("dumps")).collect();
        all.iter().for_each(|(id, _)| self.sched.kill(*id).expect("it is here"));
        for (bytes, (_, paused)) in dumps.iter().zip(all) {
            let options = LoadOptions::default().host(self.log.host());
            let id = self.sched.load_with(bytes, options).expect("what was written can be read");
            if !paused {
                self.sched.insert(id).expect("it can be inserted");
            }
        }
    }

    /// Goes on in another scheduler, of virtual time, into which a dump of all is loaded.
    pub fn move_elsewhere(&mut self) {
        let mut bytes = Vec::new();
        self.sched.dump_all(&mut bytes, &Default::default()).expect("it can be written");
        self.sched = Scheduler::new(&self.engine);
        self.sched.set_clock(VirtualClock::default());
        let log = self.log.clone();
        let options = SetOptions::default().hosts(move |_| log.host()).module(&self.module);
        self.sched.load_set(&bytes, options).expect("what was written can be read");
        let log = self.log.clone();
        self.sched.child_host(move |_| log.host());
    }

    /// A tasklet that begins with that export and has the list.
    pub fn of(&self, export: &str) -> Spawn {
        Spawn::export(export).host(self.log.host())
    }
}
