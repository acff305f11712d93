//! The client's commands, each as a process of its own, against a real node: what it prints, how it exits.

mod abandoned;
mod broken;
mod files;
mod foreign;
mod lists;
mod located;
mod messages;
mod password;
mod program;
mod secure;
mod terminal;
mod trouble;
