//! A day, as a rule's `expires` names it.

use std::fmt;

/// A day of the [proleptic Gregorian calendar](https://www.rfc-editor.org/rfc/rfc3339#section-5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// Reads `2026-12-31`.
    pub fn new(text: &str) -> Result<Self, DateError> {
        let mut parts = text.split('-');
        let [Some(year), Some(month), Some(day), None] = [(); 4].map(|()| parts.next()) else {
            return Err(DateError);
        };
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let written = [year, month, day].map(str::len) == [4, 2, 2];
        if !written || ![year, month, day].iter().all(|part| digits(part)) {
            return Err(DateError);
        }
        let date = Self {
            year: year.parse().map_err(|_| DateError)?,
            month: month.parse().map_err(|_| DateError)?,
            day: day.parse().map_err(|_| DateError)?,
        };
        if (1..=date.days_in_month()).contains(&date.day) { Ok(date) } else { Err(DateError) }
    }

    /// 0 if there is no such month.
    fn days_in_month(self) -> u8 {
        let leap = self.year.is_multiple_of(4)
            && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        match self.month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => 0,
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// Why a text is no [`Date`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a date: write it like 2026-12-31")]
pub struct DateError;
