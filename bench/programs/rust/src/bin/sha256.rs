//! sha256 [KILOBYTES = 100]: the crate `sha2`.

use sha2::{Digest, Sha256};
use tasklet_bench_programs::{argument, result};

fn main() {
    let mut block: Vec<u8> = (0..1000u32).map(|i| (i * 7) as u8).collect();
    for _ in 0..argument(1, 100) {
        let digest = Sha256::digest(&block);
        block[..32].copy_from_slice(&digest);
    }
    result("sha256", &block[..32]);
}
