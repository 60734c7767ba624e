//! A fuzzer's bytes as decisions.

/// Bytes that are taken from the front; behind the end there are zeros.
pub(crate) struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        byte
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A number below `end`, which is at most 256.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    /// The next `count` bytes, or as many as there are.
    pub(crate) fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    /// A limit on messages: mostly small, sometimes as large as there are.
    pub(crate) fn limit(&mut self) -> usize {
        match self.byte() {
            250 => 1000,
            251 => 65_536,
            252 => 1 << 40,
            253 => usize::MAX / 2,
            254 => usize::MAX - 1,
            255 => usize::MAX,
            small => usize::from(small),
        }
    }
}
