//! What the responder's ports do.

use memif::phy::smoltcp;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::time::Duration;

/// Bytes that a connection holds each way. smoltcp panics when a peer overruns the window, unless
/// it is a power of two less one.
const BUFFER: usize = (256 << 10) - 1;
/// A peer that says nothing for so long has gone.
const TIMEOUT: Duration = Duration::from_secs(60);
const KEEP_ALIVE: Duration = Duration::from_secs(15);

const PORT_ECHO: u16 = 7;
const PORT_HTTP: u16 = 80;

/// A connection of a service, or the readiness for one.
pub(super) struct Service {
    handle: SocketHandle,
    echo: bool,
    /// What was read of an HTTP request; `None` once it is answered.
    request: Option<Vec<u8>>,
    passing: Vec<u8>,
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
        }
    }

    pub(super) fn serve(&mut self, sockets: &mut SocketSet<'_>) {
        let socket = sockets.get_mut::<tcp::Socket>(self.handle);
        if !socket.is_open() {
            self.request = Some(Vec::new());
            let port = if self.echo { PORT_ECHO } else { PORT_HTTP };
            if let Err(e) = socket.listen(port) {
                log::warn!("port {port}: {e}");
            }
            return;
        }
        if self.echo {
            echo(socket, &mut self.passing);
        } else {
            self.answer(socket);
        }
        // The peer has said all it had to say, and has its answer.
        if !socket.may_recv() && socket.may_send() && socket.state() == tcp::State::CloseWait {
            socket.close();
        }
    }

    fn answer(&mut self, socket: &mut tcp::Socket<'_>) {
        const MOST: usize = 8 << 10;
        while socket.can_recv() {
            let received = socket.recv(|data| {
                if let Some(request) = &mut self.request {
                    request.extend_from_slice(data);
                }
                (data.len(), ())
            });
            if received.is_err() {
                return;
            }
        }
        let Some(request) = &self.request else {
            return;
        };
        let end = request.windows(4).any(|w| w == b"\r\n\r\n");
        if end || request.len() > MOST {
            let reply = reply(request, end);
            // The buffer is empty and larger than any reply.
            if let Err(e) = socket.send_slice(&reply) {
                log::debug!("{e}");
            }
            socket.close();
            self.request = None;
        }
    }
}

/// As much of what came as there is room for goes back.
fn echo(socket: &mut tcp::Socket<'_>, passing: &mut Vec<u8>) {
    while socket.can_recv() && socket.can_send() {
        let room = socket.send_capacity() - socket.send_queue();
        passing.resize(room, 0);
        let Ok(length) = socket.recv_slice(passing) else {
            return;
        };
        if socket.send_slice(&passing[..length]).is_err() {
            return;
        }
    }
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
    use super::*;

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
