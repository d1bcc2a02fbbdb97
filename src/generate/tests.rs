//! Every task is what it says: its examples are read by rules of their own, which know nothing of how they were made.

use proptest::prelude::*;

use super::{TASKS, task};

/// Lines of a set behind its header, of lengths that the task has.
fn lines(name: &str, count: u64, seed: u64, length: Option<usize>) -> Vec<String> {
    let task = task(name).unwrap();
    let text = task.text(count, seed, length).unwrap();
    let text = text.strip_prefix(task.header).unwrap();
    text.lines().map(String::from).collect()
}

/// The two columns of a line.
fn columns(line: &str) -> (&str, &str) {
    line.split_once('\t').unwrap()
}

/// Examples of words and tags, a pair a step.
fn tagged(name: &str, count: u64, seed: u64, length: Option<usize>) -> Vec<Vec<(String, String)>> {
    let lines = lines(name, count, seed, length);
    assert_eq!(lines.last().unwrap(), "");
    let mut examples = vec![Vec::new()];
    for line in &lines[..lines.len() - 1] {
        if line.is_empty() {
            examples.push(Vec::new());
        } else {
            let (word, tag) = columns(line);
            examples.last_mut().unwrap().push((word.into(), tag.into()));
        }
    }
    examples
}

/// A number of ASCII digits at the beginning, and what is behind it.
fn number(text: &str) -> (i128, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    (text[..end].parse().unwrap(), &text[end..])
}

/// What `text` comes to, letters left out.
fn worked_out(text: &str) -> i128 {
    let text: String = text.chars().filter(|c| !c.is_ascii_lowercase()).collect();
    let (a, rest) = number(&text);
    let (sign, rest) = rest.split_at(1);
    let (b, rest) = number(rest);
    assert_eq!(rest, "", "{text}");
    match sign {
        "+" => a + b,
        "-" => a - b,
        _ => panic!("{text}"),
    }
}

/// The names of a line of tags in the order in which they open; every one closes, the last first.
fn elements(line: &str) -> Vec<&str> {
    let (mut open, mut all, mut rest) = (Vec::new(), Vec::new(), line);
    while !rest.is_empty() {
        let (tag, behind) = rest.strip_prefix('<').unwrap().split_once('>').unwrap();
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{line}"),
            None => {
                assert!(tag.bytes().all(|c| c.is_ascii_lowercase()), "{line}");
                assert!((2..=10).contains(&tag.len()), "{line}");
                open.push(tag);
                all.push(tag);
            }
        }
        rest = behind;
    }
    assert!(open.is_empty(), "{line}");
    all
}

/// Removes neighbours that close one another until there are none.
fn reduced(line: &str) -> String {
    let mut text = line.to_owned();
    loop {
        let shorter = text.replace("()", "").replace("[]", "").replace("{}", "");
        if shorter == text {
            return text;
        }
        text = shorter;
    }
}

/// What is left of a line of a wiki behind what the last of `open` opened: in it links and bold words close before it does, and
/// neither lies in itself.
fn behind<'a>(line: &'a str, open: &[&str]) -> &'a str {
    let mut rest = line;
    loop {
        if let Some(closes) = open.last()
            && let Some(left) = rest.strip_prefix(closes)
        {
            return left;
        }
        let opened = [("[[", "]]"), ("'''", "'''")];
        let opened = opened.iter().find(|mark| rest.starts_with(mark.0));
        match (opened, rest.chars().next()) {
            (Some((opens, closes)), _) => {
                assert!(!open.contains(closes), "{line}");
                rest = behind(&rest[opens.len()..], &[open, &[closes]].concat());
            }
            (None, Some(c)) => {
                assert!(c == ' ' || c.is_ascii_lowercase(), "{line}");
                rest = &rest[1..];
            }
            (None, None) => {
                assert!(open.is_empty(), "{line}");
                return rest;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn order_has_twins(seed: u64) {
        let lines = lines("order", 40, seed, None);
        for pair in lines.chunks(2) {
            let sorted = |text: &'_ str| {
                let mut words: Vec<String> = text.split(' ').map(String::from).collect();
                words.sort();
                words
            };
            let ((first, a), (second, b)) = (columns(&pair[0]), columns(&pair[1]));
            prop_assert_eq!((first, second), ("pos", "neg"));
            prop_assert_ne!(a, b);
            prop_assert_eq!(sorted(a), sorted(b));
        }
    }

    #[test]
    fn ahead_tags_the_next_word(seed: u64) {
        for example in tagged("ahead", 10, seed, None) {
            prop_assert!((4..=12).contains(&example.len()));
            for (n, (_, tag)) in example.iter().enumerate() {
                let vowel = example.get(n + 1).is_some_and(|(next, _)| next.starts_with(['a', 'e', 'i', 'o', 'u']));
                prop_assert_eq!(tag, if vowel { "V" } else { "C" });
            }
        }
    }

    #[test]
    fn adding_has_the_sum_of_one_of_each_half(seed: u64, length in 2..60usize) {
        for line in lines("adding", 5, seed, Some(length)) {
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            let steps: Vec<(f64, u8)> = serde_json::from_value(value["x"].clone()).unwrap();
            prop_assert_eq!(steps.len(), length);
            prop_assert!(steps.iter().all(|step| (0.0..1.0).contains(&step.0)));
            let marked: Vec<usize> = (0..length).filter(|n| steps[*n].1 == 1).collect();
            prop_assert_eq!(marked.len(), 2);
            prop_assert!(marked[0] < length / 2 && marked[1] >= length / 2);
            let sum: f64 = marked.iter().map(|n| steps[*n].0).sum();
            prop_assert!((value["sum"][0].as_f64().unwrap() - sum).abs() < 1e-9);
        }
    }

    #[test]
    fn copy_says_its_symbols_again(seed: u64, length in 1..40usize) {
        for example in tagged("copy", 3, seed, Some(length)) {
            prop_assert_eq!(example.len(), length + 20);
            for (n, (word, tag)) in example.iter().enumerate() {
                let expected = match n {
                    0..10 => word.as_str(),
                    n if n == length + 9 => "?",
                    _ => "-",
                };
                prop_assert_eq!(word, expected);
                prop_assert!(n >= 10 || ("a"..="h").contains(&word.as_str()));
                let said = n.checked_sub(length + 10).map_or("-", |n| example[n].0.as_str());
                prop_assert_eq!(tag, said);
            }
        }
    }

    #[test]
    fn reversal_and_repetition_are_exact(seed: u64, length in 1..40usize) {
        for (name, turned) in [("reversal", true), ("repetition", false)] {
            for line in lines(name, 10, seed, Some(length)) {
                let (source, target) = columns(&line);
                prop_assert!((length.div_ceil(2)..=length).contains(&source.len()));
                let bytes = source.bytes();
                let expected: Vec<u8> = if turned { bytes.rev().collect() } else { bytes.collect() };
                prop_assert_eq!(target.as_bytes(), expected);
            }
        }
    }

    #[test]
    fn arithmetic_comes_to_its_target(seed: u64, length in 1..=37usize) {
        for line in lines("arithmetic", 20, seed, Some(length)) {
            let (source, target) = columns(&line);
            prop_assert_eq!(worked_out(source).to_string(), target);
        }
    }

    #[test]
    fn the_first_symbol_decides_latch(seed: u64, length in 1..80usize) {
        for line in lines("latch", 10, seed, Some(length)) {
            let (label, text) = columns(&line);
            prop_assert_eq!(text.len(), length);
            prop_assert!(["a", "b"].contains(&label) && text.starts_with(label));
            prop_assert!(text[1..].bytes().all(|c| b"cdefgh".contains(&c)));
        }
    }

    #[test]
    fn the_first_symbol_decides_first(seed: u64, length in 1..80usize) {
        for line in lines("first", 10, seed, Some(length)) {
            let (label, text) = columns(&line);
            prop_assert!((1..=length).contains(&text.len()));
            prop_assert_eq!(label, &text[..1]);
            prop_assert!(text.bytes().all(|c| (b'a'..=b'p').contains(&c)));
        }
    }

    #[test]
    fn temporal_order_is_that_of_the_paper(seed: u64, length in 10..250usize) {
        let tenth = length / 10;
        for line in lines("temporal-order", 10, seed, Some(length)) {
            let (label, text) = columns(&line);
            prop_assert!((length..=length + tenth).contains(&text.len()));
            prop_assert!(text.starts_with('E') && text.ends_with('B'));
            let places: Vec<(usize, char)> = text.char_indices().filter(|(_, c)| "XY".contains(*c)).collect();
            let [(first, a), (second, b)] = places[..] else { panic!("{text}") };
            prop_assert!((tenth..=2 * tenth).contains(&first) && (5 * tenth..=6 * tenth).contains(&second));
            let class = match (a, b) { ('X', 'X') => "Q", ('X', 'Y') => "R", ('Y', 'X') => "S", _ => "U" };
            prop_assert_eq!(label, class);
            let noise = text[1..text.len() - 1].replace(['X', 'Y'], "");
            prop_assert!(noise.bytes().all(|c| b"abcd".contains(&c)));
        }
    }

    #[test]
    fn the_country_decides_the_last_word_of_gap(seed: u64, length in 1..50usize) {
        let spoken = |country: &str| match country {
            "france" => "french", "italy" => "italian", "poland" => "polish", "finland" => "finnish",
            "greece" => "greek", "turkey" => "turkish", "denmark" => "danish", "hungary" => "hungarian",
            other => panic!("{other}"),
        };
        for line in lines("gap", 10, seed, Some(length)) {
            let words: Vec<&str> = line.split(' ').collect();
            prop_assert_eq!(&words[1..4], ["grew", "up", "in"]);
            prop_assert_eq!(words.len(), 6 + length + 3);
            prop_assert_eq!(*words.last().unwrap(), spoken(words[4]));
            prop_assert_eq!(words.iter().filter(|w| **w == words[4]).count(), 1);
        }
    }

    #[test]
    fn xml_is_well_formed(seed: u64, length in 1..40usize) {
        for line in lines("xml", 5, seed, Some(length)) {
            prop_assert_eq!(elements(&line).len(), length);
        }
    }

    #[test]
    fn brackets_close_in_order(seed: u64, length in 1..60usize) {
        for line in lines("brackets", 5, seed, Some(length)) {
            prop_assert_eq!(line.len(), 2 * length);
            prop_assert_eq!(reduced(&line), "");
        }
    }

    #[test]
    fn pages_of_a_wiki_close_what_they_open(seed: u64, length in 1..9usize) {
        for page in lines("wiki", 5, seed, Some(length)).chunks(length + 1) {
            prop_assert_eq!(page.len(), length + 1);
            let words = page[0].trim_matches('=');
            let signs = "=".repeat((page[0].len() - words.len()) / 2);
            prop_assert!((2..=4).contains(&signs.len()));
            prop_assert_eq!(&page[0], &format!("{signs}{words}{signs}"));
            prop_assert!(words.bytes().all(|c| c == b' ' || c.is_ascii_lowercase()));
            for line in &page[1..] {
                prop_assert_eq!(behind(line, &[]), "");
                prop_assert!(!line.is_empty());
            }
        }
    }

    #[test]
    fn strokes_write_their_digits_from_left_to_right(seed: u64, length in 1..9usize) {
        for line in lines("strokes", 5, seed, Some(length)) {
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            let text = value["text"].as_str().unwrap();
            prop_assert!((1..=length).contains(&text.len()));
            prop_assert!(text.bytes().all(|c| c.is_ascii_digit()));
            let steps: Vec<(f64, f64, u8)> = serde_json::from_value(value["points"].clone()).unwrap();
            // A line a digit, but two of 4 and 5; the pen lifts behind each, also behind the last.
            let two = |c: &char| "45".contains(*c);
            let lifts = steps.iter().filter(|step| step.2 == 1).count();
            prop_assert_eq!(lifts, text.len() + text.chars().filter(two).count());
            prop_assert_eq!(steps.last().unwrap().2, 1);
            // Where each digit lies: its lines' mean.
            let (mut x, mut y, mut lines) = (0.0, 0.0, vec![vec![(0.0, 0.0)]]);
            for step in &steps {
                (x, y) = (x + step.0, y + step.1);
                lines.last_mut().unwrap().push((x, y));
                if step.2 == 1 {
                    lines.push(Vec::new());
                }
            }
            let mut lines = lines.into_iter();
            let mut before = f64::NEG_INFINITY;
            for c in text.chars() {
                let mut own = lines.next().unwrap();
                if two(&c) {
                    own.extend(lines.next().unwrap());
                }
                let mean = own.iter().map(|point| point.0).sum::<f64>() / own.len() as f64;
                prop_assert!(mean > before + 0.2, "{} {}", text, line);
                before = mean;
                let high = |of: fn(f64, f64) -> f64, from| own.iter().map(|p| p.1).fold(from, of);
                let height = high(f64::max, f64::NEG_INFINITY) - high(f64::min, f64::INFINITY);
                prop_assert!((0.7..1.4).contains(&height), "{}", height);
            }
        }
    }

    #[test]
    fn moving_digits_bounce_where_they_are_said_to_be(seed: u64, length in 1..30usize) {
        for line in lines("moving", 3, seed, Some(length)) {
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            let frames: Vec<Vec<f64>> = serde_json::from_value(value["frames"].clone()).unwrap();
            let places: Vec<[f64; 2]> = serde_json::from_value(value["places"].clone()).unwrap();
            prop_assert_eq!((frames.len(), places.len()), (length, length));
            for (frame, place) in frames.iter().zip(&places) {
                prop_assert_eq!(frame.len(), 256);
                prop_assert!(frame.iter().all(|x| (0.0..=1.0).contains(x)));
                // The middle of the light is that of the digit, nearly; nothing of it is beyond an edge.
                let light: f64 = frame.iter().sum();
                for (n, at) in place.iter().enumerate() {
                    let of = |(i, x): (usize, &f64)| x * (0.5 + [i % 16, i / 16][n] as f64);
                    let middle = frame.iter().enumerate().map(of).sum::<f64>() / light;
                    prop_assert!((middle - at).abs() < 1.2, "{} {}", middle, at);
                    prop_assert!((2.0..=14.0).contains(at), "{}", at);
                }
            }
            // What moves, and by how much at most; a bounce makes a step shorter.
            let most = |n: usize| places.windows(2).map(|p| (p[1][n] - p[0][n]).abs()).fold(0.0, f64::max);
            let (label, text) = (value["label"].as_str().unwrap(), value["text"].as_str().unwrap());
            prop_assert!(text.contains(label));
            let moves = match label {
                "across" => [true, false],
                "upright" => [false, true],
                other => [other == "slanting"; 2],
            };
            let pace = if text.contains("slowly") { 0.49..=0.81 } else { 1.19..=1.61 };
            for (n, moves) in moves.into_iter().enumerate() {
                let found = most(n);
                let fits = if moves { length < 4 || pace.contains(&found) } else { found == 0.0 };
                prop_assert!(fits, "{} {}", text, found);
            }
        }
    }

    #[test]
    fn a_set_is_a_function_of_its_seed_and_begins_with_a_smaller_one(seed: u64) {
        for task in &TASKS {
            let text = |count, seed| task.text(count, seed, None).unwrap();
            let all = text(12, seed);
            prop_assert_eq!(&all, &text(12, seed));
            prop_assert!(all.starts_with(&text(5, seed)));
            prop_assert_ne!(&all, &text(12, seed ^ 1));
        }
    }
}

/// Whatever is drawn by a coin or a choice falls on each side about as often.
#[test]
fn classes_are_as_frequent_as_one_another() {
    for (name, classes) in [("latch", 2), ("first", 16), ("temporal-order", 4)] {
        let lines = lines(name, 2000, 3, None);
        let mut counts = std::collections::BTreeMap::new();
        for line in &lines {
            *counts.entry(columns(line).0).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), classes);
        // Five deviations of a binomial distribution.
        let share = 1.0 / classes as f64;
        let most = 5.0 * (2000.0 * share * (1.0 - share)).sqrt();
        for (class, count) in counts {
            let off = (f64::from(count) - 2000.0 * share).abs();
            assert!(off <= most, "{name} {class}: {count} of 2000");
        }
    }
}

#[test]
fn lengths_that_a_task_has_not_are_refused() {
    for (name, length) in [
        ("adding", 1),
        ("latch", 0),
        ("temporal-order", 9),
        ("arithmetic", 38),
        ("order", 5),
    ] {
        let e = task(name).unwrap().length(Some(length)).unwrap_err();
        assert_eq!(e.kind, crate::error::Kind::Usage);
        let parts = ["--length: expected ", name, &format!("got {length}")];
        assert!(parts.iter().all(|part| e.message.contains(part)), "{e}");
    }
    for task in &TASKS {
        let range = task.length;
        assert!(range.is_none_or(|r| r.least > 0 && r.least <= r.usual && r.usual <= r.most));
    }
}
