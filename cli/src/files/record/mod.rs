//! Recording packets: `recording` is what capture and bridge feed, `recorder` writes one file, or
//! many one after the other.

mod file;
mod names;
mod options;
mod output;
mod recorder;
mod recording;

pub(crate) use options::{Limits, RecordArgs};
pub(crate) use output::{Output, Put};
pub(crate) use recorder::Recorder;
pub(crate) use recording::{Recording, Setup, Summary};
