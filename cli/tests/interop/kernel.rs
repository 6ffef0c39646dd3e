//! The kernel's stack against `memif respond`, by `memif bridge` and a TAP; with testpmd between.

use std::fs::File;
use std::process::Stdio;

use crate::command::{Namespace, Running, Scene};
use crate::peers::{PATIENCE, Testpmd, wait_until};

#[test]
fn the_kernel_talks_to_smoltcp() {
    let Some(scene) = Scene::new(&["ip", "ping", "curl", "socat"]) else {
        return;
    };
    let capture = scene.dir.path().join("x.pcapng").display().to_string();
    let mut bridge = scene.bridge("tap:mf0", &["-w", &capture]);
    let mut respond = respond(&scene.socket);
    bridge.says("connected to");
    talk(&scene, 100, 100_000_000);

    respond.stop();
    let said = bridge.stop();
    // What the kernel says of its own accord after the stack has left is dropped; nothing else.
    assert!(
        said.iter()
            .any(|l| l.contains("to tap:mf0") && l.ends_with("; 0 dropped")),
        "{said:?}"
    );
    let packets = std::fs::metadata(&capture).unwrap().len();
    assert!(packets > 200_000_000, "{packets}");
}

#[test]
fn the_kernel_talks_to_smoltcp_through_testpmd() {
    let Some(scene) = Scene::new(&["ip", "ping", "curl", "socat", "dpdk-testpmd"]) else {
        return;
    };
    let dir = scene.dir.path();
    let [left, right] = ["l", "r"].map(|s| dir.join(s).display().to_string());
    let devices =
        [&left, &right].map(|s| format!("role=server,socket={s},id=0,socket-abstract=no"));
    let _testpmd = Testpmd::with_devices(dir, &devices, "io", &[]);
    assert!(wait_until(PATIENCE, || {
        [&left, &right]
            .iter()
            .all(|s| std::path::Path::new(s).exists())
    }));
    let bridge = format!("memif:{left}");
    let bridge = Running::start(Some(&scene.namespace), &["bridge", "tap:mf0", &bridge]);
    bridge.says("connected to");
    let _respond = respond(&right);
    talk(&scene, 100, 100_000_000);
}

#[test]
fn jumbo_frames_cross_the_tap_and_many_visitors_at_once_get_the_page() {
    let Some(scene) = Scene::new(&["ip", "ping", "curl"]) else {
        return;
    };
    let namespace = &scene.namespace;
    let bridge = scene.bridge("tap:mf0,mtu=9000", &[]);
    let respond = respond_with(&scene.socket, &["--mtu", "9000"]);
    bridge.says("connected to");
    reach(namespace);
    namespace.pings_one_by_one(20, 60_000, "10.8.0.1");
    // Whole, not as fragments.
    namespace.pings(20, "-M do -s 8972", "10.8.0.1");

    let url = "http://10.8.0.1/";
    let visit = || {
        let mut curl = namespace.command("curl");
        curl.args(["-sSf", "--max-time", "60", url]);
        curl.stdout(Stdio::piped()).spawn().unwrap()
    };
    let visitors: Vec<_> = (0..8).map(|_| visit()).collect();
    for visitor in visitors {
        let page = visitor.wait_with_output().unwrap().stdout;
        assert!(String::from_utf8_lossy(&page).contains("crossed shared memory"));
    }

    // Killed, and back: the bridge goes on.
    drop(respond);
    bridge.says("disconnected");
    let _respond = respond_with(&scene.socket, &["--mtu", "9000"]);
    bridge.says("connected to");
    reach(namespace);
    namespace.pings(20, "-M do -s 8972", "10.8.0.1");
}

fn respond(socket: &str) -> Running {
    respond_with(socket, &[])
}

fn respond_with(socket: &str, options: &[&str]) -> Running {
    let args = [
        "respond",
        "-s",
        socket,
        "--ip",
        "10.8.0.1/24",
        "--ip6",
        "fd08::1/64",
    ];
    let running = Running::start(None, &[&args, options].concat());
    running.says("Answering as");
    running
}

/// Gives the TAP its addresses and waits until a ping is answered: the ways through others may
/// take a moment to open.
fn reach(namespace: &Namespace) {
    let there = || namespace.ip("addr replace 10.8.0.2/24 dev mf0");
    assert!(wait_until(PATIENCE, there));
    assert!(namespace.ip("addr replace fd08::2/64 dev mf0 nodad"));
    assert!(wait_until(PATIENCE, || namespace.reaches("10.8.0.1")));
}

/// Ping, curl, and TCP echo of so many bytes.
fn talk(scene: &Scene, pings: usize, bytes: usize) {
    let namespace = &scene.namespace;
    reach(namespace);
    let run = |program: &str, args: &str| {
        let out = namespace.command(program).args(args.split(' ')).output();
        let out = out.unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success(), "{program} {args}: {out:?}");
        text
    };
    for address in ["10.8.0.1", "fd08::1"] {
        namespace.pings(pings, "-s 56", address);
    }
    namespace.pings_one_by_one(pings / 4, 8000, "10.8.0.1");
    for url in ["http://10.8.0.1/", "http://[fd08::1]/"] {
        let page = run("curl", &format!("-sSf -g --max-time 20 {url}"));
        assert!(page.contains("crossed shared memory"), "{page}");
    }

    let data: Vec<u8> = (0..bytes as u64)
        .map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8)
        .collect();
    let (sent, back) = (scene.dir.path().join("sent"), scene.dir.path().join("back"));
    std::fs::write(&sent, &data).unwrap();
    let echoed = namespace
        .command("socat")
        .args(["-t", "60", "-", "TCP:10.8.0.1:7"])
        .stdin(File::open(&sent).unwrap())
        .stdout(Stdio::from(File::create(&back).unwrap()))
        .status()
        .unwrap();
    assert!(echoed.success());
    assert!(
        std::fs::read(&back).unwrap() == data,
        "other bytes came back"
    );
}
