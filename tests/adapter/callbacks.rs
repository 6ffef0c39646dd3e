//! Callbacks get the interface, so one may serve many.

use std::sync::Arc;

use memif::{MemifConfig, Role};

use crate::common::{context, socket, until, up};

#[test]
fn one_callback_serves_many_interfaces() {
    let (master_context, slave_context) = (context(), context());
    let socket = socket();
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let config = MemifConfig::new(&socket)
        .role(Role::Master)
        .on_connect(move |memif| noted.lock().unwrap().push(memif.id()));
    let masters: Vec<_> = (0..10)
        .map(|id| {
            master_context
                .create_interface(config.clone().id(id))
                .unwrap()
        })
        .collect();
    let slaves: Vec<_> = (0..10)
        .map(|id| {
            slave_context
                .create_interface(MemifConfig::new(&socket).id(id))
                .unwrap()
        })
        .collect();
    masters.iter().chain(&slaves).for_each(up);
    until("all callbacks", || seen.lock().unwrap().len() == 10);
    let mut seen = seen.lock().unwrap().clone();
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..10));
}
