//! Packets as lines.
