//! Reads certificates without judging them: distinguished names (X.501), dates, keys.
//!
//! webpki does not read a certificate that it would not trust, one of an older version for example. Its names and dates
//! are still needed to say what is wrong with it, and its key for a handshake that does not verify the server.

use std::net::{Ipv4Addr, Ipv6Addr};

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{SubjectPublicKeyInfoDer, alg_id};
use rustls::sign::public_key_to_spki;
use webpki::RawPublicKeyEntity;

/// Tags of ASN.1 (X.680, 8.6).
mod tag {
    pub(super) const INTEGER: u8 = 0x02;
    pub(super) const BOOLEAN: u8 = 0x01;
    pub(super) const BIT_STRING: u8 = 0x03;
    pub(super) const OID: u8 = 0x06;
    pub(super) const LATIN_1: u8 = 0x14;
    pub(super) const UTC_TIME: u8 = 0x17;
    pub(super) const GENERALIZED_TIME: u8 = 0x18;
    pub(super) const UNIVERSAL_STRING: u8 = 0x1c;
    pub(super) const BMP_STRING: u8 = 0x1e;
    pub(super) const SEQUENCE: u8 = 0x30;
    pub(super) const VERSION: u8 = 0xa0;
    pub(super) const EXTENSIONS: u8 = 0xa3;
    /// RFC 5280, 4.2.1.6: the kinds of names that are a host's.
    pub(super) const DNS_NAME: u8 = 0x82;
    pub(super) const IP_ADDRESS: u8 = 0x87;
}

/// The extensions that limit the use of a certificate (RFC 5280, 4.2.1): id-ce is 2.5.29.
mod extension {
    pub(super) const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 17];
    pub(super) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
    pub(super) const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 30];
    pub(super) const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
}

/// id-kp-serverAuth and id-kp-clientAuth (RFC 5280, 4.2.1.12).
const SERVER_AUTH: &[u8] = b"\x2b\x06\x01\x05\x05\x07\x03\x01";
const CLIENT_AUTH: &[u8] = b"\x2b\x06\x01\x05\x05\x07\x03\x02";

/// Whose certificate it is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Server,
    Client,
}

/// A certificate (RFC 5280, 4.1). Sequences are without their outermost tag.
#[derive(Clone, Copy)]
pub(super) struct Certificate<'a> {
    /// Counted from 1 on.
    pub(super) version: u8,
    pub(super) issuer: &'a [u8],
    /// In seconds since 1970, if it can be read.
    pub(super) not_before: Option<u64>,
    pub(super) not_after: Option<u64>,
    pub(super) subject: &'a [u8],
    /// Its SubjectPublicKeyInfo.
    pub(super) key: &'a [u8],
    extensions: &'a [u8],
    /// The signed part. The algorithm and the signature follow.
    signed: &'a [u8],
    pub(super) signature_algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Reads a certificate of any version. Parts that are missing at its end are empty.
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let (_, certificate, _) = element(der)?;
        let (_, mut tbs, rest) = element(certificate)?;
        let signed = certificate.get(..certificate.len() - rest.len())?;
        let (_, signature_algorithm, rest) = element(rest)?;
        let (_, signature, _) = element(rest)?;
        let mut version = 1;
        if let (tag::VERSION, explicit, rest) = element(tbs)? {
            tbs = rest;
            let (_, number, _) = element(explicit)?;
            version = number.last()?.saturating_add(1);
        }
        let (tag::INTEGER, _, rest) = element(tbs)? else { return None };
        let (_, _, rest) = element(rest)?;
        let (_, issuer, rest) = element(rest)?;
        let (_, validity, rest) = element(rest)?;
        let (_, subject, rest) = element(rest)?;
        let (tag::SEQUENCE, key, mut rest) = element(rest)? else { return None };
        let mut extensions: &[u8] = &[];
        while let Some((tag, contents, after)) = element(rest) {
            rest = after;
            if let (tag::EXTENSIONS, Some((_, all, _))) = (tag, element(contents)) {
                extensions = all;
            }
        }
        let (not_before, not_after) = match element(validity) {
            Some((tag, text, rest)) => (time(tag, text), element(rest).and_then(|(tag, text, _)| time(tag, text))),
            None => (None, None),
        };
        let signature = signature.get(1..)?;
        Some(Self {
            version,
            issuer,
            not_before,
            not_after,
            subject,
            key,
            extensions,
            signed,
            signature_algorithm,
            signature,
        })
    }

    /// The key in the encoding that ring takes. An RSA key may lack its parameters, NULL, in the certificate.
    pub(super) fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'static>> {
        public_key(self.key)
    }

    /// Whether this key has signed it, with one of the algorithms.
    pub(super) fn is_signed_by(&self, key: &[u8], algorithms: &WebPkiSupportedAlgorithms) -> bool {
        let Some(key) = public_key(key) else { return false };
        let Ok(key) = RawPublicKeyEntity::try_from(&key) else { return false };
        let mut fitting =
            algorithms.all.iter().filter(|algorithm| algorithm.signature_alg_id().as_ref() == self.signature_algorithm);
        fitting.any(|algorithm| key.verify_signature(*algorithm, self.signed, self.signature).is_ok())
    }

    /// Whether it names itself as its issuer.
    pub(super) fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    /// Whether it may sign others.
    pub(super) fn is_authority(&self) -> bool {
        self.basic_constraints().0
    }

    /// How many authorities may stand below it.
    pub(super) fn max_authorities_below(&self) -> Option<usize> {
        self.basic_constraints().1
    }

    fn basic_constraints(&self) -> (bool, Option<usize>) {
        let Some((_, fields, _)) = self.extension(extension::BASIC_CONSTRAINTS).and_then(element) else {
            return (false, None);
        };
        let (is_authority, fields) = match element(fields) {
            Some((tag::BOOLEAN, value, rest)) => (value != [0], rest),
            _ => (false, fields),
        };
        let max = match element(fields) {
            Some((tag::INTEGER, [number], _)) => Some(usize::from(*number)),
            _ => None,
        };
        (is_authority, max)
    }

    /// Whether it may be used for some names only.
    pub(super) fn has_name_constraints(&self) -> bool {
        self.extension(extension::NAME_CONSTRAINTS).is_some()
    }

    /// Whether it may be such a peer's, or vouch for one.
    pub(super) fn is_for(&self, purpose: Purpose) -> bool {
        let wanted = match purpose {
            Purpose::Server => SERVER_AUTH,
            Purpose::Client => CLIENT_AUTH,
        };
        let Some(purposes) = self.extension(extension::EXTENDED_KEY_USAGE) else { return true };
        let purposes = element(purposes).map_or(&[][..], |(_, purposes, _)| purposes);
        elements(purposes).any(|(_, purpose)| purpose == wanted)
    }

    /// The hosts that it is for, as people write them.
    pub(super) fn hosts(&self) -> Vec<String> {
        let names =
            self.extension(extension::SUBJECT_ALT_NAME).and_then(element).map_or(&[][..], |(_, names, _)| names);
        elements(names).filter_map(|(tag, name)| host(tag, name)).collect()
    }

    fn extension(&self, wanted: &[u8]) -> Option<&'a [u8]> {
        elements(self.extensions).find_map(|(_, extension)| {
            let (_, oid, rest) = element(extension)?;
            // Whether it is critical stands before its value.
            let (_, value) = elements(rest).last()?;
            (oid == wanted).then_some(value)
        })
    }
}

fn host(tag: u8, name: &[u8]) -> Option<String> {
    match tag {
        tag::DNS_NAME => Some(printable(tag, name)),
        tag::IP_ADDRESS => {
            let v4 = || <[u8; 4]>::try_from(name).map(|bytes| Ipv4Addr::from(bytes).to_string());
            let v6 = || <[u8; 16]>::try_from(name).map(|bytes| Ipv6Addr::from(bytes).to_string());
            v4().or_else(|_| v6()).ok()
        }
        _ => None,
    }
}

/// RFC 8017, A.1.
const RSA_ENCRYPTION: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";

/// A SubjectPublicKeyInfo, of which the outermost tag is missing.
fn public_key(key: &[u8]) -> Option<SubjectPublicKeyInfoDer<'static>> {
    let (_, algorithm, rest) = element(key)?;
    let (tag::OID, oid, _) = element(algorithm)? else { return None };
    let (tag::BIT_STRING, bits, _) = element(rest)? else { return None };
    if oid == RSA_ENCRYPTION {
        return Some(public_key_to_spki(&alg_id::RSA_ENCRYPTION, bits.get(1..)?));
    }
    Some(wrapped(key).into())
}

/// With the tag of a sequence.
fn wrapped(contents: &[u8]) -> Vec<u8> {
    let len = contents.len().to_be_bytes();
    let len = &len[len.iter().take_while(|byte| **byte == 0).count()..];
    let mut der = vec![tag::SEQUENCE];
    if let Ok(short @ ..0x80) = u8::try_from(contents.len()) {
        der.push(short);
    } else {
        // A length has eight bytes at most.
        der.push(0x80 | len.len() as u8);
        der.extend_from_slice(len);
    }
    der.extend_from_slice(contents);
    der
}

/// The attributes of a distinguished name that people know, as `CN=a, O=b`.
pub(super) fn distinguished_name(der: &[u8]) -> String {
    // webpki gives the name without its outermost tag.
    let attributes = elements(der).flat_map(|(_, set)| elements(set));
    let found: Vec<_> = attributes
        .filter_map(|(_, attribute)| {
            let (tag::OID, oid, value) = element(attribute)? else { return None };
            let (tag, value, _) = element(value)?;
            Some(format!("{}={}", attribute_name(oid)?, printable(tag, value)))
        })
        .collect();
    if found.is_empty() { "without a name".into() } else { found.join(", ") }
}

/// The longest value that is worth repeating, in bytes.
const MAX_VALUE: usize = 64;

/// The attributes of X.520 that name somebody: id-at is 2.5.4; and those of RFC 4519 and RFC 2985.
fn attribute_name(oid: &[u8]) -> Option<&'static str> {
    match oid {
        [0x55, 4, 3] => Some("CN"),
        [0x55, 4, 6] => Some("C"),
        [0x55, 4, 7] => Some("L"),
        [0x55, 4, 8] => Some("ST"),
        [0x55, 4, 10] => Some("O"),
        [0x55, 4, 11] => Some("OU"),
        b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19" => Some("DC"),
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01" => Some("emailAddress"),
        _ => None,
    }
}

/// The certificate's author has chosen the bytes. They must neither control a terminal nor fill a log.
fn printable(tag: u8, value: &[u8]) -> String {
    let value = value.get(..MAX_VALUE).unwrap_or(value);
    let text = match tag {
        tag::BMP_STRING => {
            let units: Vec<_> = value.as_chunks().0.iter().map(|unit| u16::from_be_bytes(*unit)).collect();
            String::from_utf16_lossy(&units)
        }
        tag::UNIVERSAL_STRING => {
            let units = value.as_chunks().0.iter().map(|unit| u32::from_be_bytes(*unit));
            units.map(|unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        tag::LATIN_1 => value.iter().map(|byte| char::from(*byte)).collect(),
        _ => String::from_utf8_lossy(value).into_owned(),
    };
    text.chars().map(|char| if is_drawn(char) { char } else { '?' }).collect()
}

/// Whether a character can be shown in the midst of others: those that turn the direction of writing, end a line or are
/// none (Unicode, 23) cannot.
fn is_drawn(char: char) -> bool {
    !char.is_control()
        && !matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        && u32::from(char) & 0xfffe != 0xfffe
}

/// How a certificate is signed, as people call it; the object identifier of what has no name here.
pub(super) fn algorithm_name(identifier: &[u8]) -> String {
    let Some((tag::OID, oid, parameters)) = element(identifier) else { return "an unknown algorithm".into() };
    let name = match oid {
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x02" => "MD2 and RSA",
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04" => "MD5 and RSA",
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05" => "SHA-1 and RSA",
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a" => "RSA-PSS",
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b" => "SHA-256 and RSA",
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c" => "SHA-384 and RSA",
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d" => "SHA-512 and RSA",
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0e" => "SHA-224 and RSA",
        b"\x2a\x86\x48\xce\x38\x04\x03" => "SHA-1 and DSA",
        b"\x60\x86\x48\x01\x65\x03\x04\x03\x02" => "SHA-256 and DSA",
        b"\x2a\x86\x48\xce\x3d\x04\x01" => "SHA-1 and ECDSA",
        b"\x2a\x86\x48\xce\x3d\x04\x03\x01" => "SHA-224 and ECDSA",
        b"\x2a\x86\x48\xce\x3d\x04\x03\x02" => "SHA-256 and ECDSA",
        b"\x2a\x86\x48\xce\x3d\x04\x03\x03" => "SHA-384 and ECDSA",
        b"\x2a\x86\x48\xce\x3d\x04\x03\x04" => "SHA-512 and ECDSA",
        b"\x2b\x65\x70" => "Ed25519",
        b"\x2b\x65\x71" => "Ed448",
        _ => return format!("the algorithm {}", dotted(oid)),
    };
    // NULL is as good as none; only those of RSA-PSS say something (RFC 5758, 3.2).
    match parameters {
        [] | [0x05, 0x00] => name.into(),
        _ if name == "RSA-PSS" => name.into(),
        _ => format!("{name} and parameters that do not belong there"),
    }
}

/// An object identifier as `1.2.840` (X.690, 8.19).
fn dotted(oid: &[u8]) -> String {
    let (mut numbers, mut number) = (Vec::new(), 0_u64);
    for byte in oid.iter().take(MAX_VALUE) {
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            if numbers.is_empty() {
                let first = (number / 40).min(2);
                numbers.push(first);
                number -= first * 40;
            }
            numbers.push(std::mem::take(&mut number));
        }
    }
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(".")
}

/// The first element of DER: its tag, its contents, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (contents, rest) = rest.split_at_checked(len)?;
    Some((*tag, contents, rest))
}

/// One element after the other, as far as there are any: each with its tag and its contents.
fn elements(mut der: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (tag, contents, rest) = element(der)?;
        der = rest;
        Some((tag, contents))
    })
}

/// How long the modulus of an RSA key is, of a SubjectPublicKeyInfo (RFC 5280, 4.1.2.7) without its outermost tag; `None`
/// for a key of another kind.
pub(super) fn rsa_bits(key: &[u8]) -> Option<usize> {
    let (_, algorithm, rest) = element(key)?;
    let (_, oid, _) = element(algorithm)?;
    if oid != RSA_ENCRYPTION {
        return None;
    }
    let (_, bit_string, _) = element(rest)?;
    // The first byte counts the bits that are unused, of which there are none.
    let (_, numbers, _) = element(bit_string.get(1..)?)?;
    let (_, modulus, _) = element(numbers)?;
    let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    let first = modulus.get(zeros)?;
    Some((modulus.len() - zeros) * 8 - first.leading_zeros() as usize)
}

/// A time in seconds since 1970 (RFC 5280, 4.1.2.5), if it is not before.
fn time(tag: u8, text: &[u8]) -> Option<u64> {
    let number = |digits: &[u8]| {
        let is_number = digits.iter().all(u8::is_ascii_digit);
        is_number.then(|| digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
    };
    let (year, text) = match tag {
        tag::UTC_TIME => {
            let (year, text) = text.split_at_checked(2)?;
            let year = number(year)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, text)
        }
        tag::GENERALIZED_TIME => {
            let (year, text) = text.split_at_checked(4)?;
            (number(year)?, text)
        }
        _ => return None,
    };
    let mut fields = text.as_chunks::<2>().0.iter().map(|digits| number(digits));
    let (month, day) = (fields.next()??, fields.next()??);
    let (hour, minute, second) = (fields.next()??, fields.next()??, fields.next().flatten().unwrap_or(0));
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60
    {
        return None;
    }
    // As in date(), years begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// A time since 1970 in seconds, as `2026-01-31 12:00:00 UTC`.
pub(super) fn date(seconds: u64) -> String {
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    // Years are counted from March on here, so that a leap day is the last day of one; 1970-01-01 is day 719468 of the
    // calendar that begins with the year 0.
    let day = days + 719_468;
    let (era, day_of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (time / 3_600, time % 3_600 / 60, time % 60);
    format!("{year:04}-{month:02}-{day_of_month:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_827_696, "2000-02-29 12:34:56 UTC"),
            (4_107_542_399, "2100-02-28 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (253_402_300_799, "9999-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(date(seconds), expected);
        }
    }

    #[test]
    fn a_time_is_read_as_it_is_written() {
        for (tag, text, expected) in [
            (tag::UTC_TIME, &b"700101000000Z"[..], Some("1970-01-01 00:00:00 UTC")),
            (tag::UTC_TIME, b"491231235959Z", Some("2049-12-31 23:59:59 UTC")),
            (tag::UTC_TIME, b"0002291234Z", Some("2000-02-29 12:34:00 UTC")),
            (tag::GENERALIZED_TIME, b"21000228235959Z", Some("2100-02-28 23:59:59 UTC")),
            (tag::GENERALIZED_TIME, b"99991231235959Z", Some("9999-12-31 23:59:59 UTC")),
            (tag::UTC_TIME, b"500101000000Z", None),
            (tag::UTC_TIME, b"701301000000Z", None),
            (tag::UTC_TIME, b"+1-1", None),
            (tag::GENERALIZED_TIME, b"2100", None),
        ] {
            assert_eq!(time(tag, text).map(date).as_deref(), expected);
        }
    }

    #[test]
    fn an_algorithm_without_a_name_is_told_by_its_number() {
        assert_eq!(algorithm_name(b"\x06\x03\x2b\x65\x70"), "Ed25519");
        assert_eq!(algorithm_name(b"\x06\x03\x2a\x86\x48\x05\x00"), "the algorithm 1.2.840");
        assert_eq!(algorithm_name(b"\x06\x02\x88\x37"), "the algorithm 2.999");
        assert_eq!(algorithm_name(b""), "an unknown algorithm");
        let with_a_curve = b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
        assert_eq!(algorithm_name(&with_a_curve[..10]), "SHA-256 and ECDSA");
        assert_eq!(algorithm_name(with_a_curve), "SHA-256 and ECDSA and parameters that do not belong there");
    }

    #[test]
    fn a_name_is_told_by_the_attributes_that_people_know() {
        let name = b"\x31\x0b\x30\x09\x06\x03\x55\x04\x06\x13\x02DE\x31\x0c\x30\x0a\x06\x03\x55\x04\x03\x0c\x03a\x1bb";
        assert_eq!(distinguished_name(name), "C=DE, CN=a?b");
        assert_eq!(distinguished_name(b""), "without a name");
        // BMPString, TeletexString, UniversalString.
        let name = b"\x31\x0d\x30\x0b\x06\x03\x55\x04\x03\x1e\x04\x00a\x20\x2e\x31\x0b\x30\x09\x06\x03\x55\x04\x0a\x14\x02a\xe9\
                     \x31\x0d\x30\x0b\x06\x03\x55\x04\x0b\x1c\x04\x00\x00\x00b";
        assert_eq!(distinguished_name(name), "CN=a?, O=a\u{e9}, OU=b");
    }

    #[test]
    fn a_name_that_is_cut_anywhere_is_no_panic() {
        let name =
            b"\x31\x0b\x30\x09\x06\x03\x55\x04\x06\x13\x02DE\x31\x82\x00\x0c\x30\x0a\x06\x03\x55\x04\x03\x0c\x03abc";
        for len in 0..name.len() {
            let _ = distinguished_name(&name[..len]);
            let _ = distinguished_name(&name[len..]);
        }
    }
}
