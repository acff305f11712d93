//! `kill -9` under load: what was acknowledged is there afterwards.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use restante::store::{ItemKind, ListQuery, Store};

use super::*;

/// Set for the child process: where its store is.
const DIRECTORY: &str = "RESTANTE_CRASH_DIRECTORY";

/// The child: deposits for ever, and says what was acknowledged.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let store = Archive::open(Path::new(&directory)).unwrap();
    let run = std::process::id();
    let mut out = std::io::stdout();
    let mut say = |line: String| {
        out.write_all(format!("\n{line}\n").as_bytes()).unwrap();
        out.flush().unwrap();
    };
    let draft = wait(store.open_session(session(key(&format!("session-{run}"), "t", 1)))).unwrap();
    for number in 0.. {
        let size = if number % 50 == 7 { 40_000 } else { 100 + number % 5000 };
        let deposits: Vec<_> = (0..8)
            .map(|lane| {
                let name = format!("{run}-{number}-{lane}");
                let answer = store.deposit(pager(key(&name, "t", 1), noise(size)));
                (name, answer)
            })
            .collect();
        for (name, answer) in deposits {
            wait(answer).unwrap();
            say(format!("kept {name} {size}"));
        }
        wait(store.append(draft, message(&number.to_string(), noise(number)))).unwrap();
        say(format!("appended session-{run} {number}"));
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let place = place();
    let mut kept = Vec::new();
    let mut sessions = std::collections::BTreeMap::new();
    for round in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["archive::tests::crash::child", "--exact", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, place.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut heard = 0;
        while heard < 300 + round * 50 {
            let line = lines.next().expect("the child lives").unwrap();
            heard += usize::from(note(&line, &mut kept, &mut sessions));
        }
        child.kill().unwrap();
        // What it had said before it died counts too.
        for line in lines.map_while(Result::ok) {
            note(&line, &mut kept, &mut sessions);
        }
        child.wait().unwrap();
        verify(&place, &kept, &sessions);
    }
}

/// Notes an acknowledgement the child told of; whether the line was one.
fn note(
    line: &str,
    kept: &mut Vec<(String, usize)>,
    sessions: &mut std::collections::BTreeMap<String, usize>,
) -> bool {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["kept", name, size] => kept.push((name.to_owned(), size.parse().unwrap())),
        ["appended", name, number] => drop(sessions.insert(name.to_owned(), number.parse().unwrap())),
        _ => return false,
    }
    true
}

fn verify(place: &TempDir, kept: &[(String, usize)], sessions: &std::collections::BTreeMap<String, usize>) {
    let store = open(place);
    for (name, size) in kept {
        let item = wait(store.open(bob(), id(name))).unwrap().expect("acknowledged, so it is there");
        assert_eq!(bodies(&store, &item), [noise(*size)]);
    }
    for (name, last) in sessions {
        let item = wait(store.open(bob(), id(name))).unwrap().expect("acknowledged, so it is there");
        assert_eq!(item.head.kind, ItemKind::Session);
        let bodies = bodies(&store, &item);
        assert!(bodies.len() > *last);
        assert!(bodies.iter().enumerate().all(|(number, body)| *body == noise(number)));
    }
    let (heads, counts) = (wait(store.list(bob(), ListQuery::default())), wait(store.counts(bob())));
    let (heads, counts) = (heads.unwrap(), counts.unwrap());
    assert_eq!(counts.items, heads.len() as u64);
    assert_eq!(counts.bytes, heads.iter().map(|head| head.bytes).sum::<u64>());
}
