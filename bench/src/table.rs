//! Printing what was measured.

use serde_json::{Value, json};

use crate::measure::{Row, WAYS};

/// The ratios of a row, in the order of [`TITLES`]; none where something was not measured.
type Ratios = [Option<f64>; 7];

const TITLES: [&str; 7] = ["fuel", "epoch", "asyncify", "tasklet", "code", "compile", "wasm"];

/// Tasklet's way.
const OURS: usize = 4;

fn ratios(row: &Row) -> Ratios {
    let plain = row.columns[0];
    let against = |way: usize, value: &dyn Fn(&crate::measure::Column) -> f64| {
        Some(value(row.columns[way].as_ref()?) / value(plain.as_ref()?))
    };
    let seconds = |way| against(way, &|column| column.seconds);
    [
        seconds(1),
        seconds(2),
        seconds(3),
        seconds(OURS),
        against(OURS, &|column| column.compiled.code_bytes as f64),
        against(OURS, &|column| column.compiled.seconds),
        against(OURS, &|column| column.compiled.wasm_bytes as f64),
    ]
}

/// What is said of many rows at once.
fn summaries(rows: &[Row]) -> Vec<(&'static str, Ratios)> {
    let all: Vec<Ratios> = rows.iter().map(ratios).collect();
    let big: Vec<Ratios> = rows.iter().filter(|row| row.big).map(ratios).collect();
    let over = |of: &[Ratios], summary: &dyn Fn(&[f64]) -> f64| -> Ratios {
        std::array::from_fn(|at| {
            let values: Vec<f64> = of.iter().filter_map(|row| row[at]).collect();
            (!values.is_empty()).then(|| summary(&values))
        })
    };
    let geomean =
        |values: &[f64]| (values.iter().map(|v| v.ln()).sum::<f64>() / values.len() as f64).exp();
    let worst = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let mut summaries = vec![("geomean", over(&all, &geomean))];
    if !big.is_empty() {
        summaries.push(("geomean of the big ones", over(&big, &geomean)));
    }
    summaries.push(("worst", over(&all, &worst)));
    summaries
}

fn cell(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".into(), |ratio| format!("{ratio:.2}"))
}

/// The head of the table for people.
pub fn head() -> String {
    let titles: String = TITLES.iter().map(|title| format!("{title:>9}")).collect();
    format!("{:24}{:>9}{:>10}{titles}", "program (* big)", "plain ms", "M steps")
}

/// One row of it.
pub fn line(row: &Row) -> String {
    let name = format!("{}{}", row.name, if row.big { " *" } else { "" });
    let plain = row.columns[0].map_or(0.0, |column| column.seconds * 1e3);
    let cells: String = ratios(row).into_iter().map(|it| format!("{:>9}", cell(it))).collect();
    format!("{name:24}{plain:9.1}{:10.1}{cells}", row.steps as f64 / 1e6)
}

/// What comes below it.
pub fn foot(rows: &[Row]) -> String {
    let mut text = String::new();
    for (name, ratios) in summaries(rows) {
        let cells: String = ratios.into_iter().map(|it| format!("{:>9}", cell(it))).collect();
        text.push_str(&format!("{name:43}{cells}\n"));
    }
    text
}

/// The table of the README.
pub fn markdown(rows: &[Row]) -> String {
    let mut text = String::from(
        "| program | fuel | epoch | asyncify | **tasklet** | code | compile |\n\
         |---|---|---|---|---|---|---|\n",
    );
    let of_rows = rows.iter().map(|row| {
        let name = if row.big { format!("{} \\*", row.name) } else { row.name.clone() };
        (name, ratios(row))
    });
    let below = summaries(rows).into_iter().map(|(name, ratios)| (format!("**{name}**"), ratios));
    for (name, ratios) in of_rows.chain(below) {
        let [fuel, epoch, asyncify, tasklet, code, compile, _] = ratios.map(cell);
        text.push_str(&format!(
            "| {name} | {fuel} | {epoch} | {asyncify} | **{tasklet}** | {code} | {compile} |\n"
        ));
    }
    text
}

/// Everything, for other programs.
pub fn json(rows: &[Row], pauses: &[(String, f64)]) -> Value {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            let ways: serde_json::Map<String, Value> = WAYS
                .iter()
                .zip(&row.columns)
                .filter_map(|(way, column)| {
                    let column = column.as_ref()?;
                    let value = json!({
                        "seconds": column.seconds,
                        "compile_seconds": column.compiled.seconds,
                        "code_bytes": column.compiled.code_bytes,
                        "wasm_bytes": column.compiled.wasm_bytes,
                    });
                    Some(((*way).to_owned(), value))
                })
                .collect();
            json!({ "name": row.name, "big": row.big, "steps": row.steps, "ways": ways })
        })
        .collect();
    let pauses: Vec<Value> =
        pauses.iter().map(|(of, seconds)| json!({ "of": of, "seconds": seconds })).collect();
    json!({ "programs": rows, "pause_and_resume": pauses })
}
