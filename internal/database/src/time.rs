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

    /// The stored form, without an allocation. By hand, since every write makes some of these.
    pub(crate) fn to_text(self) -> TimestampText {
        // From 0 on, for the years 0 to 9999.
        let seconds = self.0.wrapping_sub(Self::MIN.0).unsigned_abs();
        let (day, second) = ((seconds / DAY) as u32, (seconds % DAY) as u32);
        let (year, month, day) = date_of(day);
        let mut text = *b"0000-00-00 00:00:00";
        let pairs = [year / 100, year % 100, month, day, second / 3_600, second / 60 % 60, second % 60];
        for (at, pair) in PAIRS.into_iter().zip(pairs) {
            text[at] = b'0' + (pair / 10) as u8;
            text[at + 1] = b'0' + (pair % 10) as u8;
        }
        TimestampText(text)
    }
}

const DAY: u64 = 86_400;
/// Where the pairs of digits stand in the text form.
const PAIRS: [usize; 7] = [0, 2, 5, 8, 11, 14, 17];
/// Days of 400 years, after which the calendar repeats itself.
const DAYS_OF_400_YEARS: u32 = 146_097;
/// Days from the 1st of March of the year -400 to the 1st of January of the year 0. Years that begin in March have the
/// day that may be missing at their end.
const SHIFT: u32 = DAYS_OF_400_YEARS - 60;

// Both ways after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".

/// Year, month and day of a day counted from the 1st of January of the year 0.
fn date_of(day: u32) -> (u32, u32, u32) {
    let shifted = day + SHIFT;
    let (era, day) = (shifted / DAYS_OF_400_YEARS, shifted % DAYS_OF_400_YEARS);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next - 400, month, day)
}

/// The day of a date, counted from the 1st of January of the year 0; `None` where the calendar has none.
fn day_of(year: u32, month: u32, day: u32) -> Option<u32> {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let last = match month {
        2 => 28 + u32::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    if day == 0 || day > last {
        return None;
    }
    let (year, month) = if month > 2 { (year + 400, month - 3) } else { (year + 399, month + 9) };
    let (era, year) = (year / 400, year % 400);
    let day = (153 * month + 2) / 5 + day - 1;
    Some(era * DAYS_OF_400_YEARS + year * 365 + year / 4 - year / 100 + day - SHIFT)
}

/// The text form of a [`Timestamp`], held inline.
pub(crate) struct TimestampText([u8; Timestamp::TEXT_LEN]);

impl TimestampText {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

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
        let separators = [(4, b'-'), (7, b'-'), (10, b' '), (13, b':'), (16, b':')];
        if separators.iter().any(|&(at, byte)| bytes[at] != byte) {
            return Err(invalid());
        }
        let mut pairs = [0_u32; PAIRS.len()];
        for (pair, at) in pairs.iter_mut().zip(PAIRS) {
            let (tens, ones) = (bytes[at].wrapping_sub(b'0'), bytes[at + 1].wrapping_sub(b'0'));
            if tens > 9 || ones > 9 {
                return Err(invalid());
            }
            *pair = u32::from(tens) * 10 + u32::from(ones);
        }
        let [century, year, month, day, hour, minute, second] = pairs;
        if hour > 23 || minute > 59 || second > 59 {
            return Err(invalid());
        }
        let day = day_of(century * 100 + year, month, day).ok_or_else(invalid)?;
        let seconds = u64::from(day) * DAY + u64::from(hour * 3_600 + minute * 60 + second);
        Ok(Self(Self::MIN.0.wrapping_add_unsigned(seconds)))
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
    fn every_day_and_every_second_of_a_day_are_those_of_the_calendar() {
        // After 400 years the calendar repeats itself.
        let days = (0..146_097).map(|day| (day - 100_000) * 86_400);
        let all = (Timestamp::MIN.0..=Timestamp::MAX.0).step_by(11 * 86_401);
        for seconds in days.chain(-86_400..86_400).chain(all).chain([Timestamp::MAX.0]) {
            let moment = Timestamp::from_unix_seconds(seconds).unwrap();
            let civil = EPOCH.saturating_add(jiff::SignedDuration::from_secs(seconds));
            let text = moment.to_string();
            assert_eq!(text, civil.strftime("%Y-%m-%d %H:%M:%S").to_string());
            assert_eq!(text.parse(), Ok(moment));
        }
    }

    #[test]
    fn dates_that_the_calendar_does_not_have_are_refused() {
        for year in [0, 1, 4, 1900, 2000, 2023, 2024, 9999] {
            for (month, day) in (0..=13).flat_map(|month| (0..=32).map(move |day| (month, day))) {
                let text = format!("{year:04}-{month:02}-{day:02} 00:00:00");
                let civil = DateTime::new(year, month, day, 0, 0, 0, 0).ok();
                let expected = civil.and_then(|civil| Timestamp::from_utc(civil).ok());
                assert_eq!(text.parse().ok(), expected, "{text}");
            }
        }
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
