//! Where the parser is, in the original and in the repaired document that it sees.
//!
//! A repair changes columns, never lines. The parser tells of an error by line and column of what it saw, and only after
//! it has read on to close what was open; so the places that it may still speak of are kept for a while.

use std::cell::Cell;

use super::error::Place;

/// The parser skips on after an error, over blanks and closing brackets: so many lines are remembered.
const LINES: usize = 64;

/// Where the parser is, in the original and in what it was given: shared with whoever makes the records.
#[derive(Debug)]
pub(crate) struct Position {
    line: Cell<u64>,
    /// The byte served last was a newline: it belongs to the line before.
    on_newline: Cell<bool>,
    /// Offset in the original of the next byte, and how many bytes have been served.
    raw: Cell<u64>,
    served: Cell<u64>,
    /// Where the latest lines began: in the original and in what was served.
    lines: [Cell<(u64, u64)>; LINES],
    /// The end of the latest repaired piece but one, and of the latest: in the original and in what was served.
    patches: Cell<[(u64, u64); 2]>,
}

impl Default for Position {
    fn default() -> Self {
        Self {
            line: Cell::new(1),
            on_newline: Cell::default(),
            raw: Cell::default(),
            served: Cell::default(),
            lines: [const { Cell::new((0, 0)) }; LINES],
            patches: Cell::default(),
        }
    }
}

impl Position {
    /// The place of the byte that was served last.
    pub(crate) fn place(&self) -> Place {
        Place { line: self.line(), byte: self.raw.get().saturating_sub(1) }
    }

    /// The line that the parser looked at last, from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line.get() - u64::from(self.on_newline.get())
    }

    /// The line of the byte that comes next, from 1.
    pub(crate) fn next_line(&self) -> u64 {
        self.line.get()
    }

    /// The place of an error of the parser, which counts in what it was given: the line is the same, the column is not.
    pub(crate) fn place_of(&self, line: u64, column: u64) -> Place {
        if line == 0 || line > self.line.get() || line + LINES as u64 <= self.line.get() {
            return self.place();
        }
        let (mut raw, mut served) = self.lines[line as usize % LINES].get();
        let wanted = (served + column).saturating_sub(1);
        for (patch_raw, patch_served) in self.patches.get() {
            if patch_served > served && patch_served <= wanted {
                (raw, served) = (patch_raw, patch_served);
            }
        }
        let byte = if wanted >= served { raw + (wanted - served) } else { raw.saturating_sub(1) };
        Place { line: if column == 0 { (line - 1).max(1) } else { line }, byte }
    }

    /// A byte of the original goes to the parser.
    pub(crate) fn serve(&self, byte: u8) {
        self.raw.set(self.raw.get() + 1);
        self.served.set(self.served.get() + 1);
        self.on_newline.set(byte == b'\n');
        if byte == b'\n' {
            let line = self.line.get() + 1;
            self.line.set(line);
            self.lines[line as usize % LINES].set((self.raw.get(), self.served.get()));
        }
    }

    /// A repaired piece has gone to the parser: so many bytes of the original, so many others in their stead.
    pub(crate) fn serve_patch(&self, raw: usize, patch: usize) {
        self.raw.set(self.raw.get() + raw as u64);
        self.served.set(self.served.get() + patch as u64);
        self.on_newline.set(false);
        self.patches.set([self.patches.get()[1], (self.raw.get(), self.served.get())]);
    }

    /// So many bytes at the start of the original do not go to the parser.
    pub(crate) fn skip_mark(&self, raw: usize) {
        self.raw.set(raw as u64);
        self.lines[1].set((raw as u64, 0));
    }
}
