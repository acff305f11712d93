//! A retrieval that breaks off midway, and is repeated.

use super::program::*;
use crate::support::*;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

/// Passes connections on to `to`; each is cut after so many bytes toward the client, as long as `left` allows,
/// and not before `ripe` says so, or nobody is there to say it.
fn cutting_relay(
    listener: TcpListener,
    to: SocketAddr,
    after: usize,
    left: Arc<AtomicUsize>,
    ripe: mpsc::Receiver<()>,
) {
    let mut ripe = Some(ripe);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever waits for this one may end the node at once.
            let other = TcpStream::connect(to).unwrap();
            let cut = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
            let (up, down) = (stream.try_clone().unwrap(), other.try_clone().unwrap());
            std::thread::spawn(move || pass(stream, other, usize::MAX, None));
            let (after, ripe) = if cut { (after, ripe.take()) } else { (usize::MAX, None) };
            std::thread::spawn(move || pass(down, up, after, ripe));
        }
    });
}

/// As [`cutting_relay`], but a connection stays open where it would be cut, and nothing more passes; `stalled` counts.
fn stalling_relay(
    listener: TcpListener,
    to: SocketAddr,
    after: usize,
    left: Arc<AtomicUsize>,
    stalled: Arc<AtomicUsize>,
) {
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever waits for this one may end the node at once.
            let other = TcpStream::connect(to).unwrap();
            let stall = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
            let (mut up, mut down) = (stream.try_clone().unwrap(), other.try_clone().unwrap());
            let stalled = Arc::clone(&stalled);
            std::thread::spawn(move || pass(stream, other, usize::MAX, None));
            std::thread::spawn(move || {
                if !stall {
                    return pass(down, up, usize::MAX, None);
                }
                let mut some = vec![0; after];
                if down.read_exact(&mut some).is_ok() && up.write_all(&some).is_ok() {
                    stalled.fetch_add(1, Ordering::SeqCst);
                }
                // What else comes is lost, until the client is gone.
                let _ = std::io::copy(&mut down, &mut std::io::sink());
            });
        }
    });
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut left: usize, ripe: Option<mpsc::Receiver<()>>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let now = read.min(left);
        left -= now;
        // What cannot be passed on is read all the same: a connection that is closed over unread bytes is
        // reset, and takes from the client what had come before the cut.
        let _ = to.write_all(&buffer[..now]);
        if left == 0 {
            let _ = ripe.map(|ripe| ripe.recv_timeout(PATIENCE));
            let _ = from.shutdown(Shutdown::Both);
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// Runs a command to its end; `heard` is told of every line of its standard error as it comes.
fn run_heard(mut command: Command, mut heard: impl FnMut(&str)) -> Ran {
    let mut child = command.spawn().unwrap();
    let mut stderr = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        heard(&line);
        stderr += &(line + "\n");
    }
    Ran { stderr, ..finished(child.wait_with_output().unwrap()) }
}

#[test]
fn what_was_complete_is_not_fetched_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let relay = listener.local_addr().unwrap();
    let node = Plan::new().set("msrp", &format!("advertise = \"{relay}\"")).start();
    let left = Arc::new(AtomicUsize::new(0));
    let (ripen, ripe) = mpsc::channel();
    cutting_relay(listener, node.msrp, 1_000_000, Arc::clone(&left), ripe);

    let folder = tempfile::tempdir().unwrap();
    let large = folder.path().join("large.bin");
    let bytes: Vec<u8> = (0..4_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(&large, &bytes).unwrap();
    let small = leave(&node, "bob", "small");
    let sent = client(&node, "alice", &["send", "bob@example.com", "--file", large.to_str().unwrap()]);
    let large = sent.ok().trim_end().to_owned();

    left.store(1, Ordering::SeqCst);
    let out = folder.path().join("out");
    let out = out.to_str().unwrap();
    // The connection is cut when the client has been told that it has the small one.
    let cut = command(&node, "bob", &["fetch", &small, &large, "--out", out, "--trace"]);
    let cut = run_heard(cut, |line| {
        if line.contains("disconnected") {
            let _ = ripen.send(());
        }
    });
    assert_eq!(cut.code, 6, "{}{}", cut.stdout, cut.stderr);
    assert!(cut.stderr.contains(&format!("{large}: broken off after ")), "{}", cut.stderr);
    let there = |out: &str| std::fs::read_dir(out).unwrap().count();
    assert_eq!(there(out), 2, "the small one and the record; nothing half");

    let again = client(&node, "bob", &["fetch", &small, &large, "--out", out, "--trace"]);
    assert_eq!(again.code, 0, "{}", again.stdout);
    assert!(again.stderr.contains(&format!("INVITE {} ", message_uri(&large))), "the large one alone");
    assert_eq!(again.stdout.lines().count(), 1);
    assert_eq!(std::fs::read(again.stdout.trim_end()).unwrap(), bytes);
    assert_eq!(client(&node, "bob", &["summary"]).code, 7, "nothing is new any more");
}

#[test]
fn what_a_killed_client_has_left_is_removed_by_the_next() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let relay = listener.local_addr().unwrap();
    let node = Plan::new().set("msrp", &format!("advertise = \"{relay}\"")).start();
    let left = Arc::new(AtomicUsize::new(0));
    let (stalled, stall) = (Arc::new(AtomicUsize::new(0)), 300_000);
    stalling_relay(listener, node.msrp, stall, Arc::clone(&left), Arc::clone(&stalled));
    let folder = tempfile::tempdir().unwrap();
    let large = folder.path().join("large.bin");
    let bytes = noise(2_000_000);
    std::fs::write(&large, &bytes).unwrap();
    let sent = client(&node, "alice", &["send", "bob@example.com", "--file", large.to_str().unwrap()]);
    let id = sent.ok().trim_end().to_owned();

    left.store(1, Ordering::SeqCst);
    let out = folder.path().join("out");
    let arguments = ["fetch", &id, "--out", out.to_str().unwrap()];
    let mut killed = command(&node, "bob", &arguments).spawn().unwrap();
    until("some of it has come", || (stalled.load(Ordering::SeqCst) == 1).then_some(()));
    let parts = || {
        let names = std::fs::read_dir(&out).into_iter().flatten().map(|it| it.unwrap().file_name());
        names.filter(|name| name.to_str().unwrap().ends_with(".part")).count()
    };
    until("a part is written", || (parts() == 1).then_some(()));
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(parts(), 1, "it had no time to remove it");
    // The store learns of it in its own time; the item is free again then.
    let again = until("it is fetched again", || {
        let again = client(&node, "bob", &arguments);
        (again.code == 0).then_some(again)
    });
    assert_eq!(std::fs::read(again.stdout.trim_end()).unwrap(), bytes);
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 2, "the file and the record");
}

#[test]
fn a_node_that_dies_midway_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let relay = listener.local_addr().unwrap();
    let mut node = Plan::new().set("msrp", &format!("advertise = \"{relay}\"")).start();
    // The relay takes the connection and passes nothing: the client waits for messages when the node dies.
    let left = Arc::new(AtomicUsize::new(1));
    cutting_relay(listener, node.msrp, 1, Arc::clone(&left), mpsc::channel().1);
    let id = leave(&node, "bob", "hello");
    let fetch = command(&node, "bob", &["fetch", &id, "--store", "mailserver.example.com"]).spawn().unwrap();
    until("the client has connected", || (left.load(Ordering::SeqCst) == 0).then_some(()));
    node.kill();
    let ended = fetch.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(3), "{}", String::from_utf8_lossy(&ended.stderr));
    node.launch();
    assert_eq!(client(&node, "bob", &["fetch", &id]).ok(), "hello", "it stayed new");
}
