//! By what a broker knows its clients. Secrets stand in files, which are read for each connection: what is renewed there holds
//! from the next one on. No error and no log has a byte of them.

mod files;
mod nkey;

use std::path::PathBuf;

use serde::Serialize;
use swapwire_core::{OptionReader, UpgradeError};

use nkey::UserKey;

/// The file with the credentials of an endpoint, and of which kind it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CredentialFile {
    kind: Kind,
    path: PathBuf,
    any_mode: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    User,
    Token,
    Creds,
}

/// The options that name one.
const KINDS: [(&str, Kind); 3] = [("user_file", Kind::User), ("token_file", Kind::Token), ("creds", Kind::Creds)];

/// What `CONNECT` says of the client; nothing without credentials.
#[derive(Default, Serialize)]
pub(crate) struct Proof {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nkey: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sig: Option<String>,
}

/// What was read. Without `Debug`: it is secret.
enum Credentials {
    User { name: String, password: String },
    Token(String),
    Key { jwt: Option<String>, key: UserKey },
}

impl CredentialFile {
    /// The file that the options name, if they name one.
    pub(crate) fn of(options: OptionReader<'_>) -> Result<Option<Self>, UpgradeError> {
        let any_mode = match options.get::<String>("key_mode")?.as_deref() {
            None | Some("strict") => false,
            Some("any") => true,
            Some(other) => return Err(UpgradeError::Invalid(format!("option key_mode={other}: write strict or any"))),
        };
        let mut named = Vec::new();
        for (name, kind) in KINDS {
            named.extend(options.get::<String>(name)?.map(|path| Self { kind, path: path.into(), any_mode }));
        }
        match named.len() {
            0 | 1 => Ok(named.pop()),
            _ => Err(UpgradeError::Invalid(
                "one of user_file=, token_file= and creds= says who this client is: leave out the others".to_owned(),
            )),
        }
    }

    /// The option and the path, as they were written.
    pub(crate) fn written(&self) -> String {
        let name = KINDS.iter().find(|(_, kind)| *kind == self.kind).map_or("", |(name, _)| *name);
        format!("{name}={}", self.path.display())
    }

    /// Whether the file can be used at present.
    ///
    /// # Errors
    /// What is in the way and what would be right.
    pub(crate) async fn check(&self) -> Result<(), UpgradeError> {
        self.read().await.map(drop)
    }

    /// What to tell a broker that gave this nonce, if it gave one.
    ///
    /// # Errors
    /// The file cannot be used, or the broker gave none though a signature is wanted.
    pub(crate) async fn prove(&self, nonce: Option<&str>) -> Result<Proof, UpgradeError> {
        let none = Proof::default();
        Ok(match self.read().await? {
            Credentials::User { name, password } => Proof { user: Some(name), pass: Some(password), ..none },
            Credentials::Token(token) => Proof { auth_token: Some(token), ..none },
            Credentials::Key { jwt, key } => {
                let nonce = nonce.ok_or_else(|| {
                    let text = "the broker gave nothing to sign: it does not know clients by keys";
                    UpgradeError::Unusable(format!("{}: {text}", self.written()))
                })?;
                let nkey = jwt.is_none().then(|| key.public());
                Proof { jwt, nkey, sig: Some(key.sign(nonce)), ..none }
            }
        })
    }

    async fn read(&self) -> Result<Credentials, UpgradeError> {
        let file = self.clone();
        let read = tokio::task::spawn_blocking(move || {
            let text = files::read(&file.path, file.any_mode)?;
            file.kind.parse(&text).map_err(str::to_owned)
        });
        let read = read.await.unwrap_or_else(|error| Err(format!("it could not be read: {error}")));
        read.map_err(|reason| UpgradeError::Unusable(format!("{}: {reason}", self.written())))
    }
}

impl Kind {
    fn parse(self, text: &str) -> Result<Credentials, &'static str> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        match self {
            Self::User => {
                const HELP: &str = "write the user and the password on a line each, or as user:password";
                let first = lines.next().ok_or(HELP)?;
                let (name, password) = match (lines.next(), lines.next()) {
                    (Some(password), None) => (first, password),
                    (None, _) => first.split_once(':').filter(|(name, _)| !name.is_empty()).ok_or(HELP)?,
                    _ => return Err(HELP),
                };
                Ok(Credentials::User { name: name.to_owned(), password: password.to_owned() })
            }
            Self::Token => match (lines.next(), lines.next()) {
                (Some(token), None) => Ok(Credentials::Token(token.to_owned())),
                _ => Err("write the token, and nothing else"),
            },
            Self::Creds => {
                let seed = block(text, "SEED").or_else(|| Some(text.trim()).filter(|text| text.starts_with('S')));
                let seed = seed.ok_or("it has no NKEY SEED: it is the .creds file of a user, or a seed alone")?;
                Ok(Credentials::Key { jwt: block(text, "JWT").map(str::to_owned), key: UserKey::of_seed(seed)? })
            }
        }
    }
}

/// The line behind the one that begins the block of this name, as `-----BEGIN NATS USER JWT-----`.
fn block<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let begins = |line: &&str| line.starts_with("---") && line.contains("BEGIN") && line.contains(name);
    let mut lines = text.lines().map(str::trim).skip_while(|line| !begins(line)).skip(1);
    lines.find(|line| !line.is_empty()).filter(|line| !line.starts_with('-'))
}

#[cfg(test)]
mod tests;
