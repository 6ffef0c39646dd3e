//! An HTTP server that answers `GET /`.
//!
//! Without arguments it serves a client in this process. With `--socket PATH [--role master]` it is
//! 10.9.0.1 at the other end of that memif. To reach it from the kernel, run
//! `memif bridge tap:mf0 memif:PATH,role=master` and `curl http://10.9.0.1/`.

mod common;

use common::{Host, address, ends, fail};
use memif::phy::MemifDevice;
use memif::{Context, Error, MemifConfig};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp;

fn add_socket(host: &mut Host<MemifDevice>) -> SocketHandle {
    let memory = || tcp::SocketBuffer::new(vec![0; 16_384]);
    host.sockets.add(tcp::Socket::new(memory(), memory()))
}

fn serve(mut host: Host<MemifDevice>) {
    // The number of visitors at a time.
    let mut visitors: Vec<_> = (0..4)
        .map(|_| (add_socket(&mut host), Vec::new()))
        .collect();
    // Before the stack works, because it would refuse a visitor who is already there.
    for (handle, _) in &visitors {
        let socket = host.sockets.get_mut::<tcp::Socket>(*handle);
        socket.listen(80).unwrap();
    }
    loop {
        host.poll();
        for (handle, request) in &mut visitors {
            let socket = host.sockets.get_mut::<tcp::Socket>(*handle);
            if !socket.is_open() {
                request.clear();
                socket.listen(80).unwrap();
            }
            while socket.can_recv() {
                socket
                    .recv(|data| (data.len(), request.extend_from_slice(data)))
                    .unwrap();
            }
            if socket.can_send() && request.windows(4).any(|w| w == b"\r\n\r\n") {
                socket.send_slice(&reply(request)).unwrap();
                socket.close();
            } else if socket.state() == tcp::State::CloseWait || request.len() > 8192 {
                socket.abort(); // Left before it had asked, or asks for ever.
            }
        }
        if !host.wait() {
            return;
        }
    }
}

fn reply(request: &[u8]) -> Vec<u8> {
    let (status, page) = if request.starts_with(b"GET / ") {
        ("200 OK", "<h1>Hello over shared memory</h1>\n")
    } else {
        ("404 Not Found", "")
    };
    let length = page.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n"
    );
    (head + page).into_bytes()
}

fn get(mut host: Host<MemifDevice>) -> Vec<u8> {
    let handle = add_socket(&mut host);
    let socket = host.sockets.get_mut::<tcp::Socket>(handle);
    let connected = socket.connect(host.iface.context(), (address(1), 80), 50_000);
    connected.unwrap();
    let (mut asked, mut answer) = (false, Vec::new());
    loop {
        host.poll();
        let socket = host.sockets.get_mut::<tcp::Socket>(handle);
        if !asked && socket.can_send() {
            let request = b"GET / HTTP/1.1\r\nHost: 10.9.0.1\r\n\r\n";
            socket.send_slice(request).unwrap();
            asked = true;
        }
        while socket.can_recv() {
            socket
                .recv(|data| (data.len(), answer.extend_from_slice(data)))
                .unwrap();
        }
        if asked && !socket.may_recv() {
            return answer;
        }
        if !socket.is_open() {
            fail("the connection was refused");
        }
        if !host.wait() {
            fail("closed");
        }
    }
}

fn main() -> Result<(), Error> {
    let context = Context::new("http_server")?;
    let (near, far) = ends(&context, |socket| MemifConfig::new(socket))?;
    let server = Host::new(MemifDevice::new(&near, 0)?, 1);
    let Some(far) = far else {
        serve(server);
        return Ok(());
    };
    let serving = std::thread::spawn(move || serve(server));
    let answer = get(Host::new(MemifDevice::new(&far, 0)?, 2));
    println!("{}", String::from_utf8_lossy(&answer));
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
    near.close();
    serving.join().unwrap();
    Ok(())
}
