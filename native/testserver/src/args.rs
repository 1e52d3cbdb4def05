//! The command line.

use std::path::PathBuf;

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Args {
    /// The port on the loopback address; 0 lets the system choose.
    pub(crate) port: u16,
    /// Exit when standard input ends.
    pub(crate) until_eof: bool,
    /// Compress messages for clients that offer it.
    pub(crate) deflate: bool,
    /// Speak TLS.
    pub(crate) tls: Option<Tls>,
    /// Speak HTTP/2.
    pub(crate) http2: Option<Http2>,
}

/// How to speak HTTP/2. What is `None` is as the RFC has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Http2 {
    /// The most streams that a client may have open at a time.
    pub(crate) max_streams: Option<u32>,
    /// The window of the connection and of each stream, in bytes.
    pub(crate) window: Option<u32>,
}

/// How to speak TLS.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tls {
    /// The certificates to send, the server's first, in a PEM file.
    pub(crate) cert: PathBuf,
    /// Its private key, in a PEM file.
    pub(crate) key: PathBuf,
    /// Ask for a certificate that one of these signed, and accept no client without.
    pub(crate) client_ca: Option<PathBuf>,
    /// `1.2` or `1.3`; none means both.
    pub(crate) version: Option<String>,
    /// The protocols to choose from, the best first.
    pub(crate) alpn: Vec<String>,
    /// The bytes of data in a record, at most.
    pub(crate) max_fragment: Option<usize>,
}

pub(crate) const USAGE: &str = "usage: gun_rs_testserver [--port N] [--until-eof] [--deflate] [--tls CERT KEY [--client-ca FILE] \
    [--tls-version 1.2|1.3] [--alpn NAME,...] [--max-fragment N]] [--http2 [--max-streams N] [--window N]]";

/// Reads the arguments that follow the program's name.
///
/// # Errors
///
/// A sentence for the user: an argument is unknown, lacks its value, or has one that it cannot have.
pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Args, String> {
    let mut args = Args::default();
    while let Some(word) = words.next() {
        let mut value = |what: &str| words.next().ok_or(format!("{word} needs {what}"));
        match word.as_str() {
            "--port" => {
                let value = value("a number")?;
                args.port = value.parse().map_err(|_| format!("--port needs a number from 0 to 65535, not {value}"))?;
            }
            "--until-eof" => args.until_eof = true,
            "--deflate" => args.deflate = true,
            "--tls" => {
                let tls = args.tls.get_or_insert_default();
                tls.cert = value("two files")?.into();
                tls.key = value("two files")?.into();
            }
            "--client-ca" => tls(&mut args)?.client_ca = Some(value("a file")?.into()),
            "--tls-version" => {
                let value = value("a version")?;
                if !matches!(value.as_str(), "1.2" | "1.3") {
                    return Err(format!("--tls-version needs 1.2 or 1.3, not {value}"));
                }
                tls(&mut args)?.version = Some(value);
            }
            "--alpn" => tls(&mut args)?.alpn = value("names")?.split(',').map(str::to_owned).collect(),
            "--max-fragment" => {
                let value = value("a number")?;
                let size = value.parse().ok().filter(|size| *size > 0);
                let size = size.ok_or(format!("--max-fragment needs a number above 0, not {value}"))?;
                tls(&mut args)?.max_fragment = Some(size);
            }
            "--http2" => {
                args.http2.get_or_insert_default();
            }
            "--max-streams" => http2(&mut args)?.max_streams = Some(number(&value("a number")?, &word)?),
            "--window" => {
                // The connection's window cannot be below the one that it begins with (RFC 9113, 6.9.2).
                let size = number(&value("a number")?, &word)?;
                let size = Some(size).filter(|size| (65_535..1 << 31).contains(size));
                let size = size.ok_or("--window needs a number from 65535 to 2147483647".to_owned())?;
                http2(&mut args)?.window = Some(size);
            }
            _ => return Err(format!("unknown argument {word}")),
        }
    }
    Ok(args)
}

fn tls(args: &mut Args) -> Result<&mut Tls, String> {
    args.tls.as_mut().ok_or("what is about TLS comes after --tls".to_owned())
}

fn http2(args: &mut Args) -> Result<&mut Http2, String> {
    args.http2.as_mut().ok_or("what is about HTTP/2 comes after --http2".to_owned())
}

fn number(value: &str, word: &str) -> Result<u32, String> {
    value.parse().map_err(|_| format!("{word} needs a number, not {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &[&str]) -> Result<Args, String> {
        parse(words.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn without_arguments_the_system_chooses_the_port() {
        assert_eq!(parse_words(&[]), Ok(Args::default()));
    }

    #[test]
    fn arguments_come_in_any_order() {
        let expected = Ok(Args { port: 8080, until_eof: true, deflate: true, ..Args::default() });
        assert_eq!(parse_words(&["--port", "8080", "--until-eof", "--deflate"]), expected);
        assert_eq!(parse_words(&["--deflate", "--until-eof", "--port", "8080"]), expected);
    }

    #[test]
    fn what_is_about_tls_comes_after_the_certificate() {
        let words = [
            "--tls",
            "a.pem",
            "a.key",
            "--client-ca",
            "b.pem",
            "--tls-version",
            "1.2",
            "--alpn",
            "h2,http/1.1",
            "--max-fragment",
            "7",
        ];
        let tls = Tls {
            cert: "a.pem".into(),
            key: "a.key".into(),
            client_ca: Some("b.pem".into()),
            version: Some("1.2".to_owned()),
            alpn: vec!["h2".to_owned(), "http/1.1".to_owned()],
            max_fragment: Some(7),
        };
        assert_eq!(parse_words(&words), Ok(Args { tls: Some(tls), ..Args::default() }));
        assert_eq!(parse_words(&words[3..]), Err("what is about TLS comes after --tls".to_owned()));
    }

    #[test]
    fn what_is_about_http2_comes_after_it() {
        let http2 = Http2 { max_streams: Some(3), window: Some(100_000) };
        let expected = Ok(Args { http2: Some(http2), ..Args::default() });
        assert_eq!(parse_words(&["--http2", "--max-streams", "3", "--window", "100000"]), expected);
        assert_eq!(parse_words(&["--max-streams", "3"]), Err("what is about HTTP/2 comes after --http2".to_owned()));
        let small = Err("--window needs a number from 65535 to 2147483647".to_owned());
        assert_eq!(parse_words(&["--http2", "--window", "65534"]), small);
    }

    #[test]
    fn a_bad_argument_is_named() {
        assert_eq!(parse_words(&["--prot"]), Err("unknown argument --prot".to_owned()));
        assert_eq!(parse_words(&["--port"]), Err("--port needs a number".to_owned()));
        assert_eq!(
            parse_words(&["--port", "65536"]),
            Err("--port needs a number from 0 to 65535, not 65536".to_owned())
        );
        assert_eq!(parse_words(&["--tls", "a.pem"]), Err("--tls needs two files".to_owned()));
        assert_eq!(
            parse_words(&["--tls", "a", "b", "--tls-version", "1.1"]),
            Err("--tls-version needs 1.2 or 1.3, not 1.1".to_owned())
        );
        assert_eq!(
            parse_words(&["--tls", "a", "b", "--max-fragment", "0"]),
            Err("--max-fragment needs a number above 0, not 0".to_owned())
        );
    }
}
