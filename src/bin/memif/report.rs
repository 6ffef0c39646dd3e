//! What the commands say on standard error.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

/// A line for the user; a closed standard error is nobody's problem.
pub(crate) fn notice(text: impl fmt::Display) {
    // In one piece, as others may write there too.
    let line = format!("memif: {text}\n");
    let _ = io::stderr().write_all(line.as_bytes());
}

/// `1 packet`, `2 packets`.
pub(crate) fn count(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// What passed in a time: `12000 packets, 960000 bytes in 1.500 s (8000 packets/s, 5.12 Mbit/s)`.
pub(crate) fn rate(packets: u64, bytes: u64, time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let per_second = |n: f64| if seconds > 0.0 { n / seconds } else { 0.0 };
    format!(
        "{}, {} in {seconds:.3} s ({:.0} packets/s, {:.2} Mbit/s)",
        count(packets, "packet"),
        count(bytes, "byte"),
        per_second(packets as f64),
        per_second(bytes as f64 * 8e-6),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_time() {
        assert_eq!(
            rate(12_000, 960_000, Duration::from_millis(1500)),
            "12000 packets, 960000 bytes in 1.500 s (8000 packets/s, 5.12 Mbit/s)"
        );
        assert_eq!(
            rate(1, 1, Duration::ZERO),
            "1 packet, 1 byte in 0.000 s (0 packets/s, 0.00 Mbit/s)"
        );
    }
}
