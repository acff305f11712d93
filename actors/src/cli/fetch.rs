//! `restante fetch`: retrieves items, to stdout or into files.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};
use std::io::Write as _;

use super::access::Access;
use super::directory::Directory;
use super::outcome::{Outcome, Trouble, advised, tell_nothing};
use super::printer::Printer;
use crate::client::{
    Client, ClientError, Fetched, ItemState, Keep, Refusal, RetrievedItem, Selection, visible,
};

/// What a 404 means to one who fetches.
const UNKNOWN_ITEM: &str = "no such item of yours; `restante summary` tells what waits";

/// Arguments of `restante fetch`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["ids", "all", "new"]))]
pub struct Fetch {
    /// Message-IDs, as the summary tells them, or message URIs; several are fetched by one INVITE
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,

    /// Everything that is new, by an INVITE to your own address
    #[arg(long)]
    pub all: bool,

    /// What the summary lists as new, by one INVITE with a URI-list; with --out, only what is not there yet
    #[arg(long)]
    pub new: bool,

    /// Keep contents as files in this folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Overwrite files that are there, and fetch again what was fetched before
    #[arg(long, requires = "out")]
    pub force: bool,

    /// Who asks, whom, and how it is told.
    #[command(flatten)]
    pub access: Access,
}

impl Fetch {
    /// Retrieves what is asked for.
    ///
    /// # Errors
    /// The machine denies what the client needs.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        self.access.run(async |client| self.fetch(&client).await)
    }

    async fn fetch(&self, client: &Client) -> Result<Outcome, Trouble> {
        let target = Target::new(self.out.as_deref(), self.force, self.access.json)?;
        if self.all {
            return all_new(client, target).await;
        }
        if !self.new {
            return ids(client, self.ids.clone(), target).await;
        }
        let inbox = client.summary().await?;
        if inbox.waiting() == 0 {
            tell_nothing(self.access.json);
            return Ok(Outcome::Nothing);
        }
        ids(client, inbox.items.into_iter().map(|item| item.id).collect(), target).await
    }
}

/// Where contents go.
pub(super) enum Target {
    Files(Box<Directory>),
    Stdout(Printer),
}

impl Target {
    /// Files in `out`, or stdout.
    pub(super) fn new(out: Option<&Path>, force: bool, json: bool) -> Result<Self, Trouble> {
        Ok(match out {
            Some(folder) => Self::Files(Box::new(Directory::open(folder, force, json)?)),
            None => Self::Stdout(Printer::new(json)),
        })
    }

    const fn is_json(&self) -> bool {
        match self {
            Self::Files(directory) => directory.is_json(),
            Self::Stdout(printer) => printer.is_json(),
        }
    }

    fn keep(&mut self) -> &mut dyn Keep {
        match self {
            Self::Files(directory) => directory.as_mut(),
            Self::Stdout(printer) => printer,
        }
    }

    /// Says what became of the items; the files' record learns which are complete.
    fn finish(self, items: &[RetrievedItem]) -> Result<(), Trouble> {
        let json = match self {
            Self::Files(mut directory) => {
                directory.finish(items)?;
                directory.is_json()
            }
            Self::Stdout(printer) => printer.finish(),
        };
        if json {
            let mut stdout = std::io::stdout().lock();
            for item in items {
                writeln!(stdout, "{}", as_json(item))?;
            }
        }
        Ok(())
    }
}

/// Items that are asked for by one list: a store takes as many of them by default.
const MOST_OF_A_LIST: usize = 1000;

/// Retrieves the items of these Message-IDs that are not there yet, by as many lists as it takes.
pub(super) async fn ids(client: &Client, ids: Vec<String>, mut target: Target) -> Result<Outcome, Trouble> {
    let missing = match &target {
        Target::Files(directory) => directory.missing(ids),
        Target::Stdout(_) => ids,
    };
    if missing.is_empty() {
        return Ok(Outcome::Done);
    }
    let mut fetched = Fetched::default();
    let mut failed = None;
    for list in missing.chunks(MOST_OF_A_LIST) {
        let selection = client.select(list).await?;
        match client.fetch_into(&selection, target.keep()).await {
            Ok(more) => {
                fetched.items.extend(more.items);
                fetched.unkept.extend(more.unkept);
            }
            Err(error) => {
                failed = Some(advised(404, UNKNOWN_ITEM)(error));
                break;
            }
        }
    }
    match failed {
        Some(error) if fetched.items.is_empty() => Err(error),
        Some(error) => conclude(&fetched, target).and(Err(error)),
        None => conclude(&fetched, target),
    }
}

async fn all_new(client: &Client, mut target: Target) -> Result<Outcome, Trouble> {
    let fetched = match client.fetch_into(&Selection::New, target.keep()).await {
        Ok(fetched) => fetched,
        // The store's answer to "everything new" where nothing is.
        Err(ClientError::Refused(Refusal { status, .. })) if status.0 == 480 => {
            tell_nothing(target.is_json());
            return Ok(Outcome::Nothing);
        }
        Err(error) => return Err(advised(404, UNKNOWN_ITEM)(error)),
    };
    conclude(&fetched, target)
}

fn conclude(fetched: &Fetched, target: Target) -> Result<Outcome, Trouble> {
    target.finish(&fetched.items)?;
    for line in complaints(fetched) {
        eprintln!("restante: {}", visible(line.as_bytes()));
    }
    judge(fetched)
}

/// What was not fetched, and why.
fn complaints(fetched: &Fetched) -> Vec<String> {
    let unkept = fetched.unkept.iter().map(|(id, why)| format!("{id}: not kept: {why}"));
    let told = |item: &&RetrievedItem| fetched.unkept.iter().all(|(id, _)| *id != item.id);
    let failed = fetched.items.iter().filter(told).filter_map(|item| match &item.state {
        ItemState::Complete => None,
        ItemState::Failed { status: 0, reason } => Some(format!("{}: not fetched: {reason}", item.id)),
        ItemState::Failed { status, reason } => Some(format!("{}: not fetched: {status} {reason}", item.id)),
        _ => Some(format!("{}: broken off after {} bytes; it stays new", item.id, item.bytes)),
    });
    unkept.chain(failed).collect()
}

fn judge(fetched: &Fetched) -> Result<Outcome, Trouble> {
    let complete = fetched.items.iter().filter(|item| item.state == ItemState::Complete).count();
    let cut = fetched.items.iter().any(|item| item.state == ItemState::Cut);
    match (complete, fetched.is_complete()) {
        (_, true) => Ok(Outcome::Done),
        (1.., false) => Ok(Outcome::Partly),
        (0, false) if !fetched.unkept.is_empty() => Err(Trouble::Local("nothing could be kept".to_owned())),
        (0, false) if cut => Err(ClientError::Ended("nothing was fetched whole".to_owned()).into()),
        (0, false) => Err(ClientError::Ended("nothing was delivered".to_owned()).into()),
    }
}

fn as_json(item: &RetrievedItem) -> Value {
    let (state, status, reason) = match &item.state {
        ItemState::Complete => ("complete", None, None),
        ItemState::Failed { status, reason } => {
            ("failed", Some(*status).filter(|it| *it > 0), Some(reason.as_str()))
        }
        ItemState::Waiting | ItemState::Arriving | ItemState::Cut => ("cut", None, None),
    };
    json!({
        "item": item.id,
        "state": state,
        "status": status,
        "reason": reason,
        "messages": item.messages,
        "bytes": item.bytes,
    })
}
