//! Masters that refuse, break the protocol, or are of another version: what a command waits for,
//! and what ends it.

use memif_hostile::peer::*;

use crate::process::{Place, Process, run, wait_until};

/// What a master may do instead of a link, and what the command says of it.
const NO_LINK: [(&str, &str); 6] = [
    ("hangs up", "closed its control socket"),
    ("version", "incompatible version"),
    ("unmatched interface id", "unmatched interface id"),
    ("incorrect secret", "incorrect secret"),
    ("mode mismatch", "mode mismatch"),
    ("out of order", "out of order"),
];

/// The next slave is not served.
fn refuse(master: &Master, how: &str) {
    let stage = match how {
        "hangs up" | "version" => Stage::Accepted,
        _ => Stage::Init,
    };
    let link = loop {
        if let Some(link) = master.try_go(stage) {
            break link;
        }
    };
    let answer = match how {
        "hangs up" => return,
        "version" => Message::hello().put16(at::HELLO_MIN_VERSION, 0x0300),
        reason => Message::disconnect(1, reason),
    };
    link.wire.send(&answer);
    link.wire.wait_hang_up();
}

/// The next that stays is.
fn serve(master: &Master) -> Link {
    let link = loop {
        if let Some(link) = master.try_go(Stage::Up) {
            break link;
        }
    };
    // It is up for the slave too when it has offered its buffers.
    wait_until("offered buffers", || link.m2s().head() == link.m2s().size);
    link
}

#[test]
fn before_the_first_link_others_are_waited_for() {
    let place = Place::new();
    let socket = place.socket();
    for command in [
        &["capture", "-s", &socket, "-c", "1"][..],
        &["respond", "-s", &socket, "--ip", "192.0.2.1/24"],
        &["bridge", &format!("memif:{socket}"), "memif:@nobody-else"],
    ] {
        let master = Master::listen(&socket);
        let process = Process::start(command);
        for (how, said) in &NO_LINK[..2] {
            refuse(&master, how);
            process.wait_said(said, 1);
        }
        serve(&master);
        process.wait_said(": connected to", 1);
        drop((master, process));
        std::fs::remove_file(&socket).unwrap();
    }
}

#[test]
fn after_the_first_link_no_master_ends_a_command() {
    let place = Place::new();
    let (socket, other) = (place.socket(), place.text("other.sock"));
    let ends = [&socket, &other].map(|socket| format!("memif:{socket}"));
    for command in [
        &["capture", "-s", &socket, "-c", "1"][..],
        &["respond", "-s", &socket, "--ip", "192.0.2.1/24"],
        &["bridge", &ends[0], &ends[1]],
    ] {
        let (master, second) = (Master::listen(&socket), Master::listen(&other));
        let process = Process::start(command);
        let first = serve(&master);
        let _second = (command[0] == "bridge").then(|| serve(&second));
        process.wait_said(": connected to raw master", 1);
        drop(first);
        for (how, said) in NO_LINK {
            // It is looked at now and then: a refusal may be over before.
            while !process.said().contains(said) {
                refuse(&master, how);
            }
        }
        // One that publishes what can't be: the link ends, the command does not.
        let broken = serve(&master);
        broken.m2s().set_desc(
            0,
            Desc {
                region: 9,
                length: 64,
                ..Desc::default()
            },
        );
        broken.m2s().set_tail(1);
        broken.m2s().wake();
        broken.wire.wait_hang_up();

        let good = serve(&master);
        process.wait_said(": connected to raw master", 3);
        good.master_sends(&[0xff; 64]);
        match command[0] {
            "capture" => drop(process.finish().good().says("1 packet printed")),
            _ => wait_until("a buffer that is offered again", || {
                good.m2s().head() != good.m2s().size
            }),
        }
        drop((master, second));
        for socket in [&socket, &other] {
            std::fs::remove_file(socket).unwrap();
        }
    }
}

#[test]
fn what_the_user_must_change_ends_a_command_before_its_first_link() {
    let place = Place::new();
    let socket = place.socket();
    let master = Master::listen(&socket);
    for (how, option) in [
        ("incorrect secret", "--secret"),
        ("mode mismatch", "--mode"),
    ] {
        for command in [&["capture"][..], &["respond", "--ip", "192.0.2.1/24"]] {
            let process = Process::start(&[command, &["-s", &socket]].concat());
            refuse(&master, how);
            process.finish().failed(1, &[how, option]);
        }
    }
    drop(master);
    let left = run(&["capture", "-s", &socket, "--timeout", "0.3"]);
    left.failed(1, &["nobody listens"]);
}
