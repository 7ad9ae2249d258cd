//! QoS 1 and 2 hand-shakes, the same for both ends of a connection.
