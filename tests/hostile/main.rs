//! What a hostile peer can do, one case after another, in both roles, as a table:
//!
//! ```sh
//! cargo test --test hostile              # all of it
//! cargo test --test hostile -- cookie    # cases that have the word
//! ```
//!
//! After each case the victim must have logged a reason that names the offence, serve a peer that
//! behaves, have kept its other link, and hold no more descriptors and mappings than before; over
//! whole rounds of all cases its memory must not grow.

#[path = "../common/mod.rs"]
mod common;

mod log;
mod scene;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use memif_hostile::{Case, Held, Kind, Role, cases, child};
use scene::{SECRET, Scene, returned};

/// The line that names the offence, and how long the next peer waited.
fn run(case: &Case, scene: &Scene) -> Result<(String, Duration), String> {
    log::clear();
    let done = catch_unwind(AssertUnwindSafe(|| {
        case.attack(&scene.target);
        scene.serves()
    }));
    let took = done.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).into()))
            .unwrap_or_default()
    })?;
    let lines = log::lines();
    if let Some(line) = lines.iter().find(|line| line.contains(SECRET)) {
        return Err(format!("a secret is in the log: {line}"));
    }
    if let Some(line) = lines.iter().find(|line| line.contains(char::is_control)) {
        return Err(format!(
            "the log has what would change a terminal: {line:?}"
        ));
    }
    match lines.iter().find(|line| line.contains(case.says)) {
        Some(line) => Ok((line.clone(), took)),
        None if case.says.is_empty() => Ok((String::new(), took)),
        None => Err(format!("no line says '{}': {lines:#?}", case.says)),
    }
}

/// A wait of the next peer that is no longer for the machine to explain.
const SERVED_WITHIN: Duration = Duration::from_secs(10);
/// Rounds over all cases, the first of which may use what is made once.
const ROUNDS: usize = 3;
/// Bytes that the heap may have grown over the later rounds, a fraction of one for each case: what
/// malloc keeps for its threads differs by that.
const HEAP_SLACK: usize = 64 << 10;

struct Table {
    cases: Vec<Case>,
    scenes: HashMap<Role, Scene>,
    failures: Vec<String>,
    slowest: Duration,
}

impl Table {
    fn round(&mut self, print: bool) {
        for case in &self.cases {
            let plain = case.kind == Kind::Plain;
            let before = Held::here();
            let shared = &self.scenes[&case.role];
            let result = catch_unwind(AssertUnwindSafe(|| {
                let result = if plain {
                    run(case, shared)
                } else {
                    let scene = Scene::new(case.role, case.kind);
                    run(case, &scene)
                };
                shared.target.settle();
                returned(before);
                result
            }));
            let result = result.unwrap_or_else(|_| Err("descriptors or mappings are left".into()));
            let (what, took) = match result {
                Ok((line, took)) => (line, took),
                Err(why) => {
                    self.failures.push(format!("{}: {why}", case.title()));
                    (format!("FAILED: {why}"), Duration::ZERO)
                }
            };
            self.slowest = self.slowest.max(took);
            if took > SERVED_WITHIN {
                let failure = format!("{}: the next peer waited {took:?}", case.title());
                self.failures.push(failure);
            }
            if print {
                let said = what.rsplit(": ").next().unwrap_or_default();
                let (rule, name) = (format!("{:?}", case.rule), &case.name);
                println!("{:<7} {rule:<15} {name:<64} {said}", case.role.to_string());
            }
        }
    }
}

fn main() -> ExitCode {
    if let Some(code) = child() {
        return code;
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&String> = args.iter().filter(|a| !a.starts_with('-')).collect();
    let mut cases = cases::all();
    cases.retain(|case| words.iter().all(|word| case.title().contains(*word)));
    if args.iter().any(|arg| arg == "--list") {
        for case in &cases {
            println!("{}: test", case.title());
        }
        return ExitCode::SUCCESS;
    }
    log::install();
    scene::raise_descriptor_limit(4096);
    let roles = [Role::Master, Role::Slave];
    let scenes: HashMap<_, _> = roles
        .map(|role| (role, Scene::new(role, Kind::Plain)))
        .into();
    for scene in scenes.values() {
        scene.serves(); // once, for what is made at first use
        scene.target.settle();
    }
    let mut table = Table {
        cases,
        scenes,
        failures: Vec::new(),
        slowest: Duration::ZERO,
    };
    println!("{:<7} {:<15} {:<64} logged", "victim", "rule", "case");
    table.round(true);
    let first = scene::heap();
    (1..ROUNDS).for_each(|_| table.round(false));
    let grown = scene::heap().saturating_sub(first);
    if grown > HEAP_SLACK {
        let rounds = ROUNDS - 1;
        table
            .failures
            .push(format!("{grown} bytes more after {rounds} more rounds"));
    }
    let count = |role| table.cases.iter().filter(|case| case.role == role).count();
    println!(
        "\n{} cases as master, {} as slave, {ROUNDS} times each: {} failures; the next peer waited {:.1?} at most; \
         {grown} bytes of heap more after {} rounds",
        count(Role::Master),
        count(Role::Slave),
        table.failures.len(),
        table.slowest,
        ROUNDS - 1,
    );
    for failure in &table.failures {
        println!("FAILED {failure}");
    }
    ExitCode::from(u8::from(!table.failures.is_empty()))
}
