//! A setting that names files: one, or several in order.

use serde::{Deserialize, Serialize};
use toml::Value;

use super::field::SettingType;
use super::range::{Judged, RangeKind};

/// Paths of files, in the order in which they are joined; `-` is standard input.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Files(pub Vec<String>);

impl SettingType for Files {
    const KIND: RangeKind = RangeKind::Other;

    fn expected() -> String {
        "a list of files".to_string()
    }

    fn parse(text: &str) -> Option<Value> {
        Some(Value::Array(vec![text.into()]))
    }

    fn accepts(value: &Value) -> bool {
        let list = value.as_array();
        list.is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_str))
    }

    fn judged(&self) -> Judged<'_> {
        Judged::Other
    }
}
