//! The Internet's checksum.

/// The one's complement sum of 16-bit words, in the order of bytes that this machine has: the sum
/// of words with their bytes swapped is the sum with its bytes swapped.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum(u64);

impl Sum {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self::default().add(bytes)
    }

    /// Bytes that follow an even number of others.
    pub(super) fn add(self, bytes: &[u8]) -> Self {
        // Eight bytes at a time, the carries gathered in the upper half.
        let mut sum = u128::from(self.0);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            sum += u128::from(u64::from_ne_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        sum += u128::from(u64::from_ne_bytes(last));
        let (low, carries) = (sum as u64, (sum >> 64) as u64);
        let (sum, carry) = low.overflowing_add(carries);
        Self(sum + u64::from(carry))
    }

    pub(super) fn add_word(self, word: u16) -> Self {
        self.add(&word.to_be_bytes())
    }

    /// What a header's checksum is the complement of; 0xffff where that is included and right.
    pub(super) fn value(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        u16::from_be(sum as u16)
    }
}
