//! `tasklet verify`: whether one snapshot follows from another.

use anyhow::Result;
use serde_json::{Value as Json, json};
use tasklet_engine::wasi::RestoreOptions;
use tasklet_engine::{Base, Claim, Digest, Error, Host, ModuleCache, Resolved, Snapshot, Verdict};

use crate::args::{Format, Verify};
use crate::drive;
use crate::exit::Code;
use crate::load;
use crate::output::{self, Talk};

/// Verifies it; the exit code.
///
/// # Errors
/// When a snapshot cannot be read, or the first not be loaded.
pub fn verify(args: &Verify, talk: Talk) -> Result<i32> {
    let limits = load::limits(args.machine.max_memory, args.machine.max_stack);
    let files = [&args.from, &args.to].map(|path| load::snapshot(path, &args.find_base, &limits));
    let [from_files, to_files] = files;
    let (from_files, to_files) = (from_files?, to_files?);
    let from = load::resolve(&from_files, &args.from, &limits)?;
    let to = load::resolve(&to_files, &args.to, &limits)?;
    let cache = if args.machine.no_cache { None } else { ModuleCache::user().ok() };
    let original = load::original(&from.snapshot, args.module.as_deref(), cache.as_ref())?;
    let wasm = original.ok_or(Error::ModuleNotFound { hash: from.snapshot.module.hash })?;
    let engine = load::engine(&args.machine, from.snapshot.profile.is_some())?;
    let module = load::compile(&engine, &wasm, talk)?;
    let system = RestoreOptions {
        preopens: args.machine.dirs.clone(),
        stdin: args.machine.stdin().map(load::stdin_bytes).transpose()?,
        allow_changed_files: args.allow_changed_files,
        ..RestoreOptions::default()
    };
    let allowed = drive::limits(&args.machine, from.snapshot.profile.as_ref());
    let host = Host::builder().wasi_restore(system).limits(allowed).build();
    let written = as_written(&to);
    let claim = Claim { snapshot: &written, digest: to.digest, base: base(&to) };
    let began = Began::of(&from);
    let from = (from.snapshot, from.digest);
    let verdict = tasklet_engine::verify(&module, from, claim, host, args.max_steps)?;
    tell(args, &began, &to, &verdict)
}

/// What is told of the first snapshot, whose pages are given away.
struct Began {
    digest: Digest,
    steps_used: u64,
    deterministic: bool,
}

impl Began {
    fn of(resolved: &Resolved<'_>) -> Began {
        let snapshot = &resolved.snapshot;
        let deterministic = snapshot.profile.is_some();
        Began { digest: resolved.digest, steps_used: snapshot.steps_used, deterministic }
    }
}

/// The snapshot as its own file has it.
fn as_written<'a>(resolved: &'a Resolved<'_>) -> Snapshot<'a> {
    let mut snapshot = resolved.snapshot.lent();
    if let Some(own) = &resolved.own {
        snapshot.memories.clone_from(&own.memories);
        snapshot.base = resolved.base.as_ref().map(|(_, digest)| *digest);
        if !own.embeds_module {
            snapshot.module.bytes = None;
        }
    }
    snapshot
}

fn base<'a>(resolved: &'a Resolved<'a>) -> Option<Base<'a>> {
    resolved.base.as_ref().map(|(snapshot, digest)| Base { snapshot, digest: *digest })
}

fn tell(args: &Verify, from: &Began, to: &Resolved<'_>, verdict: &Verdict) -> Result<i32> {
    let (word, code) = match verdict {
        Verdict::Follows { .. } => ("follows", 0),
        Verdict::Differs(_) => ("differs", Code::Differs.number().into()),
        _ => ("undecided", Code::Undecided.number().into()),
    };
    let text = match args.format {
        Format::Json => format!("{:#}\n", json(from, to, verdict, word)),
        Format::Text => text(args, from, to, verdict),
    };
    output::print(&text)?;
    Ok(code)
}

fn text(args: &Verify, from: &Began, to: &Resolved<'_>, verdict: &Verdict) -> String {
    let (a, b) = (args.from.display(), args.to.display());
    let steps = to.snapshot.steps_used.saturating_sub(from.steps_used);
    let mut text = match verdict {
        Verdict::Follows { direct: true } => {
            format!("`{b}` follows from `{a}`: {steps} steps executed again\n")
        }
        Verdict::Follows { .. } => format!(
            "`{b}` follows from `{a}`: {steps} steps executed again; its parent is another \
             snapshot, which lies between the two if it is what it says\n"
        ),
        Verdict::Differs(difference) => format!(
            "`{b}` does not follow from `{a}`\n  {}\n    executed: {}\n    claimed:  {}\n",
            difference.place, difference.executed, difference.claimed
        ),
        Verdict::TooFar { steps } => format!(
            "whether `{b}` follows from `{a}` was not tried: {steps} steps would have to be \
             executed, by its own word, and --max-steps is {}\n",
            args.max_steps
        ),
        Verdict::Undecided { why } => {
            format!("whether `{b}` follows from `{a}` cannot be told: {why}\n")
        }
        _ => format!("{verdict:?}\n"),
    };
    if matches!(verdict, Verdict::Differs(_)) && !from.deterministic {
        text.push_str(
            "  the program was not started with --deterministic: clocks, chance, input and the \
             processor's NaNs can be why\n",
        );
    }
    output::plain(&text)
}

fn json(from: &Began, to: &Resolved<'_>, verdict: &Verdict, word: &str) -> Json {
    let (mut direct, mut difference, mut why) = (Json::Null, Json::Null, Json::Null);
    match verdict {
        Verdict::Follows { direct: is } => direct = json!(is),
        Verdict::Differs(found) => {
            difference = json!({
                "place": found.place,
                "executed": found.executed,
                "claimed": found.claimed,
            });
        }
        Verdict::Undecided { why: text } => why = json!(text),
        Verdict::TooFar { steps } => why = json!(format!("{steps} steps are more than allowed")),
        _ => {}
    }
    let side = |digest: Digest, steps_used: u64| json!({ "hash": digest.to_string(), "steps_used": steps_used });
    json!({
        "verdict": word,
        "from": side(from.digest, from.steps_used),
        "to": side(to.digest, to.snapshot.steps_used),
        "steps": to.snapshot.steps_used.saturating_sub(from.steps_used),
        "deterministic": from.deterministic,
        "direct": direct,
        "difference": difference,
        "why": why,
    })
}
