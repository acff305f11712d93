//! The demonstration: a node in this process, and Alice, Joe and Charlie with clients of their own, over real
//! sockets. They play the call flow of OMA SIMPLE IM's deferred messages (selective retrieval, its figure 1),
//! then the retrieval of a selection in one shot (RFC 5366).
//!
//! Every step is checked; what is drawn afterwards was recorded while it happened.

mod recording;
mod stage;

use bytes::Bytes;
use restante::ladder::Ladder;

use crate::client::{Fetched, Inbox, PagerMessage, Selection, Summaries};
use stage::Stage;

/// Alice's Call-ID, as in the figure.
const ALICES: &str = "32098d@alicepc.example.org";
/// Joe's Call-ID, as in the figure.
const JOES: &str = "d0982dkjs@Joemobile.example.net";
const CHARLIE: &str = "sip:charlie@example.com";
const QUESTION: &str = "Shall I fetch you at eight?";
const HELP: [&str; 2] = ["My slides are on the desk.", "Thank you, I owe you one!"];
/// The order of columns.
const COLUMNS: [&str; 7] = ["Alice", "Joe", "store", "focus", "virtual UA 1", "virtual UA 2", "Charlie"];

/// What was played.
#[derive(Clone, Debug)]
pub struct Played {
    /// Alice's MESSAGE, Joe's session, Charlie's summary, his retrieval of Joe's alone.
    pub figure: Ladder,
    /// His retrieval of both by one INVITE with a URI-list.
    pub selection: Ladder,
}

/// Plays it with a store in `folder`; `tell` is told what each of them does and sees, a line at a time.
///
/// # Errors
/// The first step that did not go as it should.
pub async fn play(folder: &std::path::Path, tell: &mut dyn FnMut(&str)) -> anyhow::Result<Played> {
    let stage = Stage::set(folder)?;
    tell("Charlie is away. A node keeps what comes for him.");
    alice(&stage, tell).await?;
    let joes = joe(&stage, tell).await?;

    let charlie = stage.client("Charlie", CHARLIE).await?;
    tell("");
    tell("Charlie is back, and subscribes to his message summary (RFC 3842).");
    let mut summaries = charlie.subscribe().await?;
    let inbox = summaries.whole().await?;
    show(&inbox, tell);
    expect("two new messages, one of them urgent", (inbox.waiting(), inbox.text.urgent_new), (2, 1))?;
    expect("their ids", ids(&inbox), vec![ALICES.to_owned(), joes.clone()])?;

    tell("");
    tell("He picks Joe's alone: INVITE to its message URI.");
    let one = charlie.fetch(&charlie.select(std::slice::from_ref(&joes)).await?).await?;
    read(&one, tell);
    expect("Joe's words, in order", contents(&one), HELP.map(bytes).to_vec())?;
    settle(&mut summaries, (1, 1)).await?;
    show_counts(summaries.inbox(), tell);
    let figure = stage.ladder(&COLUMNS).await?;

    tell("");
    tell("And both in one shot: one INVITE with a list of their URIs (RFC 5366).");
    let selection: Selection = charlie.select(&[ALICES.to_owned(), joes]).await?;
    let both = charlie.fetch(&selection).await?;
    read(&both, tell);
    let said = [QUESTION, HELP[0], HELP[1]].map(bytes).to_vec();
    expect("all they said, in the order of the list", contents(&both), said)?;
    settle(&mut summaries, (0, 2)).await?;
    show_counts(summaries.inbox(), tell);
    summaries.close().await;
    charlie.close().await;
    let selection = stage.ladder(&COLUMNS).await?;
    stage.strike();
    Ok(Played { figure, selection })
}

async fn alice(stage: &Stage, tell: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
    let alice = stage.client("Alice", "sip:alice@example.org").await?;
    tell("");
    tell("Alice sends him a MESSAGE.");
    let message = PagerMessage {
        subject: Some("carpool tomorrow?".to_owned()),
        priority: Some("normal".to_owned()),
        ..PagerMessage::text(CHARLIE, QUESTION)
    };
    let mut opening = alice.opening();
    ALICES.clone_into(&mut opening.call_id);
    let kept = alice.send_as(message, opening).await?;
    tell(&format!("  Alice    {} Accepted: it is on the disk, as {}", kept.status, kept.call_id));
    expect("Alice's message is accepted for later delivery", kept.status, 202)?;
    alice.close().await;
    Ok(())
}

async fn joe(stage: &Stage, tell: &mut dyn FnMut(&str)) -> anyhow::Result<String> {
    let joe = stage.client("Joe", "sip:Joe@example.net").await?;
    tell("");
    tell("Joe opens a session with him; the store answers in his place.");
    let about = PagerMessage {
        subject: Some("HELP! at home ill, present for me please".to_owned()),
        priority: Some("urgent".to_owned()),
        ..PagerMessage::text(CHARLIE, "")
    };
    let mut opening = joe.opening();
    JOES.clone_into(&mut opening.call_id);
    let mut chat = joe.chat_as(CHARLIE, Some(about), opening).await?;
    for words in HELP {
        chat.say(words).await?;
        tell(&format!("  Joe      \"{words}\" - 200 OK: it is on the disk"));
    }
    let id = chat.call_id().to_owned();
    chat.bye().await?;
    joe.close().await;
    Ok(id)
}

/// Waits until the summary tells so many new and old ones.
async fn settle(summaries: &mut Summaries, counts: (u64, u64)) -> anyhow::Result<()> {
    let patience = std::time::Duration::from_secs(10);
    let waiting = async {
        while (summaries.inbox().waiting(), summaries.inbox().old()) != counts {
            summaries.next().await?;
        }
        Ok::<_, anyhow::Error>(())
    };
    match tokio::time::timeout(patience, waiting).await {
        Ok(result) => result,
        Err(_) => anyhow::bail!("the summary did not come to {} new and {} old", counts.0, counts.1),
    }
}

fn show(inbox: &Inbox, tell: &mut dyn FnMut(&str)) {
    show_counts(inbox, tell);
    for item in &inbox.items {
        let field = |field: &Option<String>| field.clone().unwrap_or_default();
        tell(&format!(
            "  Charlie  [{}] {}: {} ({})",
            field(&item.priority),
            field(&item.from),
            field(&item.subject),
            item.id
        ));
    }
}

fn show_counts(inbox: &Inbox, tell: &mut dyn FnMut(&str)) {
    let (new, old, urgent) = (inbox.waiting(), inbox.old(), inbox.text.urgent_new);
    tell(&format!("  Charlie  {new} new ({urgent} urgent), {old} old"));
}

fn read(fetched: &Fetched, tell: &mut dyn FnMut(&str)) {
    for message in &fetched.messages {
        let text = String::from_utf8_lossy(&message.content);
        let from = message.head.from.clone().unwrap_or_default();
        tell(&format!("  Charlie  {from}: \"{text}\""));
    }
}

fn contents(fetched: &Fetched) -> Vec<Bytes> {
    fetched.messages.iter().map(|message| message.content.clone()).collect()
}

fn ids(inbox: &Inbox) -> Vec<String> {
    inbox.items.iter().map(|item| item.id.clone()).collect()
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> anyhow::Result<()> {
    anyhow::ensure!(found == expected, "{what}: found {found:?}, not {expected:?}");
    Ok(())
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}
