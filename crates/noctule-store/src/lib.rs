//! noctule-store
