//! noctule-client
