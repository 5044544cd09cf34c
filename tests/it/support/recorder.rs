//! All that a session puts out, as bytes and words.

use pgabsorb::session::output::{Note, Outcome, Output};

/// All that a session has put out since the last look.
#[derive(Debug, Default, PartialEq)]
pub struct Recorder {
    pub to_backend: Vec<u8>,
    pub to_frontend: Vec<u8>,
    pub notes: Vec<String>,
}

impl Recorder {
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Output for Recorder {
    fn to_backend(&mut self, bytes: &[u8]) {
        self.to_backend.extend_from_slice(bytes);
    }

    fn to_frontend(&mut self, bytes: &[u8]) {
        self.to_frontend.extend_from_slice(bytes);
    }

    fn note(&mut self, note: Note) {
        self.notes.push(match note {
            Note::Conflict(conflict) => match conflict.outcome {
                Outcome::Shown(reason) => format!("shown {}", reason.name()),
                outcome => outcome.name().to_owned(),
            },
            Note::LookupFailed { .. } => "lookup failed".to_owned(),
            Note::NotRewritten { doubt, .. } => format!("not rewritten {}", doubt.name()),
            Note::OutOfStep { .. } => "out of step".to_owned(),
        });
    }
}
