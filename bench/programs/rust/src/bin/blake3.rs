//! blake3 [ROUNDS = 1]: the crate `blake3`, over 64 KiB a round.

use tasklet_bench_programs::{argument, result};

fn main() {
    let mut data: Vec<u8> = (0..65536u32).map(|i| (i * 11 >> 3) as u8).collect();
    for _ in 0..argument(1, 1) {
        let hash = blake3::hash(&data);
        data[..32].copy_from_slice(hash.as_bytes());
    }
    result("blake3", &data[..32]);
}
