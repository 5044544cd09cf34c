//! Where the tables and plots go: files, and the page of the documentation. It knows nothing of what
//! they say, and tests/it/compare.rs has tests of how the page is filled.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// The places that results are left in.
pub(crate) struct Output {
    directory: PathBuf,
    page: Option<PathBuf>,
}

impl Output {
    /// In a directory, and in a page with another directory beside it.
    pub(crate) fn new(directory: &Path, page: Option<PathBuf>) -> Self {
        Self { directory: directory.to_owned(), page }
    }

    /// Fails if there is no place for one of the parts, before time is spent on it.
    pub(crate) fn check(&self, parts: &[String]) -> io::Result<()> {
        let Some(page) = &self.page else { return Ok(()) };
        let text = fs::read_to_string(page)?;
        parts.iter().try_for_each(|part| place(&text, part).map(drop))
    }

    /// Leaves one part's text.
    pub(crate) fn text(&self, part: &str, text: &str) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        fs::write(self.directory.join(format!("{part}.md")), text)?;
        let Some(page) = &self.page else { return Ok(()) };
        fs::write(page, filled(&fs::read_to_string(page)?, part, text)?)
    }

    /// Leaves a plot.
    pub(crate) fn plot(&self, name: &str, svg: &str) -> io::Result<()> {
        let beside = self.page.as_ref().map(|page| page.with_extension(""));
        for directory in [Some(self.directory.clone()), beside].into_iter().flatten() {
            fs::create_dir_all(&directory)?;
            fs::write(directory.join(format!("{name}.svg")), svg)?;
        }
        Ok(())
    }
}

/// The page with another text between the marks of the part.
pub(crate) fn filled(page: &str, part: &str, text: &str) -> io::Result<String> {
    let (before, after) = place(page, part)?;
    Ok(format!("{before}\n{}\n\n{after}", text.trim()))
}

/// What is before and after the text of a part, the marks included.
fn place<'a>(page: &'a str, part: &str) -> io::Result<(&'a str, &'a str)> {
    let (begin, end) = (format!("<!-- {part}: begin -->\n"), format!("<!-- {part}: end -->\n"));
    let found = page.find(&begin).zip(page.find(&end));
    let found = found.map(|(begins, ends)| (begins + begin.len(), ends));
    found
        .filter(|(begins, ends)| begins <= ends)
        .map(|(begins, ends)| (page.split_at(begins).0, page.split_at(ends).1))
        .ok_or_else(|| io::Error::other(format!("the page has no place for {part}")))
}
