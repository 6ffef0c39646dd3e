//! The floors of the sources: who may know what.
//!
//! A file imports only from floors below its own, from its own folder, and from its neighbours on
//! the same floor where that makes no circle.

mod floors;
mod imports;
mod promises;
mod public;

use std::path::Path;

use floors::{House, Source, read};

const LIBRARY: House = House {
    floors: &[
        &["manual"],
        &["net"],
        &["handle", "observe", "stream", "phy"],
        &["context", "interface"],
        &["interrupts", "pcap"],
        &["queue"],
        &["link"],
        &["packet", "config", "details", "stats", "error", "ffi"],
    ],
    apart: None,
    entwined: None,
};

const COMMAND: House = House {
    floors: &[
        &["commands"],
        &["metrics"],
        &["print"],
        &["link"],
        &["files"],
        &[
            "events",
            "failure",
            "link_type",
            "lock",
            "mac",
            "netns",
            "output",
            "pace",
            "report",
            "values",
        ],
    ],
    apart: Some("commands"),
    // Protocols lie within protocols.
    entwined: Some("print"),
};

#[track_caller]
fn keeps(house: &House, src: &str) {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join(src);
    let faults = house.faults(&read(&src));
    assert!(
        faults.is_empty(),
        "in {}\n{}",
        src.display(),
        faults.join("\n")
    );
}

#[test]
fn the_library_keeps_its_floors() {
    keeps(&LIBRARY, "src");
}

#[test]
fn the_command_keeps_its_floors() {
    keeps(&COMMAND, "cli/src");
}

#[test]
fn the_library_s_interface_is_its_own() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let crates = public::crates(&manifest);
    assert!(crates.iter().any(|name| name == "pcap_file"), "{crates:?}");
    // What is in `ffi` is not public.
    let sources = read(&root.join("src"));
    let sources = sources.iter().filter(|(file, _)| !file.starts_with("ffi/"));
    let faults: Vec<_> = sources
        .flat_map(|(file, text)| public::foreign(file, text, &crates))
        .collect();
    assert_eq!(faults, [] as [&str; 0]);
}

#[test]
fn a_type_of_another_crate_in_the_interface_is_found() {
    let crates = ["pcap_file".to_owned(), "smoltcp".into()];
    for line in [
        "use pcap_file::pcapng::{Block, Other};\npub fn f(&self) -> Block<'_> {",
        "pub fn f(\n    block: pcap_file::Block,\n) {",
        "use pcap_file::Block;\npub struct Ours {\n    pub block: Block,",
        "use pcap_file::Block;\nimpl From<Block> for Ours {",
        "pub use pcap_file::Block;",
    ] {
        let faults = public::foreign("pcap/x.rs", line, &crates);
        assert_eq!(faults.len(), 1, "{line}: {faults:?}");
        assert!(faults[0].contains("pcap_file"), "{faults:?}");
    }
    for line in [
        "use pcap_file::Block;\nfn f(block: Block) {",
        "use pcap_file::Block;\npub(crate) fn f(block: Block) {",
        "use smoltcp::phy;\nimpl phy::Device for Ours {",
    ] {
        assert_eq!(
            public::foreign("phy/x.rs", line, &crates),
            [""; 0],
            "{line}"
        );
    }
}

#[test]
fn promises_have_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| std::fs::read_to_string(root.join(file)).ok();
    let text = read("SECURITY.md").unwrap();
    let (_, promises) = text.split_once("## What is promised").unwrap();
    let (promises, _) = promises.split_once("These settings").unwrap();
    assert_eq!(promises::faults(promises, read), [""; 0]);
}

#[test]
fn the_specification_has_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| std::fs::read_to_string(root.join(file)).ok();
    let text = read("SPECIFICATION.md").unwrap();
    assert_eq!(promises::faults_of_tables(&text, read), [""; 0]);
}

#[test]
fn a_row_without_a_test_is_found() {
    let read = |file: &str| (file == "there").then(|| "one two_three".to_owned());
    let good = "\n## 1. A\n| | promise | by |\n|---|---|---|\n| 1.1 | Kept. | `there`: `one` |\n\
                | 1.2 | Not. | **not yet held**: it is late (`there`: `two_three`) |\n";
    assert_eq!(promises::faults_of_tables(good, read), [""; 0]);
    for wrong in [
        "| 1.3 | Not kept. | |",
        "| 1.3 | Not kept. | `one` |",
        "| 1.3 | Not kept. | `gone`: `one` |",
        "| 1.3 | Not kept. | `there`: `two` |",
        "| 1.3 | Not kept. | `there`: `one`, `three` |",
        "| 1.3 | Not kept. | **not yet held** |",
        "| 1.3 | Not kept. | **not yet held**: (`there`: `two`) |",
        "| 1.4 | Kept. | `there`: `one` |",
        "| 1.3 | Kept. | `there`: `one` | more |",
    ] {
        let faults = promises::faults_of_tables(&format!("{good}{wrong}\n"), read);
        assert!(!faults.is_empty(), "{wrong}");
    }
}

#[test]
fn a_promise_without_a_test_is_found() {
    let read = |file: &str| (file == "there").then(|| "one two".to_owned());
    let good = "\n* Kept.\n  (`there`: `one`,\n  `two`)\n";
    assert_eq!(promises::faults(good, read), [""; 0]);
    for wrong in [
        "\n* Not kept (`there`).\n",
        "\n* Not kept.\n  (`gone`: `one`)\n",
        "\n* Not kept.\n  (`there`: `one`, `three`)\n",
    ] {
        let faults = promises::faults(&format!("{good}{wrong}"), read);
        assert!(!faults.is_empty(), "{wrong}");
    }
}

/// A house of two floors.
const SMALL: House = House {
    floors: &[&["top", "roof"], &["ground", "cellar"]],
    apart: Some("top"),
    entwined: None,
};

/// Its files, with these lines in some of them.
fn small(lines: &[(&str, &str)]) -> Vec<Source> {
    let files = [
        "lib.rs",
        "cellar.rs",
        "ground/mod.rs",
        "ground/a.rs",
        "ground/b.rs",
        "roof.rs",
        "top/mod.rs",
        "top/one.rs",
        "top/two.rs",
    ];
    let text = |file| {
        let lines = lines.iter().filter(|(of, _)| *of == file);
        lines.map(|(_, line)| format!("{line}\n")).collect()
    };
    files.map(|file| (file.to_owned(), text(file))).into()
}

#[test]
fn an_import_up_a_floor_is_found() {
    for line in [
        "use crate::top::one::Thing;",
        "use crate::{cellar::Fine, top::{self, one::Thing}};",
        "use super::top::*;",
        "fn f() { crate::top::one::call() }",
        "mod tests { use super::super::top::Thing; }",
        "#[arg(value_parser = crate::top::parse)]",
        "use crate::Exported;",
    ] {
        let faults = SMALL.faults(&small(&[("ground/mod.rs", "// one"), ("cellar.rs", line)]));
        assert!(!faults.is_empty(), "{line}");
        assert!(
            faults[0].starts_with("cellar.rs:1: imports crate::"),
            "{faults:?}"
        );
    }
    let faults = SMALL.faults(&small(&[(
        "cellar.rs",
        "\nuse crate::{cellar::A, top::one::B};",
    )]));
    let told =
        "cellar.rs:2: imports crate::top::one::B: up, from cellar on floor 0 to top on floor 1";
    assert_eq!(faults, [told]);
    let faults = SMALL.faults(&small(&[("roof.rs", "use crate::Exported;")]));
    let told = "roof.rs:1: imports crate::Exported: up, from roof on floor 1 to the crate's root";
    assert_eq!(faults, [told]);
}

#[test]
fn imports_downwards_and_from_neighbours_are_allowed() {
    let faults = SMALL.faults(&small(&[
        (
            "lib.rs",
            "pub use top::one::Thing;\npub use ground::a::Other;",
        ),
        (
            "top/one.rs",
            "use crate::ground::a::Other;\nuse cellar::elsewhere::Crate;",
        ),
        (
            "top/mod.rs",
            "use self::one::Thing;\nuse crate::roof::Tile;",
        ),
        (
            "ground/a.rs",
            "use super::b::Thing;\nuse crate::cellar::Wine;",
        ),
        ("cellar.rs", "//! crate::top\nmod tests { use super::*; }"),
    ]));
    assert_eq!(faults, [] as [&str; 0]);
}

#[test]
fn a_circle_is_found() {
    for (one, other) in [
        (
            ("roof.rs", "use crate::top::A;"),
            ("top/two.rs", "use crate::roof::B;"),
        ),
        (
            ("ground/a.rs", "use super::b::A;"),
            ("ground/b.rs", "use crate::ground::a::B;"),
        ),
        (
            ("ground/a.rs", "use super::Owned;"),
            ("ground/mod.rs", "pub use a::B;"),
        ),
    ] {
        let faults = SMALL.faults(&small(&[one, other]));
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with("a circle:"), "{faults:?}");
        assert!(faults[0].contains(&format!("{}:1", one.0)), "{faults:?}");
        assert!(faults[0].contains(&format!("{}:1", other.0)), "{faults:?}");
        let meant = House {
            entwined: Some("ground"),
            ..SMALL
        };
        let within = one.0.starts_with("ground");
        assert_eq!(meant.faults(&small(&[one, other])).is_empty(), within);
    }
}

#[test]
fn what_stands_apart_does_not_import_each_other() {
    let faults = SMALL.faults(&small(&[("top/one.rs", "use super::two::A;")]));
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("sideways"), "{faults:?}");
}

#[test]
fn the_table_names_what_there_is() {
    let mut sources = small(&[]);
    sources.retain(|(file, _)| file != "roof.rs");
    sources.push(("attic.rs".into(), String::new()));
    let faults = SMALL.faults(&sources);
    assert_eq!(
        faults,
        [
            "attic has no floor in the table",
            "the table has roof, which does not exist"
        ]
    );
}
