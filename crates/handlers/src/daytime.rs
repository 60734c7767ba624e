//! RFC 867: the time as a line of text.

use std::fmt::{self, Write as _};
use std::time::SystemTime;

use async_trait::async_trait;
use swapwire_core::{Handler, HandlerError, HandlerProperties, Reply, Request, Session, SessionHandler};

use crate::clock::unix_seconds;

/// Answers with the date and time as a line of ASCII, `Sunday, November 22, 2026 18:30:00-UTC` and CR LF: the first form
/// that RFC 867 suggests.
///
/// On a stream ([`SessionHandler`]) it sends first and ends the session; what the peer sends is not read. No framing:
/// the line has its own ending. On a datagram socket ([`Handler`]) it answers each message, even an empty one.
///
/// Bound: in the years 0 to 9999 the line has at most 44 bytes, less than the bound for datagram peers that may be forged.
///
/// # Errors
/// The reply was refused, or the peer has ended the connection.
///
/// # Cancel safety
/// A dropped call has sent the whole line or nothing.
///
/// # Example
/// ```
/// use std::time::UNIX_EPOCH;
/// use swapwire_core::{Addr, Handler, Reply, Request};
/// use swapwire_handlers::Daytime;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), swapwire_core::HandlerError> {
/// # let local = Addr::named("test", "here").unwrap();
/// let daytime = Daytime::with_clock(|| UNIX_EPOCH);
/// let mut reply = Reply::new(1024);
/// daytime.handle(Request::new(b"", None, &local), &mut reply).await?;
/// assert_eq!(reply.messages().next(), Some(b"Thursday, January 1, 1970 00:00:00-UTC\r\n".as_slice()));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Daytime {
    clock: fn() -> SystemTime,
}

impl Daytime {
    /// The name by which an operator calls it.
    pub const NAME: &str = "daytime";
    /// What it does, in one line.
    pub const DESCRIPTION: &str = "answers with the date and time as a line of text (RFC 867)";

    /// The system's time.
    pub const fn new() -> Self {
        Self::with_clock(SystemTime::now)
    }

    /// The time that `clock` tells, for tests.
    pub const fn with_clock(clock: fn() -> SystemTime) -> Self {
        Self { clock }
    }

    fn line(&self) -> Line {
        Line { seconds: unix_seconds((self.clock)()) }
    }
}

impl Default for Daytime {
    fn default() -> Self {
        Self::new()
    }
}

impl Handler for Daytime {
    async fn handle(&self, _: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        let mut written = Ok(());
        reply.write(|out| written = write!(out, "{}", self.line()))?;
        Ok(written?)
    }
}

#[async_trait]
impl SessionHandler for Daytime {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        session.send(self.line().to_string()).await?;
        Ok(session.flush().await?)
    }

    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new().any_slicing()
    }
}

/// Shown as RFC 867 writes it.
struct Line {
    /// Since 1970.
    seconds: i64,
}

const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.seconds.div_euclid(86_400), self.seconds.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        // 1970-01-01 was a Thursday.
        let weekday = WEEKDAYS[(days + 4).rem_euclid(7) as usize];
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{weekday}, {} {day}, {year} {hour:02}:{minute:02}:{second:02}-UTC\r\n", MONTHS[month])
    }
}

/// Year, month (from 0) and day (from 1) of the Gregorian calendar, `days` after 1970-01-01.
///
/// Howard Hinnant's `civil_from_days`: the year begins in March, so that a leap day is its last; 400 years are an era
/// of 146,097 days.
fn civil(days: i64) -> (i64, usize, i64) {
    let since_era_0 = days + 719_468;
    let era = since_era_0.div_euclid(146_097);
    let day_of_era = since_era_0.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    (400 * era + year_of_era + i64::from(month < 2), month as usize, day)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use swapwire_core::{Addr, Input, ReplyError, SessionConfig};
    use tokio::io::AsyncReadExt as _;

    use super::*;
    use crate::testing::{answers, session};

    #[test]
    fn known_seconds_have_known_lines() {
        for (seconds, line) in [
            (0, "Thursday, January 1, 1970 00:00:00-UTC"),
            (-1, "Wednesday, December 31, 1969 23:59:59-UTC"),
            (-2_208_988_800, "Monday, January 1, 1900 00:00:00-UTC"),
            (951_782_399, "Monday, February 28, 2000 23:59:59-UTC"),
            (951_782_400, "Tuesday, February 29, 2000 00:00:00-UTC"),
            (951_868_800, "Wednesday, March 1, 2000 00:00:00-UTC"),
            (1_000_000_000, "Sunday, September 9, 2001 01:46:40-UTC"),
            (1_795_372_200, "Sunday, November 22, 2026 18:30:00-UTC"),
            (4_107_542_400, "Monday, March 1, 2100 00:00:00-UTC"),
            (4_107_542_399, "Sunday, February 28, 2100 23:59:59-UTC"),
        ] {
            assert_eq!(Line { seconds }.to_string(), format!("{line}\r\n"));
        }
    }

    #[test]
    fn days_follow_one_another_for_a_thousand_years() {
        let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let (mut year, mut month, mut day) = (1600, 0, 1);
        // 1600-01-01 was this many days before 1970-01-01.
        for days in -135_140..230_000 {
            assert_eq!(civil(days), (year, month, day));
            let len = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month];
            (month, day) = if day == len { (month + 1, 1) } else { (month, day + 1) };
            (year, month) = if month == 12 { (year + 1, 0) } else { (year, month) };
        }
    }

    #[test]
    fn the_longest_line_fits_its_bound() {
        let longest = (0..366 * 7).map(|day| Line { seconds: 253_402_300_799 - day * 86_400 }.to_string().len()).max();
        assert_eq!(longest, Some(44));
    }

    #[tokio::test]
    async fn a_datagram_gets_a_line_even_if_it_is_empty() {
        let daytime = Daytime::with_clock(|| UNIX_EPOCH + Duration::from_secs(1_795_372_200));
        let line = b"Sunday, November 22, 2026 18:30:00-UTC\r\n";
        assert_eq!(answers(&daytime, b"").await, [line]);
        assert_eq!(answers(&daytime, b"what time is it?").await, [line]);
    }

    #[tokio::test]
    async fn a_reply_above_the_limit_is_an_error() {
        let local = Addr::named("test", "here").unwrap();
        let mut reply = Reply::new(10);
        let request = Request::new(b"", None, &local);
        let error = Handler::handle(&Daytime::new(), request, &mut reply).await.unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(ReplyError::Full { limit: 10, .. })));
    }

    #[tokio::test]
    async fn a_stream_gets_a_line_and_the_end() {
        let (session, mut peer) = session("peer", SessionConfig::default(), 64);
        SessionHandler::run(&Daytime::with_clock(|| UNIX_EPOCH), session).await.unwrap();
        let mut all = String::new();
        peer.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "Thursday, January 1, 1970 00:00:00-UTC\r\n");
    }

    #[test]
    fn it_needs_no_framing_on_a_stream_and_does_not_amplify() {
        let daytime = Daytime::default();
        assert_eq!(SessionHandler::properties(&daytime).input, Input::AnySlicing);
        assert_eq!(Handler::properties(&daytime).input, Input::Messages);
        assert!(!Handler::properties(&daytime).amplifies && !SessionHandler::properties(&daytime).amplifies);
    }
}
