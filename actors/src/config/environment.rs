//! The environment: `RESTANTE_<SECTION>__<KEY>`.

use super::error::{ConfigError, Origin};
use super::setting::Mismatch;
use std::ffi::OsString;

const PREFIX: &str = "RESTANTE_";

/// What the client's commands read: no concern of the node's.
const CLIENT: [&str; 12] = [
    "CLIENT_ADDRESS",
    "CLIENT_NODE",
    "CLIENT_USER",
    "CLIENT_PASSWORD",
    "CLIENT_STORE",
    "CLIENT_ACCOUNT",
    "CLIENT_CA",
    "CLIENT_PIN",
    "CLIENT_CERT",
    "CLIENT_KEY",
    "CLIENT_MSRP",
    "CLIENT_DNS",
];

/// The variable that tells the client's commands a password.
pub const CLIENT_PASSWORD: &str = "RESTANTE_CLIENT_PASSWORD";

/// A variable that names a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its whole name.
    pub name: String,
    /// The section, in lower case.
    pub section: String,
    /// The key, in lower case.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// Picks out the node's variables, in the order of their names.
///
/// # Errors
/// A variable that begins like the node's, but names no key or holds no text.
pub fn variables(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<Variable>, ConfigError> {
    let mut found = Vec::new();
    for (name, value) in environment {
        let name = name.to_string_lossy().into_owned();
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        if is_service_link(rest) || CLIENT.contains(&rest) {
            continue;
        }
        let origin = Origin::Environment { variable: name.clone() };
        let Some((section, key)) = rest.split_once("__") else {
            return Err(ConfigError::UnknownKey { origin, key: rest.to_ascii_lowercase() });
        };
        let (section, key) = (section.to_ascii_lowercase(), key.to_ascii_lowercase());
        let value = value.into_string().map_err(|value| ConfigError::BadValue {
            origin,
            key: format!("{section}.{key}"),
            mismatch: Mismatch::Expected {
                expected: String::from("text in UTF-8"),
                found: format!("{} bytes that are not", value.len()),
            },
        })?;
        found.push(Variable { name, section, key, value });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Whether an orchestrator has set the variable for a service that happens to be named `restante`:
/// `RESTANTE_SERVICE_HOST`, `RESTANTE_SERVICE_PORT_SIP`, `RESTANTE_PORT_5060_TCP`, `RESTANTE_SIP_SERVICE_PORT`...
fn is_service_link(rest: &str) -> bool {
    let links = ["PORT", "SERVICE_HOST", "SERVICE_PORT"];
    let is = |part: &str| links.iter().any(|link| part == *link || part.starts_with(&format!("{link}_")));
    !rest.contains("__") && (is(rest) || rest.split_once('_').is_some_and(|(_, part)| is(part)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Vec<Variable>, ConfigError> {
        variables(pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
    }

    #[test]
    fn only_the_nodes_variables_are_taken() {
        let found =
            of(&[("PATH", "/bin"), ("RESTANTE_SIP__MAX_HEADERS", "64"), ("RUST_LOG", "debug")]).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        let only = &found[0];
        assert_eq!(
            (only.section.as_str(), only.key.as_str(), only.value.as_str()),
            ("sip", "max_headers", "64")
        );
    }

    #[test]
    fn a_variable_that_names_no_key_is_refused_by_name() {
        let problem = of(&[("RESTANTE_SIP_LISTEN", "udp:127.0.0.1:0")]).unwrap_err().to_string();
        assert!(problem.starts_with("environment variable RESTANTE_SIP_LISTEN: unknown key"), "{problem}");
    }

    #[test]
    fn variables_of_an_orchestrator_are_left_alone() {
        let links = [
            "RESTANTE_SERVICE_HOST",
            "RESTANTE_PORT",
            "RESTANTE_PORT_5060_UDP_ADDR",
            "RESTANTE_SIP_SERVICE_PORT",
        ];
        for link in links {
            assert_eq!(of(&[(link, "10.0.0.1")]).unwrap(), [], "{link}");
        }
    }

    #[test]
    fn variables_of_the_client_are_left_alone_and_nothing_like_them() {
        assert_eq!(of(&[("RESTANTE_CLIENT_NODE", "tcp:h"), (CLIENT_PASSWORD, "secret")]).unwrap(), []);
        assert!(of(&[("RESTANTE_CLIENT_PASWORD", "secret")]).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_no_text_is_refused() {
        use std::os::unix::ffi::OsStringExt;
        let pair = (OsString::from("RESTANTE_TRUST__REALM"), OsString::from_vec(vec![0xff, b'a']));
        let problem = variables([pair]).unwrap_err().to_string();
        assert!(problem.contains("trust.realm: expected text in UTF-8, found 2 bytes"), "{problem}");
    }
}
