//! All cases, some rounds of them, and what came out.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use memif_hostile::peer::{last_refusal, patience};
use memif_hostile::{Case, Held, Kind, Role, Target, cases, panic_text};

use crate::common::{heap, is_long};
use crate::log;
use crate::scene::{Others, SECRET, Scene, returned};

/// A wait of the next peer that is no longer for the machine to explain.
const SERVED_WITHIN: Duration = Duration::from_secs(10);
/// What an attack may delay others by, in ms, unless `HOSTILE_DELAY_MS` says otherwise: a sanitizer
/// makes the same work take several times as long.
const OTHERS_WAIT: u64 = 5;
/// A case that delays others does so each time; a busy machine does not.
const LOOKS: usize = 6;
/// Rounds over all cases, the first of which may use what is made once.
pub(crate) fn rounds() -> usize {
    if is_long() { 3 } else { 2 }
}
/// Bytes that the heap may have grown over the later rounds, a fraction of one for each case.
const HEAP_SLACK: usize = 16 << 10;

/// How a case went: the line that names the offence, how long the next peer waited, and others.
struct Went {
    line: String,
    served: Duration,
    others: Others,
}

fn run(case: &Case, scene: &Scene) -> Result<Went, String> {
    log::clear();
    scene.go();
    let done = catch_unwind(AssertUnwindSafe(|| {
        case.attack(&scene.target);
        scene.target.serves()
    }));
    let others = scene.stop();
    let served = done.map_err(|panic| panic_text(&*panic))?;
    if others.asked.driven_out > 0 {
        return Err(format!("others were driven out: {:?}", others.asked));
    }
    let mut lines = log::lines();
    lines.retain(|line| !scene.is_beside(line));
    if let Some(line) = lines.iter().find(|line| line.contains(SECRET)) {
        return Err(format!("a secret is in the log: {line}"));
    }
    if let Some(line) = lines.iter().find(|line| line.contains(char::is_control)) {
        let what = "the log has what would change a terminal";
        return Err(format!("{what}: {line:?}"));
    }
    let line = lines.iter().find(|line| line.contains(case.says));
    match line {
        None if !case.says.is_empty() => Err(format!("no line says '{}': {lines:#?}", case.says)),
        line => Ok(Went {
            line: line
                .filter(|_| !case.says.is_empty())
                .cloned()
                .unwrap_or_default(),
            served,
            others,
        }),
    }
}

/// Right after another case. As long as that one's crowd fills the victim's places for unfinished
/// handshakes, it is tried again.
fn attack_at_once(case: &Case, target: &Target) -> Result<(), String> {
    let start = Instant::now();
    loop {
        log::clear();
        let _ = last_refusal();
        let Err(panic) = catch_unwind(AssertUnwindSafe(|| case.attack(target))) else {
            return Ok(());
        };
        let crowded = last_refusal().is_some_and(|why| why.contains("too many unfinished"));
        if !crowded || start.elapsed() > patience() {
            return Err(format!("{}: {}", case.title(), panic_text(&*panic)));
        }
    }
}

/// As many cases as this in a row, in an order that follows from the seed. A second after the last,
/// as much must be held as before the first.
pub(crate) fn random(cases: &[Case], count: usize, seed: u64) -> Result<Duration, String> {
    const GONE_WITHIN: Duration = Duration::from_secs(1);
    let mut scenes = HashMap::new();
    for case in cases {
        let scene = || Scene::new(case.role, case.kind);
        scenes.entry((case.role, case.kind)).or_insert_with(scene);
    }
    // Once, for what is made at first use.
    for case in cases {
        attack_at_once(case, &scenes[&(case.role, case.kind)].target)?;
    }
    scenes.values().for_each(Scene::settle);
    let before = Held::here();
    for (number, case) in cases::random(cases, seed).take(count).enumerate() {
        let target = &scenes[&(case.role, case.kind)].target;
        attack_at_once(case, target).map_err(|why| format!("random case {number}, {why}"))?;
    }
    let end = Instant::now();
    while !Held::here().is_within(before) {
        if end.elapsed() > GONE_WITHIN {
            let now = Held::here();
            return Err(format!(
                "after {count} random cases: {now:?}, before: {before:?}"
            ));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let took = end.elapsed();
    scenes.values().for_each(Scene::settle);
    Ok(took)
}

pub(crate) struct Table {
    pub(crate) cases: Vec<Case>,
    scenes: HashMap<Role, Scene>,
    /// Held before the first case, and after each.
    before: Held,
    pub(crate) failures: Vec<String>,
    /// The longest that a peer after an attack waited.
    pub(crate) slowest: Duration,
    /// For each case, the least that others waited.
    pub(crate) others: Vec<Option<Others>>,
    pub(crate) grown: usize,
    others_wait: Duration,
}

impl Table {
    pub(crate) fn new(cases: Vec<Case>) -> Self {
        let roles = [Role::Master, Role::Slave];
        let scenes = roles.map(|role| (role, Scene::new(role, Kind::Plain)));
        let scenes = HashMap::from(scenes);
        scenes.values().for_each(Scene::settle);
        Self {
            before: Held::here(),
            others: cases.iter().map(|_| None).collect(),
            cases,
            scenes,
            failures: Vec::new(),
            slowest: Duration::ZERO,
            grown: 0,
            others_wait: Duration::from_millis(crate::number("HOSTILE_DELAY_MS", OTHERS_WAIT)),
        }
    }

    /// All rounds. The last is printed.
    pub(crate) fn rounds(&mut self) {
        println!(
            "{:<7} {:<15} {:<64} {:>8} {:>8} logged",
            "victim", "rule", "case", "asked", "bursts"
        );
        let mut first = 0;
        for round in 1..=rounds() {
            (0..self.cases.len()).for_each(|at| self.look(at, round == rounds()));
            // What it logged is not the victim's.
            log::clear();
            if round == 1 {
                first = heap::used();
            }
        }
        self.grown = heap::used().saturating_sub(first);
        if self.grown > HEAP_SLACK {
            let rounds = rounds() - 1;
            let failure = format!("{} bytes more after {rounds} more rounds", self.grown);
            self.failures.push(failure);
        }
        for at in 0..self.cases.len() {
            let mut looks = rounds();
            while self.others_waited(at) > self.others_wait && looks < LOOKS {
                self.look(at, false);
                looks += 1;
            }
            if self.others_waited(at) > self.others_wait {
                let failure = format!("{}: {:?}", self.cases[at].title(), self.others[at]);
                self.failures.push(failure);
            }
        }
    }

    fn others_waited(&self, at: usize) -> Duration {
        self.others[at].map(Others::waited).unwrap_or_default()
    }

    /// The longest that any case delays others by.
    pub(crate) fn longest(&self) -> Others {
        let others = self.others.iter().flatten();
        others.copied().reduce(Others::longer).unwrap_or_default()
    }

    fn look(&mut self, at: usize, print: bool) {
        let case = &self.cases[at];
        let shared = &self.scenes[&case.role];
        let result = catch_unwind(AssertUnwindSafe(|| {
            let result = if case.kind == Kind::Plain {
                run(case, shared)
            } else {
                run(case, &Scene::new(case.role, case.kind))
            };
            shared.target.settle();
            returned(self.before);
            result
        }));
        let result = result.unwrap_or_else(|panic| Err(panic_text(&*panic)));
        let said = match result {
            Ok(went) => {
                self.slowest = self.slowest.max(went.served);
                if went.served > SERVED_WITHIN {
                    let why = format!("the next peer waited {:?}", went.served);
                    self.failures.push(format!("{}: {why}", case.title()));
                }
                let least = self.others[at].map_or(went.others, |o| o.shorter(went.others));
                self.others[at] = Some(least);
                went.line.rsplit(": ").next().unwrap_or_default().to_owned()
            }
            Err(why) => {
                let failure = format!("{}: {why}", case.title());
                println!("FAILED {failure}");
                self.failures.push(failure);
                "FAILED".into()
            }
        };
        if print {
            let others = self.others[at].unwrap_or_default();
            println!(
                "{:<7} {:<15} {:<64} {:>8} {:>8} {said}",
                case.role.to_string(),
                format!("{:?}", case.rule),
                case.name,
                format!("{:.1?}", others.asked.longest),
                format!("{:.1?}", others.bursts),
            );
        }
    }
}
