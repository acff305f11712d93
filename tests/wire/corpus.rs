//! The properties that the fuzz targets check (`fuzz/src`), on their corpus and on mutations of it: what
//! fuzzing has found stays mended, and the targets stay whole, wherever `cargo test` runs.

use std::fs;
use std::path::PathBuf;

use restante::entropy::{Entropy, Sequence};

use crate::properties::ALL;
use crate::torture::{VERDICTS, load};

/// Mutations of each file of the corpus.
const MUTATIONS: usize = 12;
const NASTY: &[u8] = b"\0\r\n\t \"<>,;:%@=?()[]\\'0aZ~\xff\xc3";

/// The same bytes with a few replaced, inserted, removed or repeated.
pub fn mutated(text: &[u8], sequence: &mut Sequence) -> Vec<u8> {
    let mut text = text.to_vec();
    let mut below = |end: usize| (sequence.next_u64() % end.max(1) as u64) as usize;
    for _ in 0..=below(3) {
        let (at, byte) = (below(text.len()), NASTY[below(NASTY.len())]);
        match below(4) {
            0 if at < text.len() => text[at] = byte,
            1 => text.insert(at, byte),
            2 if at < text.len() => drop(text.remove(at)),
            _ => {
                let end = (at + 1 + below(12)).min(text.len());
                let copied = text[at.min(end)..end].to_vec();
                text.splice(at..at, copied);
            }
        }
    }
    text
}

/// The corpus of a property; of those that take SIP messages, the torture messages too.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<_> =
        fs::read_dir(folder).map(|all| all.map(|file| file.unwrap().path()).collect()).unwrap_or_default();
    files.sort();
    let mut seeds: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    if ["sip_datagram", "sip_stream", "differential"].contains(&name) {
        seeds.extend(VERDICTS.iter().map(|(name, _)| load(name).to_vec()));
    }
    seeds
}

#[test]
fn every_property_holds_on_its_corpus_and_near_it() {
    let mut sequence = Sequence::new(4475);
    for (name, check) in ALL {
        let seeds = corpus(name);
        assert!(!seeds.is_empty(), "{name} has no corpus");
        for seed in &seeds {
            check(seed);
            for _ in 0..MUTATIONS {
                check(&mutated(seed, &mut sequence));
            }
        }
    }
}

// Machines read decisions: any bytes are a run of theirs.
#[test]
fn machines_survive_any_run() {
    let mut sequence = Sequence::new(6026);
    for (name, check) in
        ALL.iter().filter(|(name, _)| ["user_agent", "msrp_session", "locate"].contains(name))
    {
        for turn in 0..120_u64 {
            let length = 20 + sequence.next_u64() % 200;
            let most = if turn % 2 == 0 { 256 } else { 14 };
            let run: Vec<u8> = (0..length).map(|_| (sequence.next_u64() % most) as u8).collect();
            let outcome = std::panic::catch_unwind(|| check(&run));
            assert!(outcome.is_ok(), "{name}: {run:?}");
        }
    }
}

#[test]
fn every_property_has_a_target() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for (name, _) in ALL {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in fuzz/Cargo.toml");
        assert!(folder.join(format!("fuzz_targets/{name}.rs")).exists(), "{name}");
    }
}
