//! The fields of messages, above all an ErrorResponse's: each is a part of the message, read as
//! it is when the fields are laid out one by one; and moving an error's position changes nothing else.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pgabsorb::wire::backend::{self, ErrorFields, TransactionStatus};
use pgabsorb::wire::frame::{Frame, HEADER};
use pgabsorb::wire::frontend::{self, FrontendMessage, Target};
use pgabsorb_fuzz::memory;

fuzz_target!(|data: &[u8]| {
    let Some((&[tag, number], body)) = data.split_first_chunk() else { return };
    let length = u32::try_from(body.len() + 4).expect("inputs are short");
    let message = [&[tag], &length.to_be_bytes()[..], body].concat();
    let frame = Frame { tag, bytes: &message, whole: number.is_multiple_of(2) };
    // A field of one byte is a slice of 16, in lists that grow.
    memory::within(64 * body.len() + 4096, || {
        error(&frame);
        other_replies(frame.body(), usize::from(number));
        from_client(&frame);
    });
});

fn error(frame: &Frame<'_>) {
    let (fields, laid_out) = (ErrorFields::new(frame.body()), laid_out(frame.body()));
    let field = |code: u8| laid_out.iter().find(|(it, _)| *it == code).map(|(_, text)| *text);
    for (read, code) in [
        (fields.schema(), b's'),
        (fields.table(), b't'),
        (fields.constraint(), b'n'),
        (fields.detail(), b'D'),
        (fields.context(), b'W'),
        (fields.routine(), b'R'),
        (fields.severity(), if field(b'V').is_some() { b'V' } else { b'S' }),
    ] {
        assert_eq!(read, field(code), "{}", char::from(code));
    }
    let sqlstate = field(b'C').filter(|text| text.len() == 5);
    assert_eq!(fields.sqlstate().map(|it| it.0.to_vec()), sqlstate.map(<[u8]>::to_vec));

    let position: Option<usize> =
        field(b'P').and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    let unmoved = backend::moved(frame, |from| {
        assert_eq!(Some(from), position);
        from
    });
    assert_eq!(unmoved, None);
    let moved = backend::moved(frame, |from| from / 3 + 1);
    let Some(moved) = moved else { return };
    let to = position.expect("nothing else is moved") / 3 + 1;
    let length = u32::from_be_bytes(moved[1..HEADER].try_into().unwrap()) as usize;
    assert_eq!((moved[0], length + 1), (frame.tag, moved.len()));
    let mut expected = laid_out;
    let to = to.to_string();
    *expected.iter_mut().find(|(code, _)| *code == b'P').map(|(_, text)| text).unwrap() =
        to.as_bytes();
    assert_eq!(self::laid_out(&moved[HEADER..]), expected);
}

/// The fields one by one, up to the first that is not ended or the zero that ends them all.
fn laid_out(body: &[u8]) -> Vec<(u8, &[u8])> {
    let mut texts: Vec<_> = body.split(|byte| *byte == 0).collect();
    texts.pop();
    let fields = texts.into_iter().map_while(<[u8]>::split_first);
    fields.map(|(code, text)| (*code, text)).collect()
}

/// None of them panics, takes more than there is, or is read otherwise the second time.
fn other_replies(body: &[u8], number: usize) {
    if let Some(columns) = backend::data_row(body) {
        let values: usize = columns.iter().flatten().map(|value| value.len()).sum();
        assert!(values + 4 * columns.len() + 2 <= body.len());
    }
    if let Some((name, value)) = backend::parameter_status(body) {
        assert!(name.len() + value.len() + 2 <= body.len());
    }
    if let Some(mechanisms) = backend::sasl_mechanisms(body) {
        assert!(mechanisms.iter().all(|it| !it.is_empty() && !it.contains(&0)));
    }
    let status = TransactionStatus::read(body);
    assert_eq!(status.is_some(), matches!(body, b"I" | b"T" | b"E"));
    let code = backend::authentication_request(body).map(|(code, _)| code);
    assert_eq!(code, backend::backend_pid(body));
    let tag = backend::command_tag(body).unwrap_or_default();
    let complete = [&b"C\0\0\0\0"[..], tag, b"\0"].concat();
    let rows = backend::inserted_rows(&complete);
    assert!(rows.is_none() || tag.starts_with(b"INSERT "));
    let version = backend::major_version(tag);
    assert!(version == 0 || tag[0].is_ascii_digit());
    if let Some(value) = frontend::text_parameter(body, number) {
        assert!(value.len() <= body.len() && number > 0);
    }
    if let Some((mechanism, Some(data))) = frontend::sasl_initial_response(body) {
        assert_eq!(mechanism.len() + 1 + 4 + data.len(), body.len());
    }
}

fn from_client(frame: &Frame<'_>) {
    let body = frame.body();
    let fits = |texts: &[&[u8]]| {
        assert!(texts.iter().map(|text| text.len() + 1).sum::<usize>() <= body.len());
        assert!(texts.iter().all(|text| !text.contains(&0)));
    };
    match FrontendMessage::read(frame) {
        FrontendMessage::Query(Some(text)) => fits(&[text]),
        FrontendMessage::Parse { name, text: Some(text), .. } => fits(&[name, text]),
        FrontendMessage::Bind { portal, statement, values } => {
            fits(&[portal, statement]);
            assert!(body.ends_with(values));
        }
        FrontendMessage::Execute { portal, .. } => fits(&[portal]),
        FrontendMessage::Describe(target) | FrontendMessage::Close(target) => match target {
            Target::Statement(name) | Target::Portal(name) => fits(&[name]),
        },
        FrontendMessage::Query(None) | FrontendMessage::Parse { text: None, .. } => {
            assert!(!frame.whole);
        }
        FrontendMessage::Malformed(tag) | FrontendMessage::Other(tag) => assert_eq!(tag, frame.tag),
        FrontendMessage::Sync | FrontendMessage::FunctionCall | FrontendMessage::CopyEnd => {}
    }
}
