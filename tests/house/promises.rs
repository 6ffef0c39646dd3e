//! The promises of SECURITY.md and SPECIFICATION.md, and the tests behind them.

/// Faults of a text whose every list item ends with `` (`file`: `name`, `name`; `file`: `name`) ``:
/// items without tests, files that are not there, and names that are not in them.
pub(crate) fn faults(text: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut faults = Vec::new();
    for promise in text.split("\n* ").skip(1) {
        let says = promise.lines().next().unwrap_or_default();
        match promise.rsplit_once("\n  (`") {
            Some((_, tests)) => faults.extend(missing(&format!("`{tests}"), true, says, &read)),
            None => faults.push(format!("no test: {says}")),
        }
    }
    faults
}

/// The same of tables: rows `| number | promise | tests |`, with numbers that follow each other, and
/// where nothing holds a promise "**not yet held**" and why.
pub(crate) fn faults_of_tables(text: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut faults = Vec::new();
    for (section, text) in (1..).zip(text.split("\n## ").skip(1)) {
        let rows = text
            .lines()
            .filter(|line| line.starts_with("| ") && !line.starts_with("| |"));
        if rows.clone().next().is_none() {
            faults.push(format!("section {section} promises nothing"));
        }
        for (row, line) in (1..).zip(rows) {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let expected = format!("{section}.{row}");
            let [_, number, says, held, _] = cells[..] else {
                faults.push(format!("no row of three cells: {line}"));
                continue;
            };
            if number != expected || says.is_empty() {
                faults.push(format!("{number} in place of {expected}"));
            }
            let why = held.strip_prefix("**not yet held**");
            if why.is_some_and(|why| !why.starts_with(": ") && !why.starts_with(" ")) {
                faults.push(format!("{number} does not say why it is not held"));
            }
            faults.extend(missing(held, why.is_none(), number, &read));
        }
    }
    faults
}

/// What of these tests does not exist, or that there is none where there has to be.
fn missing(
    tests: &str,
    wanted: bool,
    of: &str,
    read: impl Fn(&str) -> Option<String>,
) -> Vec<String> {
    let mut faults = Vec::new();
    // Every second piece is in backticks; a file has a colon behind it.
    let pieces: Vec<_> = tests.split('`').skip(1).collect();
    let behind = pieces.iter().skip(1).step_by(2);
    let mut file = ("", None);
    let mut named = 0;
    for (name, behind) in pieces.iter().step_by(2).zip(behind) {
        if behind.starts_with(':') {
            file = (name, read(name));
        } else if file.1.as_ref().is_some_and(|text| has_word(text, name)) {
            named += 1;
        } else {
            faults.push(format!("no {name} in {}: {of}", file.0));
        }
    }
    if wanted && named == 0 {
        faults.push(format!("no test: {of}"));
    }
    faults
}

/// Whether the name stands there, and not only within another.
fn has_word(text: &str, name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name)
        .any(|(at, _)| !text[..at].ends_with(part) && !text[at + name.len()..].starts_with(part))
}
