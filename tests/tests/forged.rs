//! Snapshots that are sound as files but say what cannot be.
//!
//! A program is paused somewhere, its snapshot is taken apart, one to three fields of it are
//! changed, and it is loaded again: as a structure, and by way of bytes if the format can say it.
//! Either it is refused with a typed error, or it runs, and whatever happens is the guest's own
//! affair. Nothing panics, nothing hangs, nothing takes memory beyond the limits.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use tasklet_engine::snapshot::{
    Exception, Frame, HostValue, Limits as ReadLimits, Object, PAGE_BYTES, PageData, PageRun,
    PendingCall, Position, Profile, RefType, Status, TableRun, Value,
};
use tasklet_engine::wasi::{Clock, RestoreOptions, WasiOptions};
use tasklet_engine::{
    Digest, Error, ErrorKind, Host, Limits, Module, PauseReason, Snapshot, SnapshotOptions, Tasklet,
};
use tasklet_tests::examples;
use tasklet_tests::parallel::{for_all, message};
use tasklet_tests::random::Random;
use tasklet_tests::world::World;

const SEEDS: u64 = 3_000;
const EXAMPLES: &[&str] = &[
    "tables",
    "multivalue-run",
    "simd-20",
    "callbacks",
    "bulk",
    "files",
    "sleep",
    "cat-stdin",
    "depth",
    "random",
];

fn host(world: &World) -> Host {
    let mut limits = Limits::default();
    limits.memory_bytes = 32 << 20;
    limits.table_elements = 10_000;
    let preopens = world.wasi_options().preopens;
    let wasi = RestoreOptions { preopens, ..RestoreOptions::default() };
    Host::builder().limits(limits).wasi_restore(wasi).build()
}

fn integer(random: &mut Random) -> u64 {
    let edges = [0, 1, 2, 7, 255, 4096, 65535, 65536, 1 << 31, u32::MAX.into(), 1 << 32, 1 << 62];
    let huge = [i64::MAX as u64, i64::MIN as u64, u64::MAX, u64::MAX - 1, 1 << 48];
    match random.below(3) {
        0 => *random.choose(&edges),
        1 => *random.choose(&huge),
        _ => random.below(300),
    }
}

fn value(random: &mut Random) -> Value {
    let number = integer(random);
    let reference = random.one_in(2).then_some(number as u32);
    match random.below(8) {
        0 => Value::I32(number as i32),
        1 => Value::I64(number as i64),
        2 => Value::F32(number as u32),
        3 => Value::F64(number),
        4 => Value::V128(u128::from(number) << 40),
        5 => Value::ExternRef(reference),
        6 => Value::ExnRef(reference),
        _ => Value::FuncRef(reference),
    }
}

fn values(list: &mut Vec<Value>, random: &mut Random) {
    match random.below(4) {
        0 => list.push(value(random)),
        1 => drop(list.pop()),
        2 => *list = (0..random.below(2_000)).map(|_| value(random)).collect(),
        _ => {
            if let Some(at) = list.len().checked_sub(1) {
                list[random.below(at as u64 + 1) as usize] = value(random);
            }
        }
    }
}

fn indexed(list: &mut Vec<(u32, Value)>, random: &mut Random) {
    let at = random.below(list.len() as u64 + 1) as usize;
    match random.below(5) {
        0 => list.insert(at, (integer(random) as u32, value(random))),
        1 if at < list.len() => drop(list.remove(at)),
        2 if at < list.len() => list[at].0 = integer(random) as u32,
        3 => list.reverse(),
        _ if at < list.len() => list[at].1 = value(random),
        _ => list.clear(),
    }
}

fn position(random: &mut Random, module: &Module) -> Position {
    let offset = match random.choose(&module.metadata().points) {
        point if random.one_in(2) => point.offset,
        _ => integer(random) as u32,
    };
    match random.below(4) {
        0 => Position::Entry,
        1 => Position::Loop { offset },
        2 => Position::Call { offset },
        _ => Position::Import,
    }
}

fn frames(frames: &mut Vec<Frame>, random: &mut Random, module: &Module) {
    let functions = module.metadata().functions.len() as u64;
    let at = random.below(frames.len() as u64 + 1) as usize;
    if at == frames.len() {
        let copy = frames.last().cloned().unwrap_or(Frame {
            function: random.below(functions) as u32,
            at: position(random, module),
            locals: vec![],
            operands: vec![],
        });
        match random.below(4) {
            0 => frames.clear(),
            1 => frames.reverse(),
            // Deep, but not beyond what a frame memory may be.
            2 => frames.extend(std::iter::repeat_n(copy, 5_000)),
            _ => frames.push(copy),
        }
        return;
    }
    let frame = &mut frames[at];
    match random.below(6) {
        0 => frame.function = random.below(functions + 2) as u32,
        1 => frame.at = position(random, module),
        2 => values(&mut frame.operands, random),
        3 => indexed(&mut frame.locals, random),
        4 => {
            // Another point that exists, with what it needs left as it was.
            let points = module.metadata().points_of(frame.function);
            if !points.is_empty() {
                let point = random.choose(points);
                frame.at = Position::Call { offset: point.offset };
            }
        }
        _ => drop(frames.remove(at)),
    }
}

fn memory(snapshot: &mut Snapshot<'_>, random: &mut Random) {
    let at = random.below(snapshot.memories.len() as u64 + 1) as usize;
    let Some(memory) = snapshot.memories.get_mut(at) else { return snapshot.memories.clear() };
    let run = PageRun {
        first: integer(random),
        count: 1 + random.below(4),
        data: match random.below(3) {
            0 => PageData::Zero,
            1 => PageData::Bytes(Cow::Owned(vec![7; PAGE_BYTES])),
            _ => PageData::Bytes(Cow::Owned(random.bytes(random.clone().below(9_000) as usize))),
        },
    };
    match random.below(6) {
        0 => memory.index = integer(random) as u32,
        1 => memory.pages = integer(random),
        2 => memory.runs.push(run),
        3 => memory.runs.insert(0, run),
        4 if !memory.runs.is_empty() => {
            let run = random.below(memory.runs.len() as u64) as usize;
            let run = &mut memory.runs[run];
            *(if random.one_in(2) { &mut run.first } else { &mut run.count }) = integer(random);
        }
        _ => memory.runs.reverse(),
    }
}

fn table(snapshot: &mut Snapshot<'_>, random: &mut Random) {
    let at = random.below(snapshot.tables.len() as u64 + 1) as usize;
    let Some(table) = snapshot.tables.get_mut(at) else { return snapshot.tables.clear() };
    let elements = (0..random.below(20)).map(|_| {
        let function = random.one_in(2).then(|| random.below(50) as u32);
        function.filter(|_| random.one_in(9)).map(|_| integer(random) as u32).or(function)
    });
    let elements = elements.collect();
    match random.below(5) {
        0 => table.index = integer(random) as u32,
        4 => table.element = *random.choose(&[RefType::Func, RefType::Extern, RefType::Exn]),
        1 => table.size = integer(random),
        2 => table.runs.clear(),
        _ => table.runs.push(TableRun { first: random.below(30), elements }),
    }
}

fn status(random: &mut Random) -> Status {
    match random.below(6) {
        0 => Status::Paused { reason: PauseReason::Waiting },
        1 => Status::Paused { reason: PauseReason::Requested },
        2 => Status::Paused { reason: PauseReason::OutOfBudget },
        3 => Status::Finished { results: (0..3).map(|_| value(random)).collect() },
        4 => Status::Exited { code: integer(random) as u32 },
        _ => Status::Trapped { message: "x".repeat(random.below(500) as usize), backtrace: vec![] },
    }
}

/// Some node of a tree of host values.
fn host_value(node: &mut HostValue, random: &mut Random) {
    let deeper = !random.one_in(4);
    match node {
        HostValue::Array(items) if deeper && !items.is_empty() => {
            let at = random.below(items.len() as u64) as usize;
            host_value(&mut items[at], random);
        }
        HostValue::Map(entries) if deeper && !entries.is_empty() => {
            let at = random.below(entries.len() as u64) as usize;
            match random.below(12) {
                0 => drop(entries.remove(at)),
                1 => entries.push(entries[at].clone()),
                2 => host_value(&mut entries[at].0, random),
                _ => host_value(&mut entries[at].1, random),
            }
        }
        HostValue::Tag(_, inner) => host_value(inner, random),
        node => {
            *node = match random.below(8) {
                0 => HostValue::Null,
                1 => HostValue::Bool(true),
                2 => HostValue::Integer((integer(random) as i64).into()),
                3 => HostValue::Integer(integer(random).into()),
                4 => HostValue::Bytes(random.bytes(random.clone().below(100) as usize)),
                5 => HostValue::Text("../../etc/passwd\0".into()),
                6 => HostValue::Array(vec![node.clone(), HostValue::Null]),
                _ => HostValue::Map(vec![(HostValue::Text("preopen".into()), node.clone())]),
            }
        }
    }
}

/// Changes one thing.
fn forge(snapshot: &mut Snapshot<'_>, random: &mut Random, module: &Module) {
    let call = PendingCall { function: random.below(60) as u32, args: vec![value(random)] };
    match random.below(20) {
        18 => snapshot.base = Some(Digest([integer(random) as u8; 32])),
        19 => {
            snapshot.profile = Some(Profile {
                stack_bytes: integer(random),
                memory_bytes: integer(random),
                callback_steps: integer(random) as u32,
                table_elements: integer(random),
                reference_heap_bytes: 256 << 20,
            });
        }
        16 => snapshot.objects.push(Object { codec: "x".into(), bytes: vec![1] }),
        17 => snapshot.exceptions.push(Exception { tag: 0, fields: vec![value(random)] }),
        0 => snapshot.steps_used = integer(random),
        1 => snapshot.balance = integer(random) as i64,
        2 => snapshot.cost_table = integer(random) as u32,
        3 => snapshot.status = status(random),
        4 => values(&mut snapshot.entry.args, random),
        5 => snapshot.entry.export = "memory".into(),
        6 => snapshot.pending.push(call),
        7 => snapshot.pending = vec![call; 1_000],
        8 => indexed(&mut snapshot.globals, random),
        9 => memory(snapshot, random),
        10 => table(snapshot, random),
        11 => snapshot.dropped_data.push(integer(random) as u32),
        12 => snapshot.dropped_elements.push(integer(random) as u32),
        13 if !snapshot.host.is_empty() => host_value(&mut snapshot.host[0].1, random),
        13 => snapshot.host.push(("nobody".into(), HostValue::Null)),
        _ => frames(&mut snapshot.frames, random, module),
    }
}

/// Loads and uses it; whether it was taken.
fn use_it(module: &Module, forged: &Snapshot<'_>, host: Host) -> anyhow::Result<bool> {
    let work = || -> Result<(), Error> {
        let mut tasklet = Tasklet::load(module, forged, Digest([7; 32]), host)?;
        tasklet.steps_used()?;
        tasklet.backtrace()?;
        for _ in 0..3 {
            tasklet.run(50_000)?;
        }
        tasklet.balance()?;
        tasklet.backtrace()?;
        tasklet.dump(&mut std::io::sink(), &SnapshotOptions::default())?;
        Ok(())
    };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => Ok(true),
        Ok(Err(error)) if error.kind() == ErrorKind::Internal => anyhow::bail!("{error:?}"),
        Ok(Err(_)) => Ok(false),
        Err(panic) => anyhow::bail!("panicked: {}", message(&*panic)),
    }
}

fn paused<'a>(tasklet: &'a mut Tasklet, random: &mut Random) -> anyhow::Result<Snapshot<'a>> {
    // Somewhere near the beginning: there is more variety.
    let steps = random.below(*random.clone().choose(&[10, 300, 3_000, 60_000]));
    tasklet.run(steps)?;
    Ok(tasklet.snapshot(&SnapshotOptions::default())?)
}

#[test]
fn forged_snapshots_do_no_harm() {
    let (taken, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    for name in EXAMPLES {
        let example = examples::named(name);
        let module = Module::load(tasklet_tests::engine(), &example.bytes()).unwrap();
        let mut setup = example.setup().unwrap();
        setup.ticking = false;
        let seeds: Vec<u64> = (0..SEEDS).collect();
        let one = |seed: &u64| -> anyhow::Result<()> {
            let mut random = Random::new(*seed);
            let world = World::new(&setup)?;
            let mut tasklet = Tasklet::spawn(&module, world.host(), example.entry()?)?;
            let mut forged = paused(&mut tasklet, &mut random)?;
            for _ in 0..1 + random.below(3) {
                forge(&mut forged, &mut random, &module);
            }
            let count = if use_it(&module, &forged, host(&world))? { &taken } else { &refused };
            count.fetch_add(1, Ordering::Relaxed);
            let mut bytes = Vec::new();
            if forged.write_to(&mut bytes).is_ok()
                && let Ok((read, _)) = Snapshot::read_from(&mut &bytes[..], &ReadLimits::DEFAULT)
            {
                use_it(&module, &read, host(&world))?;
            }
            Ok(())
        };
        for_all(&seeds, |seed| format!("{name}, seed {seed}"), one);
    }
    let (taken, refused) = (taken.into_inner(), refused.into_inner());
    println!("{taken} taken, {refused} refused");
    // If everything were refused, nothing would be tested behind the checks.
    assert!(taken > SEEDS / 2 && refused > SEEDS);
    if let Some(bytes) = peak_bytes() {
        assert!(bytes < 1 << 30, "it took {bytes} bytes at some time");
    }
}

/// The most memory this process has had, where the system tells.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// The same of deterministic runs, whose profile is in the snapshot: whatever it says, a tasklet
/// gets no more than the host has.
#[test]
fn forged_profiles_do_no_harm() {
    let mut options = tasklet_engine::EngineOptions::default();
    options.cache = tasklet_engine::CacheMode::Off;
    options.deterministic = true;
    let engine = tasklet_engine::Engine::new(&options).unwrap();
    let example = examples::named("bulk");
    let module = Module::load(&engine, &example.bytes()).unwrap();
    let system = || WasiOptions { clock: Clock::Virtual, ..WasiOptions::default() };
    let (mut taken, mut refused) = (0, 0);
    for seed in 0..SEEDS / 4 {
        let mut random = Random::new(seed);
        let entry = example.entry().unwrap();
        let host = Host::builder().wasi(system()).build();
        let mut tasklet = Tasklet::spawn(&module, host, entry).unwrap();
        let mut forged = paused(&mut tasklet, &mut random).unwrap();
        let profile = forged.profile.as_mut().unwrap();
        match random.below(5) {
            0 => profile.stack_bytes = integer(&mut random),
            1 => profile.memory_bytes = integer(&mut random),
            2 => profile.callback_steps = integer(&mut random) as u32,
            3 => profile.table_elements = integer(&mut random),
            _ => profile.reference_heap_bytes = integer(&mut random),
        }
        if random.one_in(2) {
            forge(&mut forged, &mut random, &module);
        }
        let took = use_it(&module, &forged, Host::empty()).unwrap();
        if took { taken += 1 } else { refused += 1 }
    }
    println!("{taken} taken, {refused} refused");
    assert!(taken > 0 && refused > 0);
}
