//! A TCP echo server on port 7.
//!
//! Without arguments it serves a client in this process. With `--socket PATH [--role master]` it
//! serves the peer at the other end, as 10.9.0.1.

mod common;

use common::{Host, address, ends, fail};
use memif::phy::MemifDevice;
use memif::{Context, Error, MemifConfig};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp;

fn add_socket(host: &mut Host<MemifDevice>) -> SocketHandle {
    let memory = || tcp::SocketBuffer::new(vec![0; 65_535]);
    host.sockets.add(tcp::Socket::new(memory(), memory()))
}

fn serve(mut host: Host<MemifDevice>) {
    let handle = add_socket(&mut host);
    let mut data = vec![0; 65_535];
    loop {
        // Before the stack works, because it would refuse a client that is already there.
        let socket = host.sockets.get_mut::<tcp::Socket>(handle);
        if !socket.is_open() {
            socket.listen(7).unwrap();
        }
        host.poll();
        let socket = host.sockets.get_mut::<tcp::Socket>(handle);
        while socket.can_recv() && socket.can_send() {
            let room = socket.send_capacity() - socket.send_queue();
            let length = socket.recv_slice(&mut data[..room]).unwrap();
            socket.send_slice(&data[..length]).unwrap();
        }
        if socket.state() == tcp::State::CloseWait && !socket.can_recv() {
            socket.close();
        }
        if !host.wait() {
            return;
        }
    }
}

fn ask(mut host: Host<MemifDevice>, question: &[u8]) -> Vec<u8> {
    let handle = add_socket(&mut host);
    let socket = host.sockets.get_mut::<tcp::Socket>(handle);
    let connected = socket.connect(host.iface.context(), (address(1), 7), 50_000);
    connected.unwrap();
    let (mut sent, mut answer) = (0, Vec::new());
    loop {
        host.poll();
        let socket = host.sockets.get_mut::<tcp::Socket>(handle);
        if !socket.is_open() {
            fail("the connection was refused");
        }
        if socket.can_send() {
            sent += socket.send_slice(&question[sent..]).unwrap();
        }
        while socket.can_recv() {
            socket
                .recv(|data| (data.len(), answer.extend_from_slice(data)))
                .unwrap();
        }
        // Before the wait, because nothing may come after the last byte.
        if answer.len() >= question.len() {
            return answer;
        }
        if !host.wait() {
            fail("closed");
        }
    }
}

fn main() -> Result<(), Error> {
    let context = Context::new("tcp_echo")?;
    let (near, far) = ends(&context, |socket| MemifConfig::new(socket))?;
    let server = Host::new(MemifDevice::new(&near, 0)?, 1);
    let Some(far) = far else {
        serve(server);
        return Ok(());
    };
    let serving = std::thread::spawn(move || serve(server));
    let question = b"Is anybody there?".repeat(10_000);
    let answer = ask(Host::new(MemifDevice::new(&far, 0)?, 2), &question);
    assert!(answer == question);
    println!("{} bytes came back as they were", answer.len());
    near.close();
    serving.join().unwrap();
    Ok(())
}
