//! From endpoint to its one normal text.

use std::fmt::{self, Write as _};
use std::path::Path;

use super::{Endpoint, Place};

fn path_bytes(path: &Path) -> std::borrow::Cow<'_, [u8]> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        path.as_os_str().as_bytes().into()
    }
    #[cfg(not(unix))]
    path.to_string_lossy().into_owned().into_bytes().into()
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { host, port } if host.contains(':') => write!(f, "//[{host}]:{port}"),
            Self::Host { host, port } => write!(f, "//{host}:{port}"),
            Self::Path(path) => {
                let bytes = path_bytes(path);
                // "//x" would read as a host.
                let slashes = bytes.iter().take_while(|byte| **byte == b'/').count();
                if slashes > 1 {
                    f.write_str("//")?;
                }
                encode(&bytes, "", f)
            }
            Self::Abstract(name) => {
                f.write_char('@')?;
                encode(name, "", f)
            }
            Self::Name(name) => {
                // A first character that would be read as another kind of place is escaped.
                let first = if name.starts_with(['/', '@']) || name.starts_with("./") || name.starts_with("../") {
                    1
                } else {
                    0
                };
                for byte in &name.as_bytes()[..first] {
                    write!(f, "%{byte:02X}")?;
                }
                encode(&name.as_bytes()[first..], "", f)
            }
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scheme, self.place)?;
        let path = self.path();
        if let Some(path) = path {
            encode(path.as_bytes(), "", f)?;
        }
        for (i, (key, value)) in self.options.iter().skip(usize::from(path.is_some())).enumerate() {
            f.write_char(if i == 0 { '?' } else { '&' })?;
            encode(key.as_bytes(), "&=", f)?;
            f.write_char('=')?;
            encode(value.as_bytes(), "&", f)?;
        }
        Ok(())
    }
}

fn encode(bytes: &[u8], also: &str, out: &mut impl fmt::Write) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || c.is_whitespace() || "%?#".contains(c) || also.contains(c) {
                let mut buf = [0; 4];
                for byte in c.encode_utf8(&mut buf).bytes() {
                    write!(out, "%{byte:02X}")?;
                }
            } else {
                out.write_char(c)?;
            }
        }
        for byte in chunk.invalid() {
            write!(out, "%{byte:02X}")?;
        }
    }
    Ok(())
}
