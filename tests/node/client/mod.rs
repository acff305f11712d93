//! The client's commands, each as a process of its own, against a real node: what it prints, how it exits.

mod broken;
mod files;
mod foreign;
mod lists;
mod messages;
mod program;
mod terminal;
mod trouble;
