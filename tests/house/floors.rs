//! Which file may import which.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::imports;

/// A crate and the rules of its modules.
pub(crate) struct House {
    /// From the top to the ground: modules import from floors below, and from each other on the
    /// same floor, but not in a circle. Nothing imports the crate's root.
    pub(crate) floors: &'static [&'static [&'static str]],
    /// A folder whose members don't import each other.
    pub(crate) apart: Option<&'static str>,
    /// A folder in which circles are meant.
    pub(crate) entwined: Option<&'static str>,
}

/// A file, by its name within `src`, and its text.
pub(crate) type Source = (String, String);

struct Edge<'a> {
    file: &'a str,
    line: usize,
    from: &'a [String],
    to: Vec<String>,
    imported: String,
}

impl House {
    /// What is wrong, as lines to be read.
    pub(crate) fn faults(&self, sources: &[Source]) -> Vec<String> {
        let modules: Vec<_> = sources.iter().map(|(file, _)| module(file)).collect();
        let known: BTreeSet<_> = modules.iter().cloned().collect();
        let mut faults = self.unknown(&known);
        let mut edges = Vec::new();
        for ((file, text), from) in sources.iter().zip(&modules) {
            for import in imports::of(text, from, &|path| known.contains(path)) {
                let mut to = import.path.clone();
                while !known.contains(&to) && !to.is_empty() {
                    to.pop();
                }
                edges.push(Edge {
                    file,
                    line: import.line,
                    from,
                    to,
                    imported: format!("crate::{}", import.path.join("::")),
                });
            }
        }
        edges.retain(|edge| edge.from != edge.to);
        faults.extend(edges.iter().filter_map(|edge| self.upwards(edge)));
        faults.extend(self.circles(&edges));
        faults
    }

    /// From the ground, 0. The root is above all.
    fn floor(&self, module: &[String]) -> usize {
        let named = |floor: &&[&str]| module.first().is_some_and(|m| floor.contains(&m.as_str()));
        let above = self.floors.iter().position(named);
        above.map_or(self.floors.len(), |n| self.floors.len() - 1 - n)
    }

    /// Where the table and the tree differ.
    fn unknown(&self, known: &BTreeSet<Vec<String>>) -> Vec<String> {
        let there: BTreeSet<_> = known.iter().filter_map(|module| module.first()).collect();
        let named: BTreeSet<_> = self.floors.iter().copied().flatten().copied().collect();
        let homeless = there
            .iter()
            .filter(|module| !named.contains(module.as_str()));
        let gone = named
            .iter()
            .filter(|name| !there.iter().any(|m| m == *name));
        homeless
            .map(|module| format!("{module} has no floor in the table"))
            .chain(gone.map(|name| format!("the table has {name}, which does not exist")))
            .collect()
    }

    fn upwards(&self, edge: &Edge<'_>) -> Option<String> {
        let (from, to) = (self.floor(edge.from), self.floor(&edge.to));
        let place = |module: &[String], floor| match module.first() {
            Some(name) => format!("{name} on floor {floor}"),
            None => "the crate's root".to_owned(),
        };
        let rule = if from < to {
            "up"
        } else if self.apart.is_some_and(|folder| edge.is_between(folder)) {
            "sideways"
        } else {
            return None;
        };
        let (from, to) = (place(edge.from, from), place(&edge.to, to));
        let Edge {
            file,
            line,
            imported,
            ..
        } = edge;
        Some(format!(
            "{file}:{line}: imports {imported}: {rule}, from {from} to {to}"
        ))
    }

    /// Among the members of each folder: what runs in a circle among files does so there.
    fn circles(&self, edges: &[Edge<'_>]) -> Vec<String> {
        type Level<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a Edge<'a>>>;
        let mut levels: BTreeMap<&[String], Level<'_>> = BTreeMap::new();
        for edge in edges {
            let (folder, from, to) = edge.members();
            let meant = self
                .entwined
                .is_some_and(|name| folder.first().is_some_and(|f| f == name));
            if !meant {
                let level = levels.entry(folder).or_default();
                level.entry(from).or_default().entry(to).or_insert(edge);
                level.entry(to).or_default();
            }
        }
        levels.values().filter_map(circle).collect()
    }
}

impl Edge<'_> {
    /// The deepest folder of both, and which of its members they are; its own file has no name.
    fn members(&self) -> (&[String], &str, &str) {
        let same = self.from.iter().zip(&self.to).take_while(|(a, b)| a == b);
        let depth = same.count();
        let from = self.from.get(depth).map_or("", String::as_str);
        let to = self.to.get(depth).map_or("", String::as_str);
        (&self.from[..depth], from, to)
    }

    fn is_between(&self, folder: &str) -> bool {
        let (within, from, to) = self.members();
        within == [folder.to_owned()] && !from.is_empty() && !to.is_empty()
    }
}

/// One circle, if there is any: what is left when members that import nothing more are taken away.
fn circle(level: &BTreeMap<&str, BTreeMap<&str, &Edge<'_>>>) -> Option<String> {
    let mut left: BTreeSet<&str> = level.keys().copied().collect();
    loop {
        let ends = |member: &&str| !level[member].keys().any(|to| left.contains(to));
        let Some(end) = left.iter().copied().find(|member| ends(member)) else {
            break;
        };
        left.remove(end);
    }
    // Each of them imports another of them.
    let mut path = vec![*left.first()?];
    loop {
        let next = level[path[path.len() - 1]]
            .keys()
            .find(|to| left.contains(*to))?;
        if let Some(start) = path.iter().position(|member| member == next) {
            path.drain(..start);
            break;
        }
        path.push(next);
    }
    let steps = path.iter().zip(path.iter().cycle().skip(1));
    let steps = steps.map(|(from, to)| {
        let edge = level[from][to];
        format!(
            "\n    {}:{}: imports {}",
            edge.file, edge.line, edge.imported
        )
    });
    Some(format!("a circle:{}", steps.collect::<String>()))
}

/// `a/b.rs` is `a::b`, `a/mod.rs` is `a`, `lib.rs` is the root.
fn module(file: &str) -> Vec<String> {
    let name = file.strip_suffix(".rs").unwrap_or(file);
    let mut path: Vec<_> = name.split('/').map(str::to_owned).collect();
    let root = path.len() == 1 && (name == "lib" || name == "main");
    if root || path.last().is_some_and(|name| name == "mod") {
        path.pop();
    }
    path
}

/// The sources in a folder, without those of other crates in `bin`.
pub(crate) fn read(src: &Path) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![src.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(src).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && name != "bin" {
                folders.push(path);
            } else if name.ends_with(".rs") {
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}
