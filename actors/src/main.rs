//! The binary `restante`.
fn main() {}
