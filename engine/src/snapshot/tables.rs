//! Tables: sizes and runs of elements.

use super::reader::Reader;
use super::rules::{self, RunOrder};
use super::writer::{Writer, major};
use super::{Error, TableRun, TableState};

pub(super) fn encode_tables(tables: &[TableState], w: &mut Writer<'_>) -> Result<(), Error> {
    w.array(tables.len())?;
    for table in tables {
        w.array(3)?;
        w.unsigned(table.index)?;
        w.unsigned(table.size)?;
        w.array(table.runs.len())?;
        for run in &table.runs {
            w.array(2)?;
            w.unsigned(run.first)?;
            w.array(run.functions.len())?;
            run.functions.iter().try_for_each(|&function| w.index_or_null(function))?;
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
            r.tuple(3, "a table")?;
            let at = r.at();
            let index = r.u32("a table index")?;
            r.rule(at, rules::ascending(previous.replace(index), index))?;
            let at = r.at();
            let size = r.unsigned("a table's size")?;
            r.spend(at, size, |limits| &mut limits.table_elements, "elements of tables")?;
            let mut order = RunOrder::of_table(size);
            let len = r.expect(major::ARRAY, "table runs")?;
            let runs = r.items(len, |r| decode_run(r, &mut order))?;
            Ok(TableState { index, size, runs })
        },
    )
}

fn decode_run(r: &mut Reader<'_>, order: &mut RunOrder) -> Result<TableRun, Error> {
    let at = r.at();
    r.tuple(2, "a table run")?;
    let first = r.unsigned("an element's index")?;
    let len = r.expect(major::ARRAY, "functions of a table run")?;
    // Before the elements are read: the order bounds them by the table's size.
    r.rule(at, order.accept(first, len, false))?;
    let functions = r.items(len, |r| r.index_or_null("a function index"))?;
    Ok(TableRun { first, functions })
}
