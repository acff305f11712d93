//! The writing of one content: in memory while it is small, then in a file, on threads that may
//! wait for the disk, and strictly in the order of the calls.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use restante::store::{Answer, Body, ContentId, MAX_INLINE, Staging, StoreError};
use tokio::sync::oneshot;

use super::content::Contents;
use super::pool::{caught, lock};

/// Bytes of one content that may wait to be written, far more than a connection is read ahead.
const WAITING: usize = 8 << 20;

/// What a write that waits costs of them beyond its own.
const COST: usize = 256;

/// The end of the largest content.
const LARGEST: u64 = 1 << 40;

enum Step {
    Write(u64, Bytes, oneshot::Sender<Result<(), StoreError>>),
    Truncate(u64, oneshot::Sender<Result<(), StoreError>>),
    Finish(oneshot::Sender<Result<Body, StoreError>>),
}

impl Step {
    /// What it costs of [`WAITING`].
    const fn cost(&self) -> usize {
        match self {
            Self::Write(_, bytes, _) => COST + bytes.len(),
            Self::Truncate(..) | Self::Finish(_) => COST,
        }
    }
}

#[derive(Default)]
struct Steps {
    waiting: VecDeque<Step>,
    /// What they cost.
    cost: usize,
    /// Whether a thread is at work on them.
    running: bool,
    /// The first write that failed: then the content is not finished.
    failed: Option<StoreError>,
}

/// Where the bytes are.
enum Target {
    Memory(Vec<u8>),
    File { id: ContentId, file: File, size: u64 },
    Finished,
}

struct Strand {
    steps: Mutex<Steps>,
    target: Mutex<Target>,
    contents: Arc<Contents>,
}

/// A content that is being written.
pub(super) struct FileStaging(Arc<Strand>);

impl FileStaging {
    pub(super) fn new(contents: Arc<Contents>) -> Self {
        let target = Mutex::new(Target::Memory(Vec::new()));
        Self(Arc::new(Strand { steps: Mutex::default(), target, contents }))
    }

    /// Queues a step, unless it can be done at once because it needs no disk and none waits.
    fn submit<T: Send + 'static>(
        &self,
        at_once: impl FnOnce(&mut Target) -> Option<Result<T, StoreError>>,
        later: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Step,
    ) -> Answer<T> {
        let mut steps = lock(&self.0.steps);
        if !steps.running
            && steps.failed.is_none()
            && let Some(outcome) = at_once(&mut lock(&self.0.target))
        {
            return Box::pin(std::future::ready(outcome));
        }
        let (answer, answered) = oneshot::channel();
        let step = later(answer);
        let cost = step.cost();
        if steps.cost > 0 && steps.cost + cost > WAITING && !matches!(step, Step::Finish(_)) {
            return Box::pin(std::future::ready(Err(StoreError::Busy)));
        }
        if !steps.running {
            let strand = self.0.clone();
            if let Err(error) = self.0.contents.pool.submit(move || strand.run()) {
                return Box::pin(std::future::ready(Err(error)));
            }
            steps.running = true;
        }
        steps.waiting.push_back(step);
        steps.cost += cost;
        drop(steps);
        Box::pin(async move {
            answered.await.unwrap_or_else(|_| Err(StoreError::Unavailable("a thread failed".into())))
        })
    }
}

impl Staging for FileStaging {
    fn write(&self, offset: u64, bytes: Bytes) -> Answer<()> {
        let end = offset.saturating_add(bytes.len() as u64);
        if end > LARGEST {
            return Box::pin(std::future::ready(Err(StoreError::TooLarge { what: "content" })));
        }
        self.submit(
            |target| match target {
                Target::Memory(buffer) if end <= MAX_INLINE as u64 => {
                    Some(write_memory(buffer, offset, &bytes))
                }
                _ => None,
            },
            |answer| Step::Write(offset, bytes.clone(), answer),
        )
    }

    fn truncate(&self, size: u64) -> Answer<()> {
        self.submit(
            |target| match target {
                Target::Memory(buffer) => {
                    buffer.truncate(usize::try_from(size).unwrap_or(usize::MAX));
                    Some(Ok(()))
                }
                _ => None,
            },
            |answer| Step::Truncate(size, answer),
        )
    }

    fn finish(self: Box<Self>) -> Answer<Body> {
        self.submit(
            |target| match target {
                Target::Memory(buffer) => Some(Ok(Body::Inline(std::mem::take(buffer).into()))),
                _ => None,
            },
            Step::Finish,
        )
    }
}

impl Strand {
    /// Takes the steps in their order until none waits.
    fn run(&self) {
        loop {
            let step = {
                let mut steps = lock(&self.steps);
                let step = steps.waiting.pop_front();
                steps.running = step.is_some();
                steps.cost -= step.as_ref().map_or(0, Step::cost);
                step
            };
            // A panic in one step must not leave those behind it waiting for a thread that is gone. Whoever asked may
            // have gone, too.
            match step {
                None => return,
                Some(Step::Write(offset, bytes, answer)) => {
                    let _ = answer.send(self.noted(caught(|| self.write(offset, &bytes))));
                }
                Some(Step::Truncate(size, answer)) => {
                    let _ = answer.send(self.noted(caught(|| self.truncate(size))));
                }
                Some(Step::Finish(answer)) => {
                    let failed = lock(&self.steps).failed.clone();
                    let _ = answer.send(failed.map_or_else(|| caught(|| self.finish()), Err));
                }
            }
        }
    }

    /// Remembers that a step failed.
    fn noted(&self, outcome: Result<(), StoreError>) -> Result<(), StoreError> {
        if let Err(error) = &outcome {
            lock(&self.steps).failed.get_or_insert_with(|| error.clone());
        }
        outcome
    }

    fn truncate(&self, to: u64) -> Result<(), StoreError> {
        match &mut *lock(&self.target) {
            Target::Memory(buffer) => buffer.truncate(usize::try_from(to).unwrap_or(usize::MAX)),
            Target::File { file, size, .. } if *size > to => {
                file.set_len(to).map_err(|error| self.contents.broken(&error))?;
                *size = to;
            }
            Target::File { .. } | Target::Finished => {}
        }
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let mut target = lock(&self.target);
        let end = offset.saturating_add(bytes.len() as u64);
        if let Target::Memory(buffer) = &mut *target {
            if end <= MAX_INLINE as u64 {
                return write_memory(buffer, offset, bytes);
            }
            let (id, file) = self.contents.create()?;
            let (buffer, size) = (std::mem::take(buffer), buffer.len() as u64);
            // From here on the file is this strand's, and goes with it.
            *target = Target::File { id, file, size };
            if let Target::File { file, .. } = &*target {
                file.write_all_at(&buffer, 0).map_err(|error| self.contents.broken(&error))?;
            }
        }
        match &mut *target {
            Target::File { file, size, .. } => {
                *size = (*size).max(end);
                file.write_all_at(bytes, offset).map_err(|error| self.contents.broken(&error))
            }
            Target::Memory(_) | Target::Finished => Ok(()),
        }
    }

    fn finish(&self) -> Result<Body, StoreError> {
        let mut target = lock(&self.target);
        if let Target::File { file, .. } = &*target {
            self.contents.sync(file)?;
        }
        match std::mem::replace(&mut *target, Target::Finished) {
            Target::Memory(buffer) => Ok(Body::Inline(buffer.into())),
            Target::File { id, size, .. } => Ok(Body::Staged(self.contents.staged(id, size))),
            Target::Finished => Err(StoreError::Gone),
        }
    }
}

impl Drop for Strand {
    fn drop(&mut self) {
        if let Target::File { id, .. } = &*lock(&self.target) {
            self.contents.unlink(vec![*id]);
        }
    }
}

fn write_memory(buffer: &mut Vec<u8>, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
    let start = usize::try_from(offset).map_err(|_| StoreError::TooLarge { what: "content" })?;
    let end = start.saturating_add(bytes.len());
    if buffer.len() < end {
        buffer.resize(end, 0);
    }
    if let Some(place) = buffer.get_mut(start..end) {
        place.copy_from_slice(bytes);
    }
    Ok(())
}
