//! The public suffix list, for the domains of cookies. The crate psl has it compiled in, so nothing is read or fetched.

use std::net::IpAddr;

use psl::Psl;
use rustler::Binary;

/// The longest name that can be one (RFC 1035, 2.3.4), and a dot.
const MAX_DOMAIN: usize = 256;

/// Whether all of the domain is a public suffix. Under no rule of the list, the last label alone is one (the list's
/// default rule `*`), so `localhost` is and `a.localhost` isn't; an address never is.
#[rustler::nif]
fn is_public_suffix(domain: Binary<'_>) -> bool {
    if domain.len() > MAX_DOMAIN {
        return false;
    }
    // The list is in lower case.
    let domain = domain.to_ascii_lowercase();
    let domain = domain.strip_suffix(b".").unwrap_or(&domain);
    let suffix = psl::List.suffix(domain);
    suffix.is_some_and(|suffix| suffix.as_bytes() == domain) && !is_address(domain)
}

fn is_address(domain: &[u8]) -> bool {
    str::from_utf8(domain).is_ok_and(|domain| domain.parse::<IpAddr>().is_ok())
}
