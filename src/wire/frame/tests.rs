use proptest::prelude::*;

use super::*;

fn message(tag: u8, body: usize) -> Vec<u8> {
    let length = i32::try_from(body + 4).unwrap();
    [&[tag][..], &length.to_be_bytes(), &vec![b'x'; body]].concat()
}

#[test]
fn a_message_that_is_read_is_waited_for() {
    let query = message(b'Q', 20);
    let mut framer = Framer::new(1 << 20);
    for short in [0, 4, 5, 24] {
        let step = framer.step(&query[..short], |_| Interest::Whole);
        assert_eq!(step, Ok(Step::Incomplete), "{short} bytes");
    }
    let frame = Frame { tag: b'Q', bytes: &query, whole: true };
    assert_eq!(framer.step(&query, |_| Interest::Whole), Ok(Step::Frame(frame)));
    assert!(framer.at_boundary());
}

#[test]
fn a_message_that_is_not_read_passes_as_it_comes() {
    let row = message(b'D', 20);
    let mut framer = Framer::new(1 << 20);
    let frame = Frame { tag: b'D', bytes: &row[..7], whole: false };
    assert_eq!(framer.step(&row[..7], |_| Interest::Header), Ok(Step::Frame(frame)));
    assert!(!framer.at_boundary());
    assert_eq!(framer.step(&row[7..], |_| Interest::Header), Ok(Step::More(&row[7..])));
    assert!(framer.at_boundary());
}

#[test]
fn a_message_over_the_limit_is_seen_by_its_opening() {
    let parse = message(b'P', 5000);
    let mut framer = Framer::new(1024);
    let short = framer.step(&parse[..OPENING - 1], |_| Interest::Whole);
    assert_eq!(short, Ok(Step::Incomplete));
    let frame = Frame { tag: b'P', bytes: &parse[..OPENING], whole: false };
    assert_eq!(framer.step(&parse[..OPENING], |_| Interest::Whole), Ok(Step::Frame(frame)));
    assert_eq!(
        framer.step(&parse[OPENING..], |_| Interest::Whole),
        Ok(Step::More(&parse[OPENING..]))
    );
}

#[test]
fn a_length_below_four_is_no_message() {
    for length in [0, 3, -1, i32::MIN] {
        let bytes = [&[b'Q'][..], &length.to_be_bytes()].concat();
        let step = Framer::new(1024).step(&bytes, |_| Interest::Whole);
        assert_eq!(step, Err(BadLength { tag: b'Q', length }));
    }
}

#[test]
fn a_length_of_two_gigabytes_asks_for_no_memory() {
    let bytes = [&[b'd'][..], &i32::MAX.to_be_bytes(), b"some"].concat();
    let step = Framer::new(1024).step(&bytes, |_| Interest::Header);
    assert_eq!(step, Ok(Step::Frame(Frame { tag: b'd', bytes: &bytes, whole: false })));
}

proptest! {
    /// However a stream is cut, all of it is handed out, and each message begins once.
    #[test]
    fn any_cut_hands_out_the_same_messages(
        messages in prop::collection::vec((prop::sample::select(b"QDPdZ".to_vec()), 0_usize..3000), 1..8),
        cuts in prop::collection::vec(1_usize..700, 1..40),
    ) {
        let stream: Vec<u8> = messages.iter().flat_map(|&(tag, body)| message(tag, body)).collect();
        let interest = |tag| if tag == b'D' || tag == b'd' { Interest::Header } else { Interest::Whole };
        let mut framer = Framer::new(1024);
        let (mut out, mut tags, mut start, mut end) = (Vec::new(), Vec::new(), 0, 0);
        for cut in cuts.iter().cycle() {
            if start == stream.len() { break }
            end = (end + cut).min(stream.len());
            while start < end {
                let taken = match framer.step(&stream[start..end], interest).unwrap() {
                    Step::Frame(frame) => { tags.push(frame.tag); frame.bytes }
                    Step::More(bytes) => bytes,
                    Step::Incomplete => break,
                };
                out.extend_from_slice(taken);
                start += taken.len();
            }
        }
        prop_assert_eq!(out, stream);
        prop_assert_eq!(tags, messages.iter().map(|&(tag, _)| tag).collect::<Vec<_>>());
    }
}
