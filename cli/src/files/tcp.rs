//! Capture files that come or go over TCP (pcap-over-IP), as they are named on a command line.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

/// How long an address may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The host and port of `tcp:HOST:PORT`.
pub(crate) fn peer(path: &Path) -> Option<&str> {
    path.to_str()?.strip_prefix("tcp:")
}

/// What `tcp-listen:[ADDRESS:]PORT` listens on: loopback, unless there is an address.
pub(crate) fn listener(path: &Path) -> Option<Result<SocketAddr, String>> {
    let text = path.to_str()?.strip_prefix("tcp-listen:")?;
    let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let address = text.parse().or_else(|_| text.parse().map(loopback));
    Some(address.map_err(|_| {
        format!("'{text}' is not a port or ADDRESS:PORT, such as 57012 or 127.0.0.1:57012")
    }))
}

pub(crate) fn connect(peer: &str) -> io::Result<TcpStream> {
    if !peer.contains(':') {
        return Err(io::Error::other("a port is missing: tcp:HOST:PORT"));
    }
    let mut result = Err(io::Error::other("the host has no address"));
    for address in peer.to_socket_addrs()? {
        result = TcpStream::connect_timeout(&address, PATIENCE);
        if result.is_ok() {
            break;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_on_loopback() {
        let listens = |text: &str| listener(Path::new(text)).map(|l| l.map(|a| a.to_string()));
        assert_eq!(listens("tcp-listen:1"), Some(Ok("127.0.0.1:1".into())));
        assert_eq!(listens("tcp-listen:[::]:1"), Some(Ok("[::]:1".into())));
        assert!(listens("tcp-listen:x").unwrap().is_err());
        assert_eq!(listens("tcp:1.2.3.4:1"), None);
        assert_eq!(peer(Path::new("tcp:host:1")), Some("host:1"));
        assert_eq!(peer(Path::new("./tcp:host:1")), None);
    }
}
