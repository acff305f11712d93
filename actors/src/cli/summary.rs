//! `restante summary`: what waits; on a terminal, a choice of what to fetch.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::access::{Access, is_interactive};
use super::fetch::{self, Target};
use super::outcome::{Outcome, Trouble, advised};
use super::table;
use crate::client::{Change, Client, Inbox, WaitingItem, visible};
use restante::wire::message_summary::Counts;

/// What a 403 means to one who looks.
const NOT_YOURS: &str = "the node does not take you for the owner of that mailbox: --as, --user";

/// Arguments of `restante summary`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Summary {
    /// Stay, and tell every change
    #[arg(long)]
    pub watch: bool,

    /// Do not ask what to fetch, though this is a terminal
    #[arg(long)]
    pub no_pick: bool,

    /// Keep what is picked as files in this folder
    #[arg(long, value_name = "DIR", conflicts_with = "watch")]
    pub out: Option<PathBuf>,

    /// Who asks, whom, and how it is told.
    #[command(flatten)]
    pub access: Access,
}

impl Summary {
    /// Tells what waits.
    ///
    /// # Errors
    /// The machine denies what the client needs.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.watch {
            true => self.access.run(async |client| self.watch(&client).await),
            false => self.access.run(async |client| self.once(&client).await),
        }
    }

    async fn once(&self, client: &Client) -> Result<Outcome, Trouble> {
        let inbox = client.summary().await.map_err(advised(403, NOT_YOURS))?;
        self.show(&inbox, &inbox.items)?;
        if inbox.waiting() == 0 {
            return Ok(Outcome::Nothing);
        }
        if self.access.json || self.no_pick || !is_interactive() || inbox.items.is_empty() {
            return Ok(Outcome::Done);
        }
        let picked = pick(&inbox.items)?;
        if picked.is_empty() {
            return Ok(Outcome::Done);
        }
        let target = Target::new(self.out.as_deref(), false, false)?;
        fetch::ids(client, picked, target).await
    }

    async fn watch(&self, client: &Client) -> Result<Outcome, Trouble> {
        let mut summaries = client.subscribe().await.map_err(advised(403, NOT_YOURS))?;
        loop {
            match summaries.change().await? {
                Change::Added(added) => self.show(summaries.inbox(), &added)?,
                Change::Interrupted(why) => {
                    eprintln!("restante: {}; trying again", visible(why.to_string().as_bytes()));
                }
            }
        }
    }

    /// Shows the counts and `items`; as JSON, one object on one line.
    fn show(&self, inbox: &Inbox, items: &[WaitingItem]) -> Result<(), Trouble> {
        let mut stdout = std::io::stdout().lock();
        if self.access.json {
            writeln!(stdout, "{}", as_json(inbox, items))?;
        } else if stdout.is_terminal() {
            let width = usize::from(console::Term::stdout().size().1);
            stdout.write_all(table::coloured(inbox, items, width).as_bytes())?;
        } else {
            stdout.write_all(table::plain(items).as_bytes())?;
        }
        stdout.flush()?;
        Ok(())
    }
}

fn as_json(inbox: &Inbox, items: &[WaitingItem]) -> Value {
    let counts = |counts: &Counts| {
        json!({
            "new": counts.new,
            "old": counts.old,
            "urgent_new": counts.urgent_new,
            "urgent_old": counts.urgent_old,
        })
    };
    let items: Vec<Value> = items
        .iter()
        .map(|item| {
            json!({
                "message_id": item.id,
                "from": item.from,
                "to": item.to,
                "subject": item.subject,
                "date": item.date,
                "priority": item.priority,
            })
        })
        .collect();
    json!({
        "account": inbox.account,
        "waiting": inbox.waiting(),
        "old": inbox.old(),
        "text": counts(&inbox.text),
        "multimedia": counts(&inbox.multimedia),
        "items": items,
    })
}

/// Lets somebody choose with the arrow keys and the space bar; gives the Message-IDs. None, when he leaves.
fn pick(items: &[WaitingItem]) -> Result<Vec<String>, Trouble> {
    let lines: Vec<String> = items.iter().map(table::line).collect();
    let chosen = dialoguer::MultiSelect::new()
        .with_prompt("Fetch (space picks, enter fetches, escape leaves)")
        .items(&lines)
        .report(false)
        .interact_opt();
    match chosen {
        Ok(chosen) => {
            let chosen = chosen.unwrap_or_default();
            Ok(chosen.into_iter().filter_map(|at| items.get(at)).map(|item| item.id.clone()).collect())
        }
        Err(dialoguer::Error::IO(error)) if error.kind() == std::io::ErrorKind::Interrupted => {
            Err(Trouble::Interrupted)
        }
        Err(error) => Err(Trouble::Local(error.to_string())),
    }
}
