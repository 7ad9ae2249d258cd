//! Framing: bytes in, whole packets out.
