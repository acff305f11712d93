//! Items as lines: coloured for a terminal, tab-separated for a pipe.

use console::{measure_text_width, pad_str, style, truncate_str};

use crate::client::{Inbox, WaitingItem, visible};

/// Columns are not wider.
const WIDEST: usize = 40;

/// For a pipe: Message-ID, priority, From, Subject, Date, a line each.
pub(super) fn plain(items: &[WaitingItem]) -> String {
    let mut out = String::new();
    for item in items {
        let cells = cells(item);
        out.push_str(&cells.map(|cell| cell.replace(['\t', '\n', '\r'], " ")).join("\t"));
        out.push('\n');
    }
    out
}

/// For a terminal of so many columns: the counts, and a table.
pub(super) fn coloured(inbox: &Inbox, items: &[WaitingItem], width: usize) -> String {
    let urgent = inbox.text.urgent_new + inbox.multimedia.urgent_new;
    let mut out = format!(
        "{} new{}, {} old  {}\n",
        style(inbox.waiting()).bold(),
        if urgent > 0 { style(format!(" ({urgent} urgent)")).red().to_string() } else { String::new() },
        inbox.old(),
        style(shown(&inbox.account)).dim()
    );
    let rows: Vec<[String; 5]> = items.iter().map(|item| cells(item).map(|cell| shown(&cell))).collect();
    if rows.is_empty() {
        return out;
    }
    let header = ["MESSAGE-ID", "PRIORITY", "FROM", "SUBJECT", "DATE"].map(str::to_owned);
    let widths: [usize; 5] = std::array::from_fn(|column| {
        let cells = rows.iter().chain([&header]).filter_map(|row| row.get(column));
        cells.map(|cell| measure_text_width(cell)).max().unwrap_or(0).min(WIDEST)
    });
    let row = |cells: &[String; 5]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| {
                pad_str(&truncate_str(cell, width, "…"), width, console::Alignment::Left, None).into_owned()
            })
            .collect();
        truncate_str(padded.join("  ").trim_end(), width.max(20), "…").into_owned()
    };
    out.push_str(&style(row(&header)).dim().to_string());
    out.push('\n');
    for (item, cells) in items.iter().zip(&rows) {
        let line = row(cells);
        out.push_str(&if item.is_urgent() { style(line).red().to_string() } else { line });
        out.push('\n');
    }
    out
}

/// One item on one line, for a choice.
pub(super) fn line(item: &WaitingItem) -> String {
    let [id, _, from, subject, date] = cells(item).map(|cell| shown(&cell));
    let urgent = if item.is_urgent() { "! " } else { "" };
    let words = [subject, from, date, id].into_iter().filter(|word| !word.is_empty());
    format!("{urgent}{}", words.collect::<Vec<_>>().join(" · "))
}

fn cells(item: &WaitingItem) -> [String; 5] {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    [item.id.clone(), text(&item.priority), text(&item.from), text(&item.subject), text(&item.date)]
}

/// What cannot command a terminal, on one line.
fn shown(text: &str) -> String {
    visible(text.as_bytes()).replace(['\t', '\n'], " ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn item() -> WaitingItem {
        WaitingItem {
            id: "1@h".into(),
            from: Some("<sip:a@b>".into()),
            subject: Some("tab\there \x1b]0;owned\x07".into()),
            priority: Some("urgent".into()),
            ..WaitingItem::default()
        }
    }

    #[test]
    fn a_pipe_gets_tab_separated_lines() {
        assert_eq!(plain(&[item()]), "1@h\turgent\t<sip:a@b>\ttab here \x1b]0;owned\x07\t\n");
    }

    #[test]
    fn a_terminal_gets_nothing_that_commands_it() {
        let inbox = Inbox::default();
        for text in [coloured(&inbox, &[item()], 120), line(&item())] {
            let bare = console::strip_ansi_codes(&text).into_owned();
            assert!(bare.contains("tab here \\u{1b}]0;owned\\u{7}"), "{bare}");
            assert!(!bare.contains(['\x1b', '\x07']), "{bare:?}");
        }
    }

    #[test]
    fn lines_fit_the_terminal() {
        let long = WaitingItem { id: "x".repeat(200), ..item() };
        let text = coloured(&Inbox::default(), &[long], 50);
        assert!(text.lines().skip(1).all(|line| measure_text_width(line) <= 50), "{text}");
    }
}
