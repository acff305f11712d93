//! The node: boots, serves, drains.

use crate::config::Config;

/// Runs the node until it is told to stop.
///
/// # Errors
/// What keeps it from starting or from going on.
pub fn run(_config: Config) -> anyhow::Result<()> {
    anyhow::bail!("this build has no node")
}
