//! Tests that cannot run on this machine: they say so where everybody sees it, and where all must run they fail.

use std::io::Write;

/// What `.ci/run` installs, and which is therefore there where `TESTS_MUST_RUN` is 1.
const INSTALLED: [&str; 6] = ["sipp", "baresip", "kamailio", "tshark", "nc", "strace"];

/// Says that a test was skipped. Written to stderr itself: of what the macros print, a test that passes shows nothing.
pub fn skipped(test: &str, why: &str) {
    let _ = std::io::stderr().write_all(format!("SKIPPED {test}: {why}\n").as_bytes());
}

/// As [`skipped`], for want of a program; panics if it has to be there.
pub fn absent(tool: &str, test: &str) {
    let must = std::env::var_os("TESTS_MUST_RUN").is_some_and(|value| value == "1");
    assert!(!(must && INSTALLED.contains(&tool)), "{test}: {tool} is not installed, and all tests must run");
    skipped(test, &format!("{tool} is not installed"));
}
