//! Tests of the cell language: its errors, and the graph that texts become.

use super::graph::{Graph, Node};
use super::operator::{Binary, Unary};
use super::stage::Store;
use super::*;

/// The one line that a faulty text gives.
fn fault(text: &str) -> String {
    match Cell::parse("c", text) {
        Ok(cell) => panic!("`{text}` is no error: {cell:?}"),
        Err(error) => {
            assert_eq!(error.kind, crate::Kind::Data, "{error}");
            assert!(!error.message.contains('\n'), "{error}");
            error.message
        }
    }
}

#[test]
fn faults_name_the_place_and_the_way_out() {
    let faults = [
        // Unknown names, with the nearest one.
        (
            "state h\ngate = sigmoid(linear(x, h))\nh = tanh(gaet)\n",
            "c:3:10: unknown name `gaet`; did you mean `gate`?",
        ),
        (
            "state h\nh = tnah(linear(x, h))\n",
            "c:2:5: unknown function `tnah`; did you mean `tanh`?",
        ),
        (
            "state h\nh = tanh(linear(x, h)) * qqq\n",
            "c:2:26: unknown name `qqq`",
        ),
        // Order.
        (
            "state h\nh = tanh(linear(x, h)) * z\nz = tanh(h)\n",
            "c:2:26: `z` is used before line 3 makes it; declare it with `state` to use its previous value",
        ),
        (
            "state h\na = tanh(linear(x))\na = tanh(linear(h))\nh = a\n",
            "c:3:1: `a` is made a second time",
        ),
        // What is of no use.
        (
            "state h\n  u = tanh(linear(x))\nh = tanh(linear(x, h))\n",
            "c:2:3: `u` is made and never used",
        ),
        (
            "state h, s\nh = tanh(linear(x, h))\ns = h * 2\n",
            "c:1:10: no equation uses the previous value of state `s`: drop it from the `state` line",
        ),
        (
            "state h, s\nh = tanh(linear(x, s))\n",
            "c:1:10: state `s` is never made; add `s = ...`",
        ),
        // Words of the language.
        (
            "state h\nx = tanh(h)\nh = x\n",
            "c:2:1: `x` is a reserved word",
        ),
        (
            "state linear\nlinear = tanh(x)\n",
            "c:1:7: `linear` is a reserved word",
        ),
        (
            "state h, h\nh = tanh(h)\n",
            "c:1:10: state `h` is declared twice",
        ),
        (
            "state h\nbias f = 1\nh = tanh(linear(x, h))\n",
            "c:2:6: no equation makes `f`",
        ),
        (
            "state h\noutput y\nh = tanh(linear(x, h))\n",
            "c:2:8: the output `y` must be a state",
        ),
        (
            "h = tanh(linear(x))\n",
            "c: a cell needs a line `state NAME`: what it hands to its next step",
        ),
        (
            "",
            "c: a cell needs a line `state NAME`: what it hands to its next step",
        ),
        // Grammar.
        (
            "state h\nh = tanh(linear(x, h)\n",
            "c:2:22: expected `)`, found the end of the line",
        ),
        (
            "state h\nh = tanh(linear(x, h)) h\n",
            "c:2:24: expected the end of the line, found `h`",
        ),
        (
            "state h\nh = * h\n",
            "c:2:5: expected an expression, found `*`",
        ),
        ("state h\nh = 1.2.3 * h\n", "c:2:5: `1.2.3` is not a number"),
        ("state h\nh = 1e999 * h\n", "c:2:5: `1e999` is not a number"),
        (
            "state h\nh = tanh(linear(x, h)) ; h\n",
            "c:2:24: `;` has no meaning here",
        ),
        (
            "state h\nh = \u{202e}h\n",
            "c:2:5: `\\u{202e}` has no meaning here",
        ),
        (
            "state h\nconst a = h\nh = a * tanh(linear(x, h))\n",
            "c:2:11: expected a number, found `h`",
        ),
        (
            "state h\nh = tanh(h, h)\n",
            "c:2:5: `tanh` expects 1 operands, found 2",
        ),
        (
            "state h\nh = max(h)\n",
            "c:2:5: `max` expects 2 operands, found 1",
        ),
        (
            "state h\nh = tanh(linear(2, h))\n",
            "c:2:10: `linear` of a constant is a bias: leave it out",
        ),
    ];
    for (text, message) in faults {
        assert_eq!(fault(text), message, "{text}");
    }
}

#[test]
fn a_column_counts_characters_not_bytes() {
    let message = fault("state h\nh = tanh(linear(x, h)) # \u{e9}\nh = \u{e9}\n");
    assert_eq!(message, "c:3:5: `\\u{e9}` has no meaning here");
}

#[test]
fn hostile_texts_are_refused_at_once() {
    let nested = |open: &str, close: &str, n: usize| {
        format!("state h\nh = {}h{}\n", open.repeat(n), close.repeat(n))
    };
    assert!(Cell::parse("c", &nested("(", ")", 60)).is_ok());
    for (open, close) in [("(", ")"), ("tanh(", ")"), ("-", ""), ("linear(", ")")] {
        let message = fault(&nested(open, close, 200));
        assert!(
            message.starts_with("c:2:") && message.ends_with("expressions nest at most 64 deep"),
            "{message}"
        );
    }
    let message = fault(&nested("(", ")", 20_000));
    assert!(
        message.contains("a line has at most 1000 words"),
        "{message}"
    );
    let message = fault(&format!("state h\nh = h{}\n", " + h".repeat(100)));
    assert!(
        message.contains("a chain of operators has at most 64 links"),
        "{message}"
    );
    for huge in [
        "\n".repeat(1 << 20),
        "#".repeat(1 << 20),
        "a".repeat(1 << 20),
    ] {
        assert_eq!(
            fault(&huge),
            "c: a cell is at most 65536 bytes, this text has 1048576"
        );
    }
}

/// The nodes that the new states depend on, numbered anew in their order.
fn nodes(text: &str) -> Vec<Node> {
    let cell = Cell::parse("c", text).unwrap();
    let reached = cell.graph.reachable(cell.new_states.iter().copied());
    let ids: Vec<Id> = (0..cell.graph.len()).filter(|id| reached[*id]).collect();
    let place = |id: Id| ids.binary_search(&id).unwrap();
    let renumbered = ids.iter().map(|id| match cell.graph.node(*id) {
        Node::Unary(op, a) => Node::Unary(op, place(a)),
        Node::Binary(op, a, b) => Node::Binary(op, place(a), place(b)),
        leaf => leaf,
    });
    renumbered.collect()
}

#[test]
fn two_spellings_give_one_graph() {
    let head = "state a, b, c\nb = b + a\nc = c + a\n";
    let one = nodes(&format!("{head}a = a * b + c\n"));
    for spelling in [
        "c + b * a",
        "(b * a) + (c)",
        "b*a - -c",
        "1 * (a * b) + c + 0",
        "c / 1 + a * b",
    ] {
        assert_eq!(nodes(&format!("{head}a = {spelling}\n")), one, "{spelling}");
    }
    assert_ne!(nodes(&format!("{head}a = a * c + b\n")), one);
    assert_ne!(nodes(&format!("{head}a = a * b - c\n")), one);
}

#[test]
fn a_value_written_twice_is_one_node() {
    let once = nodes("state h\nt = tanh(linear(x, h))\nh = t * t\n");
    let leaves = once
        .iter()
        .filter(|n| matches!(n, Node::Unary(Unary::Tanh, _)))
        .count();
    assert_eq!(leaves, 1);
    let twice = nodes("state h\nh = tanh(h) * tanh(h)\n");
    assert_eq!(twice, nodes("state h\nt = tanh(h)\nh = t * t\n"));
}

#[test]
fn obvious_terms_fold_away() {
    let mut graph = Graph::default();
    let h = graph.leaf(Node::Previous(0));
    let [zero, one, two, three] = [0.0, 1.0, 2.0, 3.0].map(|v| graph.constant(v));
    let before = graph.len();
    for (op, a, b, want) in [
        (Binary::Add, h, zero, h),
        (Binary::Add, zero, h, h),
        (Binary::Sub, h, zero, h),
        (Binary::Mul, h, one, h),
        (Binary::Mul, one, h, h),
        (Binary::Div, h, one, h),
        (Binary::Mul, h, zero, zero),
        (Binary::Mul, zero, h, zero),
        (Binary::Add, one, two, three),
        (Binary::Sub, three, two, one),
    ] {
        assert_eq!(graph.binary(op, a, b), want, "{op:?} {a} {b}");
    }
    assert_eq!(graph.constant(-0.0), zero);
    assert_eq!(graph.len(), before, "nothing was made");
    let minus = graph.unary(Unary::Neg, h);
    assert_eq!(graph.unary(Unary::Neg, minus), h);
    assert_eq!(graph.sub(zero, h), minus);
    let sigmoid = graph.unary(Unary::Sigmoid, zero);
    assert_eq!(graph.value(sigmoid), Some(0.5));
}

/// A chain of shared values: work that followed every path through it would double with every line.
#[test]
fn a_long_chain_of_shared_values_compiles_at_once() {
    let mut text = String::from("state h\na0 = tanh(linear(h))\n");
    for i in 0..400 {
        text.push_str(&format!("a{} = a{i} * a{i} + tanh(a{i})\n", i + 1));
    }
    text.push_str("r = linear(a400, x)\nh = norm(r) + a399\n");
    let cell = Cell::parse("chain", &text).unwrap();
    let compiled = cell.compile();
    assert_eq!(compiled.forward.len(), 3);
    assert!(cell.equations(&compiled)[1].len() < 1 << 20);
}

/// What is saved may only lie where the product lay if no unit's values are read for another one.
#[test]
fn saved_values_take_the_place_of_the_product_where_units_are_apart() {
    let over = |text: &str| Cell::parse("c", text).unwrap().compile().over_projection;
    assert!(over(
        "state h\nz = sigmoid(linear(x, h))\nh = z * h + 1 - z\n"
    ));
    // One stage, but with sums over rows.
    let summed = "state h\nz = sigmoid(linear(x, h))\nh = z * norm(h) + 1 - z\n";
    assert_eq!(Cell::parse("c", summed).unwrap().compile().forward.len(), 1);
    assert!(!over(summed));
    assert!(!over("state h\nh = tanh(norm(linear(x, h)))\n"));
    assert!(!over(
        "state h\nr = sigmoid(linear(x, h))\nh = tanh(linear(x, r * h))\n"
    ));
    assert!(!over("state h\nh = tanh(linear(h) + x)\n"));
}

/// One kernel a stage, and between them the attention: forward behind the query, backward behind the result's adjoint.
#[test]
fn an_attention_stands_between_the_stages_of_its_query_and_its_result() {
    let attentions = |stages: &[Stage]| -> Vec<Vec<usize>> {
        stages
            .iter()
            .map(|stage| stage.attentions.clone())
            .collect()
    };
    // Before the gates, from the state before; after them, from the new state.
    for (name, forward, backward) in [
        ("gru-attend", [0, 1, 0, 0], [0, 0, 0, 1]),
        ("lstm-attend", [0, 0, 1, 0], [0, 0, 1, 0]),
        ("lstm-attend-gated", [0, 1, 0, 0], [0, 0, 1, 0]),
    ] {
        let cell = library::builtin(name).unwrap();
        let compiled = cell.compile();
        let counts = |stages: &[Stage]| {
            let all = attentions(stages);
            let count = |n: usize| all.get(n).map_or(0, Vec::len);
            [0, 1, 2, 3].map(count)
        };
        assert_eq!(counts(&compiled.forward), forward, "{name}");
        assert_eq!(counts(&compiled.backward), backward, "{name}");
        // Nothing looks at the rows of a memory in a plan that keeps nothing either.
        assert_eq!(counts(&cell.compile_inference().forward), forward, "{name}");
        // No program makes the adjoint of a query.
        let [_, query] = compiled.attention_deltas[0].unwrap();
        let stores = compiled
            .backward
            .iter()
            .flat_map(|stage| &stage.program.stores);
        assert!(!stores.clone().any(|store| store.0 == Store::Delta(query)));
    }
}

#[test]
fn what_memories_are_refused_for() {
    for (text, place, what) in [
        (
            "memory m\nstate h\nh = tanh(linear(x, h))\n",
            "1:8",
            "nothing looks at memory `m`",
        ),
        (
            "state h\nh = dot(m, h)\n",
            "2:9",
            "expects the name of a memory first",
        ),
        (
            "memory m\nstate h\nh = dot(h, m)\n",
            "3:9",
            "expects the name of a memory first",
        ),
        (
            "memory m\nstate h\nh = dot(m, m)\n",
            "3:12",
            "`m` is a memory, at which",
        ),
        (
            "memory m\nstate h\nh = m + dot(m, h)\n",
            "3:5",
            "`m` is a memory, at which",
        ),
        (
            "memory m\nstate h\nh = dot(m, 1)\n",
            "3:12",
            "found a constant",
        ),
        (
            "memory m, m\nstate h\nh = dot(m, h)\n",
            "1:11",
            "`m` is declared twice",
        ),
        (
            "memory h\nstate h\nh = dot(h, h)\n",
            "1:8",
            "`h` is declared twice",
        ),
        (
            "memory m\nstate h\nconst m = 1\nh = dot(m, h)\n",
            "3:7",
            "`m` is declared twice",
        ),
        (
            "memory m\nstate h\nm = dot(m, h)\nh = m\n",
            "3:1",
            "`m` is a memory, which no equation makes",
        ),
        ("memory x\nstate h\nh = dot(x, h)\n", "1:8", "reserved word"),
        (
            "memory m\nstate h\nh = dot(m)\n",
            "3:5",
            "expects 2 operands",
        ),
        (
            "memory m\nstate h\ndot = dot(m, h)\nh = dot\n",
            "3:1",
            "reserved word",
        ),
    ] {
        let fault = Cell::parse("cell", text).unwrap_err().message;
        assert!(fault.contains(what), "{text}\n{fault}");
        assert!(
            fault.starts_with(&format!("cell:{place}: ")),
            "{text}\n{fault}"
        );
    }
}
