//! The promises of SECURITY.md and the tests behind them.

/// Faults of a text whose every list item ends with `` (`file`: `name`, `name`; `file`: `name`) ``:
/// items without tests, files that are not there, and names that are not in them.
pub(crate) fn faults(text: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut faults = Vec::new();
    for promise in text.split("\n* ").skip(1) {
        let says = promise.lines().next().unwrap_or_default();
        let Some((_, tests)) = promise.rsplit_once("\n  (`") else {
            faults.push(format!("no test: {says}"));
            continue;
        };
        // Every second piece is in backticks; a file has a colon behind it.
        let pieces: Vec<_> = tests.split('`').collect();
        let mut file = ("", None);
        for (name, behind) in pieces
            .iter()
            .step_by(2)
            .zip(pieces.iter().skip(1).step_by(2))
        {
            if behind.starts_with(':') {
                file = (name, read(name));
            } else if !file.1.as_ref().is_some_and(|text| text.contains(name)) {
                faults.push(format!("no {name} in {}: {says}", file.0));
            }
        }
        if file.1.is_none() {
            faults.push(format!("no test: {says}"));
        }
    }
    faults
}
