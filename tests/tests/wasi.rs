//! Every call of WASI preview 1, answered as wasmtime answers it, however the program is paused.
//!
//! `wasi/calls.wasm` makes the calls and prints what comes back; `wasi/answers.txt` is what it
//! prints in wasmtime's own Python package, written by `tests/wasi/run --bless`, which also says how
//! all this is made. A line `tasklet> ...` stands for the one before it where we differ, which
//! `docs/wasi.md` gives the reasons for.
#![cfg(unix)]

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, ensure};
use tasklet_engine::snapshot::{Limits, Snapshot};
use tasklet_engine::wasi::{Capture, Clock, Function, Output, RestoreOptions, Stdin, WasiOptions};
use tasklet_engine::{
    Engine, EngineOptions, Entry, Host, Module, Outcome, SnapshotOptions, Tasklet,
};
use tasklet_tests::random::Random;
use tasklet_tests::states::scene::{INPUT, folder, preopens};

/// The arguments of the scene `main`, and the environment: as in `compare.py`.
const ARGS: [&str; 4] = ["", "two words", "\u{e9}\u{1f600}", "-x=\\\"'\n"];
const ENV: [(&str, &str); 4] =
    [("NAME", "value"), ("EMPTY", ""), ("UTF", "\u{e9}"), ("NAME", "again")];

/// One run of the program, and what wasmtime says it prints.
struct Scene {
    args: Vec<String>,
    lines: Vec<String>,
}

fn scenes() -> anyhow::Result<Vec<Scene>> {
    let mut scenes: Vec<Scene> = Vec::new();
    for line in fs::read_to_string(tasklet_tests::root().join("tests/wasi/answers.txt"))?.lines() {
        if let Some(args) = line.strip_prefix("$ ") {
            let args = args.split(' ').map(str::to_owned).collect();
            scenes.push(Scene { args, lines: Vec::new() });
            continue;
        }
        let lines = &mut scenes.last_mut().context("a scene comes first")?.lines;
        match line.strip_prefix("tasklet> ") {
            Some(ours) => *lines.last_mut().context("a line to replace")? = ours.into(),
            None => lines.push(line.into()),
        }
    }
    // Where one ends and the other goes on, nothing stands for a line that is not there.
    for scene in &mut scenes {
        scene.lines.retain(|line| line != "(nothing)");
        if scene.args == ["main"] {
            scene.args.extend(ARGS.map(str::to_owned));
        }
    }
    Ok(scenes)
}

/// Runs a scene, moving into a fresh store whenever `budget` is used up or something is waited for;
/// what it printed, and how often it moved.
fn play(
    module: &Module,
    args: &[String],
    mut budget: impl FnMut() -> u64,
    moves: bool,
) -> anyhow::Result<(Vec<String>, u64)> {
    let (folder, output) = (folder()?, Capture::default());
    let stdout = || Output::new(output.clone());
    let name = "calls.wasm".to_owned();
    let begin = WasiOptions {
        args: [name].into_iter().chain(args.iter().cloned()).collect(),
        env: ENV.map(|(name, value)| (name.into(), value.into())).into(),
        preopens: preopens(folder.path()),
        stdin: Stdin::Bytes(INPUT.into()),
        stdout: stdout(),
        seed: Some(1),
        clock: Clock::Host,
        ..WasiOptions::default()
    };
    let mut tasklet = Tasklet::spawn(module, Host::builder().wasi(begin).build(), Entry::Command)?;
    let mut count = 0;
    let ending = loop {
        match tasklet.run(budget())? {
            Outcome::OutOfBudget => {}
            Outcome::Waiting(_) if !moves => {
                tasklet.wait();
                continue;
            }
            Outcome::Waiting(_) => {}
            // Programs end by either, and cannot be told apart from outside.
            Outcome::Finished(_) | Outcome::Exited(0) => break "returned".to_owned(),
            Outcome::Exited(code) => break format!("exit {}", code & 0xff),
            Outcome::Trapped(_) => break "trap".to_owned(),
            other => anyhow::bail!("it ended with {other:?}"),
        }
        if moves {
            let mut bytes = Vec::new();
            tasklet.dump(&mut bytes, &SnapshotOptions::default())?;
            drop(tasklet);
            let (snapshot, digest) = Snapshot::read_from(&mut &bytes[..], &Limits::DEFAULT)?;
            let again = RestoreOptions {
                preopens: preopens(folder.path()),
                stdout: stdout(),
                ..RestoreOptions::default()
            };
            let host = Host::builder().wasi_restore(again).build();
            tasklet = Tasklet::load(module, &snapshot, digest, host)?;
            count += 1;
        }
    };
    let printed = String::from_utf8(output.bytes())?;
    let mut lines: Vec<String> = printed.lines().map(str::to_owned).collect();
    lines.push(format!("ending: {ending}"));
    ensure!(fs::read_to_string(folder.path().join("secret"))? == "secret", "it got out");
    ensure!(fs::read_dir(folder.path())?.count() == 3, "it got out");
    Ok((lines, count))
}

fn same(how: &str, scene: &Scene, found: &[String]) -> anyhow::Result<()> {
    for (index, wanted) in scene.lines.iter().enumerate() {
        let found = found.get(index).map_or("(nothing)", String::as_str);
        ensure!(wanted == found, "{:?} {how}:\n  wanted {wanted}\n  found  {found}", scene.args);
    }
    ensure!(scene.lines.len() == found.len(), "{:?} {how}: more lines", scene.args);
    Ok(())
}

fn module() -> anyhow::Result<Module> {
    let wasm = fs::read(tasklet_tests::root().join("tests/wasi/calls.wasm"))?;
    Ok(Module::load(&Engine::new(&EngineOptions::default())?, &wasm)?)
}

#[test]
fn every_call_is_answered_as_by_wasmtime() -> anyhow::Result<()> {
    let (module, scenes) = (module()?, scenes()?);
    assert!(scenes.len() > 100, "{}", scenes.len());
    let mut called = BTreeSet::new();
    for scene in &scenes {
        let (found, _) = play(&module, &scene.args, || u64::MAX, false)?;
        same("in one go", scene, &found)?;
        called.extend(found.iter().filter_map(|line| Some(line.split_once(": ")?.0.to_owned())));
    }
    let missing: Vec<Function> =
        Function::ALL.iter().copied().filter(|f| !called.contains(f.name())).collect();
    assert_eq!(missing, [Function::ProcExit], "it has no answer but an ending");
    Ok(())
}

#[test]
fn every_call_is_answered_so_however_it_is_paused() -> anyhow::Result<()> {
    let (module, scenes) = (module()?, scenes()?);
    let main = &scenes[0];
    for seed in 0..3 {
        let mut random = Random::new(seed);
        let (found, moves) = play(&module, &main.args, || 1 + random.below(1_500), true)?;
        same(&format!("moving, seed {seed}"), main, &found)?;
        assert!(moves > 1_000, "{moves}");
    }
    Ok(())
}
