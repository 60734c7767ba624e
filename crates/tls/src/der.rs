//! When a certificate begins and ends: the one thing of it that is not asked of rustls.

use std::fmt;

/// `Validity` of a certificate (RFC 5280, 4.1), in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) from: i64,
    pub(crate) until: i64,
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0]`, the version, which may be missing.
const VERSION: u8 = 0xa0;

/// That of `certificate`, if it is one.
pub(crate) fn validity(certificate: &[u8]) -> Option<Validity> {
    let (certificate, _) = expect(certificate, SEQUENCE)?;
    let (body, _) = expect(certificate, SEQUENCE)?;
    let body = expect(body, VERSION).map_or(body, |(_, rest)| rest);
    let (_, body) = expect(body, INTEGER)?;
    let (_algorithm, body) = expect(body, SEQUENCE)?;
    let (_issuer, body) = expect(body, SEQUENCE)?;
    let (validity, _) = expect(body, SEQUENCE)?;
    let (from, rest) = time(validity)?;
    let (until, _) = time(rest)?;
    Some(Validity { from, until })
}

/// The content of the value at the beginning, which has that tag, and what is behind it.
fn expect(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = value(bytes)?;
    (found == tag).then_some((content, rest))
}

/// A value of the Distinguished Encoding Rules (ITU-T X.690).
fn value(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, bytes) = bytes.split_first()?;
    let (&first, mut bytes) = bytes.split_first()?;
    let mut len = usize::from(first);
    if first >= 0x80 {
        let (digits, rest) = bytes.split_at_checked(usize::from(first & 0x7f))?;
        if digits.is_empty() || digits.len() > 3 {
            return None;
        }
        len = digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit));
        bytes = rest;
    }
    let (content, rest) = bytes.split_at_checked(len)?;
    Some((tag, content, rest))
}

/// `YYMMDDHHMMSSZ`, or the same with four digits for the year.
fn time(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (tag, content, rest) = value(bytes)?;
    let (year, others) = match tag {
        UTC_TIME => {
            let year = number(content.get(..2)?)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, content.get(2..)?)
        }
        GENERALIZED_TIME => (number(content.get(..4)?)?, content.get(4..)?),
        _ => return None,
    };
    let [month, day, hour, minute, second] = [0, 2, 4, 6, 8].map(|at| others.get(at..at + 2).and_then(number));
    let days = days_from_civil(year, month?, day?);
    let seconds = ((days * 24 + hour?) * 60 + minute?) * 60 + second?;
    (others.get(10..) == Some(b"Z")).then_some((seconds, rest))
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
}

/// Days since 1970-01-01 in the Gregorian calendar; the year begins in March, so that the leap day is its last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// A day, as `2026-11-29`.
pub(crate) struct Day(pub(crate) i64);

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0.div_euclid(24 * 60 * 60) + 719_468;
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = (from_march + 2) % 12 + 1;
        let year = year + era * 400 + i64::from(month <= 2);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (text, days) in [
            ("1970-01-01", 0),
            ("1969-12-31", -1),
            ("2000-02-29", 11_016),
            ("2000-03-01", 11_017),
            ("2026-11-29", 20_786),
            ("2100-03-01", 47_541),
        ] {
            assert_eq!(Day(days * 86_400 + 86_399).to_string(), text);
            let [year, month, day] = [&text[..4], &text[5..7], &text[8..]].map(|part| part.parse().unwrap());
            assert_eq!(days_from_civil(year, month, day), days, "{text}");
        }
    }

    #[test]
    fn times_have_two_forms() {
        let utc = b"\x17\x0d261129123456Zrest";
        let generalized = b"\x18\x0f20261129123456Zrest";
        let expected = Some((20_786 * 86_400 + 12 * 3600 + 34 * 60 + 56, b"rest".as_slice()));
        assert_eq!((time(utc), time(generalized)), (expected, expected));
        assert_eq!(
            time(b"\x17\x0d991129123456Z").map(|(time, _)| Day(time).to_string()).as_deref(),
            Some("1999-11-29")
        );
        assert_eq!(time(b"\x17\x0d26112912345xZ"), None);
        assert_eq!(time(b"\x17\x0c261129123456"), None);
    }
}
