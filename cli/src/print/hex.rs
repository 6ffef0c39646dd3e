//! Bytes in lines of sixteen.

use std::fmt::{self, Write};

/// Each line begins with a line end, so that it follows another.
pub(super) fn write(out: &mut String, bytes: &[u8], ascii: bool) -> fmt::Result {
    for (number, line) in bytes.chunks(16).enumerate() {
        write!(out, "\n\t0x{:04x}:  ", number * 16)?;
        for (at, pair) in line.chunks(2).enumerate() {
            if at > 0 {
                out.write_char(' ')?;
            }
            for byte in pair {
                write!(out, "{byte:02x}")?;
            }
        }
        if ascii {
            // Eight groups of four digits and the spaces between them.
            let pairs = line.len().div_ceil(2);
            let width = line.len() * 2 + pairs.saturating_sub(1);
            write!(out, "{:1$}", "", 39 - width + 2)?;
            for byte in line {
                let shown = byte.is_ascii_graphic();
                out.write_char(if shown { char::from(*byte) } else { '.' })?;
            }
        }
    }
    Ok(())
}

/// All of it on a line of its own, where it has none itself.
pub(super) fn write_ascii(out: &mut String, bytes: &[u8]) -> fmt::Result {
    out.write_char('\n')?;
    bytes.iter().try_for_each(|byte| {
        let shown = byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t' | b'\n');
        out.write_char(if shown { char::from(*byte) } else { '.' })
    })
}
