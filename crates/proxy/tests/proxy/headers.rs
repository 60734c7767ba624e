//! Headers, byte by byte.

use swapwire_core::{Addr, UnixAddr};
use swapwire_proxy::{Command, Header, Tlvs, Version, encode, parse};

/// Behind the signature.
fn v2(rest: &[u8]) -> Vec<u8> {
    [b"\r\n\r\n\0\r\nQUIT\n", rest].concat()
}

/// The fixed part of version 2, and what follows.
fn block(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len()).unwrap().to_be_bytes();
    v2(&[&[command, family, len[0], len[1]], body].concat())
}

fn inet(text: &str) -> Addr {
    Addr::inet(text.parse().unwrap())
}

const MOST: usize = 4096;
const V4: &[u8] = &[192, 0, 2, 1, 192, 0, 2, 2, 0x13, 0x88, 0, 80];

/// The whole header, however many bytes follow it, and nothing before it is whole.
fn read(bytes: &[u8]) -> Header {
    for end in 0..bytes.len() {
        assert_eq!(parse(&bytes[..end], None, MOST), Ok(None), "{end} bytes of {}", bytes.escape_ascii());
    }
    let (header, len) = parse(bytes, None, MOST).unwrap().unwrap();
    assert_eq!(len, bytes.len());
    let followed = [bytes, b"\r\nPROXY \0"].concat();
    assert_eq!(parse(&followed, None, MOST), Ok(Some((header.clone(), len))));
    let (other, same) = match header.version {
        Version::V1 => (Version::V2, Version::V1),
        Version::V2 => (Version::V1, Version::V2),
    };
    assert!(parse(bytes, Some(other), MOST).is_err() && parse(&bytes[..1], Some(other), MOST).is_err());
    assert_eq!(parse(bytes, Some(same), MOST), Ok(Some((header.clone(), len))));
    header
}

#[test]
fn lines_are_read() {
    for (line, ends) in [
        ("PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\n", Some(("192.0.2.1:5000", "192.0.2.2:80"))),
        ("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", Some(("0.0.0.0:0", "255.255.255.255:65535"))),
        ("PROXY TCP6 2001:db8::1 ::1 5000 80\r\n", Some(("[2001:db8::1]:5000", "[::1]:80"))),
        ("PROXY TCP6 2001:DB8:0:0:0:0:0:1 1:2:3:4:5:6:7:8 5 8\r\n", Some(("[2001:db8::1]:5", "[1:2:3:4:5:6:7:8]:8"))),
        // As `inet_ntop(3)` writes it; an address is the same whichever family it is told in.
        ("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 5 8\r\n", Some(("192.0.2.1:5", "192.0.2.2:8"))),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN \r\n", None),
        ("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None),
        ("PROXY UNKNOWN\x20\u{7f}\u{e9}\0 anything\r\n", None),
    ] {
        let header = read(line.as_bytes());
        let command = if ends.is_some() { Command::Proxy } else { Command::Local };
        assert_eq!((header.version, header.command), (Version::V1, command), "{line}");
        assert_eq!(header.ends, ends.map(|(client, to)| (inet(client), inet(to))), "{line}");
    }
    let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(91));
    assert_eq!(longest.len(), 107);
    read(longest.as_bytes());
}

/// Each with how many of its bytes can belong to a header.
#[test]
fn a_line_is_refused_at_the_first_byte_that_cannot_belong() {
    let too_long = format!("PROXY UNKNOWN {}", "x".repeat(93));
    let too_long_by_its_end = format!("PROXY UNKNOWN {}\r", "x".repeat(92));
    for (line, fits) in [
        ("proxy TCP4", 0),
        ("GET / HTTP/1.1\r\n", 0),
        ("POST / HTTP/1.1\r\n", 1),
        ("PROXY\tTCP4", 5),
        ("PROXY  TCP4", 6),
        ("PROXY\r\n", 5),
        ("PROXY \r\n", 6),
        ("PROXY TCP5 ", 9),
        ("PROXY UDP4 ", 7),
        ("PROXY TCP4\t", 10),
        ("PROXY TCP4  192.0.2.1", 11),
        ("PROXY TCP4\r\n", 10),
        ("PROXY TCP4 256.0.2.1", 13),
        ("PROXY TCP4 192.0.02.1", 18),
        ("PROXY TCP4 192.0.2 ", 18),
        ("PROXY TCP4 192.0.2.1.", 20),
        ("PROXY TCP4 192..2.1", 15),
        ("PROXY TCP4 -1.0.2.1", 11),
        ("PROXY TCP4 ::1", 11),
        ("PROXY TCP4 192.0.2.1  ", 21),
        ("PROXY TCP4 192.0.2.1\r\n", 20),
        ("PROXY TCP4 192.0.2.1 192.0.2.2\r\n", 30),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 +80", 31),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 080", 32),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 65536", 35),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 80 ,", 34),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 80\r\n", 33),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 80 \r\n", 34),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 80 81 ", 36),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 80 81\n", 36),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 80 81\rx", 37),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 80 8\u{661}", 35),
        ("PROXY TCP6 192.0.2.1", 14),
        ("PROXY TCP6 12345", 15),
        ("PROXY TCP6 1::2::", 16),
        ("PROXY TCP6 :1", 12),
        ("PROXY TCP6 1:2:3:4:5:6:7:8:", 26),
        ("PROXY TCP6 fe80::1%1", 18),
        ("PROXY TCP6 ::g", 13),
        ("PROXY UNKNOWNS", 13),
        ("PROXY UNKNOWN\n", 13),
        ("PROXY UNKNOWN x\n", 15),
        ("PROXY UNKNOWN x\r\r\n", 16),
        (&too_long, 106),
        (&too_long_by_its_end, 106),
    ] {
        let bytes = line.as_bytes();
        let refused = (0..=bytes.len()).find(|end| parse(&bytes[..*end], None, MOST).is_err());
        assert_eq!(refused, Some(fits + 1), "{line:?}");
        // And whatever follows.
        for end in fits + 1..=bytes.len() {
            assert!(parse(&bytes[..end], None, MOST).is_err(), "{end} bytes of {line:?}");
        }
    }
}

#[test]
fn errors_say_what_would_be_right() {
    for (bytes, text) in [
        (b"GET /".to_vec(), "no PROXY header: a trusted source must send one"),
        (b"PROXY TCP5".to_vec(), "a PROXY line is for TCP4, TCP6 or UNKNOWN"),
        (
            b"PROXY TCP4 1.2.3".iter().chain(b" ").copied().collect(),
            "a PROXY line has two addresses of its family and two ports, behind one space each and without leading zeros",
        ),
        (b"PROXY UNKNOWN\n".to_vec(), "a PROXY line ends with CR LF"),
        ([b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 93]].concat(), "a PROXY line has at most 107 bytes"),
        (v2(&[0x11]), "the binary PROXY header is of an unknown version"),
        (v2(&[0x22]), "the PROXY header has an unknown command"),
        (v2(&[0x21, 0x13]), "the PROXY header has an unknown family or protocol"),
        (v2(&[0x21, 0x41]), "the PROXY header has an unknown family or protocol"),
        (v2(&[0x21, 0x11, 0, 11]), "the PROXY header is too short for its addresses"),
        (v2(&[0x21, 0x21, 0, 35]), "the PROXY header is too short for its addresses"),
        (v2(&[0x21, 0x31, 0, 215]), "the PROXY header is too short for its addresses"),
        (v2(&[0x21, 0x11, 0x10, 13]), "the PROXY header is longer than max_tlvs allows"),
        (v2(&[0x20, 0x00, 0x10, 217]), "the PROXY header is longer than max_tlvs allows"),
        (block(0x21, 0x11, &[V4, &[1]].concat()), "a value of the PROXY header is cut short"),
        (block(0x21, 0x11, &[V4, &[1, 0]].concat()), "a value of the PROXY header is cut short"),
        (block(0x21, 0x11, &[V4, &[1, 0, 2, b'h']].concat()), "a value of the PROXY header is cut short"),
        (block(0x21, 0x11, &[V4, &[3, 0, 3, 0, 0, 0]].concat()), "the PROXY header's checksum is not 4 bytes"),
        (block(0x21, 0x11, &[V4, &[3, 0, 4, 0, 0, 0, 0]].concat()), "the PROXY header's checksum is wrong"),
        (block(0x21, 0x00, &[3, 0, 4, 0, 0, 0, 0]), "the PROXY header's checksum is wrong"),
    ] {
        let shown = bytes.escape_ascii().to_string();
        assert_eq!(parse(&bytes, None, MOST).unwrap_err().to_string(), text, "{shown}");
        let before = parse(&bytes[..bytes.len() - 1], None, MOST);
        assert!(before == Ok(None) || shown.starts_with("GET"), "{shown}: {before:?}");
    }
}

#[test]
fn a_version_that_is_not_asked_for_is_refused_by_its_name() {
    let first = parse(b"\r", Some(Version::V1), MOST).unwrap_err().to_string();
    assert_eq!(first, "no PROXY header of version 1: a trusted source must send one");
    let second = parse(b"P", Some(Version::V2), MOST).unwrap_err().to_string();
    assert_eq!(second, "no PROXY header of version 2: a trusted source must send one");
}

#[test]
fn binary_headers_are_read() {
    let header = read(&block(0x21, 0x11, V4));
    assert_eq!((header.version, header.command), (Version::V2, Command::Proxy));
    assert_eq!(header.ends, Some((inet("192.0.2.1:5000"), inet("192.0.2.2:80"))));
    let v6: Vec<u8> = (0..32).chain([0x13, 0x88, 0, 80]).collect();
    let (client, to) = read(&block(0x21, 0x21, &v6)).ends.unwrap();
    assert_eq!(client, inet("[1:203:405:607:809:a0b:c0d:e0f]:5000"));
    assert_eq!(to, inet("[1011:1213:1415:1617:1819:1a1b:1c1d:1e1f]:80"));
}

#[cfg(unix)]
#[test]
fn unix_addresses_are_read() {
    use std::path::Path;
    let mut body = [0; 216];
    body[..6].copy_from_slice(b"/run/x");
    body[108..112].copy_from_slice(b"\0abc");
    let path = Addr::Unix(UnixAddr::from_path(Path::new("/run/x")).unwrap());
    let name = Addr::Unix(UnixAddr::from_abstract(b"abc").unwrap());
    assert_eq!(read(&block(0x21, 0x31, &body)).ends, Some((path, name)));
    // What stands behind the end of a path is no part of it; neither needs an end.
    body[7..10].copy_from_slice(b"old");
    assert_eq!(read(&block(0x21, 0x31, &body)).ends.unwrap().0, path);
    let longest = read(&block(0x21, 0x31, &[b'/'; 216])).ends.unwrap();
    assert_eq!(longest.0.to_string(), "/".repeat(108));
    let unnamed = Addr::Unix(UnixAddr::UNNAMED);
    assert_eq!(read(&block(0x21, 0x31, &[0; 216])).ends, Some((unnamed, unnamed)));
}

#[test]
fn what_is_local_or_not_specified_is_skipped() {
    let real = [V4, &[1, 0, 2, b'h', b'2']].concat();
    for body in [&[][..], V4, &real, &[0xff; 5], &[3, 0, 4, 0, 0, 0, 0], &[0; 216]] {
        // The family of what is local is not looked at.
        for family in [0x00, 0x11, 0x21, 0x31, 0xff] {
            let header = read(&block(0x20, family, body));
            assert_eq!(header, Header::local(Version::V2), "{family:x} {body:?}");
        }
    }
    // The client is unknown, or came by datagrams: what else is said stands behind addresses whose length is known.
    for (family, body) in
        [(0x12, &real), (0x22, &[&[7; 36], &real[12..]].concat()), (0x32, &[&[7; 216], &real[12..]].concat())]
    {
        let header = read(&block(0x21, family, body));
        assert_eq!((header.command, header.ends), (Command::Proxy, None), "{family:x}");
        assert_eq!(header.tlvs.get(1), Some(&b"h2"[..]), "{family:x}");
    }
    for family in [0x00, 0x01, 0x02, 0x10, 0x20, 0x30] {
        let header = read(&block(0x21, family, &real[12..]));
        assert_eq!((header.ends, header.tlvs.get(1)), (None, Some(&b"h2"[..])), "{family:x}");
        let header = read(&block(0x21, family, &[0xff; 9]));
        assert_eq!((header.ends, header.tlvs), (None, Tlvs::default()), "{family:x}");
    }
}

#[test]
fn values_are_read_in_their_order_without_checksum_and_padding() {
    let mut header = Header::proxied(Version::V2, inet("192.0.2.1:5000"), inet("192.0.2.2:80"));
    let pairs: [(u8, &[u8]); 5] = [(1, b"h2"), (2, b"example.com"), (5, &[0xff; 128]), (0xe0, b""), (1, b"http/1.1")];
    for (kind, value) in pairs {
        header.tlvs.push(kind, value).unwrap();
    }
    assert_eq!(header.tlvs.iter().collect::<Vec<_>>(), pairs);
    assert_eq!((header.tlvs.get(1), header.tlvs.get(0x20)), (Some(&b"h2"[..]), None));
    assert_eq!(read(&encode(&header, true)), header);

    let padded = block(0x21, 0x11, &[V4, &[4, 0, 2, 0, 0, 1, 0, 2, b'h', b'2', 4, 0, 0]].concat());
    assert_eq!(read(&padded).tlvs.iter().collect::<Vec<_>>(), [(1, &b"h2"[..])]);
}

/// Computed bit by bit, as appendix B of RFC 4960 defines it.
#[test]
fn a_checksum_covers_every_byte() {
    fn crc32c(bytes: &[u8]) -> u32 {
        let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
    }
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    // Not the last value, as others may send it.
    let mut bytes = block(0x21, 0x11, &[V4, &[3, 0, 4, 0, 0, 0, 0, 1, 0, 2, b'h', b'2']].concat());
    let sum = crc32c(&bytes).to_be_bytes();
    bytes[31..35].copy_from_slice(&sum);
    let header = read(&bytes);
    assert_eq!(header.tlvs.iter().collect::<Vec<_>>(), [(1, &b"h2"[..])]);
    // But its own type: one of another is none.
    for at in (16..bytes.len()).filter(|at| *at != 28) {
        let mut wrong = bytes.clone();
        wrong[at] ^= 1;
        assert!(parse(&wrong, None, MOST).is_err(), "byte {at}");
    }
}

#[test]
fn a_header_is_as_long_as_is_allowed_and_no_longer() {
    for most in [0, 7, 1000, Tlvs::MAX] {
        for (addresses, family) in [(12, 0x11), (36, 0x21), (216, 0x31)] {
            let value = most.saturating_sub(3);
            let mut body = vec![b'x'; addresses];
            if most > 0 {
                let [high, low] = u16::try_from(value).unwrap().to_be_bytes();
                body.extend([9, high, low]);
                body.extend(vec![7; value]);
            }
            let bytes = block(0x21, family, &body);
            let (header, len) = parse(&bytes, None, most).unwrap().unwrap();
            assert_eq!((len, header.tlvs.iter().count()), (16 + addresses + most, usize::from(most > 0)));
            let len = u16::try_from(addresses + most + 1).unwrap().to_be_bytes();
            assert!(parse(&v2(&[0x21, family, len[0], len[1]]), None, most).is_err());
        }
    }
    assert!(parse(&v2(&[0x21, 0x11, 0xff, 0xff]), None, usize::MAX).is_err());
    let mut tlvs = Tlvs::default();
    tlvs.push(9, &vec![0; Tlvs::MAX - 3]).unwrap();
    let error = tlvs.push(9, b"").unwrap_err().to_string();
    assert_eq!(error, format!("the values of a PROXY header have at most {} bytes, with 3 before each", Tlvs::MAX));
    let mut header = Header::proxied(Version::V2, Addr::Unix(UnixAddr::UNNAMED), Addr::Unix(UnixAddr::UNNAMED));
    header.tlvs = tlvs;
    let bytes = encode(&header, true);
    assert_eq!((bytes.len(), &bytes[14..16]), (16 + usize::from(u16::MAX), &[0xff; 2][..]));
}
