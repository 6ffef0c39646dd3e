//! Recording packets: feeds bring them to a `recording`, through a `buffer` where they come from
//! rings; a `recorder` writes one file, or many one after the other.

mod buffer;
mod closing;
mod feed;
mod file;
mod intake;
mod names;
mod options;
mod output;
mod recorder;
mod recording;
mod serve;
mod split;
mod start;
mod state;
mod summary;
mod watch;
mod writer;

pub(crate) use feed::Feed;
pub(crate) use options::{Limits, RecordArgs};
pub(crate) use output::{Output, Put};
pub(crate) use recorder::Recorder;
pub(crate) use recording::Recording;
pub(crate) use split::Recordings;
pub(crate) use start::{Setup, start};
pub(crate) use summary::{Load, Summary};

#[cfg(test)]
mod tests;
