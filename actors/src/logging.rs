//! The log: lines on stderr, as text or JSON, chosen by `[log]` and RUST_LOG.

use crate::config::{Log, LogFilter, LogFormat};
use crate::redact;
use std::io::{self, IsTerminal, Write};
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
    Ok(subscriber(log.format, filter, || Unfailing(io::stderr()), colours).try_init()?)
}

/// Lines that may be lost: a full disk or a reader that is gone must not take the node with it. They are counted.
struct Unfailing<W>(W);

impl<W: Write> Write for Unfailing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.write_all(bytes).is_err() {
            metrics::counter!("restante_log_lines_lost_total").increment(1);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.0.flush();
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::{Result as IoResult, Write};
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

    #[test]
    fn a_line_that_cannot_be_written_is_lost_and_nothing_else() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> IoResult<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }

            fn flush(&mut self) -> IoResult<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        assert_eq!(Unfailing(Full).write(b"a line").unwrap(), 6);
        Unfailing(Full).flush().unwrap();
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
