//! Printing what was measured.

use serde_json::{Value, json};

use crate::measure::{Changed, Row};

const TITLES: [&str; 10] = [
    "memcpy",
    "to new",
    "dump",
    "to file",
    "synced",
    "load",
    "copied",
    "zstd dump",
    "load",
    "ratio",
];

fn times(row: &Row) -> [f64; 9] {
    [
        row.memcpy,
        row.memcpy_new,
        row.dump,
        row.dump_file,
        row.dump_synced,
        row.load,
        row.load_copied,
        row.dump_zstd,
        row.load_zstd,
    ]
}

/// For people.
pub fn milliseconds(seconds: f64) -> String {
    let ms = seconds * 1e3;
    match ms {
        0.0..1.0 => format!("{ms:.3}"),
        1.0..10.0 => format!("{ms:.2}"),
        10.0..100.0 => format!("{ms:.1}"),
        _ => format!("{ms:.0}"),
    }
}

/// The head of the table for people.
pub fn head() -> String {
    let titles: String = TITLES.iter().map(|title| format!("{title:>10}")).collect();
    format!("{:8}{titles}   (ms)", "touched")
}

/// One row of it.
pub fn line(row: &Row) -> String {
    let cells: String =
        times(row).iter().map(|&time| format!("{:>10}", milliseconds(time))).collect();
    format!("{:8}{cells}{:>10.2}", row.name, row.ratio)
}

/// The head of the table of snapshots over a base.
pub fn changed_head() -> String {
    format!(
        "{:8}{:>14}{:>12}{:>14}{:>12}",
        "touched", "pages written", "dump (ms)", "bytes", "whole (ms)"
    )
}

/// One row of it.
pub fn changed_line(name: &str, row: &Changed) -> String {
    let (dump, whole) = (milliseconds(row.dump), milliseconds(row.whole));
    let how = if row.tracked { "" } else { "   all compared: the kernel tells nothing" };
    format!("{name:8}{:>14}{dump:>12}{:>14}{whole:>12}{how}", row.pages, row.file_bytes)
}

/// The tables of the README.
pub fn markdown(rows: &[Row], name: &str, over: &[Changed]) -> String {
    let mut text = String::from(
        "| touched | memcpy | memcpy to new memory | **dump** | to a file | and synced | **load** | \
         copied | zstd: dump | load | ratio |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let cells: Vec<String> = times(row).iter().map(|&time| milliseconds(time)).collect();
        let [memcpy, new, dump, file, synced, load, copied, packed, unpacked] = &cells[..] else {
            continue;
        };
        text.push_str(&format!(
            "| {} | {memcpy} | {new} | **{dump}** | {file} | {synced} | **{load}** | {copied} | \
             {packed} | {unpacked} | {:.2} |\n",
            row.name, row.ratio
        ));
    }
    text.push_str(&format!(
        "\n| pages written since, of {name} | dump over the base | bytes | dump of all |\n\
         |---|---|---|---|\n"
    ));
    for row in over {
        let (dump, whole) = (milliseconds(row.dump), milliseconds(row.whole));
        text.push_str(&format!("| {} | **{dump}** | {} | {whole} |\n", row.pages, row.file_bytes));
    }
    text
}

/// Everything, for other programs.
pub fn json(rows: &[Row], over: &[Changed]) -> Value {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "touched_bytes": row.bytes,
                "file_bytes": row.file_bytes,
                "memcpy_seconds": row.memcpy,
                "memcpy_new_seconds": row.memcpy_new,
                "dump_seconds": row.dump,
                "dump_file_seconds": row.dump_file,
                "dump_synced_seconds": row.dump_synced,
                "load_seconds": row.load,
                "load_copied_seconds": row.load_copied,
                "dump_zstd_seconds": row.dump_zstd,
                "load_zstd_seconds": row.load_zstd,
                "zstd_ratio": row.ratio,
            })
        })
        .collect();
    let over: Vec<Value> = over
        .iter()
        .map(|row| {
            json!({
                "pages": row.pages,
                "dump_seconds": row.dump,
                "file_bytes": row.file_bytes,
                "whole_seconds": row.whole,
                "tracked_by_the_kernel": row.tracked,
            })
        })
        .collect();
    json!({ "sizes": rows, "over_a_base": over })
}
