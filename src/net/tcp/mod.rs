//! TCP: listeners and streams.

mod halves;
mod listener;
mod socket;
mod stream;

pub use halves::{OwnedReadHalf, OwnedWriteHalf};
pub use listener::TcpListener;
pub use stream::TcpStream;
