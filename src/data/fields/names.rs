//! The names of classes, and their numbers.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::white_space::brief;
use crate::error::{Error, Result, nearest};

/// The names of the classes of a field: class i is the i-th. Of training's examples they stand by falling count, equal ones by
/// name, so that class 0 is the most frequent.
///
/// They are stored as a list of strings, and checked when it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct ClassNames(Vec<String>);

impl ClassNames {
    /// Those of all labels of training's examples.
    ///
    /// # Errors
    /// `Kind::Data` where there are not at least two.
    pub fn of<'a>(labels: impl Iterator<Item = &'a str>) -> Result<Self> {
        let mut counts: HashMap<&str, u64> = HashMap::new();
        labels.for_each(|label| *counts.entry(label.trim()).or_default() += 1);
        let mut all: Vec<(&str, u64)> = counts.into_iter().collect();
        all.sort_unstable_by_key(|(name, count)| (Reverse(*count), *name));
        let names: Vec<String> = all.iter().map(|(name, _)| name.to_string()).collect();
        ClassNames::try_from(names)
    }

    /// K, how many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never: there are at least two.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of a class; none where there is no such class.
    pub fn name(&self, class: u32) -> Option<&str> {
        self.0.get(class as usize).map(String::as_str)
    }

    /// The class of a name.
    pub fn find(&self, name: &str) -> Option<u32> {
        let place = self.0.iter().position(|known| known == name.trim());
        place.map(|n| n as u32)
    }

    /// All names in the order of their classes.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// All names with their classes, for many look-ups.
    pub(super) fn index(&self) -> HashMap<&str, u32> {
        self.iter().zip(0u32..).collect()
    }

    /// What a message says of a name that is none of these.
    pub(super) fn stranger(&self, name: &str) -> String {
        const SHOWN: usize = 20;
        let shown: Vec<&str> = self.iter().take(SHOWN).collect();
        let more = if self.len() > SHOWN { ", .." } else { "" };
        let hint = nearest(name, self.iter()).map_or(String::new(), |n| format!(" (is it {n}?)"));
        let name = brief(name);
        format!(
            "expected one of the {} classes of training ({}{more}), found {name:?}{hint}",
            self.len(),
            shown.join(", ")
        )
    }
}

impl TryFrom<Vec<String>> for ClassNames {
    type Error = Error;

    fn try_from(names: Vec<String>) -> Result<Self> {
        if let [only] = &names[..] {
            return Err(Error::data(format!(
                "expected at least 2 classes, found only {only:?}"
            )));
        }
        if names.is_empty() {
            return Err(Error::data("expected at least 2 classes, found none"));
        }
        let mut seen = std::collections::HashSet::new();
        if let Some(name) = names
            .iter()
            .find(|name| name.is_empty() || !seen.insert(name.as_str()))
        {
            return Err(Error::data(format!(
                "expected names of classes, each once, found {name:?} again or empty"
            )));
        }
        Ok(ClassNames(names))
    }
}

impl From<ClassNames> for Vec<String> {
    fn from(names: ClassNames) -> Self {
        names.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn classes_stand_by_falling_count_and_equal_ones_by_name() {
        let labels = ["b", "c ", "a", "c", "d", "a"];
        let names = ClassNames::of(labels.into_iter()).unwrap();
        assert_eq!(names.iter().collect::<Vec<_>>(), ["a", "c", "b", "d"]);
        assert_eq!((names.find("c"), names.find("x")), (Some(1), None));
        assert_eq!((names.name(3), names.name(4)), (Some("d"), None));
        let json = serde_json::to_string(&names).unwrap();
        assert_eq!(json, r#"["a","c","b","d"]"#);
        assert_eq!(serde_json::from_str::<ClassNames>(&json).unwrap(), names);
        for bad in [r#"[]"#, r#"["a"]"#, r#"["a","b","a"]"#, r#"["a",""]"#] {
            assert!(serde_json::from_str::<ClassNames>(bad).is_err(), "{bad}");
        }
        let e = ClassNames::of(["x", "x"].into_iter()).unwrap_err();
        assert!(
            e.kind == Kind::Data && e.message.contains("only \"x\""),
            "{e}"
        );
    }
}
