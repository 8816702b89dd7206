//! Snapshots over others, and compressed ones.

use std::fs;

use crate::bench::{Bench, words};

/// Fills 2 MiB, then changes a few pages for long, and returns a sum of all.
const PROGRAM: &str = r#"(module (memory 40)
  (func (export "f") (result i64) (local $at i32) (local $x i64) (local $n i32)
    i64.const 88172645463325252 local.set $x
    loop $fill
      (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 13))))
      (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 7))))
      (i64.store (local.get $at) (i64.and (local.get $x) (i64.const 0xffffffff)))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $fill (i32.lt_u (local.get $at) (i32.const 2097152)))
    end
    loop $change
      (i64.store (i32.and (local.get $n) (i32.const 0xfff8)) (i64.extend_i32_u (local.get $n)))
      (i64.store offset=2300000 (i32.const 0) (i64.extend_i32_u (local.get $n)))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $change (i32.lt_u (local.get $n) (i32.const 300000)))
    end
    i32.const 0 local.set $at
    loop $sum
      (local.set $x (i64.add (i64.mul (local.get $x) (i64.const 31)) (i64.load (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $sum (i32.lt_u (local.get $at) (i32.const 2400000)))
    end
    local.get $x))"#;

fn start(bench: &Bench, more: &str) {
    bench.write("p.wasm", wat::parse_str(PROGRAM).unwrap());
    let run = "run p.wasm --invoke f --seed 1 --clock virtual";
    bench.run(words(&format!("{run} {more}"))).exits(75);
}

#[test]
fn a_chain_of_bases() {
    let bench = Bench::new();
    start(&bench, "--steps 7M -o t1.cbor");
    bench.run(words("resume t1.cbor --steps 300k --base t1.cbor -o t2.cbor")).exits(75);
    bench.run(words("resume t2.cbor --steps 300k --base t2.cbor -o t3.cbor")).exits(75);
    let [one, two, three] = ["t1.cbor", "t2.cbor", "t3.cbor"].map(|name| bench.read(name).len());
    assert!(two < one / 4 && three < one / 4, "{one} {two} {three}");
    // The same state as without bases, byte for byte.
    bench.run(words("resume t1.cbor --steps 300k -o w2.cbor")).exits(75);
    bench.run(words("resume t2.cbor --steps 0 -o again.cbor")).exits(75);
    let state = |name: &str| {
        let mut json = bench.run(words(&format!("inspect {name} --format json"))).exits(0).json();
        json["parent"].take();
        json["hash"].take();
        json.to_string()
    };
    assert_eq!(state("w2.cbor"), state("again.cbor"));
    let rest = |name: &str| bench.run(words(&format!("resume {name}"))).exits(0).stdout;
    bench.run(words("resume w2.cbor --steps 300k -o w3.cbor")).exits(75);
    assert_eq!(rest("t3.cbor"), rest("w3.cbor"));
    assert!(!rest("t3.cbor").is_empty());
    // What is written over one thing and over another says the same.
    bench.run(words("resume t2.cbor --steps 300k --base t1.cbor -o u3.cbor")).exits(75);
    assert_eq!(rest("u3.cbor"), rest("w3.cbor"));
    bench.run(words("inspect t3.cbor")).exits(0).says("");
    let text = bench.run(words("inspect t3.cbor")).exits(0);
    assert!(text.text().contains("without it this cannot be resumed"), "{}", text.text());
}

#[test]
fn a_base_is_found_by_what_it_is() {
    let bench = Bench::new();
    start(&bench, "--steps 7M -o t1.cbor");
    bench.run(words("resume t1.cbor --steps 300k --base t1.cbor -o t2.cbor")).exits(75);
    let resume = "resume t2.cbor --steps 1k";
    // Under another name.
    fs::rename(bench.path("t1.cbor"), bench.path("x.y")).unwrap();
    bench.run(words(resume)).exits(124);
    fs::create_dir(bench.path("old")).unwrap();
    fs::rename(bench.path("x.y"), bench.path("old/t1")).unwrap();
    bench.run(words(resume)).exits(66).says("which is the base of this one").says("--find-base");
    bench.run(words(&format!("{resume} --find-base old/t1"))).exits(124);
    bench.run(words("inspect t2.cbor")).exits(0);
    // A damaged one is not taken for it.
    let mut damaged = bench.read("old/t1");
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    bench.write("damaged", &damaged);
    bench.run(words(resume)).exits(65).says("cannot read the base");
    // Nor one that is of another program, or is no snapshot.
    bench.run(words("run @counter --steps 100 -o c.cbor")).exits(75);
    bench
        .run(words("resume old/t1 --steps 1 --base c.cbor -o t.cbor"))
        .exits(76)
        .says("another module");
    bench
        .run(words("run @counter --steps 1 --base none.cbor -o t.cbor"))
        .exits(66)
        .says("none.cbor");
    bench.run(words("run @counter --base c.cbor")).exits(2);
}

#[test]
fn compressed() {
    let bench = Bench::new();
    start(&bench, "--steps 7M -o plain.cbor");
    start(&bench, "--steps 7M --compress -o t.zst");
    start(&bench, "--steps 7M --compress=19 -o small.zst");
    let [plain, usual, small] =
        ["plain.cbor", "t.zst", "small.zst"].map(|name| bench.read(name).len());
    assert!(small < plain * 2 / 3 && usual < plain * 2 / 3, "{plain} {usual} {small}");
    let hash = |name: &str| {
        bench.run(words(&format!("inspect {name} --format json"))).exits(0).json()["hash"].clone()
    };
    assert_eq!(hash("plain.cbor"), hash("t.zst"));
    assert_eq!(hash("plain.cbor"), hash("small.zst"));
    let plain = bench.run(words("resume plain.cbor ")).exits(0).stdout;
    assert_eq!(bench.run(words("resume t.zst ")).exits(0).stdout, plain);
    let piped = bench.run_with(&bench.read("small.zst"), words("resume - "));
    assert_eq!(piped.exits(0).stdout, plain);
    // As a base it has to be given: it does not end with its digest.
    bench.run(words("resume t.zst --steps 300k --base t.zst --compress -o u.zst")).exits(75);
    fs::remove_file(bench.path("plain.cbor")).unwrap();
    bench.run(words("resume u.zst --steps 1")).exits(66);
    bench.run(words("resume u.zst --steps 1 --find-base small.zst")).exits(124);
    bench.run(words("run @counter --compress=20 -o t.cbor")).exits(2);
}

#[test]
fn damaged_streams() {
    let bench = Bench::new();
    start(&bench, "--steps 7M --compress -o t.zst");
    let whole = bench.read("t.zst");
    for length in [5, 100, whole.len() / 2, whole.len() - 1] {
        bench.write("cut.zst", &whole[..length]);
        bench.run(words("resume cut.zst")).exits(65).says("");
        bench.run(words("inspect cut.zst")).exits(65).says("compressed");
    }
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 0x55;
    bench.write("flipped.zst", &flipped);
    bench.run(words("resume flipped.zst")).exits(65);
    bench.write("more.zst", [&whole[..], b"tail"].concat());
    bench.run(words("resume more.zst")).exits(65);
}

/// What is larger than the usual limit can be read where it could be written.
#[test]
fn frames_are_shortened_as_one_likes() {
    let bench = Bench::new();
    let deep = "(module (func (export \"f\") (param i32) (result i32) local.get 0 if (result i32) \
                local.get 0 i32.const 1 i32.sub call 0 else i32.const 0 end))";
    bench.write("deep.wasm", wat::parse_str(deep).unwrap());
    bench.run(words("run deep.wasm --invoke f --steps 10k -o t.cbor 1000000")).exits(75);
    let json = |more: &str| {
        bench.run(words(&format!("inspect t.cbor --format json {more}"))).exits(0).json()
    };
    let all = json("");
    let count = all["frames"].as_u64().unwrap();
    assert!(count > 500, "{count}");
    assert_eq!(all["backtrace"].as_array().unwrap().len() as u64, count);
    let few = json("--frames 18");
    assert_eq!(few["frames"], all["frames"]);
    assert_eq!(few["backtrace"].as_array().unwrap().len(), 18);
    assert_eq!(few["backtrace"][0], all["backtrace"][0]);
    assert_eq!(few["backtrace"][17], all["backtrace"][count as usize - 1]);
    assert_eq!(few["frames_left_out"]["first"], 16);
    assert_eq!(few["frames_left_out"]["count"], count - 18);
    assert_eq!(json("--frames 0")["backtrace"].as_array().unwrap().len(), 0);
    let lines = |more: &str| {
        let text = bench.run(words(&format!("inspect t.cbor {more}"))).exits(0);
        text.text()
            .lines()
            .filter(|line| line.contains(": f (") || line.contains("function 0"))
            .count()
    };
    assert_eq!((lines(""), lines("--frames 9"), lines("--frames 100")), (45, 9, 100));
}

/// The flags of who resumes what has ended hold for what is written again.
#[test]
fn what_has_ended_is_compressed_too() {
    let bench = Bench::new();
    bench.run(words("run @exit 7 -o end.cbor")).exits(7);
    bench.run(words("resume end.cbor --compress -o end.zst")).exits(7);
    assert!(bench.read("end.zst").starts_with(&[0x28, 0xb5, 0x2f, 0xfd]));
    let hash = |name: &str| {
        bench.run(words(&format!("inspect {name} --format json"))).exits(0).json()["hash"].clone()
    };
    assert_eq!(hash("end.zst"), hash("end.cbor"));
}

#[cfg(unix)]
#[test]
fn a_base_may_be_a_link() {
    let bench = Bench::new();
    bench.run(words("run @counter --seed 1 --clock virtual --steps 500 -o t1.cbor")).exits(75);
    bench.run(words("resume t1.cbor --steps 100 --base t1.cbor -o t2.cbor")).exits(75);
    let folder = bench.path("elsewhere");
    fs::create_dir(&folder).unwrap();
    fs::rename(bench.path("t2.cbor"), folder.join("t2.cbor")).unwrap();
    bench.run(words("resume elsewhere/t2.cbor --steps 9")).exits(66).says("--find-base");
    std::os::unix::fs::symlink("../t1.cbor", folder.join("one")).unwrap();
    bench.run(words("resume elsewhere/t2.cbor --steps 9")).exits(124);
}

/// Mapped or copied, with a base or without, and with the file removed or replaced meanwhile.
#[test]
fn mapped_is_as_copied() {
    let bench = Bench::new();
    start(&bench, "--steps 7M -o t1.cbor");
    bench.run(words("resume t1.cbor --steps 300k --base t1.cbor -o t2.cbor")).exits(75);
    let rest = bench.run(words("resume t2.cbor")).exits(0).stdout;
    assert_eq!(bench.run(words("resume t2.cbor --map")).exits(0).stdout, rest);
    for map in ["--map", ""] {
        let name = format!("next{map}.cbor");
        bench.run(words(&format!("resume t1.cbor --steps 300k -o {name} {map}"))).exits(75);
        // Written over what it is mapped from.
        bench.run(words(&format!("resume {name} --steps 300k -o {name} {map}"))).exits(75);
    }
    assert_eq!(bench.read("next--map.cbor"), bench.read("next.cbor"));
    assert_eq!(bench.run(words("resume next.cbor --map")).exits(0).stdout, rest);
}
