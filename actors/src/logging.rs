//! The log: lines on stderr, as text or JSON, chosen by `[log]` and RUST_LOG.

use crate::config::{Log, LogFilter, LogFormat};
use crate::redact;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, IsTerminal, StderrLock, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Why no log can be written.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// RUST_LOG is set to what is no filter.
    #[error(
        "environment variable RUST_LOG: expected a level or directives, as info,restante_node=debug, found `{0}`"
    )]
    Filter(String),
    /// Something else of the process writes the log already.
    #[error("the log is set up twice: {0}")]
    Twice(#[from] TryInitError),
}

/// Sets up the log of the process; RUST_LOG, where it is set and not empty, overrides `level`.
///
/// # Errors
/// A RUST_LOG that is not understood; a second call.
pub fn init(log: &Log) -> Result<(), LoggingError> {
    redact::open_addresses(log.addresses);
    let filter = filter(log, std::env::var("RUST_LOG").ok().as_deref())?;
    let colours = std::io::stderr().is_terminal();
    Ok(subscriber(log.format, filter, Unfailing::stderr, colours).try_init()?)
}

/// Whether [`init`] would find what RUST_LOG says good.
///
/// # Errors
/// A RUST_LOG that is not understood.
pub fn check(log: &Log) -> Result<(), LoggingError> {
    filter(log, std::env::var("RUST_LOG").ok().as_deref()).map(drop)
}

/// Lines that may be lost: a full disk, a reader that is gone, or one that does not read, must not take the node with it.
/// They are counted.
struct Unfailing<W> {
    out: W,
    /// Whether the reader has let a line wait in vain.
    stalled: &'static AtomicBool,
}

impl Unfailing<StderrLock<'static>> {
    fn stderr() -> Self {
        static STALLED: AtomicBool = AtomicBool::new(false);
        Self { out: io::stderr().lock(), stalled: &STALLED }
    }
}

/// How long the reader of a full pipe is waited for: once. Later lines find room at once, or are lost.
const PATIENCE: Duration = Duration::from_millis(200);

/// What a pipe with room takes without waiting: PIPE_BUF of Linux.
const PIECE: usize = 4096;

impl<W: Write + AsFd> Unfailing<W> {
    /// Writes a line, or as much of it as there is room for.
    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        for piece in line.chunks(PIECE) {
            let patience = if self.stalled.load(Ordering::Relaxed) { Duration::ZERO } else { PATIENCE };
            let ready = has_room(&self.out, patience)?;
            self.stalled.store(!ready, Ordering::Relaxed);
            if !ready {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.out.write_all(piece)?;
        }
        Ok(())
    }
}

/// Whether something can be written without waiting for longer than `patience`.
fn has_room(out: &impl AsFd, patience: Duration) -> io::Result<bool> {
    let mut waiting = [PollFd::new(out, PollFlags::OUT)];
    // invariant: a part of a second fits.
    let timeout = Timespec::try_from(patience).map_err(io::Error::other)?;
    Ok(poll(&mut waiting, Some(&timeout))? > 0)
}

impl<W: Write + AsFd> Write for Unfailing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.put(bytes).is_err() {
            metrics::counter!("restante_log_lines_lost_total").increment(1);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.out.flush();
        Ok(())
    }
}

/// The directives in force.
fn filter(log: &Log, rust_log: Option<&str>) -> Result<EnvFilter, LoggingError> {
    let bad = |text: &str| LoggingError::Filter(text.escape_default().to_string());
    let text = match rust_log.filter(|text| !text.trim().is_empty()) {
        Some(text) => text.parse::<LogFilter>().map_err(|_| bad(text))?,
        None => log.level.clone(),
    };
    let filter = EnvFilter::try_new(text.as_str()).map_err(|_| bad(text.as_str()))?;
    // It would write what people say: a person's content is never logged.
    Ok(filter.add_directive("tungstenite=off".parse().map_err(|_| bad("tungstenite=off"))?))
}

/// What turns events into lines on `writer`.
fn subscriber<W>(
    format: LogFormat,
    filter: EnvFilter,
    writer: W,
    colours: bool,
) -> Box<dyn tracing::Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match format {
        LogFormat::Text => Box::new(lines.with_ansi(colours).finish()),
        LogFormat::Json => Box::new(lines.json().flatten_event(true).finish()),
    }
}

/// What the log is told, for tests.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod heard {
    use std::io;
    use std::sync::{Arc, Mutex};

    /// What the log is told.
    #[derive(Clone, Default)]
    pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

    impl Log {
        /// Does something, listening.
        pub(crate) fn hear(&self, what: impl FnOnce()) {
            let log = self.clone();
            let subscriber =
                tracing_subscriber::fmt().with_ansi(false).with_writer(move || log.clone()).finish();
            tracing::subscriber::with_default(subscriber, what);
        }

        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::{Read, Result as IoResult};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> IoResult<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> IoResult<()> {
            Ok(())
        }
    }

    fn written(format: LogFormat, level: &str) -> String {
        let lines = Lines::default();
        let sink = lines.clone();
        let filter = EnvFilter::try_new(level).unwrap();
        let subscriber = subscriber(format, filter, move || sink.clone(), false);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(bytes = 5, "deposited");
            tracing::debug!("detail");
        });
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn text_lines_carry_level_fields_and_message() {
        let text = written(LogFormat::Text, "info");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("INFO") && text.contains("deposited bytes=5"), "{text}");
    }

    #[test]
    fn json_lines_are_objects() {
        let text = written(LogFormat::Json, "debug");
        assert_eq!(text.lines().count(), 2, "{text}");
        let first = text.lines().next().unwrap();
        assert!(first.starts_with('{') && first.ends_with('}'), "{first}");
        assert!(first.contains("\"message\":\"deposited\"") && first.contains("\"bytes\":5"), "{first}");
    }

    fn lines(out: std::io::PipeWriter) -> Unfailing<std::io::PipeWriter> {
        Unfailing { out, stalled: Box::leak(Box::default()) }
    }

    #[test]
    fn a_line_that_cannot_be_written_is_lost_and_nothing_else() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut lines = lines(writer);
        assert_eq!(lines.write(b"a line").unwrap(), 6);
        lines.flush().unwrap();
    }

    #[test]
    fn a_reader_that_does_not_read_is_not_waited_for() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut lines = lines(writer);
        let line = [b'x'; 10_000];
        let begun = std::time::Instant::now();
        // More than a pipe holds: all after the first that finds no room are lost at once.
        for _ in 0..100 {
            assert_eq!(lines.write(&line).unwrap(), line.len());
        }
        assert!(begun.elapsed() < 20 * PATIENCE, "{:?}", begun.elapsed());
        let mut room = vec![0; 1 << 20];
        assert!(reader.read(&mut room).unwrap() >= PIECE);
        lines.write_all(b"read again\n").unwrap();
        assert!(!lines.stalled.load(Ordering::Relaxed));
        drop(lines);
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        assert!(rest.ends_with(b"read again\n"), "{} bytes", rest.len());
    }

    #[test]
    fn rust_log_overrides_the_level_and_must_be_good() {
        let log = Log::default();
        assert_eq!(filter(&log, None).unwrap().to_string(), "tungstenite=off,info");
        assert_eq!(filter(&log, Some("")).unwrap().to_string(), "tungstenite=off,info");
        assert_eq!(filter(&log, Some("debug")).unwrap().to_string(), "tungstenite=off,debug");
        let problem = filter(&log, Some("loud")).unwrap_err().to_string();
        assert!(
            problem.starts_with("environment variable RUST_LOG") && problem.ends_with("`loud`"),
            "{problem}"
        );
    }
}
