//! Text, checked while it arrives.

use swapwire_core::FrameError;

/// The beginning of a character that is not whole: at most 3 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Utf8 {
    open: [u8; 3],
    len: u8,
}

impl Utf8 {
    /// Looks at the bytes that follow.
    ///
    /// # Errors
    /// At the first byte with which nothing that follows makes UTF-8.
    #[inline]
    pub(crate) fn check(&mut self, bytes: &[u8]) -> Result<(), FrameError> {
        let rest = if self.len == 0 { bytes } else { self.complete(bytes)? };
        match std::str::from_utf8(rest) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_some() => Err(FrameError::NotText),
            Err(error) => {
                let open = &rest[error.valid_up_to()..];
                self.open[..open.len()].copy_from_slice(open);
                self.len = open.len() as u8;
                Ok(())
            }
        }
    }

    /// What is left of `bytes` behind the end of the open character.
    fn complete<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], FrameError> {
        let mut character = [0; 4];
        let mut len = usize::from(self.len);
        character[..len].copy_from_slice(&self.open[..len]);
        for (index, byte) in bytes.iter().enumerate() {
            character[len] = *byte;
            len += 1;
            match std::str::from_utf8(&character[..len]) {
                Ok(_) => {
                    self.len = 0;
                    return Ok(&bytes[index + 1..]);
                }
                Err(error) if error.error_len().is_some() => return Err(FrameError::NotText),
                // A character of four bytes is whole or wrong, so that three are room enough.
                Err(_) => {}
            }
        }
        self.open[..len].copy_from_slice(&character[..len]);
        self.len = len as u8;
        Ok(&[])
    }

    /// The text ends here.
    ///
    /// # Errors
    /// It ends within a character.
    #[inline]
    pub(crate) fn end(&mut self) -> Result<(), FrameError> {
        match std::mem::take(&mut self.len) {
            0 => Ok(()),
            _ => Err(FrameError::NotText),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the pieces end changes nothing: the first byte that cannot be right is told as it comes.
    #[test]
    fn text_is_refused_at_its_first_impossible_byte() {
        let cases: &[(&[u8], Option<usize>)] = &[
            ("größe κόσμε 日本 🙂".as_bytes(), None),
            (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited", Some(12)),
            (b"a\xed\xa0\x80", Some(2)),
            (b"\xc0\xaf", Some(0)),
            (b"\xe0\x80\xaf", Some(1)),
            (b"\xf0\x80\x80\xaf", Some(1)),
            (b"\x80", Some(0)),
            (b"\xf8\x88\x80\x80\x80", Some(0)),
            (b"\xff", Some(0)),
            (b"ab\xe2\x82x", Some(4)),
        ];
        for (text, wrong) in cases {
            for size in 1..=text.len() {
                let mut utf8 = Utf8::default();
                let failed = text.chunks(size).position(|piece| utf8.check(piece).is_err());
                assert_eq!(failed, wrong.map(|at| at / size), "{} by {size}", text.escape_ascii());
            }
        }
    }

    #[test]
    fn text_does_not_end_within_a_character() {
        for (text, whole) in [("é".as_bytes(), true), (b"\xc3", false), (b"a\xe2\x82", false), (b"", true)] {
            let mut utf8 = Utf8::default();
            utf8.check(text).unwrap();
            assert_eq!(utf8.end().is_ok(), whole);
            assert_eq!(utf8.end(), Ok(()), "it starts afresh");
        }
    }
}
