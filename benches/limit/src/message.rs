//! Messages that differ from one another: a number, then bytes of every value.

/// The shortest message: there must be room for its number.
pub const SHORTEST: usize = 16;

/// Which message: the number of its connection, and the number within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) connection: u32,
    pub(crate) message: u32,
}

impl Number {
    /// Hexadecimal digits from `0` to `?`, least significant first: a server in upper case leaves them as they are.
    pub(crate) fn write(self, message: &mut [u8]) {
        message[..8].copy_from_slice(&spread(self.message));
        message[8..SHORTEST].copy_from_slice(&spread(self.connection));
    }

    /// The number at the beginning of a message; nonsense if there is none.
    pub(crate) fn read(message: &[u8]) -> Option<Self> {
        let (message, rest) = message.split_first_chunk()?;
        Some(Self { message: gather(*message), connection: gather(*rest.first_chunk()?) })
    }
}

fn spread(number: u32) -> [u8; 8] {
    let mut digits = u64::from(number);
    digits = (digits | digits << 16) & 0x0000_ffff_0000_ffff;
    digits = (digits | digits << 8) & 0x00ff_00ff_00ff_00ff;
    digits = (digits | digits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    (digits | 0x3030_3030_3030_3030).to_le_bytes()
}

fn gather(digits: [u8; 8]) -> u32 {
    let mut number = u64::from_le_bytes(digits) & 0x0f0f_0f0f_0f0f_0f0f;
    number = (number | number >> 4) & 0x00ff_00ff_00ff_00ff;
    number = (number | number >> 8) & 0x0000_ffff_0000_ffff;
    (number | number >> 16) as u32
}

/// A request of `size` bytes with an empty number.
pub(crate) fn request(size: usize) -> Vec<u8> {
    let mut request: Vec<u8> = (0..size).map(|i| (i * 31) as u8).collect();
    Number { connection: 0, message: 0 }.write(&mut request);
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_survives_upper_case() {
        for number in [0, 1, 0x1234_5678, 0xa0b0_c0d0, u32::MAX] {
            let number = Number { connection: number.rotate_left(9), message: number };
            let mut message = request(20);
            number.write(&mut message);
            message.make_ascii_uppercase();
            assert_eq!(Number::read(&message), Some(number));
        }
        assert_eq!(spread(0xf000_0021), *b"1200000?");
        assert_eq!(Number::read(&[b'0'; 15]), None);
    }

    #[test]
    fn a_request_has_letters_to_be_changed() {
        let request = request(64);
        assert_ne!(request, request.to_ascii_uppercase());
    }
}
