//! The thread that writes what the buffer holds.

use super::buffer::{Buffer, Heads, Next};
use super::recording::Recording;

/// Returns when there will be no more packets, and all have been dealt with.
pub(super) fn write(recording: &Recording, buffer: &Buffer, is_read_along: bool) {
    buffer.attach();
    let mut heads = Heads::default();
    let (mut idle, mut flush, mut gathered, mut has_written) = (false, false, false, false);
    loop {
        // Before what it is about is taken.
        let closing = buffer.is_closing();
        flush |= buffer.take_flush();
        let asked = closing || flush || is_read_along || buffer.is_waited_for();
        let all = std::mem::take(&mut gathered) || asked;
        idle |= all && buffer.take_idle();
        let filled = heads.fill(buffer, all);
        has_written |= filled;
        if filled {
            let write = |next: Next<'_>| {
                recording.with(|state| match next {
                    Next::Packets(group) => state.take_group(group),
                    Next::Note(note) => state.note(note),
                });
            };
            while heads.next(buffer, recording.over(), write) {}
            // What was there before a flush was asked for has been written, though more may have come.
            if !flush {
                continue;
            }
        }
        let ends = recording.with(|state| {
            if std::mem::take(&mut flush) {
                state.let_out(|output| output.flush());
            } else if std::mem::take(&mut idle) {
                state.let_out(|output| output.idle());
            }
            state.full |= !filled && all && state.over.is_some();
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
