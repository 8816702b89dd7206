//! Printing what was measured.

use super::contender::{Figures, NAMES};
use super::cpu::median;

const TITLES: [&str; NAMES.len()] = ["turn", "message", "spawn", "spawn, run, drop", "memory each"];

/// The table: nanoseconds, and bytes of memory; behind them how many times those of the first line.
pub fn text(names: &[&str], figures: &[Figures], markdown: bool) -> String {
    let medians: Vec<[Option<f64>; NAMES.len()]> = figures
        .iter()
        .map(|figures| {
            std::array::from_fn(|at| {
                let measured = &figures.measured[at];
                (!measured.is_empty()).then(|| median(measured))
            })
        })
        .collect();
    let mut text = match markdown {
        true => format!("| | {} |\n|---|---|---|---|---|---|\n", TITLES.join(" | ")),
        false => format!("{:20}{}\n", "", TITLES.map(|title| format!("{title:>22}")).concat()),
    };
    for (name, row) in names.iter().zip(&medians) {
        let cells: [String; NAMES.len()] = std::array::from_fn(|at| {
            let first = medians.first().and_then(|first| first[at]);
            cell(at, row[at], first)
        });
        text.push_str(&match markdown {
            true => format!("| {name} | {} |\n", cells.join(" | ")),
            false => format!("{name:20}{}\n", cells.map(|cell| format!("{cell:>22}")).concat()),
        });
    }
    text
}

fn cell(at: usize, value: Option<f64>, first: Option<f64>) -> String {
    let Some(value) = value else { return "-".into() };
    let ratio = first.map_or(String::new(), |first| format!(" ({:.2})", value / first));
    match NAMES[at] {
        "memory" => format!("{:.1} KiB{ratio}", value / 1024.0),
        _ => format!("{value:.0} ns{ratio}"),
    }
}
