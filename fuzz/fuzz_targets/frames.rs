//! The framer: however the bytes of a stream are cut, they are the same messages, and each byte is
//! handed out once. It keeps nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pgabsorb::wire::frame::{BadLength, Framer, HEADER, Interest, OPENING, Step};
use pgabsorb_fuzz::memory;

/// The largest of the limits that are tried.
const LIMIT: usize = OPENING + 255;

fuzz_target!(|data: &[u8]| {
    let [limit, wanted, pieces @ ..] = data else { return };
    let Some((pieces, stream)) = pieces.split_at_checked(PIECES) else { return };
    let framer = Framer::new(OPENING + usize::from(*limit));
    let interest = |tag: u8| {
        if (tag ^ wanted).is_multiple_of(2) { Interest::Whole } else { Interest::Header }
    };

    // Nothing is allocated: 128 bytes are not enough for a copy of a message that is waited for.
    let mut shown = Seen::default();
    memory::within(128, || walk(framer, stream, interest, &mut |_| usize::MAX, &mut shown));
    let mut turn = pieces.iter().cycle();
    let mut next = |_| turn.next().map_or(1, |piece| usize::from(*piece).max(1));
    let mut cut = Seen::default();
    memory::within(128, || walk(framer, stream, interest, &mut next, &mut cut));
    assert_eq!(shown, cut);
});

/// How many pieces a stream is cut into before their sizes come again.
const PIECES: usize = 4;

/// What a stream was seen to be.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    frames: u64,
    /// Of the places, tags and lengths of its messages.
    hash: u64,
    /// Bytes that were handed out.
    done: usize,
    error: Option<BadLength>,
}

impl Seen {
    fn mix(&mut self, number: usize) {
        self.hash = (self.hash ^ number as u64).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    }
}

/// Shows a framer more and more of a stream, so many bytes at a time.
fn walk(
    mut framer: Framer,
    stream: &[u8],
    interest: impl Fn(u8) -> Interest,
    piece: &mut dyn FnMut(usize) -> usize,
    seen: &mut Seen,
) {
    let mut shown = 0;
    while shown < stream.len() {
        shown = shown.saturating_add(piece(shown)).min(stream.len());
        loop {
            let input = &stream[seen.done..shown];
            match framer.step(input, &interest) {
                Ok(Step::Frame(frame)) => {
                    assert_eq!(frame.tag, input[0]);
                    assert_eq!(frame.bytes, &input[..frame.bytes.len()]);
                    assert_eq!(frame.body(), &input[HEADER..frame.bytes.len()]);
                    assert_eq!(frame.whole, framer.at_boundary());
                    let total =
                        1 + u32::from_be_bytes(input[1..HEADER].try_into().unwrap()) as usize;
                    if interest(frame.tag) == Interest::Whole {
                        assert!(frame.bytes.len() == total || frame.bytes.len() == OPENING);
                        assert!(frame.bytes.len() <= LIMIT);
                        seen.mix(frame.bytes.len());
                    }
                    for number in [seen.done, usize::from(frame.tag), total] {
                        seen.mix(number);
                    }
                    seen.frames += 1;
                    seen.done += frame.bytes.len();
                }
                Ok(Step::More(bytes)) => {
                    assert!(!bytes.is_empty());
                    seen.done += bytes.len();
                }
                Ok(Step::Incomplete) => break,
                Err(error) => {
                    assert!(error.length < 4);
                    seen.error = Some(error);
                    return;
                }
            }
        }
        // What is waited for is a header, or a message within the limit.
        assert!(shown - seen.done < LIMIT);
    }
}
