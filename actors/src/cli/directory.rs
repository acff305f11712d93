//! Fetched messages as files in a folder, and a record of what is there, so that a fetch can be repeated.
//!
//! A message is written under a name of its own, synced, and only then takes its final name; only then the store is
//! told. Names are made of the item's Message-ID, of which nothing can lead out of the folder. Files that the record
//! does not know are never overwritten, but by `--force`. What a client that was killed has left half written is removed
//! by the next one.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use restante::wire::mime;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::outcome::Trouble;
use super::part::{self, Part};
use super::printer::{about, show};
use super::progress::Progress;
use crate::client::{IncomingId, ItemState, Keep, MessageHead, RetrievedItem};

/// The record: a JSON object a line, one for each message kept, and one for each item complete.
const RECORD: &str = ".restante-fetched";
/// Characters of a Message-ID that a name has at most.
const LONGEST_NAME: usize = 120;

/// A folder of fetched messages.
pub(super) struct Directory {
    folder: PathBuf,
    force: bool,
    json: bool,
    record: File,
    /// Items that are there whole.
    complete: HashSet<String>,
    /// Names that the record knows.
    known: HashSet<String>,
    arriving: HashMap<IncomingId, Writing>,
    bar: Progress,
}

/// A message that is being written.
struct Writing {
    item: String,
    number: usize,
    head: MessageHead,
    part: Part,
    name: String,
    size: u64,
}

impl Directory {
    /// Opens a folder, which is made where there is none, and reads its record.
    pub(super) fn open(folder: &Path, force: bool, json: bool) -> Result<Self, Trouble> {
        let local = |error: io::Error| Trouble::Local(format!("{}: {error}", folder.display()));
        fs::create_dir_all(folder).map_err(local)?;
        let path = folder.join(RECORD);
        let (complete, known) = read_record(&path).map_err(local)?;
        part::sweep(folder).map_err(local)?;
        let record = OpenOptions::new().create(true).append(true).open(&path).map_err(local)?;
        Ok(Self {
            folder: folder.to_owned(),
            force,
            json,
            record,
            complete,
            known,
            arriving: HashMap::new(),
            bar: Progress::growing(json),
        })
    }

    /// Of these Message-IDs those that are not there whole.
    pub(super) fn missing(&self, ids: Vec<String>) -> Vec<String> {
        let is_there = |id: &String| self.complete.contains(&restante::client::message_id(id));
        ids.into_iter().filter(|id| self.force || !is_there(id)).collect()
    }

    pub(super) const fn is_json(&self) -> bool {
        self.json
    }

    /// Writes down which items are complete.
    pub(super) fn finish(&mut self, items: &[RetrievedItem]) -> io::Result<()> {
        self.bar.finish();
        for item in items.iter().filter(|item| item.state == ItemState::Complete) {
            self.note(&json!({ "item": item.id, "complete": true }))?;
        }
        self.record.sync_all()
    }

    fn note(&mut self, line: &Value) -> io::Result<()> {
        self.record.write_all(format!("{line}\n").as_bytes())
    }

    /// Gives a part its final name; one that is taken is not overwritten, but by `--force` or where it is ours.
    fn name(&self, writing: &Writing) -> io::Result<()> {
        let path = self.folder.join(&writing.name);
        if self.force || self.known.contains(&writing.name) {
            fs::rename(writing.part.path(), &path)?;
        } else {
            // A link is made only where there is nothing of that name, not even a link that leads nowhere.
            fs::hard_link(writing.part.path(), &path).map_err(taken)?;
            fs::remove_file(writing.part.path())?;
        }
        File::open(&self.folder)?.sync_all()
    }
}

impl Keep for Directory {
    fn begin(&mut self, id: IncomingId, item: &str, number: usize, head: &MessageHead) -> io::Result<()> {
        let name = file_name(item, number, &head.content_type);
        let ours = self.force || self.known.contains(&name);
        if !ours && fs::symlink_metadata(self.folder.join(&name)).is_ok() {
            return Err(taken(io::ErrorKind::AlreadyExists.into()));
        }
        let part = Part::create(&self.folder)?;
        let writing = Writing { item: item.to_owned(), number, head: head.clone(), part, name, size: 0 };
        self.arriving.insert(id, writing);
        Ok(())
    }

    fn data(&mut self, id: IncomingId, bytes: &Bytes) -> io::Result<()> {
        let Some(writing) = self.arriving.get_mut(&id) else { return Ok(()) };
        writing.size += bytes.len() as u64;
        writing.part.write(bytes)
    }

    fn commit(&mut self, id: IncomingId) -> io::Result<()> {
        let Some(writing) = self.arriving.get_mut(&id) else { return Ok(()) };
        writing.part.sync()?;
        let Some(writing) = self.arriving.remove(&id) else { return Ok(()) };
        if let Err(error) = self.name(&writing) {
            writing.part.remove();
            return Err(error);
        }
        let Writing { item, number, head, name, size, .. } = writing;
        self.note(&json!({ "item": item, "message": number, "file": name, "bytes": size }))?;
        let path = self.folder.join(&name);
        let mut line = about(&item, number, &head, size);
        if let Some(object) = line.as_object_mut() {
            object.insert("file".to_owned(), path.to_string_lossy().into());
        }
        self.known.insert(name);
        let told = if self.json { line.to_string() } else { path.display().to_string() };
        // The file is there: that nobody reads its name is no reason to say that it is not.
        self.bar.suspended(|| {
            let _ = writeln!(io::stdout().lock(), "{told}");
        });
        Ok(())
    }

    fn discard(&mut self, id: IncomingId) {
        if let Some(writing) = self.arriving.remove(&id) {
            writing.part.remove();
        }
    }

    fn progress(&mut self, items: &[RetrievedItem]) {
        show(&self.bar, items);
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        for (_, writing) in self.arriving.drain() {
            writing.part.remove();
        }
    }
}

fn taken(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            io::Error::new(error.kind(), "a file of its name is there (--force overwrites)")
        }
        _ => error,
    }
}

/// The items that are complete, and the names of files kept. Lines that are cut off say nothing.
fn read_record(path: &Path) -> io::Result<(HashSet<String>, HashSet<String>)> {
    let (mut complete, mut known) = (HashSet::new(), HashSet::new());
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((complete, known)),
        Err(error) => return Err(error),
    };
    for line in BufReader::new(file).lines() {
        let Ok(line) = serde_json::from_str::<Value>(&line?) else { continue };
        let text = |name: &str| line.get(name).and_then(Value::as_str).map(str::to_owned);
        if line.get("complete").is_some() {
            complete.extend(text("item"));
        }
        known.extend(text("file"));
    }
    Ok((complete, known))
}

/// The name of a message's file: the Message-ID as far as it is harmless, the message's number in a session, and what
/// goes with the type. Another Message-ID never has the same name.
fn file_name(item: &str, number: usize, content_type: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '@' | '.' | '_' | '-' | '+' | '=');
    let mut name: String =
        item.chars().map(|c| if harmless(c) { c } else { '_' }).take(LONGEST_NAME).collect();
    if name.is_empty() || name.starts_with(['.', '-']) {
        name.insert(0, '_');
    }
    if name != item {
        name.push_str(&format!("-{:016x}", xxh3_64(item.as_bytes())));
    }
    if number > 0 {
        name.push_str(&format!("-{}", number + 1));
    }
    name.push('.');
    name.push_str(extension(content_type));
    name
}

/// The extension that goes with a media type.
fn extension(content_type: &str) -> &'static str {
    match mime::value(content_type.as_bytes()).as_str() {
        "text/plain" => "txt",
        "text/markdown" => "md",
        "text/html" => "html",
        "text/csv" => "csv",
        "application/json" => "json",
        "application/xml" | "text/xml" => "xml",
        "application/pdf" => "pdf",
        "application/zip" => "zip",
        "image/png" => "png",
        "image/jpeg" => "jpg",
        "image/gif" => "gif",
        "image/webp" => "webp",
        "image/svg+xml" => "svg",
        "audio/mpeg" => "mp3",
        "audio/ogg" => "ogg",
        "audio/wav" => "wav",
        "video/mp4" => "mp4",
        "video/webm" => "webm",
        "message/cpim" => "cpim",
        _ => "bin",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::chance::Chance;
    use proptest::prelude::*;

    #[test]
    fn names_are_those_of_the_items() {
        assert_eq!(
            file_name("32098d@alicepc.example.org", 0, "text/plain;charset=UTF-8"),
            "32098d@alicepc.example.org.txt"
        );
        assert_eq!(file_name("a@b", 1, "image/png"), "a@b-2.png");
        assert_eq!(file_name("a@b", 0, "x/y"), "a@b.bin");
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        for id in [
            "../../etc/passwd",
            "/etc/passwd",
            "..",
            ".",
            "",
            ".bashrc",
            "-rf",
            "a/b",
            "a\\b",
            "a\0b",
            "\u{202e}txt",
        ] {
            let name = file_name(id, 0, "text/plain");
            assert!(!name.contains(['/', '\\', '\0']) && !name.starts_with(['.', '-']), "{id:?}: {name}");
        }
        assert_ne!(file_name("a/b", 0, "text/plain"), file_name("a_b", 0, "text/plain"));
        assert_ne!(file_name("a/b", 0, "text/plain"), file_name("a:b", 0, "text/plain"));
    }

    proptest! {
        #[test]
        fn any_id_gives_one_harmless_name(id in "\\PC{0,300}", number in 0..100_usize) {
            let name = file_name(&id, number, "text/plain");
            prop_assert_eq!(Path::new(&name).components().count(), 1);
            prop_assert!(name.len() < 200 && name.is_ascii());
        }
    }

    fn ids() -> [IncomingId; 2] {
        // invariant: none; any two distinct ids do.
        let session = restante::wire::msrp::MsrpUri::parse(b"msrp://127.0.0.1:1/a;tcp").unwrap();
        let config = restante::machine::msrp::SessionConfig::new(session.clone(), vec![session]);
        let mut session = restante::machine::msrp::Session::new(config, &mut Chance);
        let mut decoder = restante::wire::msrp::Decoder::new(Default::default());
        let wire: String = ["m1aa", "m2aa"]
            .map(|id| format!("MSRP {id} SEND\r\nTo-Path: msrp://127.0.0.1:1/a;tcp\r\nFrom-Path: msrp://127.0.0.1:1/a;tcp\r\nMessage-ID: {id}\r\nByte-Range: 1-*/9\r\nContent-Type: text/plain\r\n\r\nx\r\n-------{id}+\r\n"))
            .concat();
        let mut buffer = bytes::BytesMut::from(wire.as_bytes());
        while let Some(piece) = decoder.decode(&mut buffer).unwrap() {
            session.handle_piece(restante::time::Instant::ZERO, piece);
        }
        let started = std::iter::from_fn(|| session.poll_event()).filter_map(|event| match event {
            restante::machine::msrp::Event::Started { id, .. } => Some(id),
            _ => None,
        });
        started.collect::<Vec<_>>().try_into().unwrap()
    }

    fn head() -> MessageHead {
        MessageHead { content_type: "text/plain".into(), ..MessageHead::default() }
    }

    fn complete(id: &str) -> RetrievedItem {
        RetrievedItem { id: id.into(), state: ItemState::Complete, messages: 1, bytes: 1, expected: 1 }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != RECORD)
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_whole_has_its_name_and_what_is_not_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = ids();
        let mut directory = Directory::open(folder.path(), false, true).unwrap();
        directory.begin(one, "a@b", 0, &head()).unwrap();
        directory.begin(two, "c", 0, &head()).unwrap();
        directory.data(one, &"hello".into()).unwrap();
        directory.data(two, &"half".into()).unwrap();
        directory.commit(one).unwrap();
        directory.finish(&[complete("a@b")]).unwrap();
        drop(directory);
        assert_eq!(names(folder.path()), ["a@b.txt"]);
        assert_eq!(fs::read(folder.path().join("a@b.txt")).unwrap(), b"hello");
        let again = Directory::open(folder.path(), false, true).unwrap();
        assert_eq!(again.missing(vec!["a@b".into(), "sip:a%40b@store".into(), "c".into()]), ["c"]);
        let force = Directory::open(folder.path(), true, true).unwrap();
        assert_eq!(force.missing(vec!["a@b".into()]), ["a@b"]);
    }

    #[test]
    fn a_file_of_somebody_else_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = ids();
        fs::write(folder.path().join("a@b.txt"), "mine").unwrap();
        std::os::unix::fs::symlink("/nowhere/at/all", folder.path().join("c.txt")).unwrap();
        let mut directory = Directory::open(folder.path(), false, true).unwrap();
        let refused = directory.begin(one, "a@b", 0, &head()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert!(directory.begin(two, "c", 0, &head()).is_err(), "a link that leads out");
        drop(directory);
        let mut force = Directory::open(folder.path(), true, true).unwrap();
        for (id, item) in [(one, "a@b"), (two, "c")] {
            force.begin(id, item, 0, &head()).unwrap();
            force.data(id, &"new".into()).unwrap();
            force.commit(id).unwrap();
            let path = folder.path().join(format!("{item}.txt"));
            assert!(fs::symlink_metadata(&path).unwrap().is_file(), "the link itself is replaced");
            assert_eq!(fs::read(path).unwrap(), b"new");
        }
    }

    #[test]
    fn one_that_appears_meanwhile_is_not_overwritten_either() {
        let folder = tempfile::tempdir().unwrap();
        let [one, _] = ids();
        let mut directory = Directory::open(folder.path(), false, true).unwrap();
        directory.begin(one, "a@b", 0, &head()).unwrap();
        fs::write(folder.path().join("a@b.txt"), "mine").unwrap();
        assert_eq!(directory.commit(one).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(names(folder.path()), ["a@b.txt"]);
        assert_eq!(fs::read(folder.path().join("a@b.txt")).unwrap(), b"mine");
    }
}
