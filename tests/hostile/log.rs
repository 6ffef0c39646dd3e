//! The log, as the library writes it.

use std::sync::Mutex;

use log::{LevelFilter, Log, Metadata, Record};

struct Lines(Mutex<Vec<String>>);

static LINES: Lines = Lines(Mutex::new(Vec::new()));

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // Bounded, or a flood would be the log's.
        let mut lines = self.0.lock().unwrap();
        if lines.len() < 10_000 {
            lines.push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

pub(crate) fn install() {
    log::set_logger(&LINES).unwrap();
    log::set_max_level(LevelFilter::Trace);
}

pub(crate) fn clear() {
    // Its memory too, which is not the victim's.
    *LINES.0.lock().unwrap() = Vec::new();
}

pub(crate) fn lines() -> Vec<String> {
    LINES.0.lock().unwrap().clone()
}
