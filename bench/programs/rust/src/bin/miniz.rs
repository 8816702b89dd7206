//! miniz [KILOBYTES = 100]: deflate and inflate, by the crate `miniz_oxide`.

use miniz_oxide::{deflate::compress_to_vec_zlib, inflate::decompress_to_vec_zlib};
use tasklet_bench_programs::{Random, argument, result};

fn main() {
    let text = Random(14).text(argument(1, 100) * 1000).into_bytes();
    let mut packed = Vec::new();
    for level in [1, 6] {
        packed = compress_to_vec_zlib(&text, level);
        let again = decompress_to_vec_zlib(&packed).expect("it was compressed so");
        assert!(again == text, "it is what was compressed");
    }
    result("miniz", &packed);
}
