//! Points in time as the database stores them, and the clock that the program reads.

use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// A moment in UTC with a precision of one second, from the year 0 to the end of the year 9999.
///
/// Stored and shown as `YYYY-MM-DD HH:MM:SS`. Only this form sorts as text in the order of time, so no other one
/// is ever written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Timestamp(i64);

/// The text or number is no moment that the database can hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time between the years 0 and 9999 (expected YYYY-MM-DD HH:MM:SS)")]
pub struct InvalidTimestamp(String);

impl Timestamp {
    /// The first second of the year 0.
    pub const MIN: Self = Self(-62_167_219_200);
    /// The last second of the year 9999.
    pub const MAX: Self = Self(253_402_300_799);
    /// How many bytes the text form has.
    pub const TEXT_LEN: usize = 19;

    /// The moment so many seconds after 1970-01-01 00:00:00 UTC.
    ///
    /// # Errors
    /// Outside the years 0 to 9999.
    pub fn from_unix_seconds(seconds: i64) -> Result<Self, InvalidTimestamp> {
        if (Self::MIN.0..=Self::MAX.0).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err(InvalidTimestamp(seconds.to_string()))
        }
    }

    /// Seconds since 1970-01-01 00:00:00 UTC.
    pub fn unix_seconds(self) -> i64 {
        self.0
    }

    /// The moment a calendar date and clock time name in UTC; a fraction of a second is cut off.
    ///
    /// # Errors
    /// Outside the years 0 to 9999.
    pub fn from_utc(civil: DateTime) -> Result<Self, InvalidTimestamp> {
        let since_epoch = civil.with().subsec_nanosecond(0).build().map(|whole| whole.duration_since(EPOCH));
        since_epoch
            .ok()
            .and_then(|since| Self::from_unix_seconds(since.as_secs()).ok())
            .ok_or_else(|| InvalidTimestamp(civil.to_string()))
    }

    /// The calendar date and clock time in UTC.
    pub fn to_utc(self) -> DateTime {
        EPOCH.saturating_add(jiff::SignedDuration::from_secs(self.0))
    }

    /// The start of the moment's day in UTC: statistics are kept by day.
    pub fn day(self) -> Self {
        Self(self.0 - self.0.rem_euclid(86_400))
    }

    /// The moment so many seconds later (earlier where negative), held within the years 0 to 9999.
    #[must_use]
    pub fn saturating_add_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds).clamp(Self::MIN.0, Self::MAX.0))
    }

    /// The stored form, without an allocation.
    pub(crate) fn to_text(self) -> TimestampText {
        let civil = self.to_utc();
        let mut text = *b"0000-00-00 00:00:00";
        let mut put = |at: usize, width: usize, value: i16| {
            let mut value = value.unsigned_abs();
            for digit in text[at..at + width].iter_mut().rev() {
                *digit = b'0' + u8::try_from(value % 10).unwrap_or_default();
                value /= 10;
            }
        };
        put(0, 4, civil.year());
        put(5, 2, civil.month().into());
        put(8, 2, civil.day().into());
        put(11, 2, civil.hour().into());
        put(14, 2, civil.minute().into());
        put(17, 2, civil.second().into());
        TimestampText(text)
    }
}

/// The text form of a [`Timestamp`], held inline.
pub(crate) struct TimestampText([u8; Timestamp::TEXT_LEN]);

impl TimestampText {
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.to_text().as_str())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidTimestamp(text.chars().take(40).collect());
        let bytes = text.as_bytes();
        if bytes.len() != Self::TEXT_LEN {
            return Err(invalid());
        }
        let number = |from: usize, to: usize| {
            bytes[from..to].iter().try_fold(0_i16, |sum, byte| match byte {
                b'0'..=b'9' => Some(sum * 10 + i16::from(byte - b'0')),
                _ => None,
            })
        };
        let separators = [(4, b'-'), (7, b'-'), (10, b' '), (13, b':'), (16, b':')];
        if separators.iter().any(|&(at, byte)| bytes[at] != byte) {
            return Err(invalid());
        }
        let part = |from, to| number(from, to).and_then(|part| i8::try_from(part).ok()).ok_or_else(invalid);
        let year = number(0, 4).ok_or_else(invalid)?;
        let civil = DateTime::new(year, part(5, 7)?, part(8, 10)?, part(11, 13)?, part(14, 16)?, part(17, 19)?, 0)
            .map_err(|_| invalid())?;
        Self::from_utc(civil).map_err(|_| invalid())
    }
}

impl From<Timestamp> for String {
    fn from(timestamp: Timestamp) -> Self {
        timestamp.to_string()
    }
}

impl TryFrom<String> for Timestamp {
    type Error = InvalidTimestamp;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Where the program reads the time. Injected, so that tests need not wait.
pub trait Clock: Send + Sync {
    /// The current moment.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(jiff::Timestamp::now().as_second().clamp(Timestamp::MIN.0, Timestamp::MAX.0))
    }
}

impl<F: Fn() -> Timestamp + Send + Sync> Clock for F {
    fn now(&self) -> Timestamp {
        self()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_moment_are_the_same_thing_from_end_to_end() {
        for text in ["0000-01-01 00:00:00", "1969-12-31 23:59:59", "2024-02-29 12:34:56", "9999-12-31 23:59:59"] {
            let moment: Timestamp = text.parse().unwrap();
            assert_eq!(moment.to_string(), text);
            assert_eq!(Timestamp::from_unix_seconds(moment.unix_seconds()), Ok(moment));
        }
        assert_eq!("0000-01-01 00:00:00".parse(), Ok(Timestamp::MIN));
        assert_eq!("9999-12-31 23:59:59".parse(), Ok(Timestamp::MAX));
    }

    #[test]
    fn what_would_sort_wrongly_is_refused() {
        for text in [
            "2025-01-01T10:00:00",
            "2025-01-01 10:00:00.5",
            "2025-02-30 10:00:00",
            "2025-1-1 10:00:00",
            "+025-01-01 10:00:00",
            "2025-01-01 10:00:60",
            "",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
        assert!(Timestamp::from_unix_seconds(253_402_300_800).is_err());
    }

    #[test]
    fn a_fraction_is_cut_off_also_before_1970() {
        let civil = "1969-12-31T23:59:58.75".parse::<DateTime>().unwrap();
        assert_eq!(Timestamp::from_utc(civil).unwrap().to_string(), "1969-12-31 23:59:58");
        assert_eq!(Timestamp::from_utc(civil).unwrap().day().to_string(), "1969-12-31 00:00:00");
    }
}
