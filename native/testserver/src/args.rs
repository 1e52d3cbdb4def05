//! The command line.

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Args {
    /// The port on the loopback address; 0 lets the system choose.
    pub(crate) port: u16,
    /// Exit when standard input ends.
    pub(crate) until_eof: bool,
}

pub(crate) const USAGE: &str = "usage: gun_rs_testserver [--port N] [--until-eof]";

/// Reads the arguments that follow the program's name.
///
/// # Errors
///
/// A sentence for the user: an argument is unknown, or the port is no number from 0 to 65535.
pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Args, String> {
    let mut args = Args::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--port" => {
                let value = words.next().ok_or("--port needs a number")?;
                args.port = value.parse().map_err(|_| format!("--port needs a number from 0 to 65535, not {value}"))?;
            }
            "--until-eof" => args.until_eof = true,
            _ => return Err(format!("unknown argument {word}")),
        }
    }
    Ok(args)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &[&str]) -> Result<Args, String> {
        parse(words.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn without_arguments_the_system_chooses_the_port() {
        assert_eq!(parse_words(&[]), Ok(Args { port: 0, until_eof: false }));
    }

    #[test]
    fn arguments_come_in_any_order() {
        let expected = Ok(Args { port: 8080, until_eof: true });
        assert_eq!(parse_words(&["--port", "8080", "--until-eof"]), expected);
        assert_eq!(parse_words(&["--until-eof", "--port", "8080"]), expected);
    }

    #[test]
    fn a_bad_argument_is_named() {
        assert_eq!(parse_words(&["--prot"]), Err("unknown argument --prot".to_owned()));
        assert_eq!(parse_words(&["--port"]), Err("--port needs a number".to_owned()));
        assert_eq!(
            parse_words(&["--port", "65536"]),
            Err("--port needs a number from 0 to 65535, not 65536".to_owned())
        );
    }
}
