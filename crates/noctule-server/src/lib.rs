//! noctule-server
