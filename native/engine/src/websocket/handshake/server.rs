//! The server's half of the opening handshake (RFC 6455, 4.2): what answers the key, and the choice among the extensions
//! that are offered.

use tungstenite::handshake::derive_accept_key;

use crate::options::DeflateOptions;
use crate::websocket::deflate::Agreed;

/// The value of the sec-websocket-accept header that answers this key.
#[must_use]
pub fn accept_key(key: &[u8]) -> String {
    derive_accept_key(key)
}

/// Takes the first of the offers that the options allow: what is agreed on, and the value of the sec-websocket-extensions
/// header that says so. `offers` is what the client's headers of that name hold, joined by commas.
#[must_use]
pub fn negotiate(offers: &str, options: &DeflateOptions) -> Option<(Agreed, String)> {
    let offers = offers.to_ascii_lowercase();
    offers.split(',').find_map(|offer| options.answer(offer))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(offers: &str, options: &DeflateOptions) -> Option<String> {
        negotiate(offers, options).map(|(_, answer)| answer)
    }

    #[test]
    fn the_key_is_answered() {
        // RFC 6455, 1.3.
        assert_eq!(accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn an_offer_is_answered_with_what_it_asks_for() {
        let rows = [
            ("", None),
            ("permessage-deflate", Some("")),
            ("Permessage-Deflate ; Client_Max_Window_Bits", Some("; client_max_window_bits=15")),
            ("permessage-deflate; client_max_window_bits=10", Some("; client_max_window_bits=10")),
            ("permessage-deflate; client_max_window_bits=\"8\"", Some("; client_max_window_bits=8")),
            ("permessage-deflate; server_max_window_bits=10", Some("; server_max_window_bits=10")),
            ("permessage-deflate; server_max_window_bits=15", Some("; server_max_window_bits=15")),
            ("permessage-deflate;server_no_context_takeover", Some("; server_no_context_takeover")),
            (
                "permessage-deflate; client_no_context_takeover;server_no_context_takeover",
                Some("; server_no_context_takeover; client_no_context_takeover"),
            ),
            ("permessage-deflate; server_max_window_bits", None),
            ("permessage-deflate; server_max_window_bits=16", None),
            ("permessage-deflate; server_max_window_bits=7", None),
            ("permessage-deflate; client_max_window_bits=08", None),
            ("permessage-deflate; client_max_window_bits=", None),
            ("permessage-deflate; client_no_context_takeover=1", None),
            ("permessage-deflate; unknown", None),
            ("permessage-deflate; unknown=1", None),
            ("permessage-deflate;", None),
            ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", None),
            ("permessage-deflate; client_max_window_bits; client_max_window_bits", None),
            ("permessage-deflate; client_max_window_bits; client_max_window_bits=10", None),
            ("permessage-deflate; client_max_window_bits=10; client_max_window_bits", None),
            ("x-webkit-deflate-frame", None),
            ("permessage-deflated", None),
            ("x, permessage-deflate; server_max_window_bits=1, , permessage-deflate", Some("")),
            ("permessage-deflate; client_max_window_bits, permessage-deflate", Some("; client_max_window_bits=15")),
        ];
        for (offers, parameters) in rows {
            let expected = parameters.map(|parameters| format!("permessage-deflate{parameters}"));
            assert_eq!(answer(offers, &DeflateOptions::default()), expected, "{offers}");
        }
    }

    #[test]
    fn takeovers_that_are_not_wanted_are_refused_unasked() {
        let options = DeflateOptions {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            ..DeflateOptions::default()
        };
        let both = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        for offer in ["permessage-deflate", "permessage-deflate; client_no_context_takeover"] {
            assert_eq!(answer(offer, &options).as_deref(), Some(both));
        }
    }

    #[test]
    fn the_smaller_window_is_answered_and_the_clients_only_where_it_offers_one() {
        let options = DeflateOptions {
            server_max_window_bits: Some(11),
            client_max_window_bits: Some(12),
            ..DeflateOptions::default()
        };
        let rows = [
            ("client_max_window_bits", Some((11, 12))),
            ("client_max_window_bits=13; server_max_window_bits=13", Some((11, 12))),
            ("client_max_window_bits=9; server_max_window_bits=10", Some((10, 9))),
            ("server_max_window_bits=10", None),
        ];
        for (parameters, windows) in rows {
            let found = negotiate(&format!("permessage-deflate; {parameters}"), &options);
            let expected = windows.map(|(server, client)| {
                format!("permessage-deflate; server_max_window_bits={server}; client_max_window_bits={client}")
            });
            assert_eq!(found.as_ref().map(|(_, answer)| answer.clone()), expected);
            let agreed = found.map(|(agreed, _)| (agreed.server_max_window_bits, agreed.client_max_window_bits));
            assert_eq!(agreed, windows);
        }
        assert_eq!(answer("permessage-deflate", &options), None);
    }

    fn options() -> impl Strategy<Value = DeflateOptions> {
        let bits = || prop::option::of(8..=15u8);
        (any::<[bool; 3]>(), bits(), bits()).prop_map(|(flags, server_max_window_bits, client)| {
            let [server_no_context_takeover, client_no_context_takeover, offers_client_window] = flags;
            DeflateOptions {
                server_no_context_takeover,
                client_no_context_takeover,
                server_max_window_bits,
                client_max_window_bits: client.filter(|_| offers_client_window),
                offers_client_window,
                ..DeflateOptions::default()
            }
        })
    }

    proptest! {
        #[test]
        fn a_client_of_ours_agrees_on_the_same(client in options(), server in options()) {
            match negotiate(&client.offer(), &server) {
                Some((agreed, answer)) => prop_assert_eq!(client.accept(&answer), Ok(agreed)),
                None => {
                    let configured = server.client_max_window_bits.is_some_and(|bits| bits < 15);
                    prop_assert!(configured && !client.offers_client_window);
                }
            }
        }

        #[test]
        fn no_offer_makes_it_panic(offers in "(permessage-deflate|[a-z;,= \"]|server_max_window_bits|\\PC|1[0-6]?){0,12}") {
            let _ = negotiate(&offers, &DeflateOptions::default());
        }
    }
}
