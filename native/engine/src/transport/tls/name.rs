//! What a certificate says of itself, in words: distinguished names (X.501) and dates.

/// The attributes of a distinguished name that people know, as `CN=a, O=b`.
pub(super) fn distinguished_name(der: &[u8]) -> String {
    let mut found = Vec::new();
    // webpki gives the name without its outermost tag.
    let mut names = der;
    while let Some((_, set, rest)) = element(names) {
        names = rest;
        let mut attributes = set;
        while let Some((_, attribute, rest)) = element(attributes) {
            attributes = rest;
            let Some((OID, oid, value)) = element(attribute) else { continue };
            if let (Some(key), Some((_, value, _))) = (attribute_name(oid), element(value)) {
                found.push(format!("{key}={}", printable(value)));
            }
        }
    }
    if found.is_empty() { "without a subject".into() } else { found.join(", ") }
}

/// The tag of an object identifier.
const OID: u8 = 6;

/// The longest value that is worth repeating, in bytes.
const MAX_VALUE: usize = 64;

/// The attributes of X.520 that name somebody: id-at is 2.5.4.
fn attribute_name(oid: &[u8]) -> Option<&'static str> {
    match oid {
        [0x55, 4, 3] => Some("CN"),
        [0x55, 4, 6] => Some("C"),
        [0x55, 4, 10] => Some("O"),
        [0x55, 4, 11] => Some("OU"),
        _ => None,
    }
}

/// Whoever made the certificate has chosen the bytes: they are not to draw on a terminal, nor to fill a log.
fn printable(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value.get(..MAX_VALUE).unwrap_or(value));
    text.chars().map(|char| if char.is_control() { '?' } else { char }).collect()
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

/// How long the modulus of an RSA key is, of a SubjectPublicKeyInfo (RFC 5280, 4.1.2.7) with or without its outermost tag;
/// `None` for a key of another kind.
pub(super) fn rsa_bits(key: &[u8]) -> Option<usize> {
    // RFC 8017, A.1.
    const RSA_ENCRYPTION: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
    let (_, mut algorithm, mut rest) = element(key)?;
    if rest.is_empty() {
        (_, algorithm, rest) = element(algorithm)?;
    }
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
    fn a_name_is_told_by_the_attributes_that_people_know() {
        let name = b"\x31\x0b\x30\x09\x06\x03\x55\x04\x06\x13\x02DE\x31\x0c\x30\x0a\x06\x03\x55\x04\x03\x0c\x03a\x1bb";
        assert_eq!(distinguished_name(name), "C=DE, CN=a?b");
        assert_eq!(distinguished_name(b""), "without a subject");
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
