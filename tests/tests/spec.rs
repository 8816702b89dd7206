//! The WebAssembly test suite; the property is stated in `tasklet_tests::spec`.
//!
//! The short form runs everything, in all modes, but takes only some stops of long calls through a
//! snapshot. `SPEC=full` takes all of them; `SPEC=part/file` runs what has that in its name, and
//! `SPEC=full:part/file` that in full.
//! `-- --nocapture` shows the counts, `BLESS=1` writes the matrix.

use std::sync::Mutex;

use tasklet_tests::parallel::for_all;
use tasklet_tests::root;
use tasklet_tests::spec::report::Counts;
use tasklet_tests::spec::script::{Source, sources};
use tasklet_tests::spec::{Effort, run};

#[test]
fn the_spec_suite_holds() {
    let asked = std::env::var("SPEC").unwrap_or_default();
    let (effort, filter) = match asked.strip_prefix("full") {
        Some(rest) => (Effort::FULL, rest.trim_start_matches(':')),
        None => (Effort::SHORT, &*asked),
    };
    let all = sources();
    let name = |source: &Source| format!("{}/{}", source.part, source.name);
    let mut counts = Counts::default();
    all.iter().for_each(|source| counts.file(source));
    let mut chosen: Vec<&Source> = (all.iter())
        .filter(|source| source.same_as.is_none() && name(source).contains(filter))
        .collect();
    // The long ones first, so that no thread is left alone with one.
    chosen.sort_by_key(|source| std::cmp::Reverse(source.text.len()));
    let total = Mutex::new(counts);
    for_all(
        &chosen,
        |source| name(source),
        |source| {
            let begun = std::time::Instant::now();
            if effort.stride == 1 {
                println!("{} ...", name(source));
            }
            let counts = run(source, effort);
            if begun.elapsed().as_secs() >= 5 {
                println!("{}: {:?}", name(source), begun.elapsed());
            }
            total.lock().unwrap().merge(counts);
            Ok(())
        },
    );
    let counts = total.into_inner().unwrap();
    println!("{}", counts.text());
    let failures: Vec<&str> = counts.failures.iter().map(String::as_str).collect();
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
    if filter.is_empty() {
        matrix_is_that_of_the_docs(&counts.matrix());
    }
}

/// What the suite says of memories also holds of those that are cut out of few mappings. All of it is
/// `TASKLET_TESTS_MEMORIES=dense`.
#[test]
fn what_it_says_of_memories_holds_of_dense_ones() {
    if ["SPEC", "TASKLET_TESTS_MEMORIES"].iter().any(|name| std::env::var_os(name).is_some()) {
        return;
    }
    let mut again = std::process::Command::new(std::env::current_exe().expect("it runs"));
    again.args(["--exact", "the_spec_suite_holds", "--nocapture"]);
    again.env("SPEC", "memory").env("TASKLET_TESTS_MEMORIES", "dense");
    let output = again.output().expect("it can be run again");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains(" 1 passed"), "{said}");
}

fn matrix_is_that_of_the_docs(matrix: &str) {
    let path = root().join("docs/proposals.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, matrix).expect("the docs can be written");
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == matrix,
        "docs/proposals.md is not what the run says; BLESS=1 writes it:\n{matrix}"
    );
}
