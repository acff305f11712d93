//! What is counted is described, in the code and in the operators' page.

use super::*;
use restante::store::MessageId;
use std::collections::BTreeSet;
use std::path::Path;

/// The text of every source of this package that is no test.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            text += &sources(&path);
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") && name != "meters.rs" {
            text += &std::fs::read_to_string(path).unwrap();
        }
    }
    text
}

/// Every `counter!("restante_...`, `gauge!(...` and `histogram!(...` in a text.
fn counted(text: &str) -> BTreeSet<(&str, &str)> {
    text.match_indices("!(\"restante_")
        .map(|(at, _)| {
            let name = text[at + 3..].split('"').next().unwrap();
            (name, text[..at].rsplit([':', ' ']).next().unwrap())
        })
        .collect()
}

#[test]
fn what_is_counted_is_described() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let text = sources(&package) + &std::fs::read_to_string(package.join("meters.rs")).unwrap();
    let macros = |kind| match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let described: BTreeSet<_> = ALL.iter().map(|(name, kind, _)| (*name, macros(*kind))).collect();
    assert_eq!(counted(&text), described);
    assert_eq!(described.len(), ALL.len(), "each once");
}

#[test]
fn what_is_described_stands_in_the_page_of_operators() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `restante_"))
        .map(|row| row.split(['{', '`']).next().unwrap())
        .collect();
    let described = ALL.iter().map(|(name, ..)| name.strip_prefix("restante_").unwrap()).collect();
    assert_eq!(rows, described);
}

/// What `count` has written into a recorder of its own.
fn exposed(count: impl FnOnce()) -> String {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, count);
    recorder.handle().render()
}

#[test]
fn a_scrape_has_a_line_of_help_for_each() {
    let text = exposed(|| {
        describe();
        metrics::counter!("restante_expired_items_total").increment(2);
    });
    assert!(text.contains("# HELP restante_expired_items_total Items removed because"), "{text}");
    assert!(
        text.contains("# TYPE restante_expired_items_total counter\nrestante_expired_items_total 2"),
        "{text}"
    );
}

#[test]
fn a_retrieval_is_counted_by_what_became_of_its_items() {
    let entry = |state| Entry {
        uri: String::new(),
        message_id: Some(MessageId::new("a@b")),
        state,
        acknowledged: restante::focus::acknowledged::Acknowledged::default(),
    };
    let failed = |failure| entry(State::Failed(failure));
    let entries = [
        entry(State::Departed),
        failed(Failure::Refused(413)),
        entry(State::Departed),
        failed(Failure::NotFound),
        failed(Failure::Broken),
        failed(Failure::Store),
    ];
    let text = exposed(|| retrieval_ended(&entries));
    let wanted = [("delivered", 2), ("refused", 1), ("not_found", 1), ("broken_off", 1), ("failed", 1)];
    for (outcome, count) in wanted {
        let line = format!("restante_retrieved_items_total{{outcome=\"{outcome}\"}} {count}\n");
        assert!(text.contains(&line), "{line}{text}");
    }
    assert!(!text.contains("not_acceptable"), "{text}");
    assert!(text.contains("restante_retrievals_total 1\n"), "{text}");
}

#[test]
fn subscriptions_are_counted_as_long_as_there_are_some() {
    let text = exposed(|| {
        let (mut one, mut other) =
            (Subscribed::to(Package::MessageSummary), Subscribed::to(Package::MessageSummary));
        one.count(3);
        other.count(2);
        one.count(1);
        drop(other);
        let mut focus = Subscribed::to(Package::Conference);
        focus.count(4);
        drop(focus);
        std::mem::forget(one);
    });
    assert!(text.contains("restante_subscriptions{event=\"message-summary\"} 1\n"), "{text}");
    assert!(text.contains("restante_subscriptions{event=\"conference\"} 0\n"), "{text}");
}

#[test]
fn a_notify_is_counted_by_its_final_answer() {
    let text = exposed(|| {
        for answer in [Some(100), Some(200), Some(202), Some(481), None] {
            Package::MessageSummary.notified(answer.map(StatusCode));
        }
    });
    for (outcome, count) in [("delivered", 2), ("refused", 1), ("unanswered", 1)] {
        let labels = format!("{{event=\"message-summary\",outcome=\"{outcome}\"}} {count}\n");
        assert!(text.contains(&labels), "{labels}{text}");
    }
}
