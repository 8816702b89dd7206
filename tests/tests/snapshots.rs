//! Snapshot files that are damaged or forged on the level of bytes.
//!
//! Damage is what the digest is for. Forgery has a digest that fits: here every byte of a small
//! snapshot is changed in several ways and the digest is made to fit again. What the reader takes
//! is loaded and run, and must end in a typed error or be the guest's own affair.

use tasklet_engine::snapshot::{self, Limits as ReadLimits, Snapshot};
use tasklet_engine::{
    Digest, Entry, Error, ErrorKind, Host, Limits, Module, ModuleCache, SnapshotOptions, Tasklet,
};
use tasklet_tests::examples;
use tasklet_tests::parallel::{for_all, message};
use tasklet_tests::random::Random;
use tasklet_tests::world::World;

const DIGEST_BYTES: usize = 32;

fn module(name: &str) -> Module {
    Module::load(tasklet_tests::engine(), &examples::named(name).bytes()).expect("it is carried")
}

/// A snapshot of an example, after so many steps.
fn snapshot(name: &str, steps: u64) -> Vec<u8> {
    let example = examples::named(name);
    let mut setup = example.setup().expect("it has one");
    setup.ticking = false;
    let world = World::new(&setup).expect("it can be made");
    let entry = example.entry().expect("it has one");
    let mut tasklet = Tasklet::spawn(&module(name), world.host(), entry).expect("it begins");
    tasklet.run(steps).expect("it runs");
    let mut bytes = Vec::new();
    tasklet.dump(&mut bytes, &SnapshotOptions::default()).expect("it can be written");
    bytes
}

fn read(bytes: &[u8]) -> Result<(Snapshot<'static>, Digest), snapshot::Error> {
    Snapshot::read_from(&mut &*bytes, &ReadLimits::DEFAULT)
}

/// Small ones, so that a forgery cannot make the test slow.
fn host() -> Host {
    let mut limits = Limits::default();
    limits.memory_bytes = 16 << 20;
    limits.table_elements = 10_000;
    Host::builder().limits(limits).build()
}

fn load(bytes: &[u8]) -> Result<Tasklet, Error> {
    load_knowing(None, bytes)
}

/// The same without compiling the module again if it is a known one.
fn load_knowing(known: Option<&Module>, bytes: &[u8]) -> Result<Tasklet, Error> {
    let (snapshot, digest) = read(bytes).map_err(Error::from)?;
    let module = match known.filter(|module| module.hash() == snapshot.module.hash) {
        Some(module) => module.clone(),
        None => Module::for_snapshot(tasklet_tests::engine(), &snapshot, None)?,
    };
    Tasklet::load(&module, &snapshot, digest, host())
}

#[test]
fn truncated_snapshots_are_refused() {
    let bytes = snapshot("counter-wat", 300);
    for length in 0..bytes.len() {
        let error = read(&bytes[..length]).unwrap_err();
        let kind = error.kind();
        let at = length as u64;
        let named = matches!(kind, snapshot::ErrorKind::Truncated { at: found } if *found == at);
        assert!(named, "cut to {length} bytes: {error}");
        assert_eq!(load(&bytes[..length]).unwrap_err().kind(), ErrorKind::Snapshot);
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(read(&longer).is_err());
}

#[test]
fn flipped_bits_are_noticed() {
    let bytes = snapshot("counter-wat", 300);
    let positions: Vec<usize> = (0..bytes.len()).collect();
    let flip = |position: &usize| {
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[*position] ^= 1 << bit;
            let Err(error) = read(&bytes) else { anyhow::bail!("bit {bit} goes unnoticed") };
            let ours = matches!(
                error.kind(),
                snapshot::ErrorKind::Io(_) | snapshot::ErrorKind::Invalid { .. }
            );
            anyhow::ensure!(!ours, "bit {bit}: {error}");
        }
        Ok(())
    };
    for_all(&positions, |position| format!("byte {position}"), flip);
}

#[test]
fn other_versions_and_other_files_are_told_apart() {
    let bytes = snapshot("counter-wat", 300);
    let version = 3 + 1 + 17;
    assert_eq!(bytes[version], 3);
    for found in [0, 4, 23] {
        let mut other = bytes.clone();
        other[version] = found;
        let error = read(&sealed(other)).unwrap_err();
        assert_eq!(*error.kind(), snapshot::ErrorKind::Version { found: found.into() });
    }
    let wasm = examples::named("counter-wat").bytes();
    for other in [&wasm[..], b"#!/bin/sh\necho no snapshot\n", &[0; 4096]] {
        let error = read(other).unwrap_err();
        assert_eq!(*error.kind(), snapshot::ErrorKind::NotASnapshot, "{error}");
    }
}

#[test]
fn the_module_has_to_be_found_and_the_right_one() {
    let example = examples::named("counter-wat");
    let original = module("counter-wat");
    let world = World::new(&example.setup().unwrap()).unwrap();
    let mut tasklet = Tasklet::spawn(&original, world.host(), Entry::Command).unwrap();
    tasklet.run(300).unwrap();
    let mut options = SnapshotOptions::default();
    options.embed_module = false;
    let mut bytes = Vec::new();
    tasklet.dump(&mut bytes, &options).unwrap();
    let (named, digest) = read(&bytes).unwrap();
    assert_eq!(named.module.bytes, None);

    let engine = tasklet_tests::engine();
    let find = |cache: Option<&ModuleCache>| {
        Module::for_snapshot(engine, &named, cache).map(|module| module.hash())
    };
    let error = find(None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains(&original.hash().to_string()), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let cache = ModuleCache::at(folder.path());
    cache.store(&examples::named("counter").bytes()).unwrap();
    assert_eq!(find(Some(&cache)).unwrap_err().kind(), ErrorKind::NotFound);
    cache.store(&example.bytes()).unwrap();
    assert_eq!(find(Some(&cache)).unwrap(), original.hash());

    let error = Tasklet::load(&module("counter"), &named, digest, host()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
    // An embedded module that is not the one the snapshot names, and not even one.
    let (mut swapped, _) = read(&snapshot("counter-wat", 300)).unwrap();
    swapped.module.hash = Digest::of(b"another");
    let mut bytes = Vec::new();
    // The writer may well notice; the reader must.
    if swapped.write_to(&mut bytes).is_ok() {
        assert_eq!(load(&bytes).unwrap_err().kind(), ErrorKind::Snapshot);
    }
}

/// The bytes with a digest that fits them.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let body = bytes.len() - DIGEST_BYTES;
    let digest = blake3::hash(&bytes[..body]);
    bytes[body..].copy_from_slice(digest.as_bytes());
    bytes
}

/// Reads, loads, runs, looks at and writes whatever these bytes are.
fn survives(known: &Module, bytes: &[u8]) -> anyhow::Result<bool> {
    let work = || -> Result<(), Error> {
        let mut tasklet = load_knowing(Some(known), bytes)?;
        tasklet.backtrace()?;
        tasklet.run(20_000)?;
        tasklet.steps_used()?;
        tasklet.balance()?;
        tasklet.backtrace()?;
        tasklet.dump(&mut std::io::sink(), &SnapshotOptions::default())?;
        Ok(())
    };
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
        Ok(Ok(())) => Ok(true),
        Ok(Err(error)) if matches!(error.kind(), ErrorKind::Internal | ErrorKind::Io) => {
            anyhow::bail!("{error:?}")
        }
        Ok(Err(_)) => Ok(false),
        Err(panic) => anyhow::bail!("panicked: {}", message(&*panic)),
    }
}

#[test]
fn forged_bytes_do_no_harm() {
    for (name, steps) in [("counter-wat", 300), ("tables", 40), ("multivalue-run", 200)] {
        let (bytes, module) = (snapshot(name, steps), module(name));
        assert!(survives(&module, &bytes).unwrap(), "{name} itself is refused");
        // The pages of a memory are the guest's own affair: a few of their bytes will do.
        let plain = bytes.len().min(3_000);
        let positions: Vec<usize> = (0..plain).chain(bytes.len() - 100..bytes.len()).collect();
        let forge = |position: &usize| -> anyhow::Result<()> {
            let mut random = Random::new(*position as u64);
            let old = bytes[*position];
            let changes = [
                old ^ 1,
                old ^ 0x20,
                old.wrapping_add(1),
                old.wrapping_sub(1),
                0,
                0xff,
                0xfb,
                0x1b,
            ];
            for new in changes.into_iter().chain([random.word() as u8]) {
                let mut bytes = bytes.clone();
                bytes[*position] = new;
                survives(&module, &sealed(bytes))?;
            }
            // A piece taken out, and one put in.
            let mut shorter = bytes.clone();
            let end = (position + 1 + random.below(4) as usize).min(bytes.len());
            shorter.drain(*position..end);
            if shorter.len() > DIGEST_BYTES {
                survives(&module, &sealed(shorter))?;
            }
            let mut longer = bytes.clone();
            longer.splice(*position..*position, random.bytes(3));
            survives(&module, &sealed(longer)).map(drop)
        };
        for_all(&positions, |position| format!("{name}, byte {position}"), forge);
    }
}
