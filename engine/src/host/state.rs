//! Imported state: globals, which the host gives, and memories, tables and tags, which a tasklet
//! can have as its own.

use std::sync::Arc;

use tasklet_instrumenter::{GlobalInfo, Metadata};
use wasmtime::{ExternType, Global, RootScope, Store};

use super::{Host, HostBuilder};
use crate::error::Error;
use crate::module::Module;
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::value::{self, HostObject, Value, type_name};

impl HostBuilder {
    /// Gives the value of an imported global. An immutable one is an input: snapshots hold it, and a
    /// tasklet that is loaded has that of its snapshot. A mutable one begins with it and is the
    /// tasklet's own from then on.
    ///
    /// Functions and exceptions can only be null: there are none before the tasklet is there.
    pub fn global(mut self, module: &str, name: &str, value: Value) -> HostBuilder {
        self.host.globals.insert((module.to_string(), name.to_string()), value);
        self
    }

    /// Lets the tasklet have an imported memory, table or tag as its own: of the type the module
    /// asks for, of the least size, zero or null. Nobody else sees it but by way of host imports.
    pub fn adopt(mut self, module: &str, name: &str) -> HostBuilder {
        Arc::make_mut(&mut self.host.adopted).insert((module.to_string(), name.to_string()));
        self
    }
}

/// Checks that the host lets the tasklet have what the module imports of memories, tables and tags.
pub(crate) fn check_adopted(host: &Host, metadata: &Metadata) -> Result<(), Error> {
    let memories = metadata.memories.iter().map(|info| (&info.import, "memory"));
    let tables = metadata.tables.iter().map(|info| (&info.import, "table"));
    let tags = metadata.tags.iter().map(|info| (&info.import, "tag"));
    for (import, kind) in memories.chain(tables).chain(tags) {
        if let Some(import) = import
            && !host.adopted.contains(import)
        {
            return Err(Error::UnknownImport {
                module: import.0.clone(),
                name: import.1.clone(),
                ty: kind.to_string(),
                way_out: format!(
                    "a program that embeds the engine can let the tasklet have a {kind} of its \
                     own with `HostBuilder::adopt`"
                ),
            });
        }
    }
    Ok(())
}

fn imported(metadata: &Metadata) -> impl Iterator<Item = (&GlobalInfo, &(String, String))> {
    metadata.globals.iter().filter_map(|info| Some((info, info.import.as_ref()?)))
}

/// The values of the imported globals of a tasklet that is spawned, in the module's order.
pub(crate) fn given_globals(host: &Host, metadata: &Metadata) -> Result<Vec<Value>, Error> {
    let given = |(info, import): (&GlobalInfo, &(String, String))| {
        let value = host.globals.get(import).ok_or_else(|| Error::UnknownImport {
            module: import.0.clone(),
            name: import.1.clone(),
            ty: format!("global {}", type_name(info.ty)),
            way_out: "a program that embeds the engine gives it with `HostBuilder::global`".into(),
        })?;
        check_type(info, import, value)?;
        Ok(value.clone())
    };
    imported(metadata).map(given).collect()
}

fn check_type(info: &GlobalInfo, import: &(String, String), value: &Value) -> Result<(), Error> {
    if value.ty() != info.ty {
        return Err(Error::ImportType {
            module: import.0.clone(),
            name: import.1.clone(),
            wanted: type_name(info.ty).into(),
            provided: type_name(value.ty()).into(),
        });
    }
    if matches!(value, Value::FuncRef(Some(_)) | Value::ExnRef(Some(_))) {
        let what = format!(
            "the imported global `{}::{}` cannot begin with a function or an exception of the \
             module's: give null and let the guest set it",
            import.0, import.1
        );
        return Err(Error::Unsupported { what });
    }
    Ok(())
}

/// The values of the imported globals of a tasklet that is loaded. The snapshot has been checked.
pub(crate) fn written_globals(
    host: &Host,
    metadata: &Metadata,
    snapshot: &Snapshot<'_>,
    objects: &[HostObject],
) -> Result<Vec<Value>, Error> {
    let written = |(info, import): (&GlobalInfo, &(String, String))| {
        if info.mutable {
            // It is set with all others.
            return Ok(Value::zero(info.ty));
        }
        let found = snapshot.globals.iter().find(|(index, _)| *index == info.index);
        let (_, found) = found.ok_or_else(|| Error::internal("a global that was not checked"))?;
        let value = match (found.plain(), found) {
            (Some(plain), _) => Some(plain),
            (None, crate::snapshot::Value::ExternRef(Some(index))) => {
                objects.get(*index as usize).map(|object| Value::ExternRef(Some(object.clone())))
            }
            (None, _) => None,
        };
        let name = format!("global {} (`{}::{}`)", info.index, import.0, import.1);
        let value = value.ok_or_else(|| Error::snapshot(format!("{name} cannot be {found}")))?;
        check_type(info, import, &value).map_err(|error| Error::snapshot(error.to_string()))?;
        match host.globals.get(import) {
            // What an object is cannot be compared.
            Some(given) if !info.ty.is_reference() && *given != value => {
                Err(Error::incompatible(format!("{name} was {value}, the host gives {given}")))
            }
            _ => Ok(value),
        }
    };
    imported(metadata).map(written).collect()
}

/// Makes the imported globals.
pub(crate) fn make_globals(
    store: &mut Store<State>,
    module: &Module,
    values: &[Value],
) -> Result<Vec<Global>, Error> {
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let mut scope = RootScope::new(store);
    let types = module.compiled().imports().filter_map(|import| match import.ty() {
        ExternType::Global(ty) => Some(ty),
        _ => None,
    });
    let mut globals = Vec::with_capacity(values.len());
    for (ty, value) in types.zip(values) {
        let value = match value {
            // There is no instance yet whose functions could be looked up; these are null.
            Value::FuncRef(_) => wasmtime::Val::FuncRef(None),
            value => value::to_wasm(&mut scope, value)?,
        };
        let global = Global::new(&mut scope, ty, value);
        globals.push(global.map_err(|error| Error::Instantiate(error.into_boxed_dyn_error()))?);
    }
    Ok(globals)
}
