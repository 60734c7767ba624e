//! Settings as maps: a key for each field, counts as numbers, everything else as text.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{Error as _, SerializeMap, Serializer};

use super::{SettingError, SettingUnit, Settings};

/// Writes a map with all fields. Needs the feature `serde`.
///
/// # Errors
/// A value has no text, or the serializer fails.
pub fn serialize_settings<T: Settings, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(T::FIELDS.len()))?;
    for field in T::FIELDS {
        let text = value.get(field.name).ok_or_else(|| S::Error::custom(format_args!("{} has no text", field.name)))?;
        match text.parse::<u64>() {
            Ok(number) if field.unit == SettingUnit::Count => map.serialize_entry(field.name, &number)?,
            _ => map.serialize_entry(field.name, &text)?,
        }
    }
    map.end()
}

/// Reads a map: what it leaves out has its default, and a number stands for its text. Needs the feature `serde`, and a format
/// that describes itself, as TOML or JSON.
///
/// # Errors
/// A key is unknown, which names the one that was probably meant, or is there twice; a value is malformed.
pub fn deserialize_settings<'de, T: Settings, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_map(Fields(PhantomData))
}

struct Fields<T>(PhantomData<T>);

impl<'de, T: Settings> Visitor<'de> for Fields<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of settings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut settings = T::default();
        let mut seen = Vec::new();
        while let Some(name) = map.next_key_seed(Key::<T>(PhantomData))? {
            if seen.contains(&name) {
                return Err(A::Error::custom(format_args!("{name} is there twice")));
            }
            seen.push(name);
            map.next_value_seed(Value { settings: &mut settings, name })?;
        }
        Ok(settings)
    }
}

/// The name of a field: the error of one that is unknown is that of the key, so formats say where it stands.
struct Key<T>(PhantomData<T>);

impl<'de, T: Settings> DeserializeSeed<'de> for Key<T> {
    type Value = &'static str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<&'static str, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<T: Settings> Visitor<'_> for Key<T> {
    type Value = &'static str;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a setting")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<&'static str, E> {
        let field = T::FIELDS.iter().find(|field| field.name == name);
        field.map(|field| field.name).ok_or_else(|| E::custom(SettingError::unknown::<T>(name)))
    }
}

struct Value<'a, T> {
    settings: &'a mut T,
    name: &'static str,
}

impl<'de, T: Settings> DeserializeSeed<'de> for Value<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<T: Settings> Visitor<'_> for Value<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a text or a whole number for {}", self.name)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.settings.set(self.name, text).map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<(), E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<(), E> {
        self.visit_str(&number.to_string())
    }
}
