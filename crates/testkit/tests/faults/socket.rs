//! A datagram socket with one fault.

use std::io;
use std::task::{Context, Poll, ready};

use swapwire_core::{Addr, Arrivals, DatagramSocket, Endpoint, ErrorClass, RecvBatch, RecvMeta, SendBatch};

use crate::Fault;

pub(crate) struct FaultySocket {
    socket: Box<dyn DatagramSocket>,
    fault: Fault,
    count: usize,
    previous: Option<Addr>,
    refuses: bool,
}

impl FaultySocket {
    pub(crate) fn new(socket: Box<dyn DatagramSocket>, fault: Fault) -> Self {
        Self { socket, fault, count: 0, previous: None, refuses: false }
    }
}

impl DatagramSocket for FaultySocket {
    fn local(&self) -> Endpoint {
        self.socket.local()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, batch: &mut RecvBatch) -> Poll<io::Result<()>> {
        if self.refuses {
            return match self.fault {
                Fault::LosesWhatWasUnderWay => Poll::Ready(Ok(())),
                _ => Poll::Ready(match self.socket.poll_recv(cx, batch) {
                    Poll::Ready(received) => received,
                    Poll::Pending => Ok(()),
                }),
            };
        }
        if self.fault != Fault::TruncatesDatagrams {
            return self.socket.poll_recv(cx, batch);
        }
        let mut short = RecvBatch::new(batch.slots(), 1000);
        ready!(self.socket.poll_recv(cx, &mut short))?;
        for (meta, message) in short.iter() {
            if let Some(slot) = batch.next_slot() {
                slot[..message.len()].copy_from_slice(message);
                batch.push(RecvMeta::new(meta.peer, message.len()));
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, batch: &SendBatch, from: usize) -> Poll<io::Result<usize>> {
        match self.fault {
            // Always whom the previous datagram went to.
            Fault::AnswersTheWrongPeer => {
                let Some(entry) = batch.get(from) else { return Poll::Ready(Ok(0)) };
                let mut wrong = SendBatch::new();
                wrong.push(entry.message, self.previous.replace(*entry.to).unwrap_or(*entry.to), None);
                self.socket.poll_send(cx, &wrong, 0)
            }
            Fault::MixesUpABatch => {
                let mut wrong = SendBatch::new();
                let (mut messages, mut peers) = (Vec::new(), Vec::new());
                batch.iter_from(0).for_each(|entry| messages.push(entry.message));
                batch.iter_from(0).for_each(|entry| peers.push(*entry.to));
                peers.reverse();
                messages.rotate_left(1);
                messages.iter().zip(peers).for_each(|(message, to)| wrong.push(message, to, None));
                self.socket.poll_send(cx, &wrong, from)
            }
            Fault::BlocksOnAFullPeer => match ready!(self.socket.poll_send(cx, batch, from)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                result => Poll::Ready(result),
            },
            Fault::FlushesTooSoon if self.refuses => Poll::Ready(Ok(batch.len() - from)),
            Fault::LosesDatagrams => {
                self.count += 1;
                if self.count.is_multiple_of(50) { Poll::Ready(Ok(1)) } else { self.socket.poll_send(cx, batch, from) }
            }
            _ => self.socket.poll_send(cx, batch, from),
        }
    }

    fn refuse_arrivals(&mut self) -> Arrivals {
        match self.fault {
            Fault::FlushesTooSoon | Fault::GivesBehindTheLast | Fault::LosesWhatWasUnderWay => {
                self.refuses = true;
                Arrivals::Fenced
            }
            _ => self.socket.refuse_arrivals(),
        }
    }

    fn max_message(&self) -> usize {
        self.socket.max_message()
    }

    fn classify(&self, error: &io::Error) -> ErrorClass {
        if self.fault == Fault::DiesOfADeadPeer { ErrorClass::ListenerFatal } else { self.socket.classify(error) }
    }
}
