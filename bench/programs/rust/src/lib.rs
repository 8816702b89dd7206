//! What the programs share: the size of the problem as an argument, the same random numbers and
//! the same text in every run, and one line with a checksum as the result.

/// The argument at `at`, or `otherwise`.
pub fn argument(at: usize, otherwise: usize) -> usize {
    std::env::args().nth(at).and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Prints the result.
pub fn result(name: &str, bytes: &[u8]) {
    let sum = bytes.iter().fold(bytes.len() as u32, |sum, &byte| {
        let sum = (sum ^ u32::from(byte)).wrapping_mul(0x9E37_79B1);
        sum ^ sum >> 15
    });
    println!("{name} {sum}");
}

/// xorshift.
pub struct Random(pub u32);

impl Random {
    /// A number below `limit`.
    pub fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 % limit
    }

    /// A word, the more frequent the shorter.
    pub fn word(&mut self) -> String {
        let rank = self.below(3000) * self.below(3000) / 3000;
        let mut word = String::new();
        let mut rest = rank + 1;
        while rest > 0 {
            word.push(b"btkmnrsv"[rest as usize % 8] as char);
            word.push(b"aeiou"[rest as usize % 5] as char);
            rest /= 8;
        }
        word
    }

    /// Sentences of about that many bytes.
    pub fn text(&mut self, bytes: usize) -> String {
        let mut text = String::new();
        while text.len() < bytes {
            text.push_str(&self.word());
            text.push_str([" ", " ", " ", " ", " ", ", ", ".\n", " "][self.below(8) as usize]);
        }
        text
    }
}
