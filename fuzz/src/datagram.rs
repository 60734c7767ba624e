//! Batches of datagrams, against plain lists.

use std::net::IpAddr;

use swapwire_core::server::Replies;
use swapwire_core::{Addr, Framing, RecvBatch, RecvMeta, SendBatch, TrainLimits};

use super::source::Source;

type Datagram<'a> = (&'a [u8], Addr, Option<IpAddr>);

/// A batch to send and a batch that was received, of the same datagrams.
pub fn datagram(data: &[u8]) {
    let mut source = Source::new(data);
    let limits = TrainLimits { segments: source.limit().max(1), segment: source.limit(), bytes: source.limit() };
    let (slots, slot_size, from) = (1 + source.below(32), source.limit().min(4096), source.below(8));
    let mut list = Vec::new();
    while !source.is_empty() && list.len() < 64 {
        let (way, len) = (source.byte(), source.byte() % 64);
        let to = [Addr::inet(([127, 0, 0, 1], 7).into()), Addr::inet(([127, 0, 0, 2], 7).into()), name()];
        let local = (way & 4 != 0).then_some(IpAddr::from([127, 0, 0, 9]));
        list.push((source.take(len.into()), to[usize::from(way & 3).min(2)], local));
    }

    let mut batch = SendBatch::new();
    // What a batch held before must not matter.
    for datagram in list.iter().rev() {
        batch.push(datagram.0, datagram.1, datagram.2);
    }
    batch.clear();
    for (message, to, local) in &list {
        batch.push(message, *to, *local);
    }
    is_the_list(&batch, &list);
    trains(&batch, &list, limits, from);
    is_the_list(&kept(&list), &list);
    received(&list, slots, slot_size);
}

fn name() -> Addr {
    Addr::named("mem", "x").expect("it is short")
}

fn is_the_list(batch: &SendBatch, list: &[Datagram<'_>]) {
    assert_eq!((batch.len(), batch.is_empty()), (list.len(), list.is_empty()));
    assert_eq!(batch.bytes(), list.iter().map(|(message, ..)| message.len()).sum::<usize>());
    for (i, (message, to, local)) in list.iter().enumerate() {
        let entry = batch.get(i).expect("there are as many");
        assert_eq!((entry.message, entry.to, entry.local), (*message, to, *local));
    }
    assert!(batch.get(list.len()).is_none());
}

/// Every train is as long as it may be.
fn trains(batch: &SendBatch, list: &[Datagram<'_>], limits: TrainLimits, from: usize) {
    let mut rest = list.get(from..).unwrap_or_default();
    for train in batch.trains(from, limits) {
        let &[(first, to, local), ..] = rest else { panic!("a train of nothing") };
        let may_end = |count: usize| {
            let train = &rest[..count];
            let len = train.iter().map(|(message, ..)| message.len()).sum::<usize>();
            let full = train[..count - 1].iter().all(|(message, ..)| message.len() == first.len());
            let last = (1..=first.len()).contains(&train[count - 1].0.len());
            let alike = train.iter().all(|(_, other, from)| (*other, *from) == (to, local));
            count <= limits.segments && first.len() <= limits.segment && len <= limits.bytes && full && last && alike
        };
        let longest = (2..=rest.len()).take_while(|count| may_end(*count)).last().unwrap_or(1);
        assert_eq!((train.count, train.segment), (longest, first.len()));
        let bytes: Vec<u8> = rest[..longest].iter().flat_map(|(message, ..)| message.iter().copied()).collect();
        assert_eq!((train.bytes, train.to, train.local), (bytes.as_slice(), &to, &local));
        rest = &rest[longest..];
    }
    assert!(rest.is_empty(), "{} datagrams are in no train", rest.len());
}

/// A batch that was gathered as handlers reply: each call has some messages, all of which go the same way.
fn kept(list: &[Datagram<'_>]) -> SendBatch {
    let mut batch = SendBatch::new();
    let mut replies = Replies::new(Framing::Chunks.encoder(usize::MAX));
    for call in list.chunk_by(|one, next| (one.1, one.2) == (next.1, next.2)) {
        let mut lent = replies.call(1 << 16, true);
        call.iter().for_each(|(message, ..)| lent.reply().send(message).expect("there is room"));
        lent.end(Ok(())).expect("the view is the one that was lent");
        batch.direct(&call[0].1, call[0].2);
        batch.push_kept(&replies);
        replies.keep();
    }
    batch.take_bytes(&mut replies);
    assert!(replies.is_empty() && replies.bytes() == 0);
    batch
}

fn received(list: &[Datagram<'_>], slots: usize, slot_size: usize) {
    let mut batch = RecvBatch::new(slots, slot_size);
    batch.expect(slots / 2);
    for (i, (message, peer, local)) in list.iter().enumerate() {
        assert_eq!((batch.len(), batch.is_full()), (i.min(slots), i >= slots));
        assert_eq!(batch.awaits(), (slots / 2).max(1).saturating_sub(batch.len()));
        assert_eq!(batch.free_slots().count(), slots - batch.len());
        let Some(slot) = batch.next_slot() else { break };
        match slot.get_mut(..message.len()) {
            Some(slot) if local.is_some() => {
                slot.copy_from_slice(message);
                let mut meta = RecvMeta::new(Some(*peer), message.len());
                meta.local = *local;
                batch.push(meta);
            }
            _ => batch.push_message(Some(*peer), message),
        }
    }
    assert_eq!(batch.iter().count(), list.len().min(slots));
    for ((meta, received), (message, peer, _)) in batch.iter().zip(list) {
        let kept = &message[..message.len().min(batch.slot_size())];
        assert_eq!((received, meta.peer, meta.truncated), (kept, Some(*peer), kept.len() < message.len()));
    }
}
