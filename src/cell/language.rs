//! The page that documents the cell language; its tables and numbers come from the code that they describe.

use super::operator::{Binary, Unary};
use super::parse::{MAX_BYTES, MAX_DEPTH, MAX_TOKENS};

/// The page with gaps.
const PAGE: &str = include_str!("../../assets/cells/LANGUAGE.md");

/// Operators that look at all H elements of a vector: how each is written, and what it gives. They stand in a table of
/// their own; the section is left out while it is empty.
const ROWS: &[(&str, &str)] = &[
    ("mean(a)", "The mean over the H elements, H times."),
    (
        "norm(a)",
        "gain * (a - mean(a)) / sqrt(variance(a) + 1e-5) + shift: layer normalisation (Ba 2016) with a learned gain, 1 at \
         the start, and a learned shift, 0 at the start.",
    ),
];

/// The whole page.
pub fn page() -> String {
    let unary = Unary::ALL
        .iter()
        .map(|op| (format!("{}(a)", op.name()), op.about()));
    let binary = Binary::ALL.iter().map(|op| {
        if infix(op.name()) {
            (format!("a {} b", op.name()), op.about())
        } else {
            (format!("{}(a, b)", op.name()), op.about())
        }
    });
    let operators: Vec<(String, &str)> = binary.chain(unary).collect();
    let rows: Vec<(String, &str)> = ROWS
        .iter()
        .map(|(name, about)| (name.to_string(), *about))
        .collect();
    let rows = if rows.is_empty() {
        String::new()
    } else {
        format!("\nOver the whole vector:\n\n{}\n", table(&rows))
    };
    PAGE.replace("{operators}", &table(&operators))
        .replace("\n{rows}\n", &rows)
        .replace("{bytes}", &MAX_BYTES.to_string())
        .replace("{tokens}", &MAX_TOKENS.to_string())
        .replace("{depth}", &MAX_DEPTH.to_string())
}

fn infix(name: &str) -> bool {
    !name.chars().all(char::is_alphabetic)
}

fn table(lines: &[(String, &str)]) -> String {
    let head = "| operator | value |\n|---|---|".to_string();
    let line = |(name, about): &(String, &str)| format!("| `{name}` | {about} |");
    let lines = lines.iter().map(line);
    std::iter::once(head)
        .chain(lines)
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::Cell;
    use super::*;

    /// The indented blocks, each with the line after it.
    fn examples(page: &str) -> Vec<(String, String)> {
        let mut found: Vec<(String, String)> = Vec::new();
        let mut open = false;
        for line in page.lines() {
            match line.strip_prefix("    ") {
                Some(code) if open => {
                    let last = found.last_mut().unwrap();
                    last.0.push_str(&format!("{code}\n"));
                }
                Some(code) => {
                    open = true;
                    found.push((format!("{code}\n"), String::new()));
                }
                None => {
                    open = false;
                    if let Some(last) = found.last_mut()
                        && last.1.is_empty()
                    {
                        last.1 = line.to_string();
                    }
                }
            }
        }
        found
    }

    #[test]
    fn every_operator_is_on_the_page_and_no_gap_is_left() {
        let page = page();
        for op in Unary::ALL {
            assert!(page.contains(&format!("| `{}(a)` | ", op.name())), "{op:?}");
            assert!(page.contains(op.about()), "{op:?}");
        }
        for op in Binary::ALL {
            let name = op.name();
            let written = [format!("| `a {name} b` | "), format!("| `{name}(a, b)` | ")];
            assert!(written.iter().any(|w| page.contains(w)), "{op:?}");
            assert!(page.contains(op.about()), "{op:?}");
        }
        assert!(!page.contains(['{', '}']), "{page}");
        for (name, about) in ROWS {
            assert!(page.contains(&format!("| `{name}` | {about} |")), "{name}");
            let text = format!("state h\nh = {}\n", name.replace("(a)", "(linear(x, h))"));
            Cell::parse("row", &text).unwrap();
        }
        for word in ["65536 bytes", "1000 words", "64 deep"] {
            assert!(page.contains(word), "{word}");
        }
    }

    #[test]
    fn the_examples_are_what_the_page_says_they_are() {
        let page = page();
        let examples = examples(&page);
        assert!(examples.len() >= 5);
        let mut refused = 0;
        for (text, after) in &examples {
            match Cell::parse("example", text) {
                Ok(_) => assert!(!after.starts_with("is refused"), "{text}"),
                Err(e) => {
                    assert!(after.starts_with("is refused"), "{text}: {e}");
                    assert!(e.message.contains("is made a second time"), "{e}");
                    refused += 1;
                }
            }
        }
        assert_eq!(refused, 1);
    }
}
