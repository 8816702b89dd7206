//! Random bytes from a generator whose whole state is a seed and a position.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::wasi::error::WasiError;
use crate::wasi::memory::Call;
use crate::wasi::state::RandomState;
use crate::wasi::{Answer, DONE, Wasi};

/// Words in a ChaCha block.
const BLOCK_WORDS: u8 = 16;

pub(super) struct Random {
    generator: ChaCha12Rng,
}

impl Random {
    /// A generator that repeats itself for each `seed`, or one of its own from
    /// the system's randomness.
    pub(super) fn new(seed: Option<u64>) -> Result<Random, WasiError> {
        let mut key = [0u8; 32];
        match seed {
            // NB: not `seed_from_u64`, whose expansion is the crate's to
            // change: a seed must mean the same bytes in every version.
            Some(seed) => key[..8].copy_from_slice(&seed.to_le_bytes()),
            None => getrandom::fill(&mut key)
                .map_err(|error| WasiError::NoSeed { reason: error.to_string() })?,
        }
        Ok(Random { generator: ChaCha12Rng::from_seed(key) })
    }

    pub(super) fn state(&self) -> RandomState {
        let position = self.generator.get_word_pos();
        let words = u128::from(BLOCK_WORDS);
        RandomState {
            seed: self.generator.get_seed(),
            // ChaCha counts blocks in 64 bits, so neither loses anything.
            block: (position / words) as u64,
            word: (position % words) as u8,
        }
    }

    pub(super) fn restore(state: &RandomState) -> Result<Random, WasiError> {
        if state.word >= BLOCK_WORDS {
            return Err(WasiError::Malformed("random generator beyond its block"));
        }
        let mut generator = ChaCha12Rng::from_seed(state.seed);
        let block = u128::from(state.block) * u128::from(BLOCK_WORDS);
        generator.set_word_pos(block + u128::from(state.word));
        Ok(Random { generator })
    }
}

impl Wasi {
    pub(super) fn random_get(&mut self, call: &mut Call<'_>) -> Answer {
        let (at, len) = (call.u32(0), call.u32(1));
        if len == 0 {
            return DONE;
        }
        let buffer = call.memory.slice_mut(at, len)?;
        self.random.generator.fill_bytes(buffer);
        DONE
    }
}

#[cfg(test)]
mod tests {
    use crate::wasi::testing::Guest;
    use crate::wasi::{Function, WasiOptions};

    fn seeded(seed: u64) -> Guest {
        Guest::new(WasiOptions { seed: Some(seed), ..WasiOptions::default() })
    }

    fn draw(guest: &mut Guest, len: u64) -> Vec<u8> {
        assert_eq!(guest.call(Function::RandomGet, &[100, len]), 0);
        guest.memory[100..100 + len as usize].to_vec()
    }

    #[test]
    fn a_seed_gives_the_same_bytes_in_every_version() {
        // Worked out apart from the crate: ChaCha12, key 07 00 .. 00, nonce 0.
        assert_eq!(draw(&mut seeded(7), 8), [31, 242, 231, 99, 173, 186, 252, 211]);
        assert_ne!(draw(&mut seeded(7), 8), draw(&mut seeded(8), 8));
    }

    #[test]
    fn the_sequence_goes_on_after_a_move_wherever_it_stood() {
        for skip in 0..300 {
            let mut stayed = seeded(7);
            let mut moved = seeded(7);
            draw(&mut stayed, skip);
            draw(&mut moved, skip);
            let mut moved = moved.moved();
            assert_eq!(draw(&mut stayed, 70), draw(&mut moved, 70), "{skip}");
        }
    }

    #[test]
    fn unseeded_generators_differ_and_bounds_hold() {
        let mut one = Guest::new(WasiOptions::default());
        let mut two = Guest::new(WasiOptions::default());
        assert_ne!(draw(&mut one, 16), draw(&mut two, 16));
        assert_eq!(one.call(Function::RandomGet, &[0, u64::from(u32::MAX)]), 21);
    }
}
