//! Values of options that several commands take.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use memif::{IfMode, RxMode};

/// A secret as it was typed. It is not shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) String);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// A control socket: VPP writes abstract names in another way.
pub(crate) fn socket(text: &str) -> Result<String, String> {
    let Some(name) = text.strip_prefix("abstract:") else {
        return Ok(text.to_owned());
    };
    match name.split_once(",netns_name=") {
        None => Ok(format!("@{name}")),
        Some((name, namespace)) => Err(format!(
            "this names a socket of another network namespace; use --socket @{name} --netns {namespace}"
        )),
    }
}

/// Seconds on the command line: so few that they can be added to any time.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    const MOST: Duration = Duration::from_secs(1_000_000_000);
    let seconds = text
        .parse()
        .ok()
        .and_then(|s| Duration::try_from_secs_f64(s).ok());
    seconds.filter(|time| *time <= MOST).ok_or_else(|| {
        format!(
            "'{text}' is not a number of seconds between 0 and {}",
            MOST.as_secs()
        )
    })
}

/// A limit to the wait for a link, of which 0 is none.
pub(crate) fn some_time(limit: Option<Duration>) -> Option<Duration> {
    limit.filter(|limit| !limit.is_zero())
}

/// As `seconds`, at least a millisecond.
pub(crate) fn some_seconds(text: &str) -> Result<Duration, String> {
    let time = seconds(text)?;
    match time < Duration::from_millis(1) {
        true => Err("must be at least 0.001 s".into()),
        false => Ok(time),
    }
}

/// A receive mode on the command line.
pub(crate) fn rx_mode(text: &str) -> Result<RxMode, String> {
    match text {
        "interrupt" => Ok(RxMode::Interrupt),
        "polling" => Ok(RxMode::Polling),
        "adaptive" => Ok(RxMode::Adaptive {
            spin: Duration::from_micros(50),
        }),
        _ => Err("must be interrupt, polling or adaptive".into()),
    }
}

/// The third mode, punt/inject, has no use for people.
pub(crate) fn mode(text: &str) -> Result<IfMode, String> {
    text.parse()
        .map_err(|_| "the mode must be ethernet or ip".into())
}

/// A number in one of an endpoint's options.
pub(crate) fn number_in<N: FromStr + PartialOrd + fmt::Display>(
    what: &str,
    text: &str,
    range: RangeInclusive<N>,
) -> Result<N, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    let (least, most) = range.into_inner();
    number.ok_or_else(|| format!("{what} must be between {least} and {most}, not '{text}'"))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn sockets_may_be_written_as_vpp_does() {
        assert_eq!(socket("/run/x").unwrap(), "/run/x");
        assert_eq!(socket("abstract:x").unwrap(), "@x");
        let error = socket("abstract:x,netns_name=/run/netns/pod").unwrap_err();
        assert!(error.contains("@x --netns /run/netns/pod"), "{error}");
    }

    #[test]
    fn seconds_can_be_added_to_any_time() {
        for text in ["0", "0.5", "1e9"] {
            assert!(Instant::now().checked_add(seconds(text).unwrap()).is_some());
        }
        for text in ["", "-1", "nan", "inf", "1e10", "1e19", "1e300"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
