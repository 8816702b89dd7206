//! Restartable imports in snapshots that are not to be trusted, and hosts that do not have them.

mod common;

use std::task::Poll;

use common::{invoke, module, reload};
use tasklet_engine::snapshot::{HostValue, Limits, Position};
use tasklet_engine::{
    Digest, Error, ErrorKind, Host, HostBuilder, HostCtx, Module, Outcome, Progress, Snapshot,
    SnapshotOptions, Status, Tasklet, Value,
};

const ASKING: &str = r#"(module
    (import "host" "other" (func $other (param i32) (result i32)))
    (import "host" "ask" (func $ask (param i32) (result i32)))
    (func (export "run") (result i32) (i32.add (call $ask (i32.const 40)) (i32.const 1))))"#;

/// There on the third poll of all issues together.
fn asked(_: &mut HostCtx<'_>, progress: Progress<Vec<f64>>, n: i32) -> Asked {
    Ok(Box::pin(std::future::poll_fn(move |_| {
        let mut polls = progress.get().unwrap_or_default();
        if polls.len() == 2 {
            return Poll::Ready(Ok(n + 1));
        }
        polls.push(0.1);
        progress.set(polls);
        Poll::Pending
    })))
}

type Asked = Result<
    std::pin::Pin<Box<dyn Future<Output = Result<i32, tasklet_engine::HostError>> + Send>>,
    tasklet_engine::HostError,
>;

fn other() -> HostBuilder {
    Host::builder().func_wrap("host", "other", |_: &mut HostCtx<'_>, n: i32| n)
}

fn host() -> Host {
    other().restartable_wrap("host", "ask", asked).build()
}

fn waiting(module: &Module) -> Tasklet {
    let mut tasklet = Tasklet::spawn(module, host(), invoke("run", &[])).unwrap();
    assert!(matches!(tasklet.run(u64::MAX).unwrap(), Outcome::Waiting(_)));
    tasklet
}

/// The value of that key of the state.
fn field<'a>(snapshot: &'a mut Snapshot<'_>, key: &str) -> &'a mut HostValue {
    let HostValue::Map(pairs) = &mut snapshot.host[0].1 else { panic!("a map") };
    let found = pairs.iter_mut().find(|(name, _)| *name == HostValue::Text(key.into()));
    &mut found.unwrap().1
}

fn load(module: &Module, snapshot: &Snapshot<'_>, host: Host) -> Result<Tasklet, Error> {
    Tasklet::load(module, snapshot, Digest([0; 32]), host)
}

#[test]
fn loaded_it_is_issued_again_with_its_state() {
    let module = module(ASKING);
    let mut tasklet = waiting(&module);
    // Twice without having run in between.
    let mut copy = reload(&mut tasklet, host());
    let mut copy = reload(&mut copy, host());
    assert_eq!(copy.waiting(), None);
    assert!(matches!(copy.run(0).unwrap(), Outcome::Waiting(_)));
    let mut third = reload(&mut copy, host());
    for tasklet in [&mut tasklet, &mut copy] {
        assert!(!matches!(tasklet.run(u64::MAX).unwrap(), Outcome::OutOfBudget));
    }
    assert_eq!(tasklet.run(u64::MAX).unwrap(), Outcome::Finished(vec![Value::I32(42)]));
    assert_eq!(copy.status(), &Status::Finished(vec![Value::I32(42)]));
    assert_eq!(third.run(u64::MAX).unwrap(), Outcome::Finished(vec![Value::I32(42)]));
}

#[test]
fn a_host_without_it_is_told_which() {
    let module = module(ASKING);
    let mut tasklet = waiting(&module);
    let snapshot = tasklet.snapshot(&SnapshotOptions::default()).unwrap();
    let immediate = |_: &mut HostCtx<'_>, n: i32| n;
    let suspending = |_: &mut HostCtx<'_>, n: i32| Ok(std::future::ready(Ok(n)));
    let cases = [
        (other().build(), "lacks"),
        (other().func_wrap("host", "ask", immediate).build(), "does not declare restartable"),
        (other().suspending_wrap("host", "ask", suspending).build(), "does not declare restart"),
    ];
    for (host, why) in cases {
        let error = load(&module, &snapshot, host).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incompatible);
        let text = error.to_string();
        assert!(text.contains("`host::ask`") && text.contains(why), "{text}");
    }
    // Of another type.
    let wide = |_: &mut HostCtx<'_>, _: Progress<Vec<f64>>, n: i64| Ok(std::future::ready(Ok(n)));
    let host = other().restartable_wrap("host", "ask", wide).build();
    assert_eq!(load(&module, &snapshot, host).map(drop).unwrap_err().kind(), ErrorKind::Import);
    // With a state of another type.
    let named = |_: &mut HostCtx<'_>, _: Progress<String>, n: i32| Ok(std::future::ready(Ok(n)));
    let host = other().restartable_wrap("host", "ask", named).build();
    let error = load(&module, &snapshot, host).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Snapshot);
    assert!(error.to_string().contains("the restartable import `host::ask`"), "{error}");
}

/// A snapshot of version 3 that an earlier build has written (`BLESS=1` writes it): it is read, and
/// written again byte for byte, and goes on.
#[test]
fn a_golden_file_is_read_and_written_again() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/testdata/v3-pending-import.cbor");
    if std::env::var_os("BLESS").is_some() {
        let mut bytes = Vec::new();
        waiting(&module(ASKING)).dump(&mut bytes, &SnapshotOptions::default()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let golden = std::fs::read(path).unwrap();
    let (snapshot, _) = Snapshot::read_slice(&golden, &Limits::DEFAULT).unwrap();
    let module = Module::for_snapshot(&common::engine(), &snapshot, None).unwrap();
    let mut tasklet = load(&module, &snapshot, host()).unwrap();
    let mut again = tasklet.snapshot(&SnapshotOptions::default()).unwrap();
    again.parent = None;
    let mut bytes = Vec::new();
    again.write_to(&mut bytes).unwrap();
    assert!(bytes == golden, "what was read is not written again");
    assert!(matches!(tasklet.run(u64::MAX).unwrap(), Outcome::Waiting(_)));
    assert_eq!(tasklet.run(u64::MAX).unwrap(), Outcome::Finished(vec![Value::I32(42)]));
}

type Forge = fn(&mut Snapshot<'_>);

#[test]
fn forged_states_are_errors() {
    let module = module(ASKING);
    let mut tasklet = waiting(&module);
    let good = tasklet.snapshot(&SnapshotOptions::default()).unwrap();
    let cases: [(Forge, ErrorKind, &str); 10] = [
        (|s| s.host[0].1 = HostValue::Null, ErrorKind::Snapshot, "the state of `tasklet.import`"),
        (
            |s| *field(s, "name") = HostValue::Text("other".into()),
            ErrorKind::Snapshot,
            "`host::other`, in which its innermost frame is not",
        ),
        (
            |s| *field(s, "module") = HostValue::Text("nowhere".into()),
            ErrorKind::Snapshot,
            "`nowhere::ask`, in which its innermost frame is not",
        ),
        (
            |s| *field(s, "state") = HostValue::Bytes(vec![0; (1 << 20) + 1]),
            ErrorKind::Limit,
            "1048577 bytes for the state of the import `host::ask`",
        ),
        (
            |s| *field(s, "state") = HostValue::Bytes(vec![0x9b, 0xff, 0, 0, 0, 0, 0, 0, 0]),
            ErrorKind::Snapshot,
            "cannot decode as CBOR",
        ),
        (|s| *field(s, "state") = HostValue::Bytes(vec![]), ErrorKind::Snapshot, "cannot decode"),
        (|s| *field(s, "state") = HostValue::Null, ErrorKind::Snapshot, "the state of"),
        (
            // Another import of the same type: the record is not its.
            |s| s.frames.last_mut().unwrap().function = 0,
            ErrorKind::Snapshot,
            "in which its innermost frame is not",
        ),
        (
            |s| s.frames.last_mut().unwrap().locals.clear(),
            ErrorKind::Snapshot,
            "the arguments of the import are not all there",
        ),
        (
            |s| s.frames.last_mut().unwrap().at = Position::Entry,
            ErrorKind::Incompatible,
            "nothing pauses at Entry",
        ),
    ];
    for (forge, kind, message) in cases {
        let mut forged = good.clone();
        forge(&mut forged);
        let error = load(&module, &forged, host()).map(drop).unwrap_err();
        assert!(error.to_string().contains(message), "{error} instead of {message}");
        assert_eq!(error.kind(), kind, "{error}");
    }
    // Without the record it is a call that has not been issued yet.
    let mut forged = good.clone();
    forged.host.clear();
    let mut tasklet = load(&module, &forged, host()).unwrap();
    assert!(matches!(tasklet.run(u64::MAX).unwrap(), Outcome::Waiting(_)));
}
