//! Spellings of one cell have one hash, other cells have others.

use std::collections::HashMap;

use proptest::prelude::*;

use crate::cell::{Cell, library};

fn hash(text: &str) -> u64 {
    let cell = Cell::parse("test", text);
    cell.unwrap_or_else(|e| panic!("{text}: {e}")).normal().hash
}

const GRU: &str = "state h\nr = sigmoid(linear(x, h))\nz = sigmoid(linear(x, h))\nn = tanh(linear(x) + r * linear(h))\nh = (1 - z) * n + z * h\n";

#[test]
fn spellings_of_one_cell_hash_alike() {
    let lines = [
        // Order, brackets, a difference for two products.
        "state h\nz = sigmoid(linear(h, x))\nr = sigmoid(linear(h, x))\nn = tanh(r * linear(h) + linear(x))\nh = n + z * (h - n)\n",
        // Two biases for one, and factors that weights take up.
        "state h\nr = sigmoid(linear(x) + linear(h))\nz = sigmoid(0.9 * linear(x) - linear(1.1 * h))\nn = tanh(linear(x) + r * linear(h))\nh = (1 - z) * n + z * h\n",
        // Double negation, x * 1, and constants that meet.
        "state h\nr = sigmoid(-(-linear(x, h)))\nz = sigmoid(linear(x, h) * 1)\nn = tanh(linear(x) + r * linear(h) + 0.5 - 0.5)\nh = (2 - z - 1) * n - (-z) * h\n",
        // The other gate's name, and the other sign.
        "state h\nr = sigmoid(linear(x, h))\nz = sigmoid(linear(x, h))\nn = tanh(linear(x) + r * linear(h))\nh = z * n + (1 - z) * h\n",
        "state h\nr = sigmoid(linear(x, h))\nz = sigmoid(linear(x, h))\nn = tanh(linear(x) + r * linear(h))\nh = z * h - (1 - z) * n\n",
        // 1 - sigmoid(a) is sigmoid(-a).
        "state h\nr = sigmoid(linear(x, h))\na = linear(x, h)\nn = tanh(linear(x) + r * linear(h))\nh = sigmoid(-a) * n + sigmoid(a) * h\n",
    ];
    let gru = hash(GRU);
    assert_eq!(library::builtin("gru").unwrap().normal().hash, gru);
    for line in lines {
        assert_eq!(hash(line), gru, "{line}");
    }
    let lstm = library::builtin("lstm").unwrap().normal();
    let renamed = "state a, b\noutput b\nq = sigmoid(linear(x, b))\nw = tanh(linear(b, x))\ne = sigmoid(linear(x, b))\n\
        r = sigmoid(linear(x, b))\na = w * e + a * q\nb = tanh(a) * r\n";
    assert_eq!(hash(renamed), lstm.hash);
    assert!(lstm.recurrent && lstm.reads_input && lstm.idle.is_empty());
}

#[test]
fn other_cells_hash_otherwise() {
    let other = [
        // The gates are one; the candidate is squared; the reset acts before the product; another constant.
        "state h\nr = sigmoid(linear(x, h))\nn = tanh(linear(x) + r * linear(h))\nh = (1 - r) * n + r * h\n",
        "state h\nr = sigmoid(linear(x, h))\nz = sigmoid(linear(x, h))\nn = tanh(linear(x) + r * linear(h))\nh = (1 - z) * n * n + z * h\n",
        "state h\nr = sigmoid(linear(x, h))\nz = sigmoid(linear(x, h))\nn = tanh(linear(x, r * h))\nh = (1 - z) * n + z * h\n",
        "state h\nr = sigmoid(linear(x, h))\nz = sigmoid(linear(x, h))\nn = tanh(linear(x) + r * linear(h))\nh = (1 - z) * n + 0.9 * z * h\n",
        "state h\nr = sigmoid(linear(x, h))\nz = sigmoid(linear(x, h))\nn = tanh(linear(x) + r * linear(h))\nh = (1 - z) * n - z * h\n",
        // A linear that two gates share.
        "state h\na = linear(x, h)\nb = sigmoid(a)\nh = b * tanh(a)\n",
        "state h\nb = sigmoid(linear(x, h))\nh = b * tanh(linear(x, h))\n",
    ];
    let mut seen = HashMap::from([(hash(GRU), GRU)]);
    for text in other {
        let earlier = seen.insert(hash(text), text);
        assert_eq!(earlier, None, "{text}");
    }
}

/// Which built-in cells algebra says are one: the equations of their files agree but for biases and where these start.
#[test]
fn built_in_cells_that_differ_hash_otherwise() {
    let mut by_hash: HashMap<u64, Vec<&str>> = HashMap::new();
    for name in library::all_names() {
        let normal = library::builtin(name).unwrap().normal();
        assert_eq!(normal.idle, Vec::<String>::new(), "{name}");
        by_hash.entry(normal.hash).or_default().push(name);
    }
    let mut alike: Vec<Vec<&str>> = by_hash.into_values().filter(|n| n.len() > 1).collect();
    alike.sort();
    assert_eq!(alike, [["lstm", "lstm-np"], ["rnn", "elman"]]);
}

#[test]
fn parameters_that_the_output_does_not_hang_on_are_named() {
    let idle = |text: &str| Cell::parse("test", text).unwrap().normal();
    let found = idle("state h\na = linear(x)\nh = tanh(linear(x, h)) + a - a\n");
    assert_eq!(found.idle, ["product of a", "bias_ih of a"]);
    let found = idle("state h, c\nc = tanh(linear(x, c))\nh = tanh(linear(x))\n");
    assert_eq!(found.idle.len(), 3, "{found:?}");
    assert!(!found.recurrent && found.reads_input);
}

/// An expression of three gates and two states, and the same written otherwise.
fn spellings() -> impl Strategy<Value = (String, String)> {
    let leaf = prop_oneof![
        Just(("a".to_owned(), "a".to_owned())),
        Just(("b".to_owned(), "b".to_owned())),
        Just(("g".to_owned(), "g".to_owned())),
        Just(("h".to_owned(), "h".to_owned())),
        Just(("c".to_owned(), "c".to_owned())),
        Just(("0.9".to_owned(), "0.9".to_owned())),
    ];
    leaf.prop_recursive(4, 24, 2, |inner| {
        (inner.clone(), inner, 0..8u8).prop_map(|((p, q), (r, s), kind)| match kind {
            0 => (format!("({p} + {r})"), format!("({s} + {q})")),
            1 => (format!("({p} * {r})"), format!("({s} * {q})")),
            2 => (format!("({p} - {r})"), format!("(-({s} - {q}))")),
            3 => (format!("tanh({p})"), format!("(-tanh(-{q}))")),
            4 => (format!("sigmoid({p})"), format!("(1 - sigmoid(-{q}))")),
            5 => (format!("({p} + {r})"), format!("(2 * {q} - ({q} - {s}))")),
            6 => (format!("relu({p} * 0.9)"), format!("(relu({q} * 1) * 0.9)")),
            _ => (format!("(1.1 * {p})"), format!("({q} + 0.1 * {q})")),
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn algebra_does_not_change_the_hash((one, other) in spellings()) {
        let text = |e: &str| format!(
            "state h, c\na = sigmoid(linear(x, h))\nb = tanh(linear(x, h))\ng = sigmoid(linear(x, c))\n\
             c = a * c + b * g\nh = a * g * b * c + 0.5 * h + {e}\n"
        );
        prop_assert_eq!(hash(&text(&one)), hash(&text(&other)), "{} and {}", one, other);
    }
}
