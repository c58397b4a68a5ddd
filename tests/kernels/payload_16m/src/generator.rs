//! Generates the same random words for the build script and the kernel.

/// Marsaglia and Vigna's xorshift64*, with a fixed seed.
pub struct Words(u64);

impl Words {
    pub fn new() -> Self {
        Words(0x7369_736f_5f6f_7331)
    }
}

impl Iterator for Words {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        Some(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }
}
