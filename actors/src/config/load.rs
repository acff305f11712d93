//! Reading: defaults, then the file, then the environment, then the checks.

use super::environment::{self, Variable};
use super::error::{ConfigError, Origin};
use super::raw::Raw;
use super::{Config, validate};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// No configuration file is larger.
const LARGEST_FILE: u64 = 1 << 20;

impl Config {
    /// Loads the file, if there is one, and this process's environment.
    ///
    /// # Errors
    /// A [`ConfigError`] names the place and the key.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let text = file.map(read).transpose()?;
        let file = file.zip(text.as_deref());
        Self::load_from(file, std::env::vars_os())
    }

    /// Loads the text of a file, if there is one, with the name to blame, and an environment.
    ///
    /// # Errors
    /// A [`ConfigError`] names the place and the key.
    pub fn load_from(
        file: Option<(&Path, &str)>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let mut loading = Loading::default();
        if let Some((path, text)) = file {
            loading.file(path, text)?;
        }
        for variable in environment::variables(environment)? {
            loading.variable(variable)?;
        }
        loading.finish()
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let read = || {
        let mut text = String::new();
        File::open(path)?.take(LARGEST_FILE + 1).read_to_string(&mut text)?;
        if text.len() as u64 > LARGEST_FILE {
            return Err(std::io::Error::other("the file is larger than 1 MiB"));
        }
        Ok(text)
    };
    read().map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })
}

/// A configuration in the making, and where each of its values comes from.
#[derive(Default)]
struct Loading {
    config: Config,
    origins: HashMap<String, Origin>,
}

impl Loading {
    fn file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let line = |offset: usize| Origin::File {
            path: path.to_owned(),
            line: 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count(),
        };
        let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
            origin: line(error.span().map_or(0, |span| span.start)),
            message: error.message().lines().collect::<Vec<_>>().join(", "),
        })?;
        for (name, content) in table.get_ref() {
            let origin = line(name.span().start);
            let section = name.get_ref().to_string();
            if !is_section(&section) {
                return Err(ConfigError::UnknownSection { origin, section });
            }
            let DeValue::Table(keys) = content.get_ref() else {
                return Err(ConfigError::NotASection { origin, section });
            };
            for (key, value) in keys {
                self.set(&section, key.get_ref(), &Raw::of(value.get_ref()), line(key.span().start))?;
            }
        }
        Ok(())
    }

    fn variable(&mut self, variable: Variable) -> Result<(), ConfigError> {
        let Variable { name, section, key, value } = variable;
        self.set(&section, &key, &Raw::Environment(value), Origin::Environment { variable: name })
    }

    fn set(&mut self, section: &str, key: &str, raw: &Raw, origin: Origin) -> Result<(), ConfigError> {
        let full = format!("{section}.{key}");
        match self.config.set(section, key, raw) {
            None => Err(ConfigError::UnknownKey { origin, key: full }),
            Some(Err(mismatch)) => Err(ConfigError::BadValue { origin, key: full, mismatch }),
            Some(Ok(())) => {
                self.origins.insert(full, origin);
                Ok(())
            }
        }
    }

    fn finish(self) -> Result<Config, ConfigError> {
        match validate::check(&self.config) {
            Ok(()) => Ok(self.config),
            Err(conflict) => {
                let involved =
                    conflict.keys.iter().find_map(|key| self.origins.get(*key).map(|at| (*key, at)));
                let (key, origin) =
                    involved.unwrap_or((conflict.keys.first().copied().unwrap_or(""), &Origin::Default));
                let (origin, key) = (origin.clone(), key.to_owned());
                Err(ConfigError::Conflict { origin, key, problem: conflict.problem })
            }
        }
    }
}

/// Whether there is such a section.
pub(super) fn is_section(name: &str) -> bool {
    Config::default().keys().iter().any(|key| key.section == name)
}
