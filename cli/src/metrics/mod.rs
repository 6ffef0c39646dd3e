//! The counters that a long-running command publishes: for `memif stats`, and for Prometheus.

mod host;
pub(crate) mod local;
pub(crate) mod observed;
mod prometheus;
mod server;
pub(crate) mod snapshot;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use local::Listening;
use server::Server;
use snapshot::{LoadOf, Watched};

use crate::events::Events;
use crate::failure::Failure;
use crate::link::session::Session;
use crate::lock::lock;
use crate::report::notice;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct MetricsArgs {
    /// Serve /metrics for Prometheus; a port alone is on 127.0.0.1 only
    #[arg(long, value_name = "[ADDRESS:]PORT", value_parser = address)]
    metrics: Option<SocketAddr>,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    text.parse()
        .or_else(|_| text.trim_start_matches(':').parse().map(loopback))
        .map_err(|_| {
            format!("'{text}' is not a port or ADDRESS:PORT, such as 9100 or 127.0.0.1:9100")
        })
}

impl MetricsArgs {
    pub(crate) fn is_asked(&self) -> bool {
        self.metrics.is_some()
    }

    /// Publishes the links of the host.
    pub(crate) fn serve_host(
        &self,
        host: &Arc<Mutex<observed::Host>>,
        events: &Events,
    ) -> Result<(), Failure> {
        let host = Arc::clone(host);
        let text = move || host::text(&lock(&host));
        match self.metrics {
            Some(address) => serve_http(address, text, events),
            None => Ok(()),
        }
    }

    /// Publishes the counters of these interfaces, and of what records their packets: `memif stats`
    /// sees them until what is returned is dropped.
    pub(crate) fn serve(
        &self,
        command: &str,
        sessions: &[&Session],
        load: Option<LoadOf>,
        events: &Events,
    ) -> Result<Option<Listening>, Failure> {
        let watched = sessions.iter().map(|s| Watched::new(s)).collect();
        let source = Arc::new(snapshot::Source::new(command, watched, load));
        if let Some(address) = self.metrics {
            let source = Arc::clone(&source);
            serve_http(
                address,
                move || prometheus::text(&source.snapshot()),
                events,
            )?;
        }
        // Without it the command does its work all the same.
        let local = local::listen(source, events)
            .inspect_err(|e| log::info!("'memif stats' can't see this process: {e}"));
        Ok(local.ok())
    }
}

fn serve_http(
    address: SocketAddr,
    metrics: impl Fn() -> String + Send + 'static,
    events: &Events,
) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure::Failed(format!("serving metrics on {address}: {e}"));
    let listener = TcpListener::bind(address).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let answer = move |request: &[u8]| reply(request, &metrics);
    events.add(Server::new(listener, Box::new(answer)).map_err(failed)?);
    notice(format_args!(
        "Metrics are served on http://{address}/metrics"
    ));
    Ok(())
}

/// To a request of HTTP, once it is whole.
fn reply(request: &[u8], metrics: impl FnOnce() -> String) -> Option<Vec<u8>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    let state = parsed.parse(request);
    let path = parsed.path.unwrap_or_default().split('?').next();
    let (status, body) = match (state, parsed.method, path) {
        (Ok(httparse::Status::Partial), ..) => return None,
        (Err(_), ..) => ("400 Bad Request", "not HTTP\n".into()),
        (_, Some("GET" | "HEAD"), Some("/metrics")) => ("200 OK", metrics()),
        (_, Some("GET" | "HEAD"), _) => ("404 Not Found", "metrics are on /metrics\n".into()),
        _ => ("405 Method Not Allowed", "only GET\n".into()),
    };
    let shown = if parsed.method == Some("HEAD") {
        ""
    } else {
        &body
    };
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close"
    );
    Some(format!("{head}\r\n\r\n{shown}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_on_loopback() {
        for (text, is) in [
            ("9100", "127.0.0.1:9100"),
            (":9100", "127.0.0.1:9100"),
            ("0.0.0.0:1", "0.0.0.0:1"),
            ("[::1]:9100", "[::1]:9100"),
        ] {
            assert_eq!(address(text).unwrap().to_string(), is);
        }
        for wrong in ["", "x", "70000", "1.2.3.4", "host:1"] {
            assert!(address(wrong).unwrap_err().contains("9100"));
        }
    }
}
