//! The memories of forks: what a dump that is loaded gives, whether pages are shared or copied, and
//! nothing of what the others do.

use tasklet_engine::snapshot::{self, PAGE_BYTES, PageData};
use tasklet_engine::{
    Base, Engine, Host, Memories, Module, Outcome, Snapshot, SnapshotChain, SnapshotOptions,
    Tasklet, Value,
};

use super::common::{self, end, invoke, reload, same};

const WASM_PAGE: usize = 65536;
/// Where the data of [`GUEST`] are: on two pages.
const DATA: (usize, &[u8]) = (8190, b"data");

/// `work` fills 300 KiB, and then writes here and there, makes pages zero and grows.
const GUEST: &str = r#"(module (memory (export "memory") 10 600)
    (data (i32.const 8190) "data")
    (func (export "nothing"))
    (func (export "store") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
    (func (export "fill") (param i32 i32 i32)
      (memory.fill (local.get 0) (local.get 1) (local.get 2)))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "work") (param $rounds i32) (result i32) (local $at i32) (local $x i32)
      (loop $fill
        (i32.store (local.get $at) (i32.add (local.get $at) (i32.const 77)))
        (local.set $at (i32.add (local.get $at) (i32.const 1024)))
        (br_if $fill (i32.lt_u (local.get $at) (i32.const 307200))))
      (local.set $x (i32.const 99))
      (loop $round
        (local.set $x
          (i32.add (i32.mul (local.get $x) (i32.const 1664525)) (i32.const 1013904223)))
        (local.set $at (i32.rem_u (i32.shr_u (local.get $x) (i32.const 4)) (i32.const 640000)))
        (i32.store (local.get $at) (i32.add (i32.load (local.get $at)) (local.get $x)))
        (if (i32.eqz (i32.and (local.get $rounds) (i32.const 7)))
          (then (memory.fill
            (i32.and (local.get $at) (i32.const 0xff000)) (i32.const 0) (i32.const 4096))))
        (if (i32.eqz (i32.and (local.get $rounds) (i32.const 31)))
          (then (drop (memory.grow (i32.const 2)))))
        (br_if $round
          (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))
      (i32.xor (local.get $x) (i32.load (i32.const 8190)))))"#;

fn module(memories: Memories) -> Module {
    let mut options = common::options();
    options.memories = memories;
    let engine = Engine::new(&options).expect("the options work everywhere");
    let wasm = wat::parse_str(GUEST).expect("the test's text is a module");
    Module::load(&engine, &wasm).expect("the module can be loaded")
}

fn written(tasklet: &mut Tasklet) -> Snapshot<'static> {
    let snapshot = tasklet.snapshot(&SnapshotOptions::default()).expect("it can be written");
    snapshot.into_owned()
}

/// At every stop the fork is what a dump gives that is loaded, and so are its forks. All of them go
/// on as if nobody had forked.
#[test]
fn a_fork_is_a_dump_that_is_loaded() {
    for memories in [Memories::Apart, Memories::Dense] {
        let module = module(memories);
        let entry = invoke("work", &[Value::I32(100)]);
        let spawn = || Tasklet::spawn(&module, Host::empty(), entry.clone()).expect("it is made");
        let mut tasklet = spawn();
        let outcome = tasklet.run(u64::MAX).expect("it runs");
        let expected = end(tasklet, outcome);
        let mut tasklet = spawn();
        let (mut stops, mut last) = (0, Vec::new());
        while tasklet.run(60).expect("it runs") == Outcome::OutOfBudget {
            stops += 1;
            let before = written(&mut tasklet);
            let mut fork = tasklet.fork(Host::empty()).expect("it can be forked");
            // NB: no `assert_eq`, which would print megabytes.
            assert!(written(&mut tasklet) == before, "the original is unharmed at stop {stops}");
            assert!(written(&mut fork) == before, "the fork is the same at stop {stops}");
            let mut second = fork.fork(Host::empty()).expect("a fork can be forked");
            let mut third = second.fork(Host::empty()).expect("and its fork, too");
            // Who has forked ends first.
            drop(second);
            let loaded = reload(&mut third, Host::empty());
            last = if stops % 25 == 1 { vec![fork, third, loaded] } else { last };
            if stops % 25 == 9 {
                for mut one in last.drain(..) {
                    let outcome = one.run(u64::MAX).expect("it runs");
                    same(&expected, &end(one, outcome), stops);
                }
            }
        }
        assert!(stops > 50, "{stops}");
        let outcome = tasklet.run(1).expect("it has ended");
        same(&expected, &end(tasklet, outcome), 0);
    }
}

/// What a memory holds.
fn contents(tasklet: &mut Tasklet) -> Vec<u8> {
    let snapshot = written(tasklet);
    let memory = &snapshot.memories[0];
    let mut bytes = vec![0; memory.pages as usize * WASM_PAGE];
    bytes[DATA.0..][..DATA.1.len()].copy_from_slice(DATA.1);
    for run in &memory.runs {
        let to = &mut bytes[run.first as usize * PAGE_BYTES..][..run.count as usize * PAGE_BYTES];
        match &run.data {
            PageData::Zero => to.fill(0),
            PageData::Bytes(bytes) => to.copy_from_slice(bytes),
        }
    }
    bytes
}

/// A tasklet, and what its memory must hold.
struct Pair {
    tasklet: Tasklet,
    expected: Vec<u8>,
}

impl Pair {
    fn new(module: &Module) -> Pair {
        let entry = invoke("nothing", &[]);
        let mut tasklet = Tasklet::spawn(module, Host::empty(), entry).expect("it can be made");
        tasklet.run(u64::MAX).expect("it runs");
        let expected = contents(&mut tasklet);
        Pair { tasklet, expected }
    }

    fn call(&mut self, name: &str, args: &[usize]) -> Outcome {
        let args = args.iter().map(|&arg| Value::I32(arg as i32)).collect();
        self.tasklet.call(name, args).expect("it can be called");
        self.tasklet.run(u64::MAX).expect("it runs")
    }

    fn store(&mut self, at: usize, byte: u8) {
        self.expected[at] = byte;
        self.call("store", &[at, byte.into()]);
    }

    fn fill(&mut self, at: usize, byte: u8, count: usize) {
        self.expected[at..at + count].fill(byte);
        self.call("fill", &[at, byte.into(), count]);
    }

    fn grow(&mut self, pages: usize) {
        let before = self.expected.len() / WASM_PAGE;
        let outcome = self.call("grow", &[pages]);
        let grown = Outcome::Finished(vec![Value::I32(before as i32)]);
        let size = if outcome == grown { before + pages } else { before };
        self.expected.resize(size * WASM_PAGE, 0);
    }

    fn fork(&mut self) -> Pair {
        let tasklet = self.tasklet.fork(Host::empty()).expect("it can be forked");
        Pair { tasklet, expected: self.expected.clone() }
    }

    fn check(&mut self, what: &str) {
        assert!(contents(&mut self.tasklet) == self.expected, "{what}");
    }

    /// Through a file, from which pages are mapped.
    fn reload_mapped(&mut self, folder: &std::path::Path) {
        let path = folder.join("one.cbor");
        // What others have mapped stays as it is.
        let _ = std::fs::remove_file(&path);
        let mut file = std::fs::File::create(&path).expect("it can be made");
        self.tasklet.dump(&mut file, &SnapshotOptions::default()).expect("it can be written");
        let limits = snapshot::Limits::DEFAULT;
        let chain = SnapshotChain::open(&path, &[], &limits).expect("it can be read");
        let resolved = chain.resolve(&limits).expect("it is whole");
        let module = self.tasklet.module().clone();
        self.tasklet = Tasklet::load_mapped(&module, &resolved, Host::empty()).expect("it loads");
    }

    /// Over a base that it has just written, or was just loaded from, with changes and a fork in
    /// between.
    fn over_a_base(&mut self, random: &mut impl FnMut(usize) -> usize) -> Pair {
        let is_loaded = random(2) == 0;
        let mut options = SnapshotOptions::default();
        options.track_changes = !is_loaded;
        let mut bytes = Vec::new();
        let digest = self.tasklet.dump(&mut bytes, &options).expect("it can be written");
        let limits = snapshot::Limits::DEFAULT;
        let (below, _) = Snapshot::read_slice(&bytes, &limits).expect("it can be read");
        let base = Base { snapshot: &below, digest };
        let module = self.tasklet.module().clone();
        if is_loaded {
            self.tasklet =
                Tasklet::load(&module, &below, digest, Host::empty()).expect("it can be loaded");
        }
        // Much of it is shared then, or little is copied.
        let count = [1, 200_000][random(2)];
        self.fill(random(self.expected.len() - count), 0x11, count);
        let fork = self.fork();
        self.store(random(self.expected.len()), 0x22);
        let mut over = Vec::new();
        let made = self.tasklet.dump_over(&mut over, &SnapshotOptions::default(), Some(base));
        made.expect("it can be written over its base");
        let (above, digest) = Snapshot::read_slice(&over, &limits).expect("it can be read");
        let whole = above.over(&below, base.digest).expect("it is over that base");
        self.tasklet =
            Tasklet::load(&module, &whole, digest, Host::empty()).expect("it can be loaded");
        fork
    }
}

/// Numbers below a bound, the same each time.
fn numbers(mut seed: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((seed >> 33) as usize) % below
    }
}

/// Several of them write, fork, grow, move and end as they like, and each finds what it wrote.
fn simulate(memories: Memories, seed: u64) {
    let module = module(memories);
    let folder = tempfile::tempdir().expect("there is a place for files");
    let mut random = numbers(seed);
    let mut all = vec![Pair::new(&module)];
    for round in 0..120 {
        let (at, many) = (random(all.len()), all.len() > 1);
        let one = &mut all[at];
        let size = one.expected.len();
        match random(12) {
            0..3 => (0..=random(40)).for_each(|_| one.store(random(size), random(256) as u8)),
            3 => one.fill(random(size / 2), random(256) as u8, random(size / 2)),
            4 => one.fill(random(size - PAGE_BYTES) & !4095, 0, PAGE_BYTES),
            5 => one.grow([1, 8, 40][random(3)]),
            6 => one.reload_mapped(folder.path()),
            7 => {
                let fork = one.over_a_base(&mut random);
                all.push(fork);
            }
            8 if many => drop(all.swap_remove(at)),
            _ => {
                let fork = one.fork();
                all.push(fork);
            }
        }
        if all.len() > 7 {
            all.swap_remove(random(7));
        }
        let what = format!("seed {seed}, round {round}, {memories:?}");
        all.iter_mut().for_each(|one| one.check(&what));
    }
}

#[test]
fn nobody_sees_what_another_writes() {
    for seed in 0..3 {
        simulate(Memories::Apart, seed);
        simulate(Memories::Dense, seed);
    }
}

/// Mappings of what forks share in this process.
#[cfg(target_os = "linux")]
fn shared_mappings() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("it can be read");
    maps.lines().filter(|line| line.contains("memfd:tasklet-forks")).count()
}

/// Each of a thousand takes what it has written. NB: the figures are those of the process, in which
/// other tests run, too.
#[cfg(target_os = "linux")]
#[test]
fn a_thousand_forks_of_a_large_guest() {
    let resident = || -> usize {
        let status = std::fs::read_to_string("/proc/self/status").expect("it can be read");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let line = line.expect("it says how much memory there is").trim();
        line.trim_end_matches(" kB").parse().expect("it is a number")
    };
    for memories in [Memories::Apart, Memories::Dense] {
        let module = module(memories);
        let mut first = Pair::new(&module);
        first.grow(110);
        let size = first.expected.len();
        first.fill(0, 7, size);
        let before = resident();
        let mut forks = Vec::new();
        for number in 0..1000 {
            first.store(number * 4096, 8);
            forks.push(first.tasklet.fork(Host::empty()).expect("it can be forked"));
        }
        let known = shared_mappings() > 0;
        if known {
            let grown = resident().saturating_sub(before);
            assert!(grown < 1 << 20, "7.5 GB if all were copied, not {grown} kB");
        } else {
            println!("nothing is shared on this machine");
        }
        // The first of them all, and one in the middle.
        for number in [0, 500] {
            let mut bytes = contents(&mut forks[number]);
            assert!(bytes[number * 4096] == 8 && bytes[(number + 1) * 4096] == 7);
            bytes.iter_mut().step_by(4096).take(number + 1).for_each(|byte| *byte = 7);
            assert!(bytes.iter().all(|byte| *byte == 7));
        }
    }
}

/// Where the system takes no pages to share (here: it must not write files) all is copied.
#[cfg(target_os = "linux")]
#[test]
fn nothing_is_shared_where_it_cannot_be() {
    const INSIDE: &str = "TASKLET_TESTS_NO_FILES";
    if std::env::var_os(INSIDE).is_some() {
        for memories in [Memories::Apart, Memories::Dense] {
            let mut one = Pair::new(&module(memories));
            one.fill(5, 9, 600_000);
            let mut fork = one.fork();
            assert_eq!(shared_mappings(), 0);
            fork.store(70_000, 1);
            one.store(80_000, 2);
            one.check("the original");
            fork.check("the fork");
        }
        return;
    }
    let this = std::env::current_exe().expect("it has a name");
    let name = "memory::nothing_is_shared_where_it_cannot_be";
    let mut shell = std::process::Command::new("sh");
    // In blocks of 512 or 1024 bytes, and less than the forks would take.
    shell.args(["-c", "ulimit -f 100; exec \"$0\" \"$@\""]).arg(this);
    let output = shell.args(["--exact", name]).env(INSIDE, "1").output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
