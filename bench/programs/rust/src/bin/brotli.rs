//! brotli [KILOBYTES = 100]: compresses and decompresses, by the crate `brotli`.

use std::io::Cursor;

use brotli::enc::BrotliEncoderParams;
use tasklet_bench_programs::{Random, argument, result};

fn main() {
    let text = Random(15).text(argument(1, 100) * 1000).into_bytes();
    let mut packed = Vec::new();
    for quality in [3, 7] {
        packed.clear();
        let params = BrotliEncoderParams { quality, ..Default::default() };
        brotli::BrotliCompress(&mut Cursor::new(&text), &mut packed, &params).expect("it compresses");
        let mut again = Vec::new();
        brotli::BrotliDecompress(&mut Cursor::new(&packed), &mut again).expect("it was compressed so");
        assert!(again == text, "it is what was compressed");
    }
    result("brotli", &packed);
}
