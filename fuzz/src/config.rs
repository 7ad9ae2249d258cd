//! Configuration files: whatever the text, there is a configuration or a list of faults that names
//! the file.

use noctule_server::config::Config;

/// Parses the text.
pub fn run(text: &str) {
    match Config::parse("noctule.toml", text) {
        Ok(config) => assert!(!config.listeners.is_empty(), "a broker listens somewhere"),
        Err(error) => {
            let said = error.to_string();
            assert!(said.contains("noctule.toml"), "a fault names its file: {said}");
        }
    }
}
