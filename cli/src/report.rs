//! `--report`: what happened, for programs.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value as Json, json};
use tasklet_engine::{Digest, Outcome};

use crate::ending::Ending;
use crate::output::{Readers, Target};

/// Writes a ending.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, ending: &Ending, exit_code: i32) -> Result<()> {
    let text = format!("{:#}\n", json(ending, exit_code));
    let target = Target::File(path.to_owned());
    target.write(Readers::Usual, |out| Ok(out.write_all(text.as_bytes())?))?;
    Ok(())
}

fn json(ending: &Ending, exit_code: i32) -> Json {
    let (status, reason, details) = status(&ending.outcome);
    let (saved, (module, module_bytes)) = (ending.saved.as_ref(), ending.module);
    let hash = |digest: Option<Digest>| digest.map(|digest| digest.to_string());
    let file = saved.map(|saved| match &saved.target {
        Target::Stdout => "-".to_string(),
        Target::File(path) => path.display().to_string(),
    });
    json!({
        "status": status,
        "reason": reason,
        "outcome": details,
        "exit_code": exit_code,
        "steps_used": ending.steps_used,
        // After a trap it is the last count that was known.
        "steps_exact": status != "trapped",
        "steps_slice": ending.steps_slice,
        "balance": ending.balance,
        "snapshot": file,
        "sizes": {
            "module": module_bytes,
            "snapshot": saved.map(|saved| saved.bytes),
            "memory": ending.memory_bytes,
        },
        "hashes": {
            "module": module.to_string(),
            "snapshot": hash(saved.map(|saved| saved.digest)),
            "parent": hash(ending.parent),
        },
    })
}

fn status(outcome: &Outcome) -> (&'static str, Option<&'static str>, Json) {
    match outcome {
        Outcome::Finished(results) => {
            let results: Vec<Json> = results.iter().map(value).collect();
            ("finished", None, json!({ "results": results }))
        }
        Outcome::Exited(code) => ("exited", None, json!({ "code": code })),
        Outcome::Trapped(trap) => {
            let frame = |frame: &tasklet_engine::TrapFrame| json!({ "function": frame.function, "name": frame.name, "offset": frame.offset });
            let lines: Vec<Json> = trap.backtrace.iter().map(frame).collect();
            ("trapped", None, json!({ "message": trap.message, "backtrace": lines }))
        }
        Outcome::Interrupted => ("paused", Some("requested"), Json::Null),
        Outcome::Waiting(_) => ("paused", Some("waiting"), Json::Null),
        _ => ("paused", Some("out-of-budget"), Json::Null),
    }
}

/// A wasm value: its type and, as text so that no reader rounds it, what it is.
pub fn value(value: &tasklet_engine::Value) -> Json {
    typed(value.ty(), value.to_string())
}

/// The same of a value in a snapshot.
pub fn written(value: &tasklet_engine::snapshot::Value) -> Json {
    typed(value.ty(), value.to_string())
}

fn typed(ty: tasklet_engine::ValType, value: String) -> Json {
    json!({ "type": format!("{ty:?}").to_ascii_lowercase(), "value": value })
}
