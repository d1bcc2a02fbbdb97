//! Constants of a cell set from outside: its text is rewritten, so that whatever shows or stores it tells the truth.

use super::{Cell, parse};
use crate::error::{Error, Result, nearest};

impl Cell {
    /// The cell's named constants with their values, in the order of its text.
    pub fn constants(&self) -> Vec<(String, f64)> {
        // A cell's own text was parsed before.
        let program =
            parse::parse(parse::Language::Cell, &self.name, &self.text).unwrap_or_default();
        let constants = program.constants.into_iter();
        constants.map(|(name, value, _)| (name, value)).collect()
    }

    /// The cell with other values of its constants: its text has them, and is parsed again.
    ///
    /// # Errors
    /// Usage for a constant that the cell does not have, with those that it has; whatever is wrong with the cell then,
    /// such as a term that vanishes with its constant and leaves a variable unused.
    pub fn with_constants(&self, values: &[(String, f64)]) -> Result<Cell> {
        known(std::slice::from_ref(self), values)?;
        self.rewritten(values)
    }

    fn rewritten(&self, values: &[(String, f64)]) -> Result<Cell> {
        let program = parse::parse(parse::Language::Cell, &self.name, &self.text)?;
        let mut lines: Vec<String> = self.text.lines().map(str::to_string).collect();
        for (name, _, place) in &program.constants {
            let Some((_, value)) = values.iter().find(|(n, _)| n == name) else {
                continue;
            };
            let line = &mut lines[place.line - 1];
            let comment = line.find('#').map_or(String::new(), |at| line[at..].into());
            let gap = if comment.is_empty() { "" } else { " " };
            *line = format!("const {name} = {value:?}{gap}{comment}");
        }
        Cell::parse(&self.name, &(lines.join("\n") + "\n"))
    }
}

/// Sets constants in every cell of a list that has them.
///
/// # Errors
/// Usage for a constant that no cell has; as [`Cell::with_constants`].
pub fn set_constants(cells: &[Cell], values: &[(String, f64)]) -> Result<Vec<Cell>> {
    if values.is_empty() {
        return Ok(cells.to_vec());
    }
    known(cells, values)?;
    cells.iter().map(|cell| cell.rewritten(values)).collect()
}

/// Whether every constant is in one of the cells.
fn known(cells: &[Cell], values: &[(String, f64)]) -> Result<()> {
    let mut names: Vec<String> = Vec::new();
    for (name, _) in cells.iter().flat_map(Cell::constants) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let Some((name, _)) = values.iter().find(|(name, _)| !names.contains(name)) else {
        return Ok(());
    };
    let mut titles: Vec<&str> = cells.iter().map(|c| c.name.as_str()).collect();
    titles.dedup();
    let hint = nearest(name, names.iter().map(String::as_str));
    let hint = hint.map_or(String::new(), |n| format!("; did you mean {n}?"));
    let list = if names.is_empty() {
        "it has none".to_string()
    } else {
        format!("known: {}", names.join(", "))
    };
    Err(Error::usage(format!(
        "cell-const: {} has no constant {name}{hint} ({list})",
        titles.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::library;

    fn values(list: &[(&str, f64)]) -> Vec<(String, f64)> {
        list.iter().map(|(n, v)| (n.to_string(), *v)).collect()
    }

    const TEXT: &str = "state h\nconst a = 0.5 # the share\n  const  b=-1\nh = (1 - a) * h + a * tanh(linear(x, h) + b)\n";

    #[test]
    fn the_text_has_the_new_values_and_nothing_else_changes() {
        let cell = Cell::parse("c", TEXT).unwrap();
        assert_eq!(cell.constants(), values(&[("a", 0.5), ("b", -1.0)]));
        let set = values(&[("b", -2.5e-7), ("a", 0.3)]);
        let new = cell.with_constants(&set).unwrap();
        assert_eq!(
            new.text,
            "state h\nconst a = 0.3 # the share\nconst b = -2.5e-7\nh = (1 - a) * h + a * tanh(linear(x, h) + b)\n"
        );
        assert_eq!(new.constants(), values(&[("a", 0.3), ("b", -2.5e-7)]));
        let want = TEXT
            .replace("0.5", "0.3")
            .replace("b=-1", "b = -0.00000025");
        let want = Cell::parse("c", &want).unwrap();
        assert_eq!(new.new_states, want.new_states);
        assert!((0..want.graph.len()).all(|id| new.graph.node(id) == want.graph.node(id)));
        // Doing it twice is doing it once.
        assert_eq!(new.with_constants(&set).unwrap().text, new.text);
    }

    #[test]
    fn any_value_survives_the_text() {
        let cell = Cell::parse("c", TEXT).unwrap();
        for value in [0.1 + 0.2, 1e300, -5e-324, 123456789.0, 1.0 / 3.0] {
            let new = cell.with_constants(&values(&[("b", value)])).unwrap();
            assert_eq!(new.constants()[1].1, value);
        }
    }

    #[test]
    fn a_list_of_cells_takes_what_each_has() {
        let cells = ["rnn-leaky", "lstm"].map(|n| library::builtin(n).unwrap());
        let new = set_constants(&cells, &values(&[("a", 0.25)])).unwrap();
        assert_eq!(new[0].constants(), values(&[("a", 0.25)]));
        assert_eq!(new[1].text, cells[1].text);
    }

    #[test]
    fn unknown_constants_are_refused_with_the_known_ones() {
        let message = |cells: &[Cell], name: &str| {
            let e = set_constants(cells, &values(&[(name, 1.0)])).unwrap_err();
            assert_eq!(e.kind, crate::Kind::Usage);
            e.message
        };
        let [leaky, lstm] = ["rnn-leaky", "lstm"].map(|n| library::builtin(n).unwrap());
        assert_eq!(
            message(&[leaky.clone(), lstm.clone()], "keep"),
            "cell-const: rnn-leaky, lstm has no constant keep (known: a)"
        );
        assert_eq!(
            message(&[lstm], "a"),
            "cell-const: lstm has no constant a (it has none)"
        );
        let e = leaky.with_constants(&values(&[("b", 1.0)])).unwrap_err();
        assert!(e.message.contains("known: a"), "{e}");
    }
}
