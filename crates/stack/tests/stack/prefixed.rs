//! Bytes that were read too early come first, whole and once.

use std::io::IoSlice;

use swapwire_core::{ByteStream, Bytes};
use swapwire_stack::Prefixed;
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, duplex};

#[tokio::test]
async fn they_are_read_first_however_small_the_reads_are() {
    for size in [1, 2, 5, 6, 64] {
        for prefix in ["", "first"] {
            let (mut peer, io) = duplex(64);
            peer.write_all(b" then").await.unwrap();
            drop(peer);
            let mut stream = Prefixed::new(Bytes::from(prefix), io);
            let (mut got, mut into) = (Vec::new(), vec![0; size]);
            loop {
                let len = stream.read(&mut into).await.unwrap();
                if len == 0 {
                    break;
                }
                got.extend_from_slice(&into[..len]);
            }
            assert_eq!(got, format!("{prefix} then").as_bytes(), "reads of {size}");
        }
    }
}

#[tokio::test]
async fn a_read_of_nothing_takes_nothing() {
    let mut stream = Prefixed::new(Bytes::from("x"), duplex(1).0);
    assert_eq!(stream.read(&mut []).await.unwrap(), 0);
    assert_eq!(stream.read_u8().await.unwrap(), b'x');
}

#[tokio::test]
async fn writing_passes_it_by() {
    let (mut peer, io) = duplex(64);
    let boxed: Box<dyn ByteStream> = Box::new(io);
    let mut stream = Prefixed::new(Bytes::from("first"), boxed);
    assert!(stream.is_write_vectored() == DuplexStream::is_write_vectored(&duplex(1).0));
    assert_eq!(stream.write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"c")]).await.unwrap(), 3);
    stream.write_all(b"d").await.unwrap();
    stream.flush().await.unwrap();
    stream.shutdown().await.unwrap();
    let mut got = String::new();
    peer.read_to_string(&mut got).await.unwrap();
    assert_eq!(got, "abcd");
    assert_eq!(format!("{stream:?}"), "Prefixed { prefix: 5, .. }");
}
