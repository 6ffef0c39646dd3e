//! Attacks a master or a slave by its socket, one case after another, and prints what it answered.
//!
//! ```sh
//! memif-hostile --role master --socket /run/vpp/memif.sock --id 7
//! ```

use std::collections::HashSet;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use memif_hostile::peer::{last_refusal, set_patience};
use memif_hostile::{Beside, Case, Held, Kind, Role, Target, cases, child, panic_text};

/// What a hostile memif peer can do, one case after another, against a master or slave of yours.
///
/// After each case a peer that behaves is to be served. Of a master, the longest wait of another
/// process for an answer is measured, and the descriptors that are left are counted where this user
/// may look into its process.
#[derive(Parser, Debug)]
#[command(version, arg_required_else_help = true)]
struct Args {
    /// The victim's socket; @NAME is an abstract one. A slave's is listened at.
    #[arg(short, long)]
    socket: String,
    /// The victim's role.
    #[arg(short, long)]
    role: Role,
    /// The victim's interface id.
    #[arg(long, default_value_t = 0)]
    id: u32,
    /// The secret of the victim's link.
    #[arg(long)]
    secret: Option<String>,
    /// Only cases whose title has this. May be given several times.
    #[arg(long = "case", value_name = "WORDS")]
    cases: Vec<String>,
    /// Rounds of all cases.
    #[arg(long, default_value_t = 1)]
    times: u32,
    /// Random cases instead, so many.
    #[arg(long, value_name = "COUNT")]
    random: Option<u64>,
    /// Where random cases begin: the same number, the same cases.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long the victim may take for an answer, in seconds.
    #[arg(long, default_value_t = 10)]
    patience: u64,
    /// Print the cases, and do nothing.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    if let Some(code) = child() {
        return code;
    }
    let args = Args::parse();
    set_patience(Duration::from_secs(args.patience));
    let mut all = cases::all();
    all.retain(|case| {
        case.role == args.role
            && !case.inside
            && (case.kind != Kind::Secret || args.secret.is_some())
            && args.cases.iter().all(|words| case.title().contains(words))
    });
    if args.list {
        all.iter().for_each(|case| println!("{}", case.title()));
        return ExitCode::SUCCESS;
    }
    // What a case did not expect is a line of the table.
    panic::set_hook(Box::new(|_| {}));
    let target = Target::new(args.role, &args.socket);
    let target = target.with(args.id, args.secret.as_deref()).listening();
    let order: Box<dyn Iterator<Item = &Case>> = match args.random {
        Some(count) => Box::new(cases::random(&all, args.seed).take(count as usize)),
        None => Box::new((0..args.times).flat_map(|_| &all)),
    };
    attack(&target, order)
}

/// Ends badly when the victim did not serve a peer after a case.
fn attack<'a>(target: &Target, order: impl Iterator<Item = &'a Case>) -> ExitCode {
    let Some(first) = serves(target) else {
        eprintln!("{target:?} does not serve a peer that behaves");
        return ExitCode::FAILURE;
    };
    println!("{target:?} serves a peer within {first:.1?}");
    let pid = target.pid();
    let held = || pid.and_then(|pid| Held::of(pid).ok());
    let before = held();
    // Any id will do for who asks beside; a slave has one master.
    let control = pid.map(Target::control_thread);
    let mut beside =
        (target.role == Role::Master).then(|| Beside::start(&target.another(), control.as_deref()));
    println!(
        "{:<15} {:<64} {:>8} {:>8} answered",
        "rule", "case", "served", "asked"
    );
    let (mut count, mut failed, mut longest) = (0, HashSet::new(), Duration::ZERO);
    for case in order {
        let _ = last_refusal();
        if let Some(beside) = &mut beside {
            beside.go();
        }
        let done = catch_unwind(AssertUnwindSafe(|| case.attack(target)));
        let refusal = last_refusal();
        let served = serves(target);
        let asked = beside.as_mut().map(|beside| beside.stop().longest);
        let answered = match (refusal, done) {
            (Some(reason), _) => reason,
            (None, Ok(())) => String::new(),
            (None, Err(panic)) => panic_text(&*panic).replace('\n', " "),
        };
        let time = |time: Option<Duration>| time.map_or("-".into(), |t| format!("{t:.1?}"));
        println!(
            "{:<15} {:<64} {:>8} {:>8} {answered:.100}",
            format!("{:?}", case.rule),
            case.name,
            time(served),
            time(asked),
        );
        count += 1;
        longest = longest.max(asked.unwrap_or_default());
        if served.is_none() {
            failed.insert(case.title());
        }
    }
    let asked = beside.map_or(String::new(), |_| {
        format!("; another process waited {longest:.1?} at most for an answer")
    });
    println!(
        "\n{count} cases; after {} no peer was served{asked}",
        failed.len()
    );
    if let (Some(before), Some(after)) = (before, held()) {
        println!(
            "the victim held {} descriptors and {} mappings, and holds {} and {}",
            before.descriptors, before.mappings, after.descriptors, after.mappings
        );
    }
    for title in &failed {
        println!("NOT SERVED after {title}");
    }
    ExitCode::from(u8::from(!failed.is_empty()))
}

fn serves(target: &Target) -> Option<Duration> {
    catch_unwind(AssertUnwindSafe(|| target.serves())).ok()
}
