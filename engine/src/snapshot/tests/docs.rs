//! What `docs/snapshot-format.md` says is so.

use super::*;

const DOCS: &str = include_str!("../../../../docs/snapshot-format.md");

/// The first block of code in the language.
fn block(language: &str) -> &'static str {
    let (_, rest) = DOCS.split_once(&format!("```{language}\n")).expect("there is a block");
    rest.split_once("```").expect("blocks end").0
}

#[test]
fn the_example_is_a_golden_file() {
    let lines = block("hex").lines().map(|line| line.split('#').next().unwrap_or_default());
    let digits: Vec<char> = lines.flat_map(str::chars).filter(|c| !c.is_whitespace()).collect();
    let golden = include_bytes!("../testdata/v3-exited.cbor");
    let hex: String = golden.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digits.into_iter().collect::<String>(), hex);
}

#[test]
fn the_table_of_limits_is_the_default() {
    // `{:#?}` prints one `name: number,` per line.
    let fields = format!("{:#?}", Limits::DEFAULT);
    let fields: Vec<_> = fields.lines().filter_map(|line| line.trim().split_once(": ")).collect();
    assert_eq!(fields.len(), 17);
    for (name, value) in fields {
        let row = format!("| `{name}` | {} |", value.trim_end_matches(','));
        assert!(DOCS.contains(&row), "no row {row}");
    }
}

/// Every name in the CDDL is one that the code writes.
#[test]
fn the_cddl_has_the_names_of_the_code() {
    let quoted = |text: &'static str| text.split('"').skip(1).step_by(2).collect::<Vec<_>>();
    let files = [
        encoded(&sample::finished()),
        encoded(&sample::trapped()),
        encoded(&sample::exited()),
        encoded(&Snapshot {
            frames: vec![Frame {
                function: 0,
                at: Position::Loop { offset: 0 },
                locals: vec![],
                operands: vec![],
            }],
            status: Status::Paused { reason: PauseReason::OutOfBudget },
            ..sample::paused()
        }),
        encoded(&Snapshot {
            frames: vec![Frame {
                function: 0,
                at: Position::Entry,
                locals: vec![],
                operands: vec![],
            }],
            status: Status::Paused { reason: PauseReason::Requested },
            ..sample::paused()
        }),
        encoded(&sample::paused()),
        encoded(&sample::over_a_base()),
    ];
    for name in quoted(block("cddl")) {
        let text = [&[0x60 | name.len() as u8], name.as_bytes()].concat();
        let found = files.iter().any(|file| file.windows(text.len()).any(|part| part == text));
        assert!(found, "{name:?} is in no file");
    }
}
