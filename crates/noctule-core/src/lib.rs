//! noctule-core
