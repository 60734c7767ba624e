//! What the service does. It knows no wire.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use swapwire::{Handler, HandlerError, Reply, Request};

/// More keys than this are refused: what peers can make grow has a bound.
const MOST_KEYS: usize = 10_000;

/// Keeps values by their keys: `SET key value`, `GET key`.
#[derive(Debug, Default)]
pub(crate) struct Store(Mutex<HashMap<Vec<u8>, Vec<u8>>>);

impl Handler for Store {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        let words: Vec<&[u8]> = request.message().splitn(3, |byte| *byte == b' ').collect();
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner); // not held across an await
        match words[..] {
            [b"SET", key, _] if values.len() >= MOST_KEYS && !values.contains_key(key) => reply.send(b"ERROR: full")?,
            [b"SET", key, value] => {
                values.insert(key.to_vec(), value.to_vec());
                reply.send(b"OK")?;
            }
            [b"GET", key] => reply.send(values.get(key).map_or(b"NONE".as_slice(), Vec::as_slice))?,
            _ => reply.send(b"ERROR: write SET key value, or GET key")?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use swapwire::testing::replies;

    use super::*;

    #[tokio::test]
    async fn what_was_set_is_got() {
        let store = Store::default();
        for (asked, answered) in [
            ("GET colour", "NONE"),
            ("SET colour dark blue", "OK"),
            ("GET colour", "dark blue"),
            ("DROP colour", "ERROR: write SET key value, or GET key"),
        ] {
            assert_eq!(replies(&store, asked).await.unwrap(), [answered], "{asked}");
        }
    }

    #[tokio::test]
    async fn it_does_not_grow_without_a_bound() {
        let store = Store::default();
        for key in 0..MOST_KEYS {
            assert_eq!(replies(&store, format!("SET {key} x")).await.unwrap(), ["OK"]);
        }
        assert_eq!(replies(&store, "SET another x").await.unwrap(), ["ERROR: full"]);
        assert_eq!(replies(&store, "SET 0 y").await.unwrap(), ["OK"]);
    }
}
