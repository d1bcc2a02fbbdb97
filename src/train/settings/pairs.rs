//! Lists such as `f=1,o=-1`: names with numbers, in settings that speak of a cell's variables and constants.

/// The names and numbers of a list; an empty text is an empty list.
///
/// # Errors
/// What is wrong with the first bad entry: "expected NAME=VALUE, got ...".
pub fn pairs(text: &str) -> Result<Vec<(String, f64)>, String> {
    let mut found: Vec<(String, f64)> = Vec::new();
    for entry in text.split(',').map(str::trim) {
        if entry.is_empty() && text.trim().is_empty() {
            continue;
        }
        let fault = || format!("expected NAME=VALUE, got {entry:?}");
        let (name, value) = entry.split_once('=').ok_or_else(fault)?;
        let (name, value) = (name.trim(), value.trim());
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(plain) {
            return Err(fault());
        }
        let number: f64 = value.parse().map_err(|_| fault())?;
        // As the device will see it.
        if !(number as f32).is_finite() {
            return Err(format!("{name}: expected a finite number, got {value}"));
        }
        if found.iter().any(|(known, _)| known == name) {
            return Err(format!("expected each name once, got {name} again"));
        }
        found.push((name.to_string(), number));
    }
    Ok(found)
}

/// The numbers of a list such as `20000,200000`, each larger than the one before.
///
/// # Errors
/// What is wrong with the list.
pub fn cutoffs(text: &str) -> Result<Vec<usize>, String> {
    let numbers = text.split(',').map(|entry| entry.trim().parse::<usize>());
    let numbers: Option<Vec<usize>> = numbers.map(Result::ok).collect();
    let rising = |all: &Vec<usize>| all[0] >= 1 && all.windows(2).all(|w| w[0] < w[1]);
    numbers
        .filter(rising)
        .ok_or_else(|| format!("expected rising whole numbers from 1 on, got {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::{cutoffs, pairs};

    #[test]
    fn cutoffs_rise() {
        assert_eq!(cutoffs("20, 300").unwrap(), [20, 300]);
        for bad in ["", "0", "3,3", "9,3", "a", "3,", "-1"] {
            let error = cutoffs(bad).unwrap_err();
            assert!(error.contains(&format!("got {bad:?}")), "{error}");
        }
    }

    #[test]
    fn good_lists() {
        assert_eq!(pairs("").unwrap(), []);
        let want = [("f".to_string(), 1.0), ("o_2".to_string(), -0.25)];
        assert_eq!(pairs(" f = 1, o_2=-2.5e-1").unwrap(), want);
    }

    #[test]
    fn bad_lists_say_what_is_wrong() {
        for (text, want) in [
            ("f", "expected NAME=VALUE, got \"f\""),
            ("f=1,", "expected NAME=VALUE, got \"\""),
            ("=1", "expected NAME=VALUE, got \"=1\""),
            ("f=one", "expected NAME=VALUE, got \"f=one\""),
            ("f g=1", "expected NAME=VALUE, got \"f g=1\""),
            ("f=nan", "f: expected a finite number, got nan"),
            ("f=1e39", "f: expected a finite number, got 1e39"),
            ("f=1,f=2", "expected each name once, got f again"),
        ] {
            assert_eq!(pairs(text).unwrap_err(), want, "{text}");
        }
    }
}
