//! Why bytes were not a packet.
