//! The directory: what another version, a half-made or a half-restored one is answered.

use super::*;

#[test]
fn a_directory_of_another_version_is_refused_by_name() {
    let place = place();
    std::fs::create_dir(place.path().join("engine")).unwrap();
    let refusal = Archive::open(place.path()).err().unwrap().to_string();
    assert!(refusal.contains("restante store 1") && refusal.contains("restante store 2"), "{refusal}");
    assert!(refusal.contains("no `format`") && !refusal.contains("holds"), "{refusal}");
    std::fs::write(place.path().join("format"), "restante store 99\n").unwrap();
    let refusal = Archive::open(place.path()).err().unwrap().to_string();
    assert!(refusal.contains("restante store 99"), "{refusal}");
    assert!(refusal.contains(&place.path().display().to_string()), "{refusal}");
}

/// Opened, it would be a store without items, and remove all contents.
#[test]
fn a_directory_without_its_engine_is_refused_and_left_as_it_is() {
    let place = place();
    let kept = wait(open(&place).deposit(pager(key("large", "t", 1), "x".repeat(50_000)))).unwrap();
    let contents = || std::fs::read_dir(place.path().join("content")).unwrap().count();
    assert!(!kept.repeated && contents() > 0);
    let before = contents();
    let (engine, away) = (place.path().join("engine"), place.path().join("away"));
    std::fs::rename(&engine, &away).unwrap();
    for make in [|_: &Path| {}, |engine: &Path| std::fs::create_dir(engine).unwrap()] {
        make(&engine);
        let refusal = Archive::open(place.path()).err().unwrap().to_string();
        assert!(refusal.contains("no journal") && refusal.contains("engine"), "{refusal}");
        assert_eq!(contents(), before);
    }
    std::fs::remove_dir(&engine).unwrap();
    std::fs::rename(away, engine).unwrap();
    assert!(wait(open(&place).open(bob(), id("large"))).unwrap().is_some());
}

/// What is there, and cannot be read, is not missing: nothing is to be brought back or moved away.
#[test]
fn an_engine_that_cannot_be_read_is_not_called_missing() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let place = place();
    drop(open(&place));
    let (engine, away) = (place.path().join("engine"), place.path().join("away"));
    let refusal = || Archive::open(place.path()).err().unwrap().to_string();
    let set = |mode| std::fs::set_permissions(&engine, PermissionsExt::from_mode(mode)).unwrap();
    set(0o000);
    // Who runs the tests as root may read it all the same.
    if std::fs::read_dir(&engine).is_err() {
        let refusal = refusal();
        assert!(refusal.contains("engine: Permission denied") && !refusal.contains("missing"), "{refusal}");
    }
    set(0o700);
    std::fs::rename(&engine, &away).unwrap();
    symlink(&engine, &engine).unwrap();
    let refusal = refusal();
    assert!(refusal.contains("engine: Too many levels") && !refusal.contains("missing"), "{refusal}");
}

/// Killed while the engine was being made, or the disk was full.
#[test]
fn a_first_start_that_was_interrupted_is_begun_anew() {
    let place = place();
    std::fs::write(place.path().join("making"), "").unwrap();
    let engine = place.path().join("engine");
    std::fs::create_dir(&engine).unwrap();
    std::fs::write(engine.join("0.jnl"), "half").unwrap();
    std::fs::write(engine.join("version"), "").unwrap();
    wait(open(&place).deposit(pager(key("a", "t", 1), "x"))).unwrap();
    assert!(!place.path().join("making").exists());
    assert!(wait(open(&place).open(bob(), id("a"))).unwrap().is_some());
}

/// What is written into files that nobody finds any more is not kept.
#[test]
fn a_directory_that_is_removed_takes_nothing_more() {
    for remove in [
        |at: &Path| std::fs::remove_dir_all(at).unwrap(),
        |at: &Path| {
            std::fs::rename(at, at.with_extension("away")).unwrap();
            std::fs::create_dir(at).unwrap();
            std::fs::write(at.join("lock"), "").unwrap();
        },
    ] {
        assert_given_up("lock", remove);
    }
}

/// Without this part of it, or with another in its place, a store takes nothing more, and says once which it was.
fn assert_given_up(part: &str, remove: impl Fn(&Path)) {
    let place = place();
    let at = place.path().join("data");
    let store = Archive::open(&at).unwrap();
    wait(store.deposit(pager(key("a", "t", 1), "x"))).unwrap();
    assert!(store.working());
    remove(&at);
    let log = Log::default();
    log.hear(|| assert!(!store.working() && !store.working(), "{part}"));
    let refused = wait(store.deposit(pager(key("b", "t", 1), "x")));
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{part}: {refused:?}");
    let text = log.text();
    let named = format!("{} was removed, moved or replaced", at.join(part).display());
    assert_eq!((text.matches("ERROR").count(), text.contains(&named)), (1, true), "{part}: {text}");
}

#[test]
fn a_directory_that_loses_a_part_takes_nothing_more() {
    for part in
        ["lock", "content", "engine", "engine/keyspaces", "engine/keyspaces/1", "engine/keyspaces/1/tables"]
    {
        let away = |at: &Path| std::fs::rename(at.join(part), at.join("away")).unwrap();
        assert_given_up(part, away);
        assert_given_up(part, |at| {
            away(at);
            match part {
                "lock" => std::fs::write(at.join(part), "").unwrap(),
                _ => std::fs::create_dir(at.join(part)).unwrap(),
            }
        });
    }
    for part in ["content", "engine"] {
        assert_given_up(part, |at| std::fs::remove_dir_all(at.join(part)).unwrap());
    }
}

#[test]
fn an_engine_that_loses_its_journal_takes_nothing_more() {
    let journal = "engine/0.jnl";
    assert_given_up(journal, |at| std::fs::remove_file(at.join(journal)).unwrap());
    assert_given_up(journal, |at| std::fs::rename(at.join(journal), at.join("engine/away")).unwrap());
    // As an editor does, or who puts another copy in its place.
    assert_given_up(journal, |at| {
        std::fs::copy(at.join(journal), at.join("engine/copy")).unwrap();
        std::fs::rename(at.join("engine/copy"), at.join(journal)).unwrap();
    });
}

/// What the operator was told to remove, or makes beside them.
#[test]
fn what_is_no_part_of_a_store_may_come_and_go() {
    let place = place();
    std::fs::create_dir_all(place.path().join("engine.damaged/keyspaces")).unwrap();
    let store = open(&place);
    std::fs::remove_dir_all(place.path().join("engine.damaged")).unwrap();
    std::fs::write(place.path().join("engine/notes"), "").unwrap();
    std::fs::create_dir(place.path().join("content/lost+found")).unwrap();
    assert!(store.working());
}

#[test]
fn a_directory_that_is_made_is_nobody_elses_and_one_that_others_may_enter_is_told_of() {
    use std::os::unix::fs::PermissionsExt;
    let place = place();
    let data = place.path().join("a/data");
    let told = |data: &Path| {
        let (log, mode) = (Log::default(), || std::fs::metadata(data).unwrap().permissions().mode() & 0o777);
        log.hear(|| drop(Archive::open(data).unwrap()));
        (mode(), log.text().contains("other users of this machine may read what is stored"))
    };
    assert_eq!(told(&data), (0o700, false));
    for (mode, others) in [(0o755, true), (0o750, false), (0o701, true)] {
        std::fs::set_permissions(&data, PermissionsExt::from_mode(mode)).unwrap();
        assert_eq!(told(&data), (mode, others), "it is not changed");
    }
}
