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
    assert_eq!(replies.take_refused(), Some(Refused { count: 2, len: 3 }));
    let mut out = Vec::new();
    replies.drain_into(&mut out);
    assert_eq!(out, b"abc\nde\n");
    assert!(matches!(replies.call(1, false).reply().send(b""), Err(ReplyError::NoReturnAddress)));
}

/// Each is a packet or a frame, and an entry in a list.
#[test]
fn an_empty_message_costs_a_byte() {
    for (framing, ends) in [(Framing::Chunks, false), (Framing::Chunks, true), (Framing::length_prefixed(), false)] {
        let mut replies = Replies::new(framing.encoder(100));
        if ends {
            replies.answer_line(b"hello\n");
        }
        let mut call = replies.call(5, true);
        let sent = (0..1000).take_while(|_| call.reply().send("").is_ok()).count();
        assert_eq!(sent, 5, "{framing}");
        assert!(matches!(call.reply().send(""), Err(ReplyError::Full { len: 1, limit: 5 })));
        call.end(Ok(())).unwrap();
        assert_eq!((replies.len(), replies.remaining(), replies.messages().count()), (5, 0, 5));
    }
}

/// Lines on a wire with boundaries cost their ends too, and give that room back.
#[test]
fn what_is_taken_back_has_not_used_the_room() {
    let mut replies = Replies::new(Framing::Chunks.encoder(100));
    assert_eq!(replies.answer_line(b"help\n"), b"help");
    let mut call = replies.call(64, true);
    let reply = call.reply();
    for _ in 0..3 {
        reply.send([b'x'; 40]).unwrap();
        assert!(matches!(reply.send([b'x'; 23]), Err(ReplyError::Full { len: 24, limit: 64 })));
        reply.clear();
    }
    assert!(matches!(reply.send([b'x'; 64]), Err(ReplyError::Full { len: 65, .. })));
    reply.send([b'x'; 40]).unwrap();
    // What just fits a fork fits the call.
    let mut fork = reply.fork();
    assert!(fork.send([b'y'; 23]).is_err());
    for len in [1, 0, 19] {
        fork.send(vec![b'y'; len]).unwrap();
    }
    assert!(fork.send("").is_err());
    reply.append(&fork).unwrap();
    call.end(Ok(())).unwrap();
    let lengths: Vec<_> = replies.messages().map(<[u8]>::len).collect();
    assert_eq!((lengths, replies.remaining()), (vec![41, 2, 1, 20], 0));
    // The next one is not asked by a line.
    replies.answer_line(b"help");
    replies.call(64, true).reply().send([b'x'; 64]).unwrap();
}

#[test]
fn what_was_refused_is_told_whatever_the_handler_made_of_it() {
    let mut replies = Replies::new(Framing::Chunks.encoder(100));
    replies.set_enough(10);
    for (limit, answerable, len) in [(5, true, 6), (5, false, 0)] {
        let mut call = replies.call(limit, answerable);
        let refused = (0..3).filter(|_| call.reply().send([b'x'; 6]).is_err()).count();
        // One of the handler's own is its own matter.
        Reply::new(1).send([b'x'; 6]).unwrap_err();
        call.end(Ok(())).unwrap();
        assert!(replies.has_refused() && replies.is_enough(), "before the next call");
        assert_eq!(replies.take_refused(), Some(Refused { count: refused as u64, len }));
        assert!(!replies.has_refused() && !replies.is_enough());
        assert_eq!(replies.take_refused(), None);
    }
    for (len, enough) in [(9, false), (1, true)] {
        replies.call(20, true).reply().send(vec![b'x'; len]).unwrap();
        replies.keep();
        assert_eq!(replies.is_enough(), enough);
    }
}

#[test]
fn what_has_grown_is_freed_when_it_is_used_again() {
    let mut replies = Replies::new(Framing::Chunks.encoder(100));
    let mut call = replies.call(10_000, true);
    (0..10_000).for_each(|_| call.reply().send("x").unwrap());
    call.end(Ok(())).unwrap();
    assert!(replies.memory() >= 80_000);
    // The buffer has been given away; the list has not.
    replies.drain_into(&mut Vec::new());
    replies.recycle(1000);
    assert!(replies.memory() <= 1000 * (1 + size_of::<usize>()), "{}", replies.memory());
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
