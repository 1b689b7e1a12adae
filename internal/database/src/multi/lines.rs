//! Numbers in lines of the processor's cache: what one wait for memory brings.
//!
//! Where there are many, waiting for one of them is waiting for the memory itself and, before that, for the processor to
//! find out where it is: of pages of 4 KB it keeps a few thousand in mind, of a table of a million chats more are in use.
//! So the system is asked for pages of 2 MB (`madvise(2)`, `MADV_HUGEPAGE`), which it gives where it has some.

use std::ops::Range;

use memmap2::MmapMut;

/// How many numbers are in a line.
pub(super) const IN_A_LINE: usize = 8;
const BYTES_IN_A_LINE: usize = IN_A_LINE * size_of::<u64>();
/// How many bytes a large page has.
const PAGE: usize = 2 << 20;

/// Lines of numbers.
pub(super) struct Lines {
    /// Has room before the lines for the first of them to be where a large page begins.
    memory: MmapMut,
    begin: usize,
    len: usize,
}

impl Lines {
    /// So many lines, with this everywhere.
    pub(super) fn filled_with(number: u64, len: usize) -> Self {
        let mut lines = Self::new(len);
        let bytes = lines.bytes();
        lines.memory[bytes].as_chunks_mut().0.fill(number.to_ne_bytes());
        lines
    }

    fn new(len: usize) -> Self {
        let bytes = len * BYTES_IN_A_LINE;
        let is_large = bytes >= PAGE;
        // As where any other memory cannot be had.
        let memory = MmapMut::map_anon(bytes + if is_large { PAGE } else { 0 }).expect("memory for the routes");
        let begin = if is_large { memory.as_ptr().align_offset(PAGE) } else { 0 };
        #[cfg(target_os = "linux")]
        if is_large {
            // Without large pages it is slower.
            let _ = memory.advise(memmap2::Advice::HugePage);
        }
        Self { memory, begin, len }
    }

    /// How many lines there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn bytes(&self) -> Range<usize> {
        self.begin..self.begin + self.len * BYTES_IN_A_LINE
    }

    fn at(&self, line: usize, entry: usize) -> usize {
        debug_assert!(line < self.len && entry < IN_A_LINE, "behind the lines is other memory");
        self.begin + line * BYTES_IN_A_LINE + entry * size_of::<u64>()
    }

    /// A number of a line.
    #[inline]
    pub(super) fn get(&self, line: usize, entry: usize) -> u64 {
        let at = self.at(line, entry);
        let (bytes, _) = self.memory[at..].split_first_chunk().expect("a line of the table");
        u64::from_ne_bytes(*bytes)
    }

    /// Puts another number there.
    pub(super) fn set(&mut self, line: usize, entry: usize, number: u64) {
        let at = self.at(line, entry);
        self.memory[at..at + size_of::<u64>()].copy_from_slice(&number.to_ne_bytes());
    }
}

impl Clone for Lines {
    fn clone(&self) -> Self {
        let mut copy = Self::new(self.len);
        let bytes = copy.bytes();
        copy.memory[bytes].copy_from_slice(&self.memory[self.bytes()]);
        copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_apart_and_a_copy_is_another() {
        // Some in a page of 4 KB, some in large pages and a part of one.
        for len in [1, 64, 2 * PAGE / BYTES_IN_A_LINE + 1] {
            let mut lines = Lines::filled_with(7, len);
            assert_eq!((lines.len(), lines.memory[lines.begin..].as_ptr().align_offset(64)), (len, 0));
            let all = || (0..len).flat_map(|line| (0..IN_A_LINE).map(move |entry| (line, entry)));
            assert!(all().all(|(line, entry)| lines.get(line, entry) == 7));
            let before = lines.clone();
            all().for_each(|(line, entry)| lines.set(line, entry, (line * IN_A_LINE + entry) as u64));
            let copy = lines.clone();
            for lines in [lines, copy] {
                assert!(all().all(|(line, entry)| lines.get(line, entry) == (line * IN_A_LINE + entry) as u64));
            }
            assert!(all().all(|(line, entry)| before.get(line, entry) == 7));
        }
    }
}
