//! What texts are, remembered: applications send the same few over and over.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use super::{Script, Syntax, Unclassified, classify};

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
}

impl Memo {
    /// Tells what the statements of a text are, as [`classify`] does.
    pub fn classify(&mut self, text: &[u8], syntax: Syntax) -> Result<Arc<Script>, Unclassified> {
        if text.len() > LONGEST {
            return classify(text, syntax).map(Arc::new);
        }
        self.slots.resize_with(SLOTS, || None);
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(text);
        let at = usize::try_from(hash).unwrap_or_default() % SLOTS;
        let Some(slot) = self.slots.get_mut(at) else {
            return classify(text, syntax).map(Arc::new);
        };
        match slot {
            Some(known) if *known.text == *text && known.syntax == syntax => known.script.clone(),
            _ => {
                let script = classify(text, syntax).map(Arc::new);
                *slot = Some(Known { text: text.into(), syntax, script: script.clone() });
                script
            }
        }
    }
}

/// Texts that are remembered, at most.
const SLOTS: usize = 16;

/// Longer ones are seldom sent twice.
const LONGEST: usize = 2048;
