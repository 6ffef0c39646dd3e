//! Types of other crates in the library's interface: each of them ties our versions to theirs.

use std::collections::BTreeMap;

/// What may be there, by the folder that it is in.
const ALLOWED: [(&str, &[&str]); 3] = [
    ("net/", &["tokio"]),
    ("phy/", &["smoltcp"]),
    ("stream/", &["futures_core", "futures_sink"]),
];

/// Where a file's public items name a crate of these that they may not. A line is looked at, or
/// what a `pub fn` says up to its body.
pub(crate) fn foreign(file: &str, source: &str, crates: &[String]) -> Vec<String> {
    let allowed = ALLOWED
        .iter()
        .filter(|(folder, _)| file.starts_with(folder));
    let allowed: Vec<&str> = allowed
        .flat_map(|(_, crates)| crates.iter().copied())
        .collect();
    // The names that come from another crate.
    let mut names: BTreeMap<String, &str> = BTreeMap::new();
    let (mut statement, mut faults) = (String::new(), Vec::new());
    for (number, line) in source.lines().enumerate() {
        let line = line.split("//").next().unwrap_or_default().trim();
        if line.starts_with("mod tests") {
            break;
        }
        let begins = [
            "use ",
            "pub use ",
            "pub fn ",
            "pub async fn ",
            "pub struct ",
            "pub enum ",
            "pub type ",
            "pub trait ",
            "pub const ",
            "impl",
        ];
        let public_field = line.starts_with("pub ") && line.ends_with(',');
        if !statement.is_empty() || public_field || begins.iter().any(|b| line.starts_with(b)) {
            statement = format!("{statement} {line}");
        }
        let ends = line.ends_with([';', '{', '}']) || public_field;
        if statement.is_empty() || !ends || statement.contains("use ") && !line.ends_with(';') {
            continue;
        }
        let said = std::mem::take(&mut statement);
        if let Some(path) = said.trim().strip_prefix("use ") {
            if let Some(from) = crates.iter().find(|c| path.starts_with(&format!("{c}::"))) {
                let path = renamed(path);
                let leaves = path.split(|c: char| !c.is_alphanumeric() && c != '_');
                names.extend(
                    leaves
                        .filter(|n| !n.is_empty())
                        .map(|n| (n.into(), &from[..])),
                );
            }
            continue;
        }
        // What we give is ours to choose; what a foreign trait or type is given is not.
        let of_ours = said.trim().starts_with("impl") && !said.contains(" for ");
        for word in said.split(|c: char| !c.is_alphanumeric() && c != '_') {
            let from = names.get(word).copied();
            let from = from.or_else(|| crates.iter().map(|c| &c[..]).find(|c| *c == word));
            if let Some(from) = from.filter(|from| !of_ours && !allowed.contains(from)) {
                faults.push(format!("{file}:{}: {word} of {from}", number + 1));
            }
        }
    }
    faults
}

/// The crates that the library depends on, by its `Cargo.toml`.
pub(crate) fn crates(manifest: &str) -> Vec<String> {
    let section = manifest
        .split("\n[dependencies]\n")
        .nth(1)
        .unwrap_or_default();
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.split_once(" = "));
    names.map(|(name, _)| name.replace('-', "_")).collect()
}

/// `A as B` brings B.
fn renamed(path: &str) -> String {
    let words: Vec<_> = path.split(' ').collect();
    let kept = (0..words.len()).filter(|at| words.get(at + 1) != Some(&"as"));
    kept.map(|at| words[at]).collect::<Vec<_>>().join(" ")
}
