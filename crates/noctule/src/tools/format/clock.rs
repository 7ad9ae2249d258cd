//! The time at which a message is printed, as strftime of C writes it in the C locale.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

/// A moment in local time.
#[derive(Clone, Debug)]
pub(in crate::tools) struct Moment {
    local: ZonedDateTime,
}

const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
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

impl Moment {
    /// Now, where the user is (`TZ`, or what the system says; else UTC).
    pub(in crate::tools) fn now() -> Moment {
        let zone = TimeZone::try_system().unwrap_or(TimeZone::UTC);
        Moment { local: Timestamp::now().to_zoned_datetime(zone) }
    }

    /// The conversion `%LETTER`; an unknown one is printed as it stands.
    pub(super) fn strftime(&self, letter: u8) -> String {
        let t = &self.local;
        let (hour, minute, second) = (t.hour(), t.minute(), t.second());
        let (year, month, day) = (t.year(), t.month(), t.day());
        let hour12 = (hour + 11) % 12 + 1;
        match letter {
            b'a' => self.weekday()[..3].to_owned(),
            b'A' => self.weekday().to_owned(),
            b'b' | b'h' => self.month()[..3].to_owned(),
            b'B' => self.month().to_owned(),
            b'c' => format!("{} {} {day:2} {} {year}", self.of('a'), self.of('b'), self.of('T')),
            b'C' => format!("{:02}", year / 100),
            b'd' => format!("{day:02}"),
            b'D' | b'x' => format!("{month:02}/{day:02}/{:02}", year % 100),
            b'e' => format!("{day:2}"),
            b'F' => format!("{year}-{month:02}-{day:02}"),
            b'g' => format!("{:02}", t.date().iso_week_date().year() % 100),
            b'G' => t.date().iso_week_date().year().to_string(),
            b'H' => format!("{hour:02}"),
            b'I' => format!("{hour12:02}"),
            b'j' => format!("{:03}", t.day_of_year()),
            b'k' => format!("{hour:2}"),
            b'l' => format!("{hour12:2}"),
            b'm' => format!("{month:02}"),
            b'M' => format!("{minute:02}"),
            b'n' => "\n".to_owned(),
            b'N' => format!("{:09}", t.subsec_nanosecond()),
            b'p' => self.half().to_owned(),
            b'P' => self.half().to_lowercase(),
            b'r' => format!("{hour12:02}:{minute:02}:{second:02} {}", self.half()),
            b'R' => format!("{hour:02}:{minute:02}"),
            b's' => t.timestamp().as_second().to_string(),
            b'S' => format!("{second:02}"),
            b't' => "\t".to_owned(),
            b'T' | b'X' => format!("{hour:02}:{minute:02}:{second:02}"),
            b'u' => t.weekday().to_monday_one_offset().to_string(),
            b'U' => format!("{:02}", self.week(t.weekday().to_sunday_zero_offset())),
            b'V' => format!("{:02}", t.date().iso_week_date().week()),
            b'w' => t.weekday().to_sunday_zero_offset().to_string(),
            b'W' => format!("{:02}", self.week(t.weekday().to_monday_zero_offset())),
            b'y' => format!("{:02}", year % 100),
            b'Y' => year.to_string(),
            b'z' => self.offset(),
            b'Z' => self.zone(),
            b'%' => "%".to_owned(),
            other => format!("%{}", char::from(other)),
        }
    }

    /// As `%FT%T%z`.
    pub(super) fn iso(&self) -> String {
        format!("{}T{}{}", self.of('F'), self.of('T'), self.offset())
    }

    /// The same with microseconds.
    pub(super) fn iso_micros(&self) -> String {
        let micros = self.local.subsec_nanosecond() / 1000;
        format!("{}T{}.{micros:06}{}", self.of('F'), self.of('T'), self.offset())
    }

    /// Seconds since 1970, with nanoseconds.
    pub(super) fn unix(&self) -> String {
        format!("{}.{}", self.of('s'), self.of('N'))
    }

    fn of(&self, letter: char) -> String {
        self.strftime(letter as u8)
    }

    fn weekday(&self) -> &'static str {
        DAYS[self.local.weekday().to_sunday_zero_offset() as usize % DAYS.len()]
    }

    fn month(&self) -> &'static str {
        MONTHS[(self.local.month() as usize + 11) % MONTHS.len()]
    }

    fn half(&self) -> &'static str {
        if self.local.hour() < 12 { "AM" } else { "PM" }
    }

    /// The week of the year, of which the first starts with the first such day.
    fn week(&self, days_since_start: i8) -> i16 {
        (self.local.day_of_year() + 6 - i16::from(days_since_start)) / 7
    }

    fn offset(&self) -> String {
        let minutes = self.local.offset().seconds() / 60;
        let sign = if minutes < 0 { '-' } else { '+' };
        format!("{sign}{:02}{:02}", minutes.abs() / 60, minutes.abs() % 60)
    }

    fn zone(&self) -> String {
        let zone = self.local.time_zone();
        zone.to_offset_info(self.local.timestamp()).abbreviation().to_owned()
    }
}

#[cfg(test)]
impl Moment {
    /// A moment where the clocks are `hours` before UTC.
    pub(in crate::tools) fn at(unix_nanos: i128, hours: i8) -> Moment {
        let zone = TimeZone::fixed(jiff::tz::offset(hours));
        let timestamp = Timestamp::from_nanosecond(unix_nanos).expect("a time");
        Moment { local: timestamp.to_zoned_datetime(zone) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(moment: &Moment, letters: &str) -> String {
        let texts: Vec<String> = letters.bytes().map(|letter| moment.strftime(letter)).collect();
        texts.join("|")
    }

    #[test]
    fn letters_are_those_of_c() {
        // Thursday, 26 November 2026.
        let moment = Moment::at(1_795_723_314_072_751_443, 0);
        assert_eq!(
            all(&moment, "aAbBchC"),
            "Thu|Thursday|Nov|November|Thu Nov 26 20:01:54 2026|Nov|20"
        );
        assert_eq!(
            all(&moment, "dDeFgGHIjklmM"),
            "26|11/26/26|26|2026-11-26|26|2026|20|08|330|20| 8|11|01"
        );
        assert_eq!(
            all(&moment, "nNpPrRsSt"),
            "\n|072751443|PM|pm|08:01:54 PM|20:01|1795723314|54|\t"
        );
        assert_eq!(
            all(&moment, "TuUVwWxXyYz"),
            "20:01:54|4|47|48|4|47|11/26/26|20:01:54|26|2026|+0000"
        );
        assert_eq!(all(&moment, "%Eq"), "%|%E|%q");
    }

    #[test]
    fn the_year_turns_where_c_turns_it() {
        // Friday, 1 January 2027, 00:30 in a zone half a day ahead.
        let moment = Moment::at(1_798_720_200_000_000_000, 12);
        assert_eq!(all(&moment, "FGVUWjIpez"), "2027-01-01|2026|53|00|00|001|12|AM| 1|+1200");
        assert_eq!(moment.iso(), "2027-01-01T00:30:00+1200");
        assert_eq!(moment.iso_micros(), "2027-01-01T00:30:00.000000+1200");
        assert_eq!(moment.unix(), "1798720200.000000000");
        let moment = Moment::at(1_798_720_200_000_000_000, -5);
        assert_eq!(all(&moment, "zT"), "-0500|07:30:00");
    }
}
