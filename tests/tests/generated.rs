//! Random modules against the oracle.
//!
//! `TASKLET_SEEDS=10000 TASKLET_SEED_FIRST=5000` tries more, or others. A module that fails is kept
//! in the temporary folder; the message says where. Without end: `fuzz/`.

use tasklet_tests::campaign::{self, Totals};
use tasklet_tests::generate;
use tasklet_tests::parallel::for_all;

/// What fits into two or three minutes on two processors: some 50 ms of one for each.
const SEEDS: u64 = 4_000;

#[test]
fn generated_modules_are_the_same_however_they_are_paused() {
    let begun = std::time::Instant::now();
    let totals = Totals::default();
    let seeds: Vec<u64> = generate::seeds(SEEDS).collect();
    let one = |seed: &u64| campaign::check(*seed, &totals);
    for_all(&seeds, |seed| format!("seed {seed}"), one);
    let Totals { modules, calls, traps, tally } = totals;
    let (modules, calls) = (modules.into_inner(), calls.into_inner());
    println!("{modules} modules, {calls} calls, {traps:?} of them trap, {tally:?}");
    println!("in {:?}", begun.elapsed());
    // A generator that makes nothing tests nothing.
    assert!(modules >= seeds.len() as u64 / 2 && calls >= modules, "{modules} {calls}");
}
