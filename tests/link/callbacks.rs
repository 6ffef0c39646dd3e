//! Callbacks.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use memif::{Eof, Error, ErrorKind, Memif, MemifConfig, Role};

use crate::common::*;
use crate::support::*;

#[test]
fn both_sides_are_called_when_the_link_comes_and_goes() {
    for closing in ROLES {
        let name = socket();
        let context = context();
        let (tell, told) = mpsc::channel();
        let make = |role| {
            let (up, down) = (tell.clone(), tell.clone());
            let config = MemifConfig::new(&name)
                .role(role)
                .on_connect(move |memif| {
                    assert!(memif.is_link_up());
                    // The interface may be used here.
                    assert!(memif.details().unwrap().link_up);
                    up.send((memif.role(), true)).unwrap();
                })
                .on_disconnect(move |memif| {
                    assert!(!memif.is_link_up());
                    assert!(!memif.details().unwrap().link_up);
                    down.send((memif.role(), false)).ok(); // at the end nobody listens
                });
            context.create_interface(config).unwrap()
        };
        let next_two = |what| {
            let mut two = [
                told.recv_timeout(LONG).unwrap(),
                told.recv_timeout(LONG).unwrap(),
            ];
            two.sort_by_key(|(role, _)| *role == Role::Slave);
            assert_eq!(two, [(Role::Master, what), (Role::Slave, what)]);
        };
        let master = make(Role::Master);
        let slave = make(Role::Slave);
        next_two(true);
        match closing {
            Role::Master => master.close(),
            _ => slave.close(),
        }
        next_two(false);
        let _again = make(closing);
        next_two(true);
        assert!(told.try_recv().is_err());
    }
}

#[test]
fn interfaces_may_be_made_and_closed_in_callbacks() {
    let context = Arc::new(context());
    let (first, second) = (socket(), socket());
    let made: Arc<Mutex<Vec<Memif>>> = Arc::default();
    let closed = Arc::new(AtomicUsize::new(0));
    let master = {
        let (making, made, second) = (Arc::clone(&context), Arc::clone(&made), second.clone());
        let config = MemifConfig::new(&first).role(Role::Master);
        let config = config.on_connect(move |memif| {
            let more = [
                making.create_interface(MemifConfig::new(&second).role(Role::Master)),
                making.create_interface(MemifConfig::new(&second)),
            ];
            made.lock().unwrap().extend(more.map(Result::unwrap));
            // One's own link, at once.
            memif.close();
        });
        context.create_interface(config).unwrap()
    };
    let slave = {
        let closed = Arc::clone(&closed);
        let config = MemifConfig::new(&first).on_disconnect(move |memif| {
            memif.close();
            closed.fetch_add(1, Ordering::Relaxed);
        });
        context.create_interface(config).unwrap()
    };
    until("the last callback", || closed.load(Ordering::Relaxed) == 1);
    let (a, b) = {
        let made = made.lock().unwrap();
        (made[0].clone(), made[1].clone())
    };
    works(&a, &b);
    for memif in [&master, &slave] {
        assert_eq!(eof(memif.wait_link_up(Some(LONG))), Eof::Closed);
        let details = memif.details().unwrap();
        assert!(!details.link_up && !details.error.is_empty());
    }
}

#[test]
fn waiting_for_a_link_in_a_callback_is_an_error_where_it_would_hang() {
    let context = context();
    let other = slave_on(&context, &socket());
    let (tell, told) = mpsc::channel();
    let name = socket();
    let config = MemifConfig::new(&name).role(Role::Master);
    let config = config.on_connect(move |memif| {
        // Its own is up; the other never will be.
        let waits = [
            memif.wait_link_up(None),
            other.wait_link_up(Some(Duration::ZERO)),
        ];
        tell.send((waits, other.wait_link_up(None))).unwrap();
    });
    let master = context.create_interface(config).unwrap();
    works(&master, &slave_on(&context, &name));
    let (known, unknown) = told.recv_timeout(LONG).unwrap();
    assert_eq!(known, [Ok(()), Err(Error::TimedOut)]);
    let error = unknown.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Again, "{error}");
    assert!(error.to_string().contains("callback"), "{error}");
}

#[test]
fn the_last_owner_may_go_in_a_callback() {
    let name = socket();
    let context = context();
    let slot: Arc<Mutex<Option<Memif>>> = Arc::default();
    let gone = Arc::new(AtomicUsize::new(0));
    let config = {
        let (slot, gone) = (Arc::clone(&slot), Arc::clone(&gone));
        MemifConfig::new(&name)
            .role(Role::Master)
            .on_connect(move |_| {
                drop(slot.lock().unwrap().take());
                gone.fetch_add(1, Ordering::Release);
            })
    };
    *slot.lock().unwrap() = Some(context.create_interface(config).unwrap());
    let slave = slave_on(&context, &name);
    until("the callback", || gone.load(Ordering::Acquire) == 1);
    down(&slave);
    let master = master_on(&context, &name);
    until("a link again", || slave.is_link_up());
    works(&master, &slave);
}

#[test]
fn a_panic_in_a_callback_stays_there() {
    let name = socket();
    let context = context();
    let config = MemifConfig::new(&name).role(Role::Master);
    let config = config.on_connect(|_| panic!("this panic is wanted"));
    let master = context.create_interface(config).unwrap();
    works(&master, &slave_on(&context, &name));
}
