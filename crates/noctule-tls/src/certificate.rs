//! The fields of a certificate (X.509, DER) that rustls does not show.
//!
//! What is read here is trusted only after its signature was checked. Anything out of form is
//! `None`; no length is believed before the bytes are there.

use rustls::pki_types::UnixTime;
use std::sync::Arc;

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
pub(crate) const OID: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
pub(crate) const TELETEX_STRING: u8 = 0x14;
pub(crate) const IA5_STRING: u8 = 0x16;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;

/// Tags of alternative names.
const MAILBOX: u8 = 0x81;
const HOST: u8 = 0x82;
const URI: u8 = 0x86;

const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 29, 17];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 29, 19];
const NAME_CONSTRAINTS: &[u8] = &[0x55, 29, 30];

/// What a certificate says.
#[derive(Debug)]
pub struct Certificate<'a> {
    /// 0 is version 1.
    version: u8,
    /// The content of the serial number.
    pub serial: &'a [u8],
    /// What is signed.
    pub(crate) signed: &'a [u8],
    /// The content of the issuer's name.
    pub issuer: &'a [u8],
    /// The content of the name of whom it is for.
    subject: &'a [u8],
    not_before: u64,
    not_after: u64,
    /// The whole `SubjectPublicKeyInfo`.
    pub public_key: &'a [u8],
    /// The content of the identifier of the signature's algorithm.
    pub(crate) algorithm: &'a [u8],
    pub(crate) signature: &'a [u8],
    /// The content of the list of extensions.
    extensions: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Takes a certificate apart.
    #[must_use]
    pub fn parse(der: &'a [u8]) -> Option<Certificate<'a>> {
        let mut outer = Der(Der(der).only(SEQUENCE)?);
        let (signed, body) = outer.whole(SEQUENCE)?;
        let algorithm = outer.expect(SEQUENCE)?;
        let signature = bits(outer.expect(BIT_STRING)?)?;
        outer.end()?;

        let mut body = Der(body);
        let version = match body.peek()? {
            VERSION => match Der(body.expect(VERSION)?).only(INTEGER)? {
                [version] => *version,
                _ => return None,
            },
            _ => 0,
        };
        let serial = body.expect(INTEGER)?;
        if body.expect(SEQUENCE)? != algorithm {
            return None;
        }
        let issuer = body.expect(SEQUENCE)?;
        let mut validity = Der(body.expect(SEQUENCE)?);
        let (not_before, not_after) = (validity.time()?, validity.time()?);
        let subject = body.expect(SEQUENCE)?;
        let (public_key, _) = body.whole(SEQUENCE)?;
        let mut extensions: &[u8] = &[];
        while let Some((tag, content, _)) = body.next() {
            if tag == EXTENSIONS {
                extensions = Der(content).only(SEQUENCE)?;
            }
        }
        body.end()?;
        Some(Certificate {
            version,
            serial,
            signed,
            issuer,
            subject,
            not_before,
            not_after,
            public_key,
            algorithm,
            signature,
            extensions,
        })
    }

    /// Whether it is of X.509 version 1, which has no extensions.
    pub fn is_version1(&self) -> bool {
        self.version == 0 && self.extensions.is_empty()
    }

    /// Where `now` lies in the time for which it is valid.
    pub fn age(&self, now: UnixTime) -> Age {
        match now.as_secs() {
            now if now < self.not_before => Age::TooYoung { from: self.not_before },
            now if now > self.not_after => Age::TooOld { until: self.not_after },
            _ => Age::Valid,
        }
    }

    /// The common names of whom it is for, as far as they are text.
    pub fn common_names(&self) -> Vec<&'a str> {
        let mut names = Vec::new();
        let mut sets = Der(self.subject);
        while let Some((SET, content, _)) = sets.next() {
            let mut attributes = Der(content);
            while let Some((SEQUENCE, content, _)) = attributes.next() {
                let mut attribute = Der(content);
                if attribute.expect(OID) != Some(COMMON_NAME) {
                    continue;
                }
                let text = [UTF8_STRING, PRINTABLE_STRING, TELETEX_STRING, IA5_STRING];
                if let Some((tag, content, _)) = attribute.next()
                    && text.contains(&tag)
                    && let Ok(name) = str::from_utf8(content)
                {
                    names.push(name);
                }
            }
        }
        names
    }

    /// The first of its common names.
    #[must_use]
    pub fn common_name(&self) -> Option<Arc<str>> {
        self.common_names().first().map(|name| Arc::from(*name))
    }

    /// The whole name of whom it is for, as RFC 2253 writes it: `CN=ann,O=Acme,C=DE`.
    #[must_use]
    pub fn subject(&self) -> Option<Arc<str>> {
        crate::subject::text(self.subject).map(Arc::from)
    }

    /// The first of its alternative names that is text: of a host, a mailbox, or a URI.
    #[must_use]
    pub fn alternative_name(&self) -> Option<Arc<str>> {
        let text = |(tag, content)| match tag {
            MAILBOX | HOST | URI => str::from_utf8(content).ok(),
            _ => None,
        };
        self.alternative_names().into_iter().find_map(text).map(Arc::from)
    }

    /// The tags and contents of its alternative names.
    pub fn alternative_names(&self) -> Vec<(u8, &'a [u8])> {
        let mut names = Vec::new();
        if let Some(list) =
            self.extension(ALTERNATIVE_NAMES).and_then(|der| Der(der).only(SEQUENCE))
        {
            let mut list = Der(list);
            while let Some((tag, content, _)) = list.next() {
                names.push((tag, content));
            }
        }
        names
    }

    /// Whether it is a CA's; `None` where it does not say.
    pub fn is_ca(&self) -> Option<bool> {
        let mut constraints = Der(Der(self.extension(BASIC_CONSTRAINTS)?).only(SEQUENCE)?);
        Some(constraints.expect(BOOLEAN).is_some_and(|value| value != [0]))
    }

    /// Whether it is a CA's that may issue for some names only.
    pub fn has_name_constraints(&self) -> bool {
        self.extension(NAME_CONSTRAINTS).is_some()
    }

    /// The value of an extension.
    fn extension(&self, id: &[u8]) -> Option<&'a [u8]> {
        let mut extensions = Der(self.extensions);
        while let Some((SEQUENCE, content, _)) = extensions.next() {
            let mut extension = Der(content);
            if extension.expect(OID)? != id {
                continue;
            }
            if extension.peek()? == BOOLEAN {
                extension.expect(BOOLEAN)?; // whether it is critical
            }
            return extension.expect(OCTET_STRING);
        }
        None
    }
}

/// Where a moment lies in the time for which a certificate is valid; seconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Age {
    /// It is before that time.
    TooYoung {
        /// From when on it is valid.
        from: u64,
    },
    /// It is within.
    Valid,
    /// It is after that time.
    TooOld {
        /// Until when it was valid.
        until: u64,
    },
}

/// The algorithm of a public key and the key itself, out of a `SubjectPublicKeyInfo` without its
/// header.
pub(crate) fn key_of(content: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut info = Der(content);
    let algorithm = info.expect(SEQUENCE)?;
    let key = bits(info.expect(BIT_STRING)?)?;
    info.end()?;
    Some((algorithm, key))
}

/// As [`key_of`], with the header.
pub(crate) fn key_of_info(der: &[u8]) -> Option<(&[u8], &[u8])> {
    key_of(Der(der).only(SEQUENCE)?)
}

/// The bytes of a bit string that has no odd bits.
fn bits(content: &[u8]) -> Option<&[u8]> {
    match content {
        [0, bytes @ ..] => Some(bytes),
        _ => None,
    }
}

/// What is left of a sequence of values.
pub(crate) struct Der<'a>(pub(crate) &'a [u8]);

impl<'a> Der<'a> {
    /// The next value: its tag, its content, and the whole of it. `None` at the end, and where
    /// there is no value.
    pub(crate) fn next(&mut self) -> Option<(u8, &'a [u8], &'a [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length =
                    bytes.iter().fold(0, |length: u64, byte| length << 8 | u64::from(*byte));
                // DER writes each length in one way only, the shortest.
                if length < 0x80 || bytes[0] == 0 {
                    return None;
                }
                (usize::try_from(length).ok()?, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        let whole = &self.0[..self.0.len() - rest.len()];
        self.0 = rest;
        Some((*tag, content, whole))
    }

    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The content of the next value, which must have this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.whole(tag).map(|(_, content)| content)
    }

    /// The next value, which must have this tag: the whole of it and its content.
    fn whole(&mut self, tag: u8) -> Option<(&'a [u8], &'a [u8])> {
        if self.peek()? != tag {
            return None;
        }
        self.next().map(|(_, content, whole)| (whole, content))
    }

    /// The content of a value that must have this tag and be the last.
    fn only(mut self, tag: u8) -> Option<&'a [u8]> {
        let content = self.expect(tag)?;
        self.end()?;
        Some(content)
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }

    /// The next value as seconds since 1970; earlier times are 0.
    fn time(&mut self) -> Option<u64> {
        let (tag, content, _) = self.next()?;
        let digits = content.strip_suffix(b"Z")?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let number = |from: usize, to: usize| -> Option<u64> {
            str::from_utf8(digits.get(from..to)?).ok()?.parse().ok()
        };
        let (year, rest) = match (tag, digits.len()) {
            // Two digits of a year are of 1950 to 2049 [RFC 5280, 4.1.2.5.1].
            (UTC_TIME, 12) => match number(0, 2)? {
                year @ 0..50 => (2000 + year, 2),
                year => (1900 + year, 2),
            },
            (GENERALIZED_TIME, 14) => (number(0, 4)?, 4),
            _ => return None,
        };
        let part = |at: usize| number(rest + 2 * at, rest + 2 * at + 2);
        let (month, day) = (part(0)?, part(1)?);
        let (hours, minutes, seconds) = (part(2)?, part(3)?, part(4)?);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        if hours > 23 || minutes > 59 || seconds > 59 {
            return None;
        }
        let days = days_since_1970(year, month, day);
        Some(days * 86_400 + hours * 3_600 + minutes * 60 + seconds)
    }
}

/// Days since 1970 in the Gregorian calendar; 0 before it.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    // Years from March on end with the leap day, so months before it have a fixed place.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.max(1) - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    // 1 March of year 0 was 719,468 days before 1970.
    days.saturating_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_as_in_the_calendar() {
        for (date, days) in [
            ((1950, 1, 1), 0),
            ((1970, 1, 1), 0),
            ((1970, 12, 31), 364),
            ((2000, 2, 29), 11_016),
            ((2000, 3, 1), 11_017),
            ((2024, 2, 29), 19_782),
            ((2100, 3, 1), 47_541),
            ((9999, 12, 31), 2_932_896),
        ] {
            assert_eq!(days_since_1970(date.0, date.1, date.2), days, "{date:?}");
        }
    }

    #[test]
    fn times_come_in_two_forms() {
        let time = |tag: u8, text: &str| {
            let mut der = vec![tag, u8::try_from(text.len()).expect("short")];
            der.extend_from_slice(text.as_bytes());
            Der(&der).time()
        };
        assert_eq!(time(UTC_TIME, "700101000001Z"), Some(1));
        assert_eq!(time(UTC_TIME, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(time(UTC_TIME, "500101000000Z"), Some(0));
        assert_eq!(time(GENERALIZED_TIME, "20500101000000Z"), Some(2_524_608_000));
        for bad in ["", "Z", "7001010000Z", "700101000001", "701301000000Z", "7001010000+1Z"] {
            assert_eq!(time(UTC_TIME, bad), None, "{bad}");
        }
        assert_eq!(time(OCTET_STRING, "700101000001Z"), None);
    }

    #[test]
    fn any_bytes_are_a_certificate_or_none() {
        let key = rcgen::KeyPair::generate().expect("entropy");
        let mut params = rcgen::CertificateParams::new(vec!["a.test".into()]).expect("a name");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let whole = params.self_signed(&key).expect("good parameters").der().to_vec();
        let look = |der: &[u8]| {
            Certificate::parse(der).map(|found| {
                (found.common_names().len(), found.alternative_names().len(), found.is_ca())
            })
        };
        assert_eq!(look(&whole), Some((1, 1, Some(true))));
        let parsed = Certificate::parse(&whole).expect("good");
        assert!(!parsed.is_version1());
        assert_eq!(parsed.public_key, rcgen::PublicKeyData::subject_public_key_info(&key));
        for at in 0..whole.len() {
            assert!(look(&whole[..at]).is_none(), "a part of it is none");
            let mut turned = whole.clone();
            for value in 0..=255 {
                turned[at] = value;
                look(&turned);
            }
        }
    }

    #[test]
    fn lengths_beyond_the_bytes_are_no_value() {
        for bytes in [&[][..], &[4], &[4, 1], &[4, 0x80, 0], &[4, 0x85, 0, 0, 0, 0, 1, 0]] {
            assert!(Der(bytes).next().is_none(), "{bytes:x?}");
        }
        let long = [4, 0x84, 0xff, 0xff, 0xff, 0xff, 0];
        assert!(Der(&long).next().is_none());
        for longer_than_needed in [&[4, 0x81, 1, 7][..], &[4, 0x82, 0, 1, 7]] {
            assert!(Der(longer_than_needed).next().is_none());
        }
        let mut long = vec![4, 0x81, 0x80];
        long.extend_from_slice(&[7; 0x80]);
        assert_eq!(Der(&long).only(4), Some(&[7; 0x80][..]));
        assert_eq!(Der(&[4, 1, 7]).only(4), Some(&[7][..]));
        assert_eq!(Der(&[4, 1, 7, 0]).only(4), None);
    }
}
