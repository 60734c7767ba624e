//! The bounds and the framing of a session.

use super::DrainToken;
use crate::{Framing, SettingError, SettingUnit, SettingValue, Settings};

/// A session's bounds and framing.
///
/// Its fields, but for `draining`, are [`Settings`]. With the feature `serde` it is a map of them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionConfig {
    /// How a byte stream is cut into messages; ignored where the wire has boundaries, but for the ends of
    /// [lines](Framing::Lines). Default: chunks.
    pub framing: Framing,
    /// The largest message in either direction, in bytes. Default: 1 MiB.
    pub max_message: usize,
    /// How many bytes may be queued before `send` waits; each message counts 64 bytes more on wires with boundaries.
    /// Default: 256 KiB.
    pub out_queue: usize,
    /// What a [`StatefulHandler`](crate::StatefulHandler) may reply to one message, in bytes. Default: 1 MiB.
    pub max_reply: usize,
    /// Told when the server drains; see [`Session::draining`](crate::Session::draining). Default: never.
    pub draining: Option<DrainToken>,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            framing: Framing::Chunks,
            max_message: 1 << 20,
            out_queue: 256 << 10,
            max_reply: 1 << 20,
            draining: None,
        }
    }
}

impl SessionConfig {
    /// The defaults with another framing.
    #[must_use]
    pub fn framed(framing: Framing) -> Self {
        Self { framing, ..Self::default() }
    }
}

impl Settings for SessionConfig {
    const FIELDS: &'static [crate::Setting] = &[
        crate::Setting::new("framing", SettingUnit::Text, "How a byte stream is cut into messages."),
        crate::Setting::new("max_message", SettingUnit::Bytes, "The largest message in either direction."),
        crate::Setting::new("out_queue", SettingUnit::Bytes, "How much may be queued before sending waits."),
        crate::Setting::new("max_reply", SettingUnit::Bytes, "The replies of one call of a handler with a state."),
    ];

    fn set(&mut self, name: &str, value: &str) -> Result<(), SettingError> {
        match name {
            "framing" => self.framing = SettingError::read("framing", SettingUnit::Text, value)?,
            "max_message" => self.max_message = SettingError::read("max_message", SettingUnit::Bytes, value)?,
            "out_queue" => self.out_queue = SettingError::read("out_queue", SettingUnit::Bytes, value)?,
            "max_reply" => self.max_reply = SettingError::read("max_reply", SettingUnit::Bytes, value)?,
            _ => return Err(SettingError::unknown::<Self>(name)),
        }
        Ok(())
    }

    fn get(&self, name: &str) -> Option<String> {
        match name {
            "framing" => self.framing.write(SettingUnit::Text),
            "max_message" => self.max_message.write(SettingUnit::Bytes),
            "out_queue" => self.out_queue.write(SettingUnit::Bytes),
            "max_reply" => self.max_reply.write(SettingUnit::Bytes),
            _ => None,
        }
    }
}

/// A [codec](Framing::codec) has no text.
impl SettingValue for Framing {
    fn read(text: &str, _: SettingUnit) -> Result<Self, String> {
        text.parse().map_err(|error: crate::FramingParseError| error.to_string())
    }

    fn write(&self, _: SettingUnit) -> Option<String> {
        (!matches!(self, Self::Codec(_))).then(|| self.to_string())
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for SessionConfig {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        crate::serialize_settings(self, serializer)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for SessionConfig {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::deserialize_settings(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_read_as_it_is_written() {
        let mut config = SessionConfig::default();
        for (name, value) in
            [("framing", "length:2"), ("max_message", "64KiB"), ("out_queue", "1000"), ("max_reply", "1MiB")]
        {
            config.set(name, value).unwrap();
            assert_eq!(config.get(name).as_deref(), Some(value));
        }
        assert_eq!((config.max_message, config.out_queue), (65_536, 1000));
        assert!(SessionConfig::FIELDS.iter().all(|field| config.get(field.name).is_some()));
        let error = config.set("farming", "lines").unwrap_err().to_string();
        assert_eq!(
            error,
            "unknown setting \"farming\"; did you mean \"framing\"? known: framing, max_message, out_queue, max_reply"
        );
        let error = config.set("framing", "words").unwrap_err().to_string();
        assert!(error.starts_with("framing=words: ") && !error.contains('\n'), "{error}");
        assert_eq!(config.get("framing").as_deref(), Some("length:2"));
    }

    #[cfg(feature = "serde")]
    #[test]
    fn serde_makes_a_map_of_it() {
        let json = serde_json::to_string(&SessionConfig::framed(Framing::Lines)).unwrap();
        assert_eq!(json, r#"{"framing":"lines","max_message":"1MiB","out_queue":"256KiB","max_reply":"1MiB"}"#);
        let config: SessionConfig = serde_json::from_str(r#"{"max_message": 4096}"#).unwrap();
        assert_eq!((config.max_message, config.out_queue), (4096, 256 << 10));
        for (json, problem) in [
            (r#"{"draining": "x"}"#, "unknown setting \"draining\"; known: framing"),
            (r#"{"out_queue": 1, "out_queue": 2}"#, "out_queue is there twice"),
            (r#"{"max_message": -1}"#, "max_message=-1: write a number of bytes"),
            (r#"{"max_message": [1]}"#, "expected a text or a whole number for max_message"),
        ] {
            let error = serde_json::from_str::<SessionConfig>(json).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
        let codec = SessionConfig::framed(Framing::codec(tokio_util::codec::LinesCodec::new));
        assert!(serde_json::to_string(&codec).unwrap_err().to_string().contains("framing has no text"));
    }
}
