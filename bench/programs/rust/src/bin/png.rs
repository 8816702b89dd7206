//! png [ROUNDS = 1]: writes and reads a picture, by the crate `png`: filters and a checksum over
//! every byte, besides deflate.

use std::io::Cursor;

use png::{BitDepth, ColorType, Decoder, Encoder, Filter};
use tasklet_bench_programs::{argument, result};

const SIZE: u32 = 256;

fn main() {
    let mut pixels: Vec<u8> = (0..SIZE * SIZE)
        .flat_map(|i| {
            let (x, y) = (i % SIZE, i / SIZE);
            [x as u8, (x * y >> 6) as u8, ((x ^ y) & 0xF8) as u8]
        })
        .collect();
    for _ in 0..argument(1, 1) {
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, SIZE, SIZE);
        encoder.set_color(ColorType::Rgb);
        encoder.set_depth(BitDepth::Eight);
        encoder.set_filter(Filter::Adaptive);
        let mut writer = encoder.write_header().expect("the header is right");
        writer.write_image_data(&pixels).expect("it is the right size");
        writer.finish().expect("all was written");
        let mut reader = Decoder::new(Cursor::new(&file)).read_info().expect("it was written so");
        let mut again = vec![0; pixels.len()];
        reader.next_frame(&mut again).expect("it was written so");
        assert!(again == pixels, "it is what was written");
        pixels.iter_mut().for_each(|value| *value = value.wrapping_mul(5));
    }
    result("png", &pixels);
}
