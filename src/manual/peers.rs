#![doc = include_str!("../../docs/peers.md")]
