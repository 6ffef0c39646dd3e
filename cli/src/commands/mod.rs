//! The subcommands, a file or folder each.

pub(crate) mod bench;
pub(crate) mod bridge;
pub(crate) mod capture;
pub(crate) mod demo;
pub(crate) mod extcap;
pub(crate) mod info;
pub(crate) mod list;
pub(crate) mod pages;
pub(crate) mod replay;
pub(crate) mod respond;
pub(crate) mod stats;
