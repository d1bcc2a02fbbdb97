//! Where rows stand: file and line, as messages name them.

/// The files that rows come from: for each its first row and its name.
#[derive(Clone, Debug, Default)]
pub(super) struct FileRows(Vec<(usize, String)>);

impl FileRows {
    /// Rows of one file.
    pub fn of(name: &str) -> Self {
        FileRows(vec![(0, name.to_string())])
    }

    /// Where a row stands: its file, and its line where that is not 0, or its number in the file.
    pub fn place(&self, row: usize, line: u32) -> String {
        let after = self.0.partition_point(|(first, _)| *first <= row);
        let (first, name) = after
            .checked_sub(1)
            .map_or((0, ""), |n| (self.0[n].0, &self.0[n].1));
        if line > 0 {
            format!("{name}: line {line}")
        } else {
            format!("{name}: row {}", row - first)
        }
    }

    /// Goes on with the files of rows that come after `rows` others.
    pub fn append(&mut self, more: FileRows, rows: usize) {
        let moved = more.0.into_iter();
        self.0
            .extend(moved.map(|(first, name)| (first + rows, name)));
    }

    /// All files.
    pub fn all(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(|(_, name)| name.as_str()).collect();
        names.join(" + ")
    }
}

/// Where examples stand: their files, and their lines, which are 0 where there are none.
#[derive(Clone, Debug, Default)]
pub(super) struct RowPlaces {
    pub files: FileRows,
    pub lines: Vec<u32>,
}

impl RowPlaces {
    /// Of one file, whose lines are yet to come.
    pub fn of(name: &str) -> Self {
        RowPlaces {
            files: FileRows::of(name),
            lines: Vec::new(),
        }
    }

    /// Where an example stands.
    pub fn place(&self, row: usize) -> String {
        let line = self.lines.get(row).copied().unwrap_or_default();
        self.files.place(row, line)
    }

    /// Goes on with those of the next file, which come after `rows` others.
    pub fn append(&mut self, more: RowPlaces, rows: usize) {
        self.lines.extend(more.lines);
        self.files.append(more.files, rows);
    }
}
