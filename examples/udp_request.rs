//! Requests and responses over UDP, as in DNS: names are sent, numbers come back, and a request
//! that is not answered is repeated.
//!
//! Without arguments both sides are in this process. With `--socket PATH [--role master]` it is the
//! server, 10.9.0.1, on port 5300.

mod common;

use common::{Host, address, ends, fail};
use memif::phy::MemifDevice;
use memif::{Context, Error, MemifConfig};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::udp;
use smoltcp::time::{Duration, Instant};

const PORT: u16 = 5300;

fn add_socket(host: &mut Host<MemifDevice>, port: u16) -> SocketHandle {
    let memory = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 64], vec![0; 65_536]);
    let mut socket = udp::Socket::new(memory(), memory());
    socket.bind(port).unwrap();
    host.sockets.add(socket)
}

fn serve(mut host: Host<MemifDevice>) {
    let handle = add_socket(&mut host, PORT);
    loop {
        host.poll();
        let socket = host.sockets.get_mut::<udp::Socket>(handle);
        while socket.can_send() {
            let Ok((name, from)) = socket.recv() else {
                break;
            };
            let length = String::from_utf8_lossy(name).chars().count();
            let answer = format!("{length} letters");
            if let Err(error) = socket.send_slice(answer.as_bytes(), from) {
                eprintln!("{from}: {error}");
            }
        }
        if !host.wait() {
            return;
        }
    }
}

fn ask(host: &mut Host<MemifDevice>, handle: SocketHandle, name: &str) -> String {
    let mut ask_at = Instant::now();
    loop {
        host.poll();
        let socket = host.sockets.get_mut::<udp::Socket>(handle);
        if let Ok((answer, _)) = socket.recv() {
            return String::from_utf8_lossy(answer).into_owned();
        }
        if Instant::now() >= ask_at {
            socket
                .send_slice(name.as_bytes(), (address(1), PORT))
                .unwrap();
            ask_at = Instant::now() + Duration::from_secs(1);
        }
        if !host.wait_until(ask_at) {
            fail("closed");
        }
    }
}

fn main() -> Result<(), Error> {
    let context = Context::new("udp_request")?;
    let (near, far) = ends(&context, |socket| MemifConfig::new(socket))?;
    let server = Host::new(MemifDevice::new(&near, 0)?, 1);
    let Some(far) = far else {
        serve(server);
        return Ok(());
    };
    let serving = std::thread::spawn(move || serve(server));
    let mut client = Host::new(MemifDevice::new(&far, 0)?, 2);
    let handle = add_socket(&mut client, 40_000);
    for name in ["memif", "smoltcp", "straße"] {
        println!("{name}: {}", ask(&mut client, handle, name));
    }
    near.close();
    serving.join().unwrap();
    Ok(())
}
