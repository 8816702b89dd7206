//! Tables: sizes and runs of elements.

use super::reader::Reader;
use super::rules::{self, RunOrder};
use super::writer::{Writer, major};
use super::{Error, RefType, TableRun, TableState, value};

pub(super) fn encode_tables(tables: &[TableState], w: &mut Writer<'_>) -> Result<(), Error> {
    w.array(tables.len())?;
    for table in tables {
        w.array(4)?;
        w.unsigned(table.index)?;
        w.unsigned(value::ref_code(table.element))?;
        w.unsigned(table.size)?;
        w.array(table.runs.len())?;
        for run in &table.runs {
            w.array(2)?;
            w.unsigned(run.first)?;
            w.array(run.elements.len())?;
            run.elements.iter().try_for_each(|&index| w.index_or_null(index))?;
        }
    }
    Ok(())
}

pub(super) fn decode_tables(r: &mut Reader<'_>) -> Result<Vec<TableState>, Error> {
    let mut previous = None;
    r.list(
        |limits| &mut limits.tables,
        "tables",
        |r| {
            // Version 1 has tables of functions only.
            let typed = r.version > 1;
            r.tuple(if typed { 4 } else { 3 }, "a table")?;
            let at = r.at();
            let index = r.u32("a table index")?;
            r.rule(at, rules::ascending(previous.replace(index), index))?;
            let element = if typed { decode_element(r)? } else { RefType::Func };
            let at = r.at();
            let size = r.unsigned("a table's size")?;
            r.spend(at, size, |limits| &mut limits.table_elements, "elements of tables")?;
            let mut order = RunOrder::of_table(size);
            let len = r.expect(major::ARRAY, "table runs")?;
            let runs = r.items(len, |r| decode_run(r, &mut order))?;
            Ok(TableState { index, element, size, runs })
        },
    )
}

fn decode_element(r: &mut Reader<'_>) -> Result<RefType, Error> {
    let at = r.at();
    let code = r.unsigned("a type of elements")?;
    let ty = value::ref_type(r.version, code);
    ty.ok_or_else(|| Error::malformed(at, format!("unknown type of elements {code:#x}")))
}

fn decode_run(r: &mut Reader<'_>, order: &mut RunOrder) -> Result<TableRun, Error> {
    let at = r.at();
    r.tuple(2, "a table run")?;
    let first = r.unsigned("an element's index")?;
    let len = r.expect(major::ARRAY, "elements of a table run")?;
    // Before the elements are read: the order bounds them by the table's size.
    r.rule(at, order.accept(first, len, false))?;
    let elements = r.items(len, |r| r.index_or_null("the index of a reference"))?;
    Ok(TableRun { first, elements })
}
