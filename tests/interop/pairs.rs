//! Links between two foreign programs, as they are listed: programs, roles, socket, queues, rings.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use memif::Role;
use memif::observe::{self, Direction, Link};

use crate::node;
use crate::peers::{PATIENCE, one_at_a_time, program, wait_until};
use crate::vpp::Vpp;

/// The link on this socket, once it is there and its rings are told apart.
#[track_caller]
fn found(socket: &str) -> Link {
    let mut link = None;
    let is_ours = |link: &Link| {
        let mut rings = link.rings().into_iter();
        link.socket() == Some(socket) && rings.all(|ring| ring.direction.is_some())
    };
    let came = wait_until(PATIENCE, || {
        link = observe::links().unwrap().links.into_iter().find(is_ours);
        link.is_some()
    });
    assert!(came, "{:?}", observe::links().unwrap().links);
    link.unwrap()
}

/// Ends of this program, so many queues to the master and to the slave, of so many slots.
#[track_caller]
fn is_as(link: &Link, name: &str, queues: [usize; 2], slots: u32) {
    for (process, role) in link.processes().iter().zip([Role::Master, Role::Slave]) {
        assert!(process.program.contains(name), "{link:?}");
        assert_eq!(process.role, Some(role), "{link:?}");
    }
    assert_eq!(link.processes().len(), 2, "{link:?}");
    let rings = link.rings();
    let count = |way| rings.iter().filter(|r| r.direction == Some(way)).count();
    assert_eq!(
        [Direction::ToMaster, Direction::ToSlave].map(count),
        queues,
        "{link:?}"
    );
    assert!(rings.iter().all(|ring| ring.size == slots), "{rings:?}");
    assert_eq!(link.problem(), None);
}

#[test]
fn two_vpps() {
    for (kind, queues) in [
        ("rx-queues 2 tx-queues 1 ring-size 512", [1, 2]),
        ("no-zero-copy rx-queues 2 tx-queues 2 ring-size 512", [2, 2]),
        ("no-zero-copy ring-size 512", [1, 1]),
    ] {
        let (Some(master), Some(slave)) = (Vpp::start(0), Vpp::start(0)) else {
            return;
        };
        let _turn = one_at_a_time();
        let socket = master.socket();
        for (vpp, role) in [
            (&master, "master".into()),
            (&slave, format!("slave {kind}")),
        ] {
            vpp.does(&format!("create memif socket id 1 filename {socket}"));
            vpp.does(&format!("create interface memif id 0 socket-id 1 {role}"));
            vpp.does("set interface state memif1/0 up");
        }
        let link = found(&socket);
        is_as(&link, "vpp", queues, 512);
        drop((slave, master));
        assert!(wait_until(PATIENCE, || !link.is_up()));
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn two_of_libmemif_s_examples() {
    let Some(responder) = program("MEMIF_LIBMEMIF", "icmp_responder") else {
        return;
    };
    let _turn = one_at_a_time();
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s").display().to_string();
    let start = |role, address| {
        let mut command = Command::new(&responder);
        command.args(["-r", role, "-s", &socket, "-i", "0", "-a", address]);
        command.current_dir(dir.path()).stdin(Stdio::piped());
        Killed(
            command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        )
    };
    let _master = start("master", "192.168.1.1");
    assert!(wait_until(PATIENCE, || Path::new(&socket).exists()));
    let _slave = start("slave", "192.168.1.2");
    is_as(&found(&socket), "icmp_responder", [1, 1], 1024);
}

#[test]
fn two_node_programs() {
    let Some(package) = node::package() else {
        return;
    };
    let _turn = one_at_a_time();
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let _server = Killed(node::start(package, "echo", "server", &socket));
    let _client = Killed(node::start(package, "ask", "client", &socket));
    is_as(&found(socket.to_str().unwrap()), "node", [1, 1], 256);
}
