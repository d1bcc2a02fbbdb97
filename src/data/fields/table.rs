//! Rows of cells: lines with tabs in them, and CSV as RFC 4180 has it.
//!
//! A library for CSV would take an open quote for a cell that goes on to the file's end, and pass over empty lines: here both
//! are refused where they stand, as either one shifts or swallows examples.

use crate::error::{Error, Result};

/// A row: its line in the file and its cells.
#[derive(Debug, Default)]
pub(super) struct TableRow {
    pub line: u32,
    text: String,
    ends: Vec<usize>,
}

impl TableRow {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn cell(&self, n: usize) -> &str {
        let start = n.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[n]]
    }

    pub fn cells(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|n| self.cell(n))
    }

    fn end_cell(&mut self) {
        self.ends.push(self.text.len());
    }

    fn clear(&mut self, line: u32) {
        self.line = line;
        self.text.clear();
        self.ends.clear();
    }
}

/// Reads the rows of a text.
#[derive(Clone)]
pub(super) struct TableReader<'a> {
    rest: &'a str,
    /// The line where `rest` begins.
    line: u32,
    quoted: bool,
}

impl<'a> TableReader<'a> {
    /// Of a text with tabs, or with commas and quotes.
    pub fn new(text: &'a str, quoted: bool) -> Self {
        TableReader {
            rest: text,
            line: 1,
            quoted,
        }
    }

    /// Fills `row` with the next one; whether there was one. Empty lines after the last row are no rows.
    ///
    /// # Errors
    /// `Kind::Data`, naming the line, for an empty line between others, and in CSV for a quote that never ends or that text
    /// follows.
    pub fn next(&mut self, row: &mut TableRow) -> Result<bool> {
        row.clear(self.line);
        if self.rest.bytes().all(|b| b == b'\n' || b == b'\r') {
            return Ok(false);
        }
        if self.rest.starts_with('\n') || self.rest.starts_with("\r\n") {
            return Err(Error::data(format!(
                "line {}: expected a row, found an empty line",
                self.line
            )));
        }
        if self.quoted {
            self.quoted_row(row)?;
        } else {
            let line = self.line_of_text();
            for cell in line.split('\t') {
                row.text.push_str(cell);
                row.end_cell();
            }
        }
        Ok(true)
    }

    /// Takes a line, without its end.
    fn line_of_text(&mut self) -> &'a str {
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        self.rest = rest;
        self.line = self.line.saturating_add(1);
        line.strip_suffix('\r').unwrap_or(line)
    }

    fn quoted_row(&mut self, row: &mut TableRow) -> Result<()> {
        loop {
            match self.rest.strip_prefix('"') {
                Some(rest) => self.quoted_cell(rest, row)?,
                None => {
                    let end = self.rest.find([',', '\n']).unwrap_or(self.rest.len());
                    let (cell, rest) = self.rest.split_at(end);
                    let ends_line = rest.is_empty() || rest.starts_with('\n');
                    let bare = cell.strip_suffix('\r').filter(|_| ends_line);
                    row.text.push_str(bare.unwrap_or(cell));
                    self.rest = rest;
                }
            }
            row.end_cell();
            match self.rest.strip_prefix(',') {
                Some(rest) => self.rest = rest,
                None => break,
            }
        }
        self.line_of_text();
        Ok(())
    }

    /// Takes a cell whose opening quote stands before `rest`.
    fn quoted_cell(&mut self, mut rest: &'a str, row: &mut TableRow) -> Result<()> {
        let (begin, column) = (self.line, row.len() + 1);
        loop {
            let Some((inside, after)) = rest.split_once('"') else {
                return Err(Error::data(format!(
                    "line {begin}: column {column}: expected the quote that opens here to close, found the end of the file"
                )));
            };
            row.text.push_str(inside);
            let feeds = inside.bytes().filter(|b| *b == b'\n').count();
            self.line = self.line.saturating_add(feeds as u32);
            match after.strip_prefix('"') {
                Some(more) => {
                    row.text.push('"');
                    rest = more;
                }
                None => {
                    rest = after;
                    break;
                }
            }
        }
        let ends = rest.is_empty() || rest.starts_with([',', '\n']) || rest.starts_with("\r\n");
        if !ends {
            return Err(Error::data(format!(
                "line {}: column {column}: expected a comma or the line's end after a closing quote, found {:?}; a quote \
                 within a quoted cell is written twice",
                self.line,
                rest.chars().next().unwrap_or_default()
            )));
        }
        self.rest = rest;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(text: &str, quoted: bool) -> Result<Vec<(u32, Vec<String>)>> {
        let mut reader = TableReader::new(text, quoted);
        let (mut row, mut all) = (TableRow::default(), Vec::new());
        while reader.next(&mut row)? {
            all.push((row.line, row.cells().map(str::to_string).collect()));
        }
        Ok(all)
    }

    fn of(line: u32, cells: &[&str]) -> (u32, Vec<String>) {
        (line, cells.iter().map(|cell| cell.to_string()).collect())
    }

    #[test]
    fn tabs_part_cells_and_nothing_is_quoted() {
        let want = [of(1, &["a", "\"b", ""]), of(2, &["c,\"", " d"])];
        assert_eq!(rows("a\t\"b\t\r\nc,\"\t d\n\n\r\n", false).unwrap(), want);
        let e = rows("a\n\nb\n", false).unwrap_err();
        assert_eq!(e.message, "line 2: expected a row, found an empty line");
        assert_eq!(rows("", false).unwrap(), []);
    }

    #[test]
    fn quotes_of_csv_hold_commas_quotes_and_line_ends() {
        let text = "a,\"b,\"\"c\"\"\r\nd\",\r\n\"\",5\" x,e\r\n\"last\"";
        let want = [
            of(1, &["a", "b,\"c\"\r\nd", ""]),
            of(3, &["", "5\" x", "e"]),
            of(4, &["last"]),
        ];
        assert_eq!(rows(text, true).unwrap(), want);
        for (text, message) in [
            (
                "a,b\nc,\"d\ne,f\n",
                "line 2: column 2: expected the quote that opens here to close",
            ),
            (
                "\"a\nb\"c,d\n",
                "line 2: column 1: expected a comma or the line's end after a closing quote, found 'c'",
            ),
            (
                "a,b\n\nc,d\n",
                "line 2: expected a row, found an empty line",
            ),
        ] {
            let e = rows(text, true).unwrap_err();
            assert!(e.message.starts_with(message), "{e}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_comes_back(table in prop::collection::vec(
            prop::collection::vec("[a-c\",\n\r\t é]{0,6}", 2..4), 1..5,
        )) {
            let quoted = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
            let line = |row: &Vec<String>| row.iter().map(quoted).collect::<Vec<_>>().join(",");
            for end in ["\n", "\r\n"] {
                let text = table.iter().map(line).collect::<Vec<_>>().join(end);
                let back: Vec<_> = rows(&text, true).unwrap().into_iter().map(|(_, row)| row).collect();
                prop_assert_eq!(&back, &table);
            }
        }

        #[test]
        fn no_text_of_any_kind_panics(text in "[a\",\n\r\té]{0,30}", quoted in any::<bool>()) {
            if let Ok(rows) = rows(&text, quoted) {
                let lines = text.matches('\n').count() as u32 + 1;
                prop_assert!(rows.iter().all(|(line, row)| *line <= lines && !row.is_empty()));
            }
        }
    }
}
