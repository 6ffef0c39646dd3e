//! Refusals.

use memif::{ErrorKind, IfMode, MemifConfig, Role};

use crate::common::*;
use crate::support::*;

#[test]
fn a_refusal_names_what_is_wrong() {
    let context = context();
    let name = socket();
    let config = MemifConfig::new(&name).id(3).secret("right");
    let master = config.clone().role(Role::Master);
    let master = context.create_interface(master).unwrap();
    let cases = [
        (
            config.clone().secret("wrong"),
            ErrorKind::WrongSecret,
            "incorrect secret",
        ),
        (
            config.clone().secret("righ"),
            ErrorKind::WrongSecret,
            "incorrect secret",
        ),
        (
            config.clone().secret("right!"),
            ErrorKind::WrongSecret,
            "incorrect secret",
        ),
        (
            config.clone().secret(""),
            ErrorKind::SecretRequired,
            "secret required",
        ),
        (
            config.clone().id(4),
            ErrorKind::InterfaceId,
            "interface id 4",
        ),
        (
            config.clone().mode(IfMode::Ip),
            ErrorKind::ModeMismatch,
            "mode mismatch",
        ),
    ];
    for (config, kind, words) in cases {
        let slave = context.create_interface(config).unwrap();
        let error = slave.wait_link_up(Some(LONG)).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let text = error.to_string();
        assert!(text.contains(words) && text.contains(&name), "{text}");
        assert!(slave.last_failure().unwrap().refused);
        assert!(slave.details().unwrap().error.contains(words));
        assert!(!master.is_link_up());
    }
    let slave = context.create_interface(config).unwrap();
    works(&slave, &master);
}

#[test]
fn a_master_without_a_secret_takes_any() {
    let context = context();
    let name = socket();
    let master = master_on(&context, &name);
    let config = MemifConfig::new(&name).secret("unasked");
    let slave = context.create_interface(config).unwrap();
    works(&master, &slave);
}

#[test]
fn a_second_slave_waits_for_its_turn() {
    let context = context();
    let name = socket();
    let master = master_on(&context, &name);
    let first = slave_on(&context, &name);
    up(&first);
    let second = slave_on(&context, &name);
    let error = second.wait_link_up(Some(LONG)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyConnected, "{error}");
    works(&master, &first);
    first.close();
    until("its turn", || second.is_link_up());
    works(&master, &second);
}

#[test]
fn every_waiter_is_told_of_a_refusal() {
    let master_context = context();
    let name = socket();
    let config = MemifConfig::new(&name)
        .role(memif::Role::Master)
        .secret("right");
    let _master = master_context.create_interface(config).unwrap();
    // It asks once.
    let context = memif::Context::builder("test")
        .reconnect_interval(std::time::Duration::ZERO)
        .build()
        .unwrap();
    let slave = MemifConfig::new(&name).secret("wrong");
    let slave = context.create_interface(slave).unwrap();
    std::thread::scope(|scope| {
        let waiters: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| slave.wait_link_up(None).unwrap_err()))
            .collect();
        for waiter in waiters {
            match waiter.join().unwrap() {
                memif::Error::Refused(refusal) => {
                    let said = (&refusal.peer[..], refusal.kind);
                    assert_eq!(said, ("test", ErrorKind::WrongSecret));
                }
                other => panic!("{other}"),
            }
        }
    });
    // Nothing more will come, so whoever asks later is told too.
    let error = slave.wait_link_up(None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongSecret);
}
