//! Reason codes of MQTT 5.0 and return codes of 3.x.
