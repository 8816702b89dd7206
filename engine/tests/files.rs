//! Snapshot files: what is mapped, laid over bases and told by the kernel is what was written.

mod common;

use std::fs;
use std::path::Path;

use common::{invoke, module};
use tasklet_engine::snapshot::Limits;
use tasklet_engine::{
    Base, Compressor, Digest, ErrorKind, Host, Module, Outcome, Snapshot, SnapshotChain,
    SnapshotFile, SnapshotOptions, Tasklet, Value,
};

/// `write` fills a range with what follows from a seed; the image has data, and the memory grows.
const PROGRAM: &str = r#"(module (memory (export "memory") 80 200)
    (data (i32.const 100000) "data in the middle of zeros") (data (i32.const 5000000) "more")
    (func (export "write") (param $from i32) (param $end i32) (param $x i64)
      (loop $l
        (i64.store (local.get $from) (local.get $x))
        (local.set $x (i64.add (i64.mul (local.get $x) (i64.const 6364136223846793005))
                               (i64.const 1442695040888963407)))
        (local.set $from (i32.add (local.get $from) (i32.const 8)))
        (br_if $l (i32.lt_u (local.get $from) (local.get $end)))))
    (func (export "zero") (param $from i32) (param $bytes i32)
      (memory.fill (local.get $from) (i32.const 0) (local.get $bytes)))
    (func (export "grow") (param $pages i32) (result i32) (memory.grow (local.get $pages)))
    (func (export "sum") (result i64) (local $at i32) (local $sum i64)
      (loop $l
        (local.set $sum (i64.add (i64.mul (local.get $sum) (i64.const 31))
                                 (i64.load (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br_if $l (i32.lt_u (local.get $at) (i32.shl (memory.size) (i32.const 16)))))
      (local.get $sum)))"#;

fn call(tasklet: &mut Tasklet, name: &str, args: &[i64]) -> Vec<Value> {
    let args = args.iter().enumerate().map(|(at, &arg)| match (name, at) {
        ("write", 2) => Value::I64(arg),
        _ => Value::I32(arg as i32),
    });
    tasklet.call(name, args.collect()).expect("it can be called");
    match tasklet.run(u64::MAX).expect("it runs") {
        Outcome::Finished(results) => results,
        other => panic!("{name} ended with {other:?}"),
    }
}

fn begun(module: &Module) -> Tasklet {
    let mut tasklet =
        Tasklet::spawn(module, Host::empty(), invoke("grow", &[Value::I32(0)])).expect("it begins");
    tasklet.run(u64::MAX).expect("it runs");
    tasklet
}

fn plain() -> SnapshotOptions {
    SnapshotOptions::default()
}

/// Puts it in place of what may be mapped.
fn save(tasklet: &mut Tasklet, path: &Path) -> Digest {
    let new = path.with_extension("new");
    let digest = tasklet.dump(&mut fs::File::create(&new).expect("a file"), &plain());
    fs::rename(new, path).expect("it is replaced");
    digest.expect("it is written")
}

fn load(module: &Module, path: &Path) -> Tasklet {
    let files = SnapshotChain::open(path, &[], &Limits::DEFAULT).expect("it opens");
    let resolved = files.resolve(&Limits::DEFAULT).expect("it is read");
    Tasklet::load_mapped(module, &resolved, Host::empty()).expect("it is loaded")
}

/// What a copy without a file, a mapping or a kernel's word would write.
fn bytes(module: &Module, tasklet: &mut Tasklet) -> Vec<u8> {
    let snapshot = tasklet.snapshot(&plain()).expect("it can be written").into_owned();
    let digest = Digest([0; 32]);
    let mut copy = Tasklet::load(module, &snapshot, digest, Host::empty()).expect("it is loaded");
    let mut again = copy.snapshot(&plain()).expect("it can be written");
    again.parent = snapshot.parent;
    assert!(again == snapshot, "a copy is the same");
    let mut bytes = Vec::new();
    again.write_to(&mut bytes).expect("it is written");
    bytes
}

/// Random writes, of all sizes, also of zeros and of what was there; grows now and then.
struct Mess(u64);

impl Mess {
    fn next(&mut self, below: u64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below) as i64
    }

    fn make(&mut self, tasklet: &mut Tasklet) {
        for _ in 0..4 {
            let from = self.next(5_000_000) & !7;
            let length = [8, 4096, 50_000, 1_000_000][self.next(4) as usize];
            let end = (from + length).min(5_200_000);
            match self.next(6) {
                0 => drop(call(tasklet, "zero", &[from, end - from])),
                1 if self.next(4) == 0 => drop(call(tasklet, "grow", &[1])),
                _ => {
                    let x = self.next(3);
                    drop(call(tasklet, "write", &[from, end, x]));
                }
            }
        }
    }
}

#[test]
fn mapped_and_copied_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.cbor");
    let module = module(PROGRAM);
    let mut tasklet = begun(&module);
    call(&mut tasklet, "write", &[4096, 3_000_000, 5]);
    save(&mut tasklet, &path);
    let expected = call(&mut tasklet, "sum", &[]);
    let mut mapped = load(&module, &path);
    let file = SnapshotFile::open(&path, &Limits::DEFAULT).unwrap();
    assert_eq!(file.is_mapped(), cfg!(unix));
    assert_eq!(call(&mut mapped, "sum", &[]), expected);
    // Another lives on the same file, and writing is each one's own affair.
    let mut other = load(&module, &path);
    call(&mut mapped, "write", &[8000, 2_000_000, 77]);
    call(&mut mapped, "grow", &[100]);
    assert_eq!(call(&mut other, "sum", &[]), expected);
    let bytes_of_file = fs::read(&path).unwrap();
    assert_eq!(
        Digest::of(&bytes_of_file[..bytes_of_file.len() - 32]).0,
        bytes_of_file[bytes_of_file.len() - 32..]
    );
    // The file may go, as long as it is not changed.
    fs::remove_file(&path).unwrap();
    assert_eq!(call(&mut other, "sum", &[]), expected);
    let changed = bytes(&module, &mut mapped);
    let (snapshot, digest) = Snapshot::read_slice(&changed, &Limits::DEFAULT).unwrap();
    let mut again = Tasklet::load(&module, &snapshot, digest, Host::empty()).unwrap();
    assert_eq!(call(&mut again, "sum", &[]), call(&mut mapped, "sum", &[]));
}

/// A file that others could change is read.
#[cfg(unix)]
#[test]
fn what_others_can_write_is_not_mapped() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.cbor");
    let module = module(PROGRAM);
    let mut tasklet = begun(&module);
    call(&mut tasklet, "write", &[0, 3_000_000, 5]);
    save(&mut tasklet, &path);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).unwrap();
    assert!(!SnapshotFile::open(&path, &Limits::DEFAULT).unwrap().is_mapped());
    let mut loaded = load(&module, &path);
    // So it can be overwritten.
    fs::write(&path, "short").unwrap();
    assert_eq!(call(&mut loaded, "sum", &[]), call(&mut tasklet, "sum", &[]));
}

/// Whatever the kernel says was touched, the snapshot is that of a comparison of all pages.
#[test]
fn what_was_touched_is_all_that_differs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.cbor");
    let module = module(PROGRAM);
    for seed in 1..25 {
        let mut mess = Mess(seed * 0x9e37_79b9);
        let mut tasklet = begun(&module);
        for _ in 0..3 {
            mess.make(&mut tasklet);
            save(&mut tasklet, &path);
            let mut mapped = load(&module, &path);
            assert_eq!(call(&mut mapped, "sum", &[]), call(&mut tasklet, "sum", &[]));
            mess.make(&mut mapped);
            bytes(&module, &mut mapped);
            tasklet = mapped;
        }
    }
}

/// Over a base, with the kernel's word on what was written to and without, the bytes are the same;
/// and laid over the base they are the state.
#[test]
fn over_a_base_all_ways_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let module = module(PROGRAM);
    let mut tracked_once = false;
    for seed in 1..20 {
        let mut mess = Mess(seed * 0x1234_5677);
        let mut tasklet = begun(&module);
        mess.make(&mut tasklet);
        let mut tracking = plain();
        tracking.track_changes = true;
        let _ = fs::remove_file(file("base.cbor"));
        let out = &mut fs::File::create(file("base.cbor")).unwrap();
        let digest = tasklet.dump(out, &tracking).unwrap();
        tracked_once |= tasklet.tracks_changes();
        let files = SnapshotChain::open(&file("base.cbor"), &[], &Limits::DEFAULT).unwrap();
        let resolved = files.resolve(&Limits::DEFAULT).unwrap();
        let base = Base { snapshot: &resolved.snapshot, digest };
        // One that noted what was written to, one that was loaded from the file, and one that
        // knows nothing.
        let mut loaded = load(&module, &file("base.cbor"));
        let mut copied = Tasklet::load(&module, &resolved.snapshot, Digest([1; 32]), Host::empty());
        let copied = copied.as_mut().unwrap();
        let before = mess.0;
        let mut outs = Vec::new();
        for tasklet in [&mut tasklet, &mut loaded, copied] {
            let mut mess = Mess(before);
            mess.make(tasklet);
            let mut snapshot = tasklet.snapshot_over(&plain(), Some(base)).unwrap();
            snapshot.parent = None;
            let mut out = Vec::new();
            snapshot.write_to(&mut out).unwrap();
            outs.push(out);
        }
        assert!(outs[0] == outs[1] && outs[1] == outs[2], "seed {seed}");
        fs::write(file("over.cbor"), &outs[0]).unwrap();
        let mut over = load(&module, &file("over.cbor"));
        let whole = bytes(&module, &mut tasklet);
        let (whole, _) = Snapshot::read_slice(&whole, &Limits::DEFAULT).unwrap();
        let mut again = over.snapshot(&plain()).unwrap();
        again.parent = whole.parent;
        assert!(again == whole, "seed {seed}");
    }
    println!("the kernel noted what was written to: {tracked_once}");
}

/// A snapshot after each of several changes, each over the one before.
#[test]
fn a_long_chain() {
    let folder = tempfile::tempdir().unwrap();
    let module = module(PROGRAM);
    let mut tasklet = begun(&module);
    let mut mess = Mess(99);
    let mut tracking = plain();
    tracking.track_changes = true;
    let file = |number: usize| folder.path().join(format!("{number}.cbor"));
    tasklet.dump(&mut fs::File::create(file(0)).unwrap(), &tracking).unwrap();
    for number in 1..12 {
        mess.make(&mut tasklet);
        let files = SnapshotChain::open(&file(number - 1), &[], &Limits::DEFAULT).unwrap();
        let resolved = files.resolve(&Limits::DEFAULT).unwrap();
        let base = Base { snapshot: &resolved.snapshot, digest: resolved.digest };
        let mut options = tracking.clone();
        options.embed_module = false;
        let mut out = fs::File::create(file(number)).unwrap();
        tasklet.dump_over(&mut out, &options, Some(base)).unwrap();
    }
    let mut loaded = load(&module, &file(11));
    assert_eq!(call(&mut loaded, "sum", &[]), call(&mut tasklet, "sum", &[]));
    fs::remove_file(file(5)).unwrap();
    let error = SnapshotChain::open(&file(11), &[], &Limits::DEFAULT).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn a_large_memory_of_which_little_was_touched() {
    let module = module(
        r#"(module (memory (export "memory") 65536)
          (func (export "f") (i32.store (i32.const 0x70000000) (i32.const 7))))"#,
    );
    let mut tasklet = Tasklet::spawn(&module, Host::empty(), invoke("f", &[])).unwrap();
    tasklet.run(u64::MAX).unwrap();
    let snapshot = tasklet.snapshot(&plain()).unwrap();
    let runs = &snapshot.memories[0].runs;
    assert_eq!((runs.len(), runs[0].first, runs[0].count), (1, 0x70000, 1));
}

#[test]
fn bases_that_do_not_fit_are_refused() {
    let one = module(PROGRAM);
    let mut tasklet = begun(&one);
    let mut large = begun(&one);
    call(&mut large, "grow", &[3]);
    let large = large.snapshot(&plain()).unwrap();
    let refused = |tasklet: &mut Tasklet, base: &Snapshot<'_>| {
        let base = Base { snapshot: base, digest: Digest([2; 32]) };
        let error = tasklet.snapshot_over(&plain(), Some(base)).map(drop).unwrap_err();
        (error.kind(), error.to_string())
    };
    let (kind, text) = refused(&mut tasklet, &large);
    assert!(kind == ErrorKind::Incompatible && text.contains("larger memories"), "{text}");
    let other = module(r#"(module (memory 1) (func (export "f")))"#);
    let mut other = Tasklet::spawn(&other, Host::empty(), invoke("f", &[])).unwrap();
    let (_, text) = refused(&mut other, &large);
    assert!(text.contains("another module"), "{text}");
    let mut over = large.clone();
    over.base = Some(Digest([3; 32]));
    let (_, text) = refused(&mut tasklet, &over);
    assert!(text.contains("a base itself"), "{text}");
    // And what is over a base is not loaded alone.
    let error = Tasklet::load(&one, &over, Digest([1; 32]), Host::empty()).unwrap_err();
    assert!(error.kind() == ErrorKind::Incompatible && error.to_string().contains("over the base"));
}

/// A file that ends with its own base's digest would be looked for again and again.
#[test]
fn a_base_that_is_over_itself_is_no_base() {
    let module = module(PROGRAM);
    let mut tasklet = begun(&module);
    let folder = tempfile::tempdir().expect("a folder");
    let base = tasklet.snapshot(&plain()).expect("it can be written").into_owned();
    let digest = Digest([7; 32]);
    let base = Base { snapshot: &base, digest };
    let path = folder.path().join("over");
    let mut file = fs::File::create(&path).expect("a file");
    tasklet.dump_over(&mut file, &plain(), Some(base)).expect("it is written");
    let mut liar = fs::read(&path).expect("it is there");
    let end = liar.len() - 32;
    liar[end..].copy_from_slice(&digest.0);
    fs::write(folder.path().join("liar"), liar).expect("it is written");
    let error = SnapshotChain::open(&path, &[], &Limits::DEFAULT).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Snapshot);
    assert!(error.to_string().contains("cannot read the base"), "{error}");
}

/// A stream costs no more than what it holds may; however small it is.
#[test]
fn a_small_stream_is_no_large_snapshot() {
    let module = module(
        r#"(module (memory 1024) (func (export "f")
        (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x4000000))))"#,
    );
    let mut tasklet = Tasklet::spawn(&module, Host::empty(), invoke("f", &[])).unwrap();
    tasklet.run(u64::MAX).unwrap();
    let mut compressor = Compressor::new(Vec::new(), 1).unwrap();
    tasklet.dump(&mut compressor, &plain()).unwrap();
    let small = compressor.finish().unwrap();
    assert!(small.len() < 64 << 10, "{}", small.len());
    let mut limits = Limits::DEFAULT;
    limits.memory_bytes = 16 << 20;
    let error = SnapshotFile::read(&small[..], &limits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    SnapshotFile::read(&small[..], &Limits::DEFAULT).unwrap();
    // A stream of anything else for ever.
    let mut endless = Compressor::new(Vec::new(), 1).unwrap();
    for _ in 0..1000 {
        std::io::Write::write_all(&mut endless, &[0xd9; 1 << 16]).unwrap();
    }
    let error = SnapshotFile::read(&endless.finish().unwrap()[..], &Limits::DEFAULT).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Snapshot);
    for at in 0..small.len().min(300) {
        let cut = SnapshotFile::read(&small[..at], &Limits::DEFAULT).unwrap_err();
        assert_eq!(cut.kind(), ErrorKind::Snapshot, "at {at}: {cut}");
        let mut flipped = small.clone();
        flipped[at] ^= 0x10;
        if let Ok(file) = SnapshotFile::read(&flipped[..], &Limits::DEFAULT) {
            // Not everything in a frame's head is of consequence.
            let (_, digest) = file.snapshot(&Limits::DEFAULT).unwrap();
            let whole = SnapshotFile::read(&small[..], &Limits::DEFAULT).unwrap();
            assert_eq!(whole.snapshot(&Limits::DEFAULT).unwrap().1, digest);
        }
    }
}

/// What `zstd` and its relatives make of it by other ways is read, too; what they do not is refused.
#[test]
fn streams_of_several_frames() {
    let module = module(PROGRAM);
    let mut tasklet = begun(&module);
    call(&mut tasklet, "write", &[0, 300_000, 5]);
    let mut plain_bytes = Vec::new();
    let digest = tasklet.dump(&mut plain_bytes, &plain()).unwrap();
    let frame = |bytes: &[u8]| {
        let mut compressor = Compressor::new(Vec::new(), 3).unwrap();
        std::io::Write::write_all(&mut compressor, bytes).unwrap();
        compressor.finish().unwrap()
    };
    let skippable = |length: u32| {
        let mut frame = 0x184d_2a57u32.to_le_bytes().to_vec();
        frame.extend(length.to_le_bytes());
        frame.extend(vec![0xd9; length as usize]);
        frame
    };
    let read = |stream: &[u8]| {
        let file = SnapshotFile::read(stream, &Limits::DEFAULT)?;
        let (_, found) = file.snapshot(&Limits::DEFAULT)?;
        Ok::<Digest, tasklet_engine::Error>(found)
    };
    let (one, two) = plain_bytes.split_at(plain_bytes.len() / 3);
    let good = [
        [skippable(0), frame(&plain_bytes)].concat(),
        [skippable(70_000), skippable(3), frame(&plain_bytes), skippable(9)].concat(),
        [frame(one), frame(two)].concat(),
        [frame(&[]), frame(&one[..1]), skippable(5), frame(&one[1..]), frame(two)].concat(),
    ];
    for (which, stream) in good.iter().enumerate() {
        assert_eq!(read(stream).unwrap(), digest, "{which}");
        // Cut off anywhere in its frames it is no snapshot, and says so.
        for cut in [1, 4, 9, 40, stream.len() / 2, stream.len() - 10] {
            let error = read(&stream[..cut]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Snapshot, "{which}, {cut}: {error}");
        }
    }
    let bad = [
        skippable(100),
        [frame(&plain_bytes), vec![0]].concat(),
        [frame(&plain_bytes), frame(&[0])].concat(),
        [frame(one), two.to_vec()].concat(),
        [skippable(8), plain_bytes.clone()].concat(),
        frame(&frame(&plain_bytes)),
        // Longer than there is anything of it.
        [&0x184d_2a50u32.to_le_bytes()[..], &[0xff; 4]].concat(),
    ];
    for (which, stream) in bad.iter().enumerate() {
        assert_eq!(read(stream).unwrap_err().kind(), ErrorKind::Snapshot, "{which}");
    }
}
