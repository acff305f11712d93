//! The directory: what another version, a half-made or a half-restored one is answered.

use super::*;

#[test]
fn a_directory_of_another_version_is_refused_by_name() {
    let place = place();
    std::fs::create_dir(place.path().join("engine")).unwrap();
    let refusal = Archive::open(place.path()).err().unwrap().to_string();
    assert!(refusal.contains("restante store 1") && refusal.contains("restante store 2"), "{refusal}");
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
        let place = place();
        let at = place.path().join("data");
        let store = Archive::open(&at).unwrap();
        wait(store.deposit(pager(key("a", "t", 1), "x"))).unwrap();
        assert!(store.working());
        remove(&at);
        assert!(!store.working());
        let refused = wait(store.deposit(pager(key("b", "t", 1), "x")));
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    }
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
