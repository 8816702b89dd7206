//! The restartable import that a tasklet waits for, as its snapshot has it.
//!
//! Its arguments are those of the innermost frame. This is which import it is, so that it cannot be
//! taken for another, and how far it has come.

use serde::{Deserialize, Serialize};
use tasklet_instrumenter::Metadata;

use super::{Host, Issued, Kind, import_name, way_out};
use crate::error::Error;
use crate::limits::IMPORT_STATE_BYTES_MAX;
use crate::snapshot::{Position, Snapshot};
use crate::state::State;
use crate::wasi::Bytes;

/// The name of the state in snapshots.
pub(crate) const NAMESPACE: &str = "tasklet.import";

/// What a snapshot holds of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    module: String,
    name: String,
    state: Bytes,
}

/// The record of what a tasklet waits for, if it waits for an import of the embedder's; the import's
/// name if it cannot be written down.
pub(crate) fn written_import(state: &State) -> Result<Option<Record>, Error> {
    let Some(issued) = &state.issued else { return Ok(None) };
    let import = import_name(&state.metadata, issued.function());
    let Some(attempt) = issued.attempt() else {
        let (backtrace, way_out) = (Vec::new(), way_out::PENDING);
        return Err(Error::InsideHostImport { import, backtrace, way_out });
    };
    let bytes = attempt.written().map_err(|error| Error::Codec {
        codec: "Progress".into(),
        place: format!("the restartable import `{import}`"),
        message: error.to_string(),
    })?;
    let number = issued.function() as usize;
    let (module, name) = state.metadata.imports.get(number).cloned().unwrap_or_default();
    Ok(Some(Record { module, name, state: Bytes(bytes) }))
}

/// What a tasklet waits for whose snapshot holds this. The frames have been checked.
pub(crate) fn resume_import(
    host: &Host,
    metadata: &Metadata,
    snapshot: &Snapshot<'_>,
) -> Result<Option<Issued>, Error> {
    let Some((_, value)) = snapshot.host.iter().find(|(name, _)| name == NAMESPACE) else {
        return Ok(None);
    };
    let refused = |what: String| Error::snapshot(format!("the state of `{NAMESPACE}`: {what}"));
    let record: Record = value.deserialized().map_err(|error| refused(error.to_string()))?;
    let Record { module, name, state: Bytes(state) } = record;
    if state.len() > IMPORT_STATE_BYTES_MAX {
        return Err(Error::limit(format!(
            "{} bytes for the state of the import `{module}::{name}`",
            state.len()
        )));
    }
    let innermost = snapshot.frames.last().filter(|frame| frame.at == Position::Import);
    let innermost = innermost.map(|frame| frame.function);
    let import = (module, name);
    let Some(function) = innermost.filter(|&f| metadata.imports.get(f as usize) == Some(&import))
    else {
        return Err(refused(format!(
            "it waits for the import `{}::{}`, in which its innermost frame is not",
            import.0, import.1
        )));
    };
    let provided = host.functions.get(&import);
    let name = format!("{}::{}", import.0, import.1);
    let Some(Kind::Restartable(restart)) = provided.map(|function| &function.kind) else {
        let what = if provided.is_some() { "does not declare restartable" } else { "lacks" };
        return Err(Error::incompatible(format!(
            "it waits for the import `{name}`, which this host {what}: give it with \
             `HostBuilder::restartable`"
        )));
    };
    let attempt = restart(Some(&state)).map_err(|error| {
        Error::snapshot(format!("the state of the restartable import `{name}`: {error}"))
    })?;
    Ok(Some(Issued::written(function, attempt)))
}
