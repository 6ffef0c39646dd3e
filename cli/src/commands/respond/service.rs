//! What the responder's ports do.

use memif::phy::smoltcp;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::time::{Duration, Instant};

/// Bytes that a connection holds each way. smoltcp panics when a peer overruns the window, unless
/// it is a power of two less one.
const BUFFER: usize = (256 << 10) - 1;
/// A peer that says nothing for so long has gone.
const TIMEOUT: Duration = Duration::from_secs(60);
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A peer that answers, but is silent, is given up: where a connection is made or closed, where a
/// request is to come, and where there is no need to say anything.
const CLOSING: Duration = Duration::from_secs(10);
const REQUEST: Duration = Duration::from_secs(60);
const IDLE: Duration = Duration::from_secs(600);

const PORT_ECHO: u16 = 7;
const PORT_HTTP: u16 = 80;

/// A connection of a service, or the readiness for one.
pub(super) struct Service {
    handle: SocketHandle,
    echo: bool,
    /// What was read of an HTTP request; `None` once it is answered.
    request: Option<Vec<u8>>,
    passing: Vec<u8>,
    /// The state, and what waits to be sent, when something last happened.
    seen: (tcp::State, usize),
    since: Instant,
}

impl Service {
    pub(super) fn new(sockets: &mut SocketSet<'_>, echo: bool) -> Self {
        let memory = || tcp::SocketBuffer::new(vec![0; BUFFER]);
        let mut socket = tcp::Socket::new(memory(), memory());
        socket.set_timeout(Some(TIMEOUT));
        socket.set_keep_alive(Some(KEEP_ALIVE));
        Self {
            handle: sockets.add(socket),
            echo,
            request: Some(Vec::new()),
            passing: Vec::new(),
            seen: (tcp::State::Closed, 0),
            since: Instant::ZERO,
        }
    }

    pub(super) fn serve(&mut self, sockets: &mut SocketSet<'_>, now: Instant) {
        let socket = sockets.get_mut::<tcp::Socket>(self.handle);
        if !socket.is_open() {
            self.request = Some(Vec::new());
            let port = self.port();
            if let Err(e) = socket.listen(port) {
                log::warn!("port {port}: {e}");
            }
            return;
        }
        let moved = match self.echo {
            true => echo(socket, &mut self.passing),
            false => self.answer(socket),
        };
        // The peer has said all it had to say, and has its answer.
        if !socket.may_recv() && socket.may_send() && socket.state() == tcp::State::CloseWait {
            socket.close();
        }
        let seen = (socket.state(), socket.send_queue());
        if moved || self.seen != seen {
            (self.seen, self.since) = (seen, now);
        }
        let patience = match socket.state() {
            tcp::State::Listen => return,
            tcp::State::Established if self.echo => IDLE,
            tcp::State::Established => REQUEST,
            _ => CLOSING,
        };
        if now - self.since >= patience {
            socket.abort();
        }
    }

    fn port(&self) -> u16 {
        if self.echo { PORT_ECHO } else { PORT_HTTP }
    }

    /// Whether it was answered.
    fn answer(&mut self, socket: &mut tcp::Socket<'_>) -> bool {
        const MOST: usize = 8 << 10;
        while socket.can_recv() {
            let received = socket.recv(|data| {
                if let Some(request) = &mut self.request {
                    request.extend_from_slice(data);
                }
                (data.len(), ())
            });
            if received.is_err() {
                return false;
            }
        }
        let Some(request) = &self.request else {
            return false;
        };
        let end = request.windows(4).any(|w| w == b"\r\n\r\n");
        if !end && request.len() <= MOST {
            return false;
        }
        let reply = reply(request, end);
        // The buffer is empty and larger than any reply.
        if let Err(e) = socket.send_slice(&reply) {
            log::debug!("{e}");
        }
        socket.close();
        self.request = None;
        true
    }
}

/// As much of what came as there is room for goes back; whether any does.
fn echo(socket: &mut tcp::Socket<'_>, passing: &mut Vec<u8>) -> bool {
    let mut moved = false;
    while socket.can_recv() && socket.can_send() {
        let room = socket.send_capacity() - socket.send_queue();
        passing.resize(room, 0);
        let Ok(length) = socket.recv_slice(passing) else {
            break;
        };
        if socket.send_slice(&passing[..length]).is_err() {
            break;
        }
        moved = true;
    }
    moved
}

fn reply(request: &[u8], whole: bool) -> Vec<u8> {
    const PAGE: &str = concat!(
        "<!doctype html>\n<title>memif respond</title>\n<h1>It works</h1>\n<p>This page crossed shared memory, from memif ",
        env!("CARGO_PKG_VERSION"),
        " and smoltcp.</p>\n"
    );
    let mut words = request.split(|b| *b == b' ');
    let (status, body, head_only) = match (words.next(), words.next()) {
        _ if !whole => ("431 Request Header Fields Too Large", "", false),
        (Some(b"GET"), Some(b"/")) => ("200 OK", PAGE, false),
        (Some(b"HEAD"), Some(b"/")) => ("200 OK", PAGE, true),
        (Some(b"GET" | b"HEAD"), Some(_)) => ("404 Not Found", "", false),
        (Some(_), Some(_)) => ("405 Method Not Allowed", "", false),
        _ => ("400 Bad Request", "", false),
    };
    let shown = if head_only { "" } else { body };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{shown}",
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;
    use smoltcp::iface::{Config, Interface, PollResult};
    use smoltcp::phy::{Device, Loopback, Medium, RxToken, TxToken};
    use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

    use super::*;

    /// A service, and a peer that writes its segments itself.
    struct Scene {
        iface: Interface,
        device: Loopback,
        sockets: SocketSet<'static>,
        service: Service,
        now: Instant,
        /// The next numbers of the peer, and of the service.
        numbers: (u32, u32),
    }

    impl Scene {
        fn new(echo: bool) -> Self {
            let (mut device, now) = (Loopback::new(Medium::Ip), Instant::from_secs(1));
            let mut iface = Interface::new(Config::new(HardwareAddress::Ip), &mut device, now);
            iface.update_ip_addrs(|list| {
                let own = IpCidr::new(IpAddress::v4(192, 0, 2, 1), 24);
                list.push(own).unwrap();
            });
            let mut sockets = SocketSet::new(Vec::new());
            let service = Service::new(&mut sockets, echo);
            let mut this = Self {
                iface,
                device,
                sockets,
                service,
                now,
                numbers: (5, 0),
            };
            this.serve();
            this
        }

        fn serve(&mut self) {
            self.service.serve(&mut self.sockets, self.now);
        }

        fn state(&self) -> tcp::State {
            let socket = self.sockets.get::<tcp::Socket<'_>>(self.service.handle);
            socket.state()
        }

        /// Sends a segment, and acknowledges what is said to it.
        fn send(&mut self, syn: bool, data: &[u8]) {
            let port = self.service.port();
            let builder = PacketBuilder::ipv4([192, 0, 2, 9], [192, 0, 2, 1], 64);
            let builder = builder.tcp(1000, port, self.numbers.0, 60_000);
            let builder = match syn {
                true => builder.syn(),
                false => builder.ack(self.numbers.1),
            };
            let mut packet = Vec::new();
            builder.write(&mut packet, data).unwrap();
            let token = self.device.transmit(self.now).unwrap();
            token.consume(packet.len(), |room| room.copy_from_slice(&packet));
            self.numbers.0 += u32::from(syn) + data.len() as u32;
            let (iface, device, now) = (&mut self.iface, &mut self.device, self.now);
            iface.poll_ingress_single(now, device, &mut self.sockets);
            self.service.serve(&mut self.sockets, now);
            while iface.poll_egress(now, device, &mut self.sockets) != PollResult::None {}
            while let Some((answer, _)) = device.receive(now) {
                self.numbers.1 = answer.consume(|answer| {
                    let number = u32::from_be_bytes(*answer[24..].first_chunk().unwrap());
                    let (header, flags) = (20 + usize::from(answer[32] >> 4) * 4, answer[33]);
                    let ends = u32::from(flags & 1) + u32::from(flags >> 1 & 1);
                    number + ends + (answer.len() - header) as u32
                });
            }
        }

        /// After so long it is given up, and not before; then it is ready for another.
        fn is_given_up_after(&mut self, patience: Duration) {
            let state = self.state();
            self.now += patience - Duration::from_millis(1);
            self.serve();
            assert_eq!(self.state(), state);
            self.now += Duration::from_millis(1);
            self.serve();
            assert_eq!(self.state(), tcp::State::Closed);
            self.serve();
            assert_eq!(self.state(), tcp::State::Listen);
        }
    }

    #[test]
    fn peers_that_are_silent_hold_no_connection() {
        for echo in [true, false] {
            let mut scene = Scene::new(echo);
            scene.send(true, b"");
            assert_eq!(scene.state(), tcp::State::SynReceived);
            scene.is_given_up_after(CLOSING);
            let mut scene = Scene::new(echo);
            scene.send(true, b"");
            scene.send(false, b"GET /");
            assert_eq!(scene.state(), tcp::State::Established);
            scene.is_given_up_after(if echo { IDLE } else { REQUEST });
        }
        // It has its answer, and does not close its side.
        let mut scene = Scene::new(false);
        scene.send(true, b"");
        scene.send(false, b"GET / HTTP/1.0\r\n\r\n");
        scene.send(false, b"");
        assert_eq!(scene.state(), tcp::State::FinWait2);
        scene.is_given_up_after(CLOSING);
    }

    #[test]
    fn requests_get_their_status() {
        for (request, says) in [
            ("GET / HTTP/1.1\r\n\r\n", "200 OK"),
            ("HEAD / HTTP/1.0\r\n\r\n", "200 OK"),
            ("GET /x HTTP/1.1\r\n\r\n", "404"),
            ("POST / HTTP/1.1\r\n\r\n", "405"),
            ("\r\n\r\n", "400"),
        ] {
            let reply = String::from_utf8(reply(request.as_bytes(), true)).unwrap();
            let (head, body) = reply.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {says}")), "{reply}");
            assert_eq!(body.contains("crossed"), request.starts_with("GET / "));
        }
        assert!(reply(b"GET", false).starts_with(b"HTTP/1.1 431"));
    }
}
