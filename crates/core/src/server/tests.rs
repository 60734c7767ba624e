use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::Framing;

#[test]
fn the_limit_holds_and_earlier_messages_stay() {
    let mut replies = Replies::new(Framing::Lines.encoder(100));
    let mut call = replies.call(5, true);
    let reply = call.reply();
    reply.send(b"abc").unwrap();
    assert!(matches!(reply.send(b"def"), Err(ReplyError::Full { len: 3, limit: 5 })));
    let partly = reply.write(|out| {
        out.put(b"d");
        out.put(b"ef");
    });
    assert!(matches!(partly, Err(ReplyError::Full { len: 3, .. })));
    assert!(matches!(reply.send(b"\n"), Err(ReplyError::Frame(_))));
    reply.send(b"de").unwrap();
    call.end(Ok(())).unwrap();
    let mut out = Vec::new();
    replies.drain_into(&mut out);
    assert_eq!(out, b"abc\nde\n");
    assert!(matches!(replies.call(1, false).reply().send(b""), Err(ReplyError::NoReturnAddress)));
}

#[test]
fn a_call_sees_and_takes_back_nothing_but_its_own() {
    let mut replies = Replies::new(Framing::Lines.encoder(100));
    for (message, kept) in [("one", true), ("failed", false), ("two", true)] {
        let mut call = replies.call(10, true);
        let reply = call.reply();
        assert_eq!((reply.len(), reply.messages().count(), reply.closes()), (0, 0, false));
        reply.send(b"again").unwrap();
        reply.close();
        reply.clear();
        reply.send(message.as_bytes()).unwrap();
        assert_eq!(reply.messages().collect::<Vec<_>>(), [format!("{message}\n").as_bytes()]);
        drop(call);
        if kept { replies.keep() } else { replies.discard() }
    }
    let mut out = b"zero\n".to_vec();
    replies.drain_into(&mut out);
    assert_eq!((out.as_slice(), replies.bytes(), replies.closes()), (b"zero\none\ntwo\n".as_slice(), 0, false));
}

#[test]
fn a_panic_within_a_message_leaves_nothing_of_it() {
    for framing in [Framing::Chunks, Framing::length_prefixed()] {
        let mut replies = Replies::new(framing.encoder(100));
        let mut call = replies.call(10, true);
        let reply = call.reply();
        reply.send(b"a").unwrap();
        let panics = AssertUnwindSafe(|| {
            reply.write(|out| {
                out.put(b"half");
                panic!("as asked");
            })
        });
        catch_unwind(panics).unwrap_err();
        assert_eq!(reply.len(), 1);
        reply.send(b"b").unwrap();
        call.end(Ok(())).unwrap();
        let header = replies.bytes() / 2 - 1;
        let messages: Vec<_> = replies.messages().map(|message| &message[header..]).collect();
        assert_eq!(messages, [b"a", b"b"]);
    }
}

/// Whatever is put in the place of a view, the buffer behind it is the server's.
#[test]
fn a_call_whose_view_was_replaced_fails() {
    let mut replies = Replies::new(Framing::Lines.encoder(100));
    replies.call(10, true).reply().send(b"kept").unwrap();
    replies.keep();

    let mut call = replies.call(10, true);
    call.reply().send(b"mine").unwrap();
    *call.reply() = Reply::new(1000);
    call.reply().send([b'!'; 1000]).unwrap();
    call.reply().close();
    let error = call.end(Ok(())).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Replaced));
    assert!(!replies.closes());
    replies.discard();

    // A view of another server's.
    let mut others = Replies::new(Framing::Chunks.encoder(100));
    let (mut call, mut theirs) = (replies.call(10, true), others.call(20, true));
    std::mem::swap(call.reply(), theirs.reply());
    theirs.reply().send(b"still framed").unwrap_err();
    theirs.reply().send(b"framed").unwrap();
    for call in [call, theirs] {
        assert!(call.end(Ok(())).unwrap_err().downcast_ref::<Replaced>().is_some());
    }
    replies.discard();

    // One that was put back is the call's.
    let mut call = replies.call(10, true);
    let lent = std::mem::replace(call.reply(), Reply::new(1));
    *call.reply() = lent;
    call.reply().send(b"back").unwrap();
    call.end(Ok(())).unwrap();
    let failed: HandlerError = "its own".into();
    let error = replies.call(10, true).end(Err(failed)).unwrap_err();
    assert_eq!(error.to_string(), "its own");
    assert_eq!((replies.bytes(), others.messages().count()), (5, 0));
}
