//! What a single setting is: its key, its help, the values that it takes.

use toml::Value;

use super::range::{Judged, Range, RangeKind};

/// What a resumed run may do with a setting. Imported weights may be trained on with other values of all but [`Shape`] and
/// [`Start`].
///
/// [`Shape`]: OnResume::Shape
/// [`Start`]: OnResume::Start
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnResume {
    /// Give it another value.
    Free,
    /// Keep it, as it is a part of what the run's counters mean.
    Fixed,
    /// Keep it, as it shapes the model and says what its weights mean.
    Shape,
    /// Keep it, as it says how weights start, which are there already.
    Start,
}

/// One setting, as the command line, a settings file and `to_toml` share it.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The key in a file; `--` and the key is the flag.
    pub name: &'static str,
    /// The section under which `to_toml` and a help text list it.
    pub section: &'static str,
    /// One line for a help text.
    pub help: &'static str,
    /// What kind of value it takes, in words.
    pub expected: fn() -> String,
    /// The names that it takes where it is a choice, else empty.
    pub names: &'static [&'static str],
    /// Which values of its type it takes.
    pub range: Range,
    /// What a resumed run may do with it.
    pub on_resume: OnResume,
    /// Whether the value's type fits; its range is the business of `Settings::check`.
    pub accepts: fn(&Value) -> bool,
    parse: fn(&str) -> Option<Value>,
}

impl Key {
    pub(super) const fn new<T: SettingType>(
        name: &'static str,
        section: &'static str,
        help: &'static str,
        range: Range,
        on_resume: OnResume,
    ) -> Self {
        Key {
            name,
            section,
            help,
            expected: T::expected,
            names: T::NAMES,
            range,
            on_resume,
            accepts: T::accepts,
            parse: T::parse,
        }
    }

    /// The value that `text`, an argument of the command line, stands for.
    ///
    /// A text of the wrong type stays a string, so that `resolve` reports it together with all other faults.
    pub fn value(&self, text: &str) -> Value {
        (self.parse)(text).unwrap_or_else(|| Value::String(text.to_string()))
    }
}

/// A type that a setting may have.
pub(super) trait SettingType {
    /// The names of a choice.
    const NAMES: &'static [&'static str] = &[];
    /// What ranges can say about it.
    const KIND: RangeKind;
    fn expected() -> String;
    fn parse(text: &str) -> Option<Value>;
    fn accepts(value: &Value) -> bool;
    /// The value as ranges judge it.
    fn judged(&self) -> Judged<'_>;
}

macro_rules! whole {
    ($($type:ty),*) => {$(
        impl SettingType for $type {
            const KIND: RangeKind = RangeKind::Whole;
            fn expected() -> String {
                "a whole number".to_string()
            }
            fn parse(text: &str) -> Option<Value> {
                text.parse().ok().map(Value::Integer)
            }
            fn accepts(value: &Value) -> bool {
                value.as_integer().is_some_and(|v| <$type>::try_from(v).is_ok())
            }
            fn judged(&self) -> Judged<'_> {
                Judged::Whole(*self as u64)
            }
        }
    )*};
}
whole!(usize, u64);

impl SettingType for f64 {
    const KIND: RangeKind = RangeKind::Number;
    fn expected() -> String {
        "a number".to_string()
    }
    fn parse(text: &str) -> Option<Value> {
        text.parse().ok().map(Value::Float)
    }
    fn accepts(value: &Value) -> bool {
        value.is_float() || value.is_integer()
    }
    fn judged(&self) -> Judged<'_> {
        Judged::Number(*self)
    }
}

impl SettingType for bool {
    const KIND: RangeKind = RangeKind::Other;
    fn expected() -> String {
        "true or false".to_string()
    }
    fn parse(text: &str) -> Option<Value> {
        text.parse().ok().map(Value::Boolean)
    }
    fn accepts(value: &Value) -> bool {
        value.is_bool()
    }
    fn judged(&self) -> Judged<'_> {
        Judged::Other
    }
}

impl SettingType for String {
    const KIND: RangeKind = RangeKind::Text;
    fn expected() -> String {
        "a string".to_string()
    }
    fn parse(text: &str) -> Option<Value> {
        Some(Value::String(text.to_string()))
    }
    fn accepts(value: &Value) -> bool {
        value.is_str()
    }
    fn judged(&self) -> Judged<'_> {
        Judged::Text(self)
    }
}

impl<T: SettingType> SettingType for Option<T> {
    const NAMES: &'static [&'static str] = T::NAMES;
    const KIND: RangeKind = T::KIND;
    fn expected() -> String {
        T::expected()
    }
    fn parse(text: &str) -> Option<Value> {
        T::parse(text)
    }
    fn accepts(value: &Value) -> bool {
        T::accepts(value)
    }
    /// What is not set lies in every range.
    fn judged(&self) -> Judged<'_> {
        self.as_ref().map_or(Judged::Other, T::judged)
    }
}

/// "a, b or c".
pub(super) fn either(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => one.to_string(),
        [head @ .., last] => format!("{} or {last}", head.join(", ")),
    }
}

/// An enum whose variants have names: in files, on the command line, in errors.
macro_rules! choice {
    ($(#[doc = $doc:literal])* $type:ident { $($(#[doc = $help:literal])* $variant:ident = $name:literal,)+ }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type {
            $($(#[doc = $help])* $variant,)+
        }

        $crate::train::settings::field::named! { $type { $($variant = $name,)+ } }
    };
}

/// Gives an enum that stands elsewhere the names by which it is a setting.
macro_rules! named {
    ($type:ident { $($variant:ident = $name:literal,)+ }) => {
        impl $type {
            /// All names in a settings file.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The name in a settings file.
            pub fn name(self) -> &'static str {
                match self {
                    $($type::$variant => $name,)+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
                to.serialize_str(self.name())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
                match <String as serde::Deserialize>::deserialize(from)?.as_str() {
                    $($name => Ok($type::$variant),)+
                    other => Err(serde::de::Error::unknown_variant(other, $type::NAMES)),
                }
            }
        }

        impl $crate::train::settings::field::SettingType for $type {
            const NAMES: &'static [&'static str] = $type::NAMES;
            const KIND: $crate::train::settings::range::RangeKind = $crate::train::settings::range::RangeKind::Other;
            fn expected() -> String {
                $crate::train::settings::field::either($type::NAMES)
            }
            fn parse(text: &str) -> Option<toml::Value> {
                Some(toml::Value::String(text.to_string()))
            }
            fn accepts(value: &toml::Value) -> bool {
                value.as_str().is_some_and(|v| $type::NAMES.contains(&v))
            }
            fn judged(&self) -> $crate::train::settings::range::Judged<'_> {
                $crate::train::settings::range::Judged::Other
            }
        }
    };
}

/// A field's key. A function of its own, as it would stand in the table once a setting.
#[inline(never)]
pub(super) fn key(field: &str) -> &'static str {
    String::leak(field.replace('_', "-"))
}

/// A struct of settings: each field is stated once, with its help, type, default, range and what a resumed run may do with
/// it, and everything else (keys, flags, sections, the table of keys, the check of ranges) follows. A field's key is its
/// name with `-` for `_`.
macro_rules! settings {
    (
        $(#[$meta:meta])* $type:ident
        $($section:literal { $(#[doc = $help:literal] $field:ident: $kind:ty = $default:expr; $range:expr; $on_resume:ident,)+ })+
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
        pub struct $type {
            $($(#[doc = $help] pub $field: $kind,)+)+
        }

        impl Default for $type {
            fn default() -> Self {
                $type { $($($field: $default,)+)+ }
            }
        }

        impl $type {
            /// The keys of all settings, section by section.
            pub fn keys() -> &'static [Key] {
                static KEYS: std::sync::LazyLock<Vec<Key>> = std::sync::LazyLock::new(|| {
                    vec![$($({
                        const _: () = assert!($range.suits(<$kind as SettingType>::KIND), "a range of another type");
                        Key::new::<$kind>(
                            $crate::train::settings::field::key(stringify!($field)),
                            $section,
                            $help.trim_ascii(),
                            $range,
                            OnResume::$on_resume,
                        )
                    },)+)+]
                });
                &KEYS
            }

            /// All values as ranges judge them, in the order of [`Self::keys`].
            fn judged(&self) -> Vec<Judged<'_>> {
                vec![$($(self.$field.judged(),)+)+]
            }
        }
    };
}

pub(super) use {choice, named, settings};
