//! The page that documents the model language; its tables and numbers come from the code that they describe.

use super::functions::FUNCTIONS;
use crate::cell::operator::{Binary, Unary};
use crate::syntax::{MAX_BYTES, MAX_DEPTH, MAX_TOKENS};

/// The page with gaps.
const PAGE: &str = include_str!("../../../assets/models/LANGUAGE.md");

/// The whole page.
pub fn page() -> String {
    let line = |f: &super::functions::Signature| {
        let arguments = match f.arguments {
            [] => String::new(),
            arguments => format!("`{}`", arguments.join("`, `")),
        };
        format!("| `{}` | {arguments} | {} |", f.written, f.about)
    };
    let head = "| function | arguments | value |\n|---|---|---|".to_string();
    let functions: Vec<String> = std::iter::once(head)
        .chain(FUNCTIONS.iter().map(line))
        .collect();
    let word = |name: &&str| name.starts_with(char::is_alphabetic);
    let unary = Unary::ALL.iter().map(|op| op.name()).filter(word);
    let unary: Vec<String> = unary.map(|name| format!("`{name}(v)`")).collect();
    let binary = Binary::ALL.iter().map(|op| op.name());
    let binary: Vec<String> = binary
        .map(|name| {
            if word(&name) {
                format!("`{name}(a, b)`")
            } else {
                format!("`a {name} b`")
            }
        })
        .collect();
    PAGE.replace("{functions}", &functions.join("\n"))
        .replace("{unary}", &unary.join(", "))
        .replace("{binary}", &binary.join(", "))
        .replace("{bytes}", &MAX_BYTES.to_string())
        .replace("{tokens}", &MAX_TOKENS.to_string())
        .replace("{depth}", &MAX_DEPTH.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::Model;
    use super::*;

    #[test]
    fn every_function_is_on_the_page_and_no_gap_is_left() {
        let page = page();
        for f in FUNCTIONS {
            assert!(
                page.contains(&format!("| `{}` | ", f.written)),
                "{}",
                f.name
            );
        }
        for name in [
            "`tanh(v)`",
            "`a * b`",
            "65536 bytes",
            "1000 words",
            "64 deep",
        ] {
            assert!(page.contains(name), "{name}");
        }
        assert!(!page.contains(['{', '}']), "{page}");
    }

    /// An indented block is a model, unless the line after it says why it is not.
    #[test]
    fn the_examples_are_what_the_page_says_they_are() {
        let page = page();
        let mut examples: Vec<(String, &str)> = Vec::new();
        let mut open = false;
        for line in page.lines() {
            match line.strip_prefix("    ") {
                Some(code) if open => {
                    let last = examples.last_mut().unwrap();
                    last.0.push_str(&format!("{code}\n"));
                }
                Some(code) => {
                    open = true;
                    examples.push((format!("{code}\n"), ""));
                }
                None => {
                    open = false;
                    if let Some(last) = examples.last_mut()
                        && last.1.is_empty()
                    {
                        last.1 = line;
                    }
                }
            }
        }
        assert!(examples.len() >= 3);
        let mut refused = 0;
        for (text, after) in &examples {
            match (
                Model::parse("example", text),
                after.strip_prefix("is refused: "),
            ) {
                (Ok(_), None) => {}
                (Err(error), Some(why)) => {
                    assert_eq!(format!("`{error}`"), why);
                    refused += 1;
                }
                (model, _) => panic!("{text}: {model:?}"),
            }
        }
        assert_eq!(refused, 1);
    }
}
