use super::*;

/// All that `bytes` says, given in pieces of `piece` bytes.
fn events(bytes: &[u8], piece: usize, most: usize) -> Result<Vec<String>, ProtocolError> {
    let (mut parser, mut unread, mut found) = (Parser::new(most), Vec::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        unread.extend_from_slice(piece);
        let mut used = 0;
        while let Some((len, event)) = parser.next(&unread[used..])? {
            used += len;
            found.extend(event.map(|event| format!("{event:?}")));
        }
        unread.drain(..used);
        assert!(parser.needed() <= LONGEST_LINE + most + 2);
    }
    Ok(found)
}

#[test]
fn what_a_broker_says_is_cut_the_same_whole_and_in_pieces() {
    let said = b"INFO {\"a\":1} \r\nPING\r\npong\r\n+OK\r\n-ERR 'Stale Connection'\r\nMSG a.b 1 0\r\n\r\n\
        MSG a.b 1 _INBOX.x.1 4\r\na\r\nb\r\nmsg\ta 12  3\r\nabc\r\nHMSG a 2 r 16 16\r\nNATS/1.0 503\r\n\r\n\r\n\
        HMSG a 2 12 14\r\nNATS/1.0\r\n\r\nhi\r\nMSG a 1 r 9\r\n123456789\r\nPING\n";
    let whole = events(said, said.len(), 16).unwrap();
    assert_eq!(whole.len(), 12, "{whole:#?}");
    for piece in 1..20 {
        assert_eq!(events(said, piece, 16).unwrap(), whole, "in pieces of {piece}");
    }
    let mut parser = Parser::new(16);
    let Some((_, Some(Event::Message(message)))) =
        parser.next(b"HMSG a 2 r 16 16\r\nNATS/1.0 503\r\n\r\n\r\n").unwrap()
    else {
        panic!("no message");
    };
    assert!(message.says_no_responders());
    assert_eq!((message.sid, message.reply, message.payload), (2, &b"r"[..], &b""[..]));
    let Some((_, Some(Event::Message(message)))) = parser.next(b"MSG a.b 1 _INBOX.x.1 4\r\na\r\nb\r\n").unwrap() else {
        panic!("no message");
    };
    assert_eq!((message.reply, message.payload), (&b"_INBOX.x.1"[..], &b"a\r\nb"[..]));
}

#[test]
fn a_message_above_the_bound_is_passed_over() {
    let said = b"MSG a 1 r 9\r\n123456789\r\nMSG a 1 2\r\nok\r\n";
    for piece in 1..said.len() {
        let found = events(said, piece, 8).unwrap();
        assert!(found[0].starts_with("TooLarge { sid: 1") && found[1].starts_with("Message"), "{found:?}");
        assert_eq!(found.len(), 2);
    }
}

#[test]
fn what_is_no_protocol_is_an_error_that_shows_it() {
    for wrong in [
        "HTTP/1.1 400 Bad Request\r\n",
        "\r\n",
        "MSG a 1\r\n",
        "MSG a 1 r s 3\r\n",
        "MSG a x 3\r\nabc\r\n",
        "MSG a 1 -3\r\n",
        "MSG a 1 9999999999999\r\n",
        "MSG a 1 3\r\nabcd\r\n",
        "MSG a 1 3\r\nab\r\n\r",
        "HMSG a 1 3\r\nabc\r\n",
        "HMSG a 1 4 3\r\nabc\r\n",
        "MSGS a 1 3\r\nabc\r\n",
        "INFOS {}\r\n",
        "PINGS\r\n",
        "\u{0}\u{1}\n",
    ] {
        let error = events(wrong.as_bytes(), 3, 1024).unwrap_err().to_string();
        assert!(error.starts_with("the broker said ") && !error.contains(char::is_control), "{wrong:?}: {error}");
    }
    let endless = vec![b'x'; LONGEST_LINE];
    assert!(events(&endless, 1000, 16).unwrap_err().to_string().contains("without an end"));
}

#[test]
fn a_message_is_published_as_the_protocol_has_it() {
    let mut out = Vec::new();
    publish(&mut out, b"a.b", b"", b"");
    publish(&mut out, b"a", b"r", b"x\r\ny");
    publish(&mut out, b"a", b"", &[b'z'; 1234]);
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("PUB a.b 0\r\n\r\nPUB a r 4\r\nx\r\ny\r\nPUB a 1234\r\nzzz") && text.ends_with("z\r\n"));
}

#[test]
fn what_a_broker_did_not_get_whole_is_kept() {
    let mut said = b"PING\r\n".to_vec();
    publish(&mut said, b"a", b"", b"one\r\nPUB x 3\r\n");
    let first = said.len();
    said.extend_from_slice(b"PONG\r\n");
    publish(&mut said, b"b", b"r", b"two");
    for written in 0..=said.len() {
        let (kept, count) = unwritten(&said, written);
        let expected = if written < first { 2 } else { u64::from(written < said.len()) };
        assert_eq!(count, expected, "after {written} bytes");
        let whole: Vec<_> = kept.split(|byte| *byte == b' ').filter(|field| field.ends_with(b"PUB")).collect();
        assert!(whole.len() as u64 >= count);
    }
}
