//! The time before each line.

use std::fmt::{self, Write};

use jiff::tz::TimeZone;
use memif::Timestamp;

use super::options::Time;

/// Asks the time zone once a second: packets come by the million.
#[derive(Debug)]
pub(super) struct Clock {
    zone: TimeZone,
    style: Time,
    second: Option<u64>,
    text: String,
    /// The first packet's time, or that of the one before.
    since: Option<Timestamp>,
}

impl Clock {
    pub(super) fn new(zone: TimeZone, style: Time) -> Self {
        Self {
            zone,
            style,
            second: None,
            text: String::new(),
            since: None,
        }
    }

    pub(super) fn write(&mut self, out: &mut impl Write, time: Timestamp) -> fmt::Result {
        let nanos = time.subsec_nanos();
        match self.style {
            Time::None => Ok(()),
            Time::Epoch => write!(out, "{}.{nanos:09} ", time.seconds()),
            Time::SinceLast => {
                let since = self.since.replace(time).unwrap_or(time);
                difference(out, since, time)
            }
            Time::SinceFirst => {
                let since = *self.since.get_or_insert(time);
                difference(out, since, time)
            }
            Time::OfDay | Time::Date => {
                if self.second != Some(time.seconds()) {
                    self.second = Some(time.seconds());
                    self.local(time.seconds());
                }
                write!(out, "{}.{nanos:09} ", self.text)
            }
        }
    }

    fn local(&mut self, second: u64) {
        let utc = i64::try_from(second).unwrap_or(0);
        let utc = jiff::Timestamp::from_second(utc).unwrap_or(jiff::Timestamp::MAX);
        let local = utc.to_zoned(self.zone.clone());
        let format = match self.style {
            Time::Date => "%Y-%m-%d %H:%M:%S",
            _ => "%H:%M:%S",
        };
        self.text.clear();
        // A String takes all that is written.
        let _ = write!(self.text, "{}", local.strftime(format));
    }
}

/// With a sign, should a clock have gone back.
fn difference(out: &mut impl Write, since: Timestamp, time: Timestamp) -> fmt::Result {
    let (sign, nanos) = match time.as_nanos().checked_sub(since.as_nanos()) {
        Some(nanos) => ("", nanos),
        None => ("-", since.as_nanos() - time.as_nanos()),
    };
    let of_day = Timestamp::from_nanos(nanos);
    let (second, nanos) = (of_day.seconds(), of_day.subsec_nanos());
    let (hour, minute) = (second / 3600, second / 60 % 60);
    write!(
        out,
        " {sign}{hour:02}:{minute:02}:{:02}.{nanos:09} ",
        second % 60
    )
}
