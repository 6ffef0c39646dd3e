//! The thread that writes what the buffer holds.

use super::buffer::{Buffer, Heads, Next};
use super::recording::Recording;

/// Returns when there will be no more packets, and all have been dealt with.
pub(super) fn write(recording: &Recording, buffer: &Buffer, is_read_along: bool) {
    buffer.attach();
    let mut heads = Heads::default();
    let (mut idle, mut gathered, mut has_written) = (false, false, false);
    loop {
        // Before what it is about is taken.
        let closing = buffer.is_closing();
        let flush = buffer.take_flush();
        let asked = closing || flush || is_read_along || buffer.is_waited_for();
        let all = std::mem::take(&mut gathered) || asked;
        idle |= all && buffer.take_idle();
        let filled = match flush {
            true => heads.fill_up(buffer),
            false => heads.fill(buffer, all),
        };
        has_written |= filled;
        if filled {
            let write = |next: Next<'_>| {
                recording.with(|state| match next {
                    Next::Packets(group) => state.take_group(group),
                    Next::Note(note) => state.note(note),
                });
            };
            // What was there before a flush was asked for is written, and nothing that came since.
            while heads.next(buffer, recording.over(), write) || flush && !heads.is_empty() {}
            if !flush {
                continue;
            }
        }
        let ends = recording.with(|state| {
            if flush {
                state.let_out(|output| output.flush());
            } else if std::mem::take(&mut idle) {
                state.let_out(|output| output.idle());
            }
            // While readers go on, one may bring what left its ring before the end.
            let last = closing || !recording.ends_command();
            state.full |= !filled && all && last && state.over.is_some();
            state.over.is_some()
        });
        if filled || ends && !all {
            gathered = ends; // the last may be in blocks that are not full
            continue;
        }
        if closing {
            return;
        }
        gathered = buffer.sleep(!is_read_along, std::mem::take(&mut has_written));
    }
}
