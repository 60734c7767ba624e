use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use swapwire_core::{HandlerExt as _, handler_fn};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::*;
use crate::testing::{Both, call, session};

/// Notes what happens to spans, one line each.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn note(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Visit for Notes {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.note(format!("{field}={value:?}"));
    }
}

impl Subscriber for Notes {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.note(format!("{} {}", span.metadata().level(), span.metadata().name()));
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn a_call_is_a_span_with_its_sizes_and_without_its_bytes() {
    let notes = Notes::default();
    let _here = tracing::subscriber::set_default(notes.clone());
    let handler = handler_fn(|request, reply| {
        reply.send(b"one")?;
        reply.send(b"three")?;
        if request.message() == b"secret" { Err("secret".into()) } else { Ok(()) }
    });
    let handler = handler.with_layer(TraceLayer);
    call(&handler, b"hello").await.unwrap();
    let span = [
        &format!("{} call", Level::DEBUG),
        "peer=test:peer",
        "bytes_in=5",
        "messages=2",
        "bytes_out=8",
        "outcome=\"ok\"",
    ];
    assert_eq!(notes.take(), span);
    call(&handler, b"secret").await.unwrap_err();
    let noted = notes.take();
    assert!(noted.iter().all(|line| !line.contains("secret")), "{noted:?}");
    assert_eq!(noted.last().unwrap(), "outcome=\"error\"");
    let slow = Both::after(Duration::from_secs(1)).with_layer(TraceLayer);
    assert!(call(&slow, b"dropped").now_or_never().is_none());
    assert_eq!(notes.take().last().unwrap(), "bytes_in=7");
}

#[tokio::test]
async fn a_session_is_a_span() {
    let notes = Notes::default();
    let _here = tracing::subscriber::set_default(notes.clone());
    let (session, mut peer) = session();
    peer.send("hello").await.unwrap();
    peer.shutdown().await.unwrap();
    Both::default().with_layer(TraceLayer).run(session).await.unwrap();
    assert_eq!(
        notes.take(),
        ["INFO session", "peer=test:peer", "outcome=\"ok\"", "bytes_in=5", "bytes_out=5", "messages=1"]
    );
}

#[tokio::test]
async fn without_a_subscriber_nothing_changes() {
    assert_eq!(call(&Both::default().with_layer(TraceLayer), b"x").await.unwrap(), [b"x"]);
}
