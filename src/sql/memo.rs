//! What texts are, remembered: applications send the same few over and over.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use super::{Script, Syntax, Unclassified, classify, fingerprint, read};

/// The last texts that were classified, and what they are.
#[derive(Debug, Default)]
pub struct Memo {
    /// By the hash of the text; empty until the first is kept.
    slots: Vec<Option<Known>>,
}

#[derive(Debug)]
struct Known {
    text: Box<[u8]>,
    syntax: Syntax,
    script: Result<Arc<Script>, Unclassified>,
    /// Its shape, once that was asked for.
    fingerprint: Option<u64>,
}

impl Memo {
    /// Tells what the statements of a text are, as [`classify`] does.
    pub fn classify(&mut self, text: &[u8], syntax: Syntax) -> Result<Arc<Script>, Unclassified> {
        match self.slot(text) {
            Some(Some(known)) if known.is(text, syntax) => known.script.clone(),
            slot => {
                let script = classify(text, syntax).map(Arc::new);
                keep(slot, text, syntax, &script, None);
                script
            }
        }
    }

    /// A text's [`fingerprint`](super::fingerprint); only one that was classified before is remembered.
    pub fn fingerprint(&mut self, text: &[u8], syntax: Syntax) -> u64 {
        match self.slot(text) {
            Some(Some(known)) if known.is(text, syntax) => known.fingerprint(),
            _ => fingerprint(text, syntax),
        }
    }

    /// What a text's statements are, and its fingerprint.
    pub fn read(
        &mut self,
        text: &[u8],
        syntax: Syntax,
    ) -> (Result<Arc<Script>, Unclassified>, u64) {
        match self.slot(text) {
            Some(Some(known)) if known.is(text, syntax) => {
                (known.script.clone(), known.fingerprint())
            }
            slot => {
                let (script, fingerprint) = read(text, syntax);
                let script = script.map(Arc::new);
                keep(slot, text, syntax, &script, Some(fingerprint));
                (script, fingerprint)
            }
        }
    }

    /// Where a text is kept, if it is not too long for that.
    fn slot(&mut self, text: &[u8]) -> Option<&mut Option<Known>> {
        if text.len() > LONGEST {
            return None;
        }
        self.slots.resize_with(SLOTS, || None);
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(text);
        self.slots.get_mut(usize::try_from(hash).unwrap_or_default() % SLOTS)
    }
}

impl Known {
    fn is(&self, text: &[u8], syntax: Syntax) -> bool {
        *self.text == *text && self.syntax == syntax
    }

    fn fingerprint(&mut self) -> u64 {
        *self.fingerprint.get_or_insert_with(|| fingerprint(&self.text, self.syntax))
    }
}

fn keep(
    slot: Option<&mut Option<Known>>,
    text: &[u8],
    syntax: Syntax,
    script: &Result<Arc<Script>, Unclassified>,
    fingerprint: Option<u64>,
) {
    if let Some(slot) = slot {
        *slot = Some(Known { text: text.into(), syntax, script: script.clone(), fingerprint });
    }
}

/// Texts that are remembered, at most.
const SLOTS: usize = 16;

/// Longer ones are seldom sent twice.
const LONGEST: usize = 2048;
