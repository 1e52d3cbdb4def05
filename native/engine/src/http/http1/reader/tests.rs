//! What is read of responses, however their bytes are cut.

use http::Version;
use http::header::CONTENT_LENGTH;
use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { informs: 2, bytes: 200, lines: 4, trailers: 50 };

/// What is read of these responses to such requests, in pieces of that size: the parts of a body are joined.
fn read(wire: &str, asked: &[Asked], size: usize) -> (Vec<String>, Option<Fault>) {
    let mut reader = Reader::new(LIMITS);
    let (mut asked, mut told, mut body) = (asked.iter(), Vec::new(), Vec::new());
    let mut awaited = false;
    for bytes in wire.as_bytes().chunks(size) {
        reader.receive(BytesMut::from(bytes));
        loop {
            if !awaited {
                let Some(next) = asked.next() else { break };
                reader.expect(*next);
                awaited = true;
            }
            match reader.next_piece() {
                Ok(Some(piece)) => awaited = !tell(piece, &mut told, &mut body),
                Ok(None) => break,
                Err(fault) => return (told, Some(fault)),
            }
        }
        reader.keep();
    }
    if let Some(piece) = reader.end() {
        tell(piece, &mut told, &mut body);
    }
    let rest = reader.take_rest();
    if !rest.is_empty() {
        told.push(format!("rest {}", String::from_utf8_lossy(&rest)));
    }
    (told, None)
}

/// Whether it ends a response.
fn tell(piece: Piece, told: &mut Vec<String>, body: &mut Vec<u8>) -> bool {
    match piece {
        Piece::Inform(status, headers) => told.push(format!("inform {} {}", status.as_u16(), headers.len())),
        Piece::Head(head) => {
            let version = if head.version == Version::HTTP_11 { "" } else { " of 1.0" };
            told.push(format!("{}{version} {:?}", head.status.as_u16(), head.length));
            return head.length == Length::Exact(0);
        }
        Piece::Data { data, fin } => {
            body.extend_from_slice(&data);
            if fin {
                told.push(String::from_utf8(std::mem::take(body)).unwrap());
            }
            return fin;
        }
        Piece::Trailers(trailers) => {
            told.push(format!("{} and {} trailers", String::from_utf8(std::mem::take(body)).unwrap(), trailers.len()));
            return true;
        }
    }
    false
}

/// These responses are read so, whatever their pieces.
fn reads(wire: &str, asked: &[Asked], expected: &[&str]) {
    for size in [1, 2, 7, 50, wire.len()] {
        let (told, fault) = read(wire, asked, size);
        assert_eq!((told.iter().map(String::as_str).collect::<Vec<_>>(), fault), (expected.to_vec(), None), "{size}");
    }
}

/// This response is faulty, whatever its pieces.
fn fails(wire: &str, fault: Fault) {
    for size in [1, 2, 7, wire.len()] {
        assert_eq!(read(wire, &[Asked::Other], size).1, Some(fault), "{wire:?}");
    }
}

#[test]
fn responses_come_one_after_the_other() {
    let wire = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello\
        HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n\
        HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n\
        HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx: y\r\n\r\n\
        HTTP/1.1 200\r\ncontent-length: 0\r\n\r\nmore";
    let expected = [
        "200 Exact(5)",
        "hello",
        "inform 103 1",
        "204 Exact(0)",
        "200 Chunked",
        "abc",
        "200 Chunked",
        "a and 1 trailers",
        "200 Exact(0)",
        "rest more",
    ];
    reads(wire, &[Asked::Other; 5], &expected);
}

#[test]
fn the_request_and_the_status_say_whether_there_is_a_body() {
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
    reads(&format!("{ok}{ok}hello"), &[Asked::Head, Asked::Other], &["200 Exact(0)", "200 Exact(5)", "hello"]);
    reads(&format!("{ok}hello"), &[Asked::Connect], &["200 Exact(0)", "rest hello"]);
    let refused = "HTTP/1.1 407 No\r\ncontent-length: 2\r\n\r\nno";
    reads(refused, &[Asked::Connect], &["407 Exact(2)", "no"]);
    reads("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", &[Asked::Other], &["304 Exact(0)"]);
    reads("HTTP/1.1 101 Switching Protocols\r\n\r\n\x01", &[Asked::Other], &["101 Exact(0)", "rest \x01"]);
    reads("HTTP/1.0 200 OK\r\n\r\nto the end", &[Asked::Other], &["200 of 1.0 UntilClose", "to the end"]);
    let coded = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, gzip\r\ncontent-length: 2\r\n\r\nto the end";
    reads(coded, &[Asked::Other], &["200 UntilClose", "to the end"]);
    let both = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: x, Chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
    reads(both, &[Asked::Other], &["200 Chunked", "a"]);
    let agreed = "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\ncontent-length: 02\r\n\r\nab";
    reads(agreed, &[Asked::Other], &["200 Exact(2)", "ab"]);
}

#[test]
fn what_is_no_response_is_a_fault() {
    for (wire, fault) in [
        ("SSH-2.0-OpenSSH_9.2\r\n", Fault::Version),
        ("HTTP/2.0 200 OK\r\n\r\n", Fault::Version),
        ("HTTP/1.1 2x0 OK\r\n\r\n", Fault::Status),
        ("HTTP/1.1  200 OK\r\n\r\n", Fault::Status),
        ("HTTP/1.1 099 OK\r\n\r\n", Fault::Status),
        ("HTTP/1.1 200 OK\r\na b: c\r\n\r\n", Fault::Header),
        ("HTTP/1.1 200 OK\r\na : c\r\n\r\n", Fault::Header),
        ("HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n", Fault::Header),
        ("HTTP/1.1 200 OK\r\n: b\r\n\r\n", Fault::Header),
        ("HTTP/1.1 200 OK\r\na: \0\r\n\r\n", Fault::Header),
        ("HTTP/1.1 200 OK\r\na: b\nc: d\r\n\r\n", Fault::BareLineEnd),
        ("HTTP/1.1 200 OK\r\na: b\r\nb: b\r\nc: b\r\nd: b\r\ne: b\r\n\r\n", Fault::HeadTooLarge),
        ("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", Fault::UnexpectedEncoding),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5x\r\n\r\n", Fault::ContentLength),
        ("HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\n", Fault::ContentLength),
        ("HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\n", Fault::ContentLength),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n", Fault::ContentLength),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5, 6\r\n\r\n", Fault::ContentLength),
        ("HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n", Fault::ContentLengthTooLarge),
        ("HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\n", Fault::ContentLengthTooLarge),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx", Fault::ChunkSize),
    ] {
        fails(wire, fault);
    }
    fails(&format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(200)), Fault::HeadTooLarge);
    fails(&"HTTP/1.1 100 Continue\r\n\r\n".repeat(3), Fault::TooManyInforms);
}

#[test]
fn what_cannot_become_a_response_is_a_fault_before_it_is_complete() {
    for wire in ["220 mail.example.org ESMTP", "HTTP/3", "HTTP/1.1 xxx", "HTTP/1.1 200 OK\r\nno header\r"] {
        let mut reader = Reader::new(LIMITS);
        reader.expect(Asked::Other);
        reader.receive(BytesMut::from(wire));
        assert!(reader.next_piece().is_err(), "{wire}");
    }
}

#[test]
fn the_values_of_headers_are_what_was_sent() {
    let mut reader = Reader::new(LIMITS);
    reader.expect(Asked::Other);
    reader.receive(BytesMut::from("HTTP/1.1 200 OK\r\nX-One:  a b \t\r\ncontent-length: 1\r\nx-one: \r\n\r\n"));
    let Ok(Some(Piece::Head(head))) = reader.next_piece() else { panic!("no head") };
    assert_eq!(head.headers.get_all("x-one").into_iter().collect::<Vec<_>>(), ["a b", ""]);
    assert_eq!(head.headers[CONTENT_LENGTH], "1");
}

#[test]
fn it_knows_where_in_the_stream_a_response_begins() {
    let mut reader = Reader::new(LIMITS);
    reader.receive(BytesMut::from("HTTP/1.1 204 No Content\r\n\r\nHTTP"));
    reader.expect(Asked::Other);
    assert_eq!((reader.began(), reader.received()), (0, 31));
    assert!(matches!(reader.next_piece(), Ok(Some(Piece::Head(_)))));
    assert_eq!(reader.next_piece(), Ok(None), "nothing is awaited");
    reader.expect(Asked::Other);
    assert_eq!((reader.began(), reader.received()), (27, 31));
}

/// What a server may send, honestly or not, in any order.
const FRAGMENTS: &[&str] = &[
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 204 No Content\r\n",
    "HTTP/1.0 200 OK\r\n",
    "HTTP/1.1 103 Early Hints\r\n",
    "content-length: 5\r\n",
    "Content-Length: 0\r\n",
    "transfer-encoding: chunked\r\n",
    "x-y: z\r\n",
    "\r\n",
    "hello",
    "5\r\nhello\r\n",
    "1;a=b\r\n!\r\n",
    "0\r\n",
    "0\r\n\r\n",
    "\n",
    "\r",
    " ",
    "\u{1}",
    "a",
];

proptest! {
    #[test]
    fn however_the_bytes_are_cut_the_same_is_read(
        fragments in proptest::collection::vec(proptest::sample::select(FRAGMENTS), 0..20),
        heads in proptest::collection::vec(any::<bool>(), 8),
        size in 1..50_usize,
    ) {
        // What can't become a head is a fault sooner or later; once the head is over, it is one for certain.
        let wire = fragments.concat() + "\r\n\r\n";
        let asked: Vec<_> = heads.iter().map(|head| if *head { Asked::Head } else { Asked::Other }).collect();
        let (whole, fault) = read(&wire, &asked, wire.len());
        let (cut, cut_fault) = read(&wire, &asked, size);
        prop_assert_eq!(fault.is_some(), cut_fault.is_some());
        prop_assert_eq!(whole, cut);
    }
}
