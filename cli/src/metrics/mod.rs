//! What a long-running command tells of itself: to `memif stats`, and to Prometheus.

pub(crate) mod local;
pub(crate) mod observed;
mod prometheus;
pub(crate) mod snapshot;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;

use snapshot::Watched;
use tiny_http::{Header, Method, Response, Server};

use crate::failure::Failure;
use crate::link::session::Session;
use crate::report::notice;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct MetricsArgs {
    /// Serve /metrics for Prometheus here; a port alone is on 127.0.0.1, an address makes it public
    #[arg(long, value_name = "[ADDRESS:]PORT", value_parser = address)]
    metrics: Option<SocketAddr>,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    text.parse()
        .or_else(|_| text.trim_start_matches(':').parse().map(loopback))
        .map_err(|_| format!("'{text}' is no port and no ADDRESS:PORT, as 9100 or 127.0.0.1:9100"))
}

/// Serves until it is dropped.
#[derive(Debug)]
pub(crate) struct Serving {
    _local: Option<local::Listening>,
}

impl MetricsArgs {
    /// Tells of these interfaces, to whom asks, while the result lives.
    pub(crate) fn serve(&self, command: &str, sessions: &[&Session]) -> Result<Serving, Failure> {
        let watched = sessions.iter().map(|s| Watched::new(s)).collect();
        let source = Arc::new(snapshot::Source::new(command, watched));
        if let Some(address) = self.metrics {
            serve_http(address, Arc::clone(&source))?;
        }
        // Without it the command does its work all the same.
        let local = local::listen(source)
            .inspect_err(|e| log::info!("'memif stats' won't see this process: {e}"));
        Ok(Serving { _local: local.ok() })
    }
}

fn serve_http(address: SocketAddr, source: Arc<snapshot::Source>) -> Result<(), Failure> {
    let server = Server::http(address)
        .map_err(|e| Failure::Failed(format!("serving metrics on {address}: {e}")))?;
    if let Some(address) = server.server_addr().to_ip() {
        notice(format_args!("metrics are on http://{address}/metrics"));
    }
    thread::spawn(move || {
        for request in server.incoming_requests() {
            let path = request.url().split('?').next().unwrap_or_default();
            let response = match (request.method(), path) {
                (Method::Get | Method::Head, "/metrics") => {
                    Response::from_string(prometheus::text(&source.snapshot()))
                }
                (Method::Get | Method::Head, _) => {
                    Response::from_string("metrics are on /metrics\n").with_status_code(404)
                }
                _ => Response::from_string("only GET\n").with_status_code(405),
            };
            let kind = "text/plain; version=0.0.4; charset=utf-8";
            let kind = Header::from_bytes("Content-Type", kind);
            let answered = match kind {
                Ok(kind) => request.respond(response.with_header(kind)),
                Err(()) => request.respond(response),
            };
            if let Err(e) = answered {
                log::debug!("answering for metrics: {e}");
            }
        }
    });
    Ok(())
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
