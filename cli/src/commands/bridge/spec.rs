//! The ends of a bridge as they are written on the command line.

use std::str::FromStr;
use std::sync::Arc;

use memif::{Context, IfMode, Role, RxMode};

use super::ends::Port;
use crate::events::Events;
use crate::failure::Failure;
use crate::link::access::Access;
use crate::link::endpoint::Endpoint;
use crate::link::kernel_tap::{Tap, TapOptions};
use crate::values::{mode, number_in, rx_mode, socket};

/// An end as it is written on the command line.
#[derive(Clone, Debug)]
pub(super) enum Spec {
    Memif {
        endpoint: Endpoint,
        name: String,
        rx_mode: Option<RxMode>,
        gso: bool,
    },
    Tap(TapOptions),
}

impl FromStr for Spec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rest) = text
            .split_once(':')
            .ok_or("an endpoint is memif:SOCKET… or tap:NAME…")?;
        let mut parts = rest.split(',');
        let name = parts.next().unwrap_or_default().to_owned();
        if name.is_empty() {
            return Err(format!("'{text}' has no socket or device name"));
        }
        let mut options = parts.map(|option| {
            option
                .split_once('=')
                .ok_or_else(|| format!("'{option}' is not NAME=VALUE"))
        });
        match kind {
            "tap" => {
                // As Linux has it.
                if name.len() > 15 || name.contains(['/', ':', ' ']) {
                    return Err(format!(
                        "'{name}' is not a device name: at most 15 bytes, without '/', ':' or spaces"
                    ));
                }
                let mut tap = TapOptions {
                    name,
                    mtu: None,
                    queues: 1,
                    offload: true,
                };
                for option in options {
                    match option? {
                        ("mtu", value) => tap.mtu = Some(number_in("MTU", value, 68..=65_521)?),
                        ("queues", value) => tap.queues = number_in("queues", value, 1..=255)?,
                        ("offload", value) => tap.offload = truth("offload", value)?,
                        (other, _) => {
                            return Err(format!(
                                "a tap has no option '{other}', only mtu, queues and offload"
                            ));
                        }
                    }
                }
                Ok(Self::Tap(tap))
            }
            "memif" => {
                let name = socket(&name)?;
                let mut endpoint = Endpoint {
                    socket: Some(name.clone()),
                    id: 0,
                    role: None,
                    secret: None,
                    secret_file: None,
                    mode: IfMode::Ethernet,
                    queues: Some(1),
                    ring_size: 10,
                    buffer_size: 2048,
                    name: "bridge".into(),
                    allow_unsealed: false,
                    access: Access::default(),
                };
                let (mut mode, mut gso) = (None, false);
                options.try_for_each(|option| match option? {
                    ("rx-mode", value) => rx_mode(value).map(|value| mode = Some(value)),
                    ("gso", value) => truth("gso", value).map(|value| gso = value),
                    option => endpoint.set(option),
                })?;
                let name = format!("memif:{name}:{}", endpoint.id);
                Ok(Self::Memif {
                    endpoint,
                    name,
                    rx_mode: mode,
                    gso,
                })
            }
            _ => Err(format!("'{kind}' is not an endpoint type: memif or tap")),
        }
    }
}

const OPTIONS: &str = "id, role, secret, secret-file, mode, queues, ring-size, buffer-size, \
    rx-mode, gso, name, allow-unsealed, socket-mode, socket-owner, allow-user and allow-group";

impl Endpoint {
    fn set(&mut self, (name, value): (&str, &str)) -> Result<(), String> {
        match name {
            "id" => self.id = number_in("id", value, 0..=u32::MAX)?,
            "role" => self.role = Some(value.parse()?),
            "secret" => self.secret = Some(value.to_owned().into()),
            "secret-file" => self.secret_file = Some(value.into()),
            "mode" => self.mode = mode(value)?,
            "queues" => self.queues = Some(number_in("queues", value, 1..=255)?),
            "name" => value.clone_into(&mut self.name),
            "ring-size" => self.ring_size = number_in("ring size", value, 1..=14)?,
            "buffer-size" => self.buffer_size = number_in("buffer size", value, 64..=65535)?,
            "allow-unsealed" => self.allow_unsealed = truth(name, value)?,
            other if self.access.set(other, value)? => {}
            other => return Err(format!("a memif has no option '{other}', only {OPTIONS}")),
        }
        Ok(())
    }
}

fn truth(name: &str, value: &str) -> Result<bool, String> {
    let truth = value.parse();
    truth.map_err(|_| format!("{name} must be true or false, not '{value}'"))
}

impl Spec {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Memif { name, .. } => name.clone(),
            Self::Tap(tap) => format!("tap:{}", tap.name),
        }
    }

    /// Whether TCP segments are to go out whole, which nobody but a TAP has.
    pub(super) fn wants_whole(&self) -> bool {
        matches!(self, Self::Memif { gso: true, .. })
    }

    pub(super) fn is_tap(&self) -> bool {
        matches!(self, Self::Tap(_))
    }

    pub(super) fn mode(&self) -> IfMode {
        match self {
            Self::Memif { endpoint, .. } => endpoint.mode,
            Self::Tap(_) => IfMode::Ethernet,
        }
    }

    /// With the secret that is in the environment under this name, if none has been given.
    pub(super) fn with_secret_of(&self, variable: &str) -> Self {
        let mut this = self.clone();
        if let Self::Memif { endpoint, .. } = &mut this
            && endpoint.secret.is_none()
            && endpoint.secret_file.is_none()
        {
            endpoint.secret = std::env::var(variable).ok().map(Into::into);
        }
        this
    }

    /// For masters on one socket, which have one listener; others have a context each.
    pub(super) fn context_with(&self, other: &Self) -> Result<Option<Arc<Context>>, Failure> {
        let (Self::Memif { endpoint: a, .. }, Self::Memif { endpoint: b, .. }) = (self, other)
        else {
            return Ok(None);
        };
        if (a.role, b.role) != (Some(Role::Master), Some(Role::Master)) || a.socket != b.socket {
            return Ok(None);
        }
        if a.access != b.access {
            return Err(Failure::Usage(
                "both ends are on one socket; give both the same socket-mode, socket-owner, \
                 allow-user and allow-group"
                    .into(),
            ));
        }
        a.context().map(Some)
    }

    pub(super) fn open(
        &self,
        context: Option<Arc<Context>>,
        events: &Events,
        quiet: bool,
    ) -> Result<Port, Failure> {
        Ok(match self {
            Self::Memif {
                endpoint,
                rx_mode,
                gso,
                ..
            } => Port::Memif {
                session: match context {
                    Some(context) => endpoint.open_in(context, Role::Master, events, quiet)?,
                    None => endpoint.open(events, quiet)?,
                },
                queues: endpoint.queues.unwrap_or(1),
                rx_mode: *rx_mode,
                gso: *gso,
            },
            Self::Tap(options) => {
                let tap = Tap::open(options)?;
                let closed = tap.clone();
                events.on_stop(move || closed.close());
                Port::Tap(tap)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_understood_or_refused() {
        let spec: Spec = "memif:/run/x.sock,id=3,role=master,secret=a=b,mode=ip"
            .parse()
            .unwrap();
        let Spec::Memif { endpoint, .. } = &spec else {
            panic!("{spec:?}");
        };
        assert_eq!((endpoint.id, endpoint.role), (3, Some(Role::Master)));
        assert_eq!(endpoint.secret, Some(String::from("a=b").into()));
        assert_eq!(
            (spec.mode(), spec.name()),
            (IfMode::Ip, "memif:/run/x.sock:3".into())
        );
        let spec: Spec = "memif:x,secret-file=/run/secret".parse().unwrap();
        let Spec::Memif { endpoint, .. } = spec.with_secret_of("PATH") else {
            panic!("{spec:?}");
        };
        // What has been given comes before the environment.
        assert_eq!(endpoint.secret, None);
        assert_eq!(endpoint.secret_file, Some("/run/secret".into()));
        let spec: Spec = "memif:x".parse().unwrap();
        let Spec::Memif { endpoint, .. } = spec.with_secret_of("PATH") else {
            panic!("{spec:?}");
        };
        assert_eq!(endpoint.secret, std::env::var("PATH").ok().map(Into::into));
        let spec: Spec = "memif:abstract:x,queues=4,rx-mode=polling,name=left"
            .parse()
            .unwrap();
        let Spec::Memif {
            endpoint, rx_mode, ..
        } = &spec
        else {
            panic!("{spec:?}");
        };
        assert_eq!(
            (endpoint.queues, *rx_mode),
            (Some(4), Some(RxMode::Polling))
        );
        assert_eq!(
            (endpoint.name.as_str(), spec.name()),
            ("left", "memif:@x:0".into())
        );
        let spec: Spec = "tap:mf0,mtu=9000".parse().unwrap();
        assert_eq!(
            (spec.mode(), spec.name()),
            (IfMode::Ethernet, "tap:mf0".into())
        );
        let Spec::Tap(options) = &spec else {
            panic!("{spec:?}");
        };
        assert_eq!(
            (options.mtu, options.queues, options.offload),
            (Some(9000), 1, true)
        );
        let spec: Spec = "tap:mf0,queues=2,offload=false".parse().unwrap();
        let Spec::Tap(options) = &spec else {
            panic!("{spec:?}");
        };
        assert_eq!((options.queues, options.offload), (2, false));
        assert!(spec.is_tap() && !spec.wants_whole());
        let spec: Spec = "memif:x,gso=true".parse().unwrap();
        assert!(spec.wants_whole() && !spec.is_tap());
        for (text, says) in [
            ("mf0", "memif:SOCKET"),
            ("memif:x,ring-size=15", "ring size must be between 1 and 14"),
            ("memif:x,buffer-size=1", "between 64 and 65535"),
            ("tun:mf0", "'tun'"),
            ("tap:", "has no socket"),
            ("tap:a/b", "not a device name"),
            ("tap:a123456789012345", "at most 15 bytes"),
            ("tap:x,mtu=67", "MTU must be between 68 and 65521"),
            ("tap:x,mtu=65522", "MTU must be between 68 and 65521"),
            ("memif:,id=1", "has no socket"),
            ("memif:x,id", "NAME=VALUE"),
            ("memif:x,id=y", "id must be"),
            ("memif:x,role=boss", "'boss'"),
            ("memif:x,queues=0", "queues must be between 1 and 255"),
            ("memif:x,rx-mode=fast", "interrupt, polling or adaptive"),
            ("memif:x,color=red", "'color', only id, role, secret,"),
            ("tap:x,id=1", "'id', only mtu"),
            ("tap:x,queues=0", "queues must be between 1 and 255"),
            ("tap:x,offload=1", "offload must be true or false"),
            ("memif:x,gso=yes", "gso must be true or false"),
        ] {
            let error = text.parse::<Spec>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
