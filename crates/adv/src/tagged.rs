//! Requests that can be told apart, and what a right server replies.
//!
//! A message says, in capital letters and digits, which run, client and request it belongs to, and carries a nonce and
//! random text that follow from these. So a judge keeps no message: it makes the right reply again.

use clap::ValueEnum;

use crate::values::Sizes;

/// How messages are told apart on a byte stream. Datagrams carry one each, as with `raw`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Framing {
    /// Each ends with a newline, which counts as one of its bytes
    #[default]
    Lines,
    /// Each follows its length as a number of four bytes, the highest first, which does not count
    Length,
    /// Not at all: the bytes of the replies are compared as they come
    Raw,
}

/// What a right server replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Expect {
    /// The request, which has no small letters: echo and upper-case echo are both right
    #[default]
    Any,
    /// The request, which has small letters
    Echo,
    /// The request, which has small letters, in capitals
    Upper,
}

/// Makes the messages of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tagged {
    seed: u64,
    framing: Framing,
    expect: Expect,
    sizes: Sizes,
}

/// Whose message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) client: u32,
    pub(crate) seq: u32,
}

/// `#RRRRRRRR-CCCCCCCC-SSSSSSSS-NNNNNNNN-`: run, client, sequence, nonce.
pub(crate) const TAG: usize = 37;
/// The first byte of each message, and in no other place of it.
pub(crate) const MARK: u8 = b'#';
/// The shortest message, with its newline.
pub(crate) const SHORTEST: usize = TAG + 3;

impl Tagged {
    /// Messages of the run `seed`.
    ///
    /// # Errors
    /// Sizes below [`SHORTEST`].
    pub(crate) fn new(seed: u64, framing: Framing, expect: Expect, sizes: Sizes) -> anyhow::Result<Self> {
        anyhow::ensure!(sizes.least >= SHORTEST, "size {sizes}: write at least {SHORTEST}, which the tag takes");
        Ok(Self { seed, framing, expect, sizes })
    }

    pub(crate) fn framing(&self) -> Framing {
        self.framing
    }

    /// The longest message, without a length before it.
    pub(crate) fn longest(&self) -> usize {
        self.sizes.most
    }

    /// Bytes of a message, without a length before it.
    pub(crate) fn size(&self, tag: Tag) -> usize {
        let Sizes { least, most } = self.sizes;
        fastrand::Rng::with_seed(self.mix(tag) ^ 1).usize(least..=most)
    }

    /// Appends a request.
    pub(crate) fn request(&self, tag: Tag, into: &mut Vec<u8>) {
        let size = self.size(tag);
        if self.framing == Framing::Length {
            into.extend(u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes());
        }
        self.message(tag, size, into);
    }

    /// Appends the right reply.
    pub(crate) fn reply(&self, tag: Tag, into: &mut Vec<u8>) {
        let begin = into.len();
        self.request(tag, into);
        if self.expect == Expect::Upper {
            let header = if self.framing == Framing::Length { 4 } else { 0 };
            into[begin + header..].make_ascii_uppercase();
        }
    }

    /// Whose message this is, by its tag. The rest of it may be wrong.
    pub(crate) fn tag(&self, message: &[u8]) -> Option<Tag> {
        let header = if self.framing == Framing::Length { 4 } else { 0 };
        let text = std::str::from_utf8(message.get(header..header + TAG)?).ok()?;
        let mut fields = text.strip_prefix('#')?.strip_suffix('-')?.split('-');
        let mut number = || fields.next().filter(|field| field.len() == 8).map(|field| u32::from_str_radix(field, 16));
        let (run, client, seq, nonce) = (number()?.ok()?, number()?.ok()?, number()?.ok()?, number()?.ok()?);
        let tag = Tag { client, seq };
        (run == self.run() && nonce == self.nonce(tag)).then_some(tag)
    }

    fn message(&self, tag: Tag, size: usize, into: &mut Vec<u8>) {
        let begin = into.len();
        let Tag { client, seq } = tag;
        let text = format!("#{:08X}-{client:08X}-{seq:08X}-{:08X}-", self.run(), self.nonce(tag));
        into.extend(text.as_bytes());
        let letters = if self.expect == Expect::Any { b"ABCDEFGHJKMNPQRS" } else { b"ABCDEFGHabcdefgh" };
        let mut random = fastrand::Rng::with_seed(self.mix(tag));
        let end = begin + size;
        while into.len() < end {
            let mut bits = random.u64(..);
            for _ in 0..16.min(end - into.len()) {
                into.push(letters[(bits & 15) as usize]);
                bits >>= 4;
            }
        }
        if self.framing == Framing::Lines
            && let Some(last) = into.last_mut()
        {
            *last = b'\n';
        }
    }

    fn run(&self) -> u32 {
        (self.seed ^ (self.seed >> 32)) as u32
    }

    fn nonce(&self, tag: Tag) -> u32 {
        (self.mix(tag) >> 32) as u32
    }

    fn mix(&self, tag: Tag) -> u64 {
        mix(mix(self.seed, u64::from(tag.client)), u64::from(tag.seq))
    }
}

/// A number that follows from two, and looks random (SplitMix64's last step).
pub(crate) fn mix(one: u64, other: u64) -> u64 {
    let mut bits = one.wrapping_add(other.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(framing: Framing, expect: Expect) -> Tagged {
        Tagged::new(7, framing, expect, Sizes { least: SHORTEST, most: 200 }).unwrap()
    }

    fn request(tagged: &Tagged, tag: Tag) -> Vec<u8> {
        let mut all = Vec::new();
        tagged.request(tag, &mut all);
        all
    }

    #[test]
    fn every_message_has_its_size_and_gives_its_tag_back() {
        for framing in [Framing::Lines, Framing::Length, Framing::Raw] {
            let tagged = tagged(framing, Expect::Any);
            for seq in 0..100 {
                let tag = Tag { client: 3, seq };
                let message = request(&tagged, tag);
                let header = if framing == Framing::Length { 4 } else { 0 };
                assert_eq!(message.len(), tagged.size(tag) + header);
                assert_eq!(tagged.tag(&message), Some(tag));
                assert_eq!(message.ends_with(b"\n"), framing == Framing::Lines);
                assert_eq!(message[header..].iter().filter(|byte| **byte == MARK).count(), 1);
            }
        }
    }

    #[test]
    fn replies_are_what_a_server_makes_of_requests() {
        let tag = Tag { client: 1, seq: 2 };
        for (expect, upper_is_right, echo_is_right) in
            [(Expect::Any, true, true), (Expect::Echo, false, true), (Expect::Upper, true, false)]
        {
            let tagged = tagged(Framing::Lines, expect);
            let request = request(&tagged, tag);
            let mut reply = Vec::new();
            tagged.reply(tag, &mut reply);
            assert_eq!(request.to_ascii_uppercase() == reply, upper_is_right, "{expect:?}");
            assert_eq!(request == reply, echo_is_right, "{expect:?}");
        }
    }

    #[test]
    fn a_tag_with_one_wrong_digit_is_nobodys() {
        let tagged = tagged(Framing::Raw, Expect::Any);
        let right = request(&tagged, Tag { client: 1, seq: 2 });
        for at in 0..TAG {
            let mut wrong = right.clone();
            wrong[at] ^= 1;
            assert_eq!(tagged.tag(&wrong), None, "byte {at}");
        }
        let other = Tagged { seed: 8, ..tagged };
        assert_eq!(other.tag(&right), None, "of another run");
        assert_eq!(tagged.tag(&right[..TAG - 1]), None);
    }

    #[test]
    fn the_tag_needs_room() {
        let sizes = Sizes { least: SHORTEST - 1, most: 100 };
        let error = Tagged::new(1, Framing::Raw, Expect::Any, sizes).unwrap_err().to_string();
        assert_eq!(error, "size 39..100: write at least 40, which the tag takes");
    }
}
