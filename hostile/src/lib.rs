//! What a hostile memif peer can do: over 500 cases against masters and slaves, and the raw peer
//! that they are made of, which speaks the wire by hand and may deviate at each step.
//!
//! The command `memif-hostile` runs them against any victim by its socket. memif's own tests run
//! them with a look into the victim ([`Inside`]).

// Most names are those of the protocol.
#![allow(missing_docs)]

mod beside;
mod case;
pub mod cases;
mod child;
mod held;
mod inside;
pub mod peer;
mod target;

pub use beside::{Asked, Beside, RECONNECT};
pub use case::{Case, Kind, Rule, panic_text};
pub use child::child;
pub use held::Held;
pub use inside::{Inside, No, Queue};
pub use target::{Role, Target};
