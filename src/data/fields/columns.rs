//! Which column of a table is which field.

use std::ops::Range;

use super::declare::{Field, FieldKind};
use super::white_space::brief;
use crate::error::{Error, Result, nearest};

/// Which columns, members or arrays a user says fields are in: `word=1,tag=2`, `x=2-65`, `text=review`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnChoice(pub(super) Vec<(String, ColumnName)>);

/// A column as a user names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ColumnName {
    /// By number, from 0: several for a vector.
    Numbers(Range<usize>),
    /// By the name in a header, of a member of JSON objects, or of an array.
    Name(String),
}

impl ColumnChoice {
    /// Reads `FIELD=COLUMN,..`: a column is a number from 1, for a vector also a range of them, `2-65`, or a name.
    ///
    /// # Errors
    /// `Kind::Usage` for what is written otherwise, and a field that stands twice.
    pub fn parse(text: &str) -> Result<Self> {
        let mut all: Vec<(String, ColumnName)> = Vec::new();
        for part in text.split(',') {
            let pair = part.split_once('=');
            let Some((field, column)) = pair.filter(|(f, c)| !f.is_empty() && !c.is_empty()) else {
                return Err(Error::usage(format!(
                    "--columns: expected FIELD=COLUMN, such as text=1 or text=review, found {part:?}"
                )));
            };
            if all.iter().any(|(other, _)| other == field) {
                return Err(Error::usage(format!(
                    "--columns: {field} stands there twice"
                )));
            }
            let (from, to) = column.split_once('-').unwrap_or((column, column));
            let digits = |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
            let name = if digits(from) && digits(to) {
                let number = |n: &str| {
                    n.parse::<usize>()
                        .ok()
                        .filter(|n| (1..=1 << 24).contains(n))
                };
                match (number(from), number(to)) {
                    (Some(from), Some(to)) if from <= to => ColumnName::Numbers(from - 1..to),
                    _ => {
                        return Err(Error::usage(format!(
                            "--columns: expected numbers of columns from 1 to 2^24, found {part:?}"
                        )));
                    }
                }
            } else {
                ColumnName::Name(column.to_string())
            };
            all.push((field.to_string(), name));
        }
        Ok(ColumnChoice(all))
    }

    /// The same without what was said of one field.
    pub(super) fn without(&self, field: &str) -> Self {
        let others = self.0.iter().filter(|(name, _)| name != field);
        ColumnChoice(others.cloned().collect())
    }

    /// What was said of a field.
    pub(super) fn of(&self, field: &str) -> Option<&ColumnName> {
        let found = self.0.iter().find(|(name, _)| name == field);
        found.map(|(_, column)| column)
    }
}

/// Where the fields of a table are: a range of columns a field, a single one but for vectors.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TableColumns {
    /// Whether the first row is a header.
    pub header: bool,
    /// One a field of those that were asked for; none for an optional one that is not there.
    pub columns: Vec<Option<Range<usize>>>,
    /// Whether the rule for files without a header said so, and no user.
    pub by_rule: bool,
}

/// What is asked of a table.
pub(super) struct TableFields<'a> {
    /// The fields that the file is to have, in the order of their declaration.
    pub fields: &'a [Field],
    /// Those of them that may be missing.
    pub optional: &'a [String],
    pub choice: &'a ColumnChoice,
    /// Whether the first row is a header, where a user says so.
    pub header: Option<bool>,
    /// Whether files of this format have one.
    pub expects_header: bool,
}

impl TableFields<'_> {
    /// Finds the columns of the fields by the first row.
    ///
    /// # Errors
    /// `Kind::Data` where that is not sure, naming what the row has and what was expected.
    pub fn find(&self, first: &[&str]) -> Result<TableColumns> {
        let chosen = |field: &Field| self.choice.of(&field.name);
        if self.fields.iter().any(|field| chosen(field).is_some()) {
            return self.chosen(first);
        }
        let header = match self.header {
            Some(header) => header,
            None => self.expects_header || self.is_header(first)?,
        };
        if header {
            self.by_header(first)
        } else {
            self.by_number(first)
        }
    }

    /// Whether `cell` is what a header calls a field's column: by the name that was chosen, or the field's.
    pub fn is_named(&self, field: &Field, cell: &str) -> bool {
        match self.choice.of(&field.name) {
            Some(ColumnName::Name(name)) => name == cell,
            Some(ColumnName::Numbers(_)) => false,
            None => field.name == cell,
        }
    }

    fn required(&self, field: &Field) -> bool {
        !self.optional.contains(&field.name)
    }

    /// The names of the fields, as a message lists them.
    fn names(&self) -> String {
        let names: Vec<&str> = self
            .fields
            .iter()
            .map(|field| field.name.as_str())
            .collect();
        names.join(", ")
    }

    /// Whether the row is a header by itself: its cells are the fields' names, and nothing else.
    fn is_header(&self, first: &[&str]) -> Result<bool> {
        let named = |cell: &str| self.fields.iter().any(|field| field.name == cell.trim());
        let some = first.iter().filter(|cell| named(cell)).count();
        let required = self.fields.iter().filter(|field| self.required(field));
        let all = required
            .clone()
            .all(|field| first.iter().any(|cell| field.name == cell.trim()));
        if some == 0 || (some == first.len() && all) {
            return Ok(some > 0);
        }
        Err(Error::data(format!(
            "line 1: is it a header? it names some of the fields ({}) and has {:?}; --header yes or no says it, --columns \
             FIELD=COLUMN,.. says which columns to read",
            self.names(),
            brief(&first.join(", "))
        )))
    }

    fn by_header(&self, first: &[&str]) -> Result<TableColumns> {
        let mut columns = Vec::new();
        for field in self.fields {
            columns.push(self.named(&field.name, field, first)?);
        }
        let taken = |n: usize| {
            columns
                .iter()
                .flatten()
                .any(|range: &Range<usize>| range.contains(&n))
        };
        let others: Vec<&str> = (0..first.len())
            .filter(|n| !taken(*n))
            .map(|n| first[n])
            .collect();
        if !others.is_empty() {
            let example = self.fields.first().map_or("text", |field| &field.name);
            return Err(Error::data(format!(
                "line 1: the header has {} beside the fields ({}); --columns {example}={example},.. says which columns to \
                 read, and leaves the others out",
                brief(&others.join(", ")),
                self.names()
            )));
        }
        Ok(TableColumns {
            header: true,
            columns,
            by_rule: false,
        })
    }

    /// The column of a header that has this name.
    fn named(&self, name: &str, field: &Field, first: &[&str]) -> Result<Option<Range<usize>>> {
        let mut found = (0..first.len()).filter(|n| first[*n].trim() == name);
        let Some(column) = found.next() else {
            if !self.required(field) {
                return Ok(None);
            }
            let hint = nearest(name, first.iter().copied());
            let hint = hint.map_or(String::new(), |hint| format!(" (is it {hint}?)"));
            let headless = if self.expects_header {
                "; --header no for a file without one"
            } else {
                ""
            };
            return Err(Error::data(format!(
                "line 1: expected a header with a column {name}, found {:?}{hint}; --columns {}={} says {} it \
                 is{headless}",
                brief(&first.join(", ")),
                field.name,
                if field.kind == FieldKind::Vector {
                    "FIRST-LAST"
                } else {
                    "COLUMN"
                },
                if field.kind == FieldKind::Vector {
                    "which ones"
                } else {
                    "which one"
                },
            )));
        };
        if found.next().is_some() {
            return Err(Error::data(format!(
                "line 1: the header has {name} twice; --columns {}=NUMBER says which one it is",
                field.name
            )));
        }
        Ok(Some(column..column + 1))
    }

    /// The order of a table without a header: classes, then the others, each in the order of its declaration; one vector
    /// takes all columns that are over.
    fn by_number(&self, first: &[&str]) -> Result<TableColumns> {
        let required = self.fields.iter().filter(|field| self.required(field));
        let vectors = self
            .fields
            .iter()
            .filter(|field| field.kind == FieldKind::Vector)
            .count();
        let fits = |fields: usize| match vectors {
            0 => fields == first.len(),
            _ => vectors == 1 && fields <= first.len(),
        };
        let all = fits(self.fields.len());
        if !all && !fits(required.clone().count()) {
            let example = self.fields.first().map_or("text", |field| &field.name);
            let cause = if vectors > 1 {
                ", of which more than one is a vector"
            } else {
                ""
            };
            return Err(Error::data(format!(
                "line 1: expected a header, or a column for each of {}{cause}, found {} column(s); --columns {example}=1,.. \
                 says which ones to read",
                self.names(),
                first.len()
            )));
        }
        let present = |field: &Field| all || self.required(field);
        let wide = self
            .fields
            .iter()
            .filter(|field| present(field))
            .count()
            .saturating_sub(1);
        let mut columns: Vec<Option<Range<usize>>> = vec![None; self.fields.len()];
        let is_class = |n: &usize| self.fields[*n].kind == FieldKind::Class;
        let (classes, others): (Vec<usize>, Vec<usize>) =
            (0..self.fields.len()).partition(is_class);
        let mut at = 0;
        for n in classes.into_iter().chain(others) {
            let field = &self.fields[n];
            if present(field) {
                let width = match field.kind {
                    FieldKind::Vector => first.len() - wide,
                    _ => 1,
                };
                columns[n] = Some(at..at + width);
                at += width;
            }
        }
        Ok(TableColumns {
            header: false,
            columns,
            by_rule: true,
        })
    }

    /// The columns that a user chose.
    fn chosen(&self, first: &[&str]) -> Result<TableColumns> {
        let mut columns = Vec::new();
        let by_name =
            |field: &Field| matches!(self.choice.of(&field.name), Some(ColumnName::Name(_)));
        let names = self.fields.iter().any(by_name);
        if names && self.header == Some(false) {
            return Err(Error::usage(
                "--columns with names: a file with --header no has none",
            ));
        }
        // Numbers alone: where the cells in these places are the fields' names they are no example.
        let in_place = |field: &Field| match self.choice.of(&field.name) {
            Some(ColumnName::Numbers(range)) => {
                first.get(range.start).map(|cell| cell.trim()) == Some(field.name.as_str())
            }
            _ => false,
        };
        let named = self.fields.iter().any(in_place);
        let header = names || self.header.unwrap_or(self.expects_header || named);
        for field in self.fields {
            let column = match self.choice.of(&field.name) {
                Some(ColumnName::Name(name)) => self.named(name, field, first)?,
                Some(ColumnName::Numbers(range)) => {
                    if range.end > first.len() {
                        return Err(Error::data(format!(
                            "line 1: expected a column {} for {} (--columns), found {} column(s)",
                            range.end,
                            field.name,
                            first.len()
                        )));
                    }
                    if range.len() > 1 && field.kind != FieldKind::Vector {
                        return Err(Error::usage(format!(
                            "--columns: {} is {}: expected one column, found {}",
                            field.name,
                            field.kind.shown(),
                            range.len()
                        )));
                    }
                    Some(range.clone())
                }
                None if header => self.named(&field.name, field, first)?,
                None if self.required(field) => {
                    return Err(Error::usage(format!(
                        "--columns: expected a column for {} too",
                        field.name
                    )));
                }
                None => None,
            };
            columns.push(column);
        }
        Ok(TableColumns {
            header,
            columns,
            by_rule: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn classify() -> [Field; 2] {
        [
            Field::new("text", FieldKind::Tokens),
            Field::new("label", FieldKind::Class),
        ]
    }

    fn find(
        fields: &[Field],
        choice: &str,
        header: Option<bool>,
        expects: bool,
        first: &[&str],
    ) -> Result<TableColumns> {
        let choice = match choice {
            "" => ColumnChoice::default(),
            text => ColumnChoice::parse(text)?,
        };
        TableFields {
            fields,
            optional: &["label".to_string()],
            choice: &choice,
            header,
            expects_header: expects,
        }
        .find(first)
    }

    fn columns(found: &TableColumns) -> Vec<Option<Range<usize>>> {
        found.columns.clone()
    }

    #[test]
    fn a_header_is_one_when_it_names_the_fields_and_nothing_else() {
        let fields = classify();
        let found = find(&fields, "", None, false, &["label", "text"]).unwrap();
        assert!(found.header && !found.by_rule);
        assert_eq!(columns(&found), [Some(1..2), Some(0..1)]);
        // Without a header classes come first; the label may be missing.
        let found = find(&fields, "", None, false, &["pos", "a film"]).unwrap();
        assert!(!found.header && found.by_rule);
        assert_eq!(columns(&found), [Some(1..2), Some(0..1)]);
        let found = find(&fields, "", None, false, &["a film"]).unwrap();
        assert_eq!(columns(&found), [Some(0..1), None]);
        let found = find(&fields, "", None, false, &["text"]).unwrap();
        assert!(found.header);
        // What is neither is refused, unless the user says which.
        for first in [&["label", "sentence"][..], &["text", "label", "date"]] {
            let e = find(&fields, "", None, false, first).unwrap_err();
            assert!(
                e.kind == Kind::Data && e.message.contains("is it a header?"),
                "{e}"
            );
        }
        let found = find(&fields, "", Some(false), false, &["label", "sentence"]).unwrap();
        assert!(!found.header);
        let e = find(&fields, "", None, false, &["a", "b", "c"]).unwrap_err();
        assert!(e.message.contains("3 column(s)"), "{e}");
    }

    #[test]
    fn csv_has_a_header_unless_told_otherwise() {
        let fields = classify();
        let e = find(&fields, "", None, true, &["review", "sentiment"]).unwrap_err();
        assert!(
            e.message.contains("a column text") && e.message.contains("--header no"),
            "{e}"
        );
        let e = find(&fields, "", None, true, &["text", "label", "date"]).unwrap_err();
        assert!(e.message.contains("the header has date"), "{e}");
        let found = find(
            &fields,
            "text=review,label=sentiment",
            None,
            true,
            &["sentiment", "date", "review"],
        )
        .unwrap();
        assert!(found.header);
        assert_eq!(columns(&found), [Some(2..3), Some(0..1)]);
        let found = find(&fields, "", Some(false), true, &["pos", "a film"]).unwrap();
        assert_eq!(columns(&found), [Some(1..2), Some(0..1)]);
        let e = find(&fields, "", None, true, &["text", "text"]).unwrap_err();
        assert!(e.message.contains("text twice"), "{e}");
    }

    #[test]
    fn columns_are_chosen_by_number_and_vectors_take_several() {
        let fields = [
            Field::new("label", FieldKind::Class),
            Field::new("x", FieldKind::Vector),
        ];
        let first = ["7", "0.5", "1", "2"];
        let found = find(&fields, "x=2-3,label=1", None, false, &first).unwrap();
        assert_eq!(columns(&found), [Some(0..1), Some(1..3)]);
        assert!(!found.header);
        let found = find(&fields, "", None, false, &first).unwrap();
        assert_eq!(columns(&found), [Some(0..1), Some(1..4)]);
        let found = find(
            &fields,
            "label=1,x=2-4",
            None,
            false,
            &["label", "p0", "p1", "p2"],
        )
        .unwrap();
        assert!(found.header);
        let e = find(&fields, "x=2-9,label=1", None, false, &first).unwrap_err();
        assert!(e.message.contains("a column 9 for x"), "{e}");
        for (choice, part) in [
            ("label=1-2,x=3", "expected one column, found 2"),
            ("label=1", "a column for x too"),
            ("x=2,x=3", "twice"),
            ("x", "FIELD=COLUMN"),
            ("x=0", "from 1"),
            ("x=3-2", "from 1"),
        ] {
            let e = find(&fields, choice, None, false, &first).unwrap_err();
            assert!(
                e.kind == Kind::Usage && e.message.contains(part),
                "{choice}: {e}"
            );
        }
    }
}
