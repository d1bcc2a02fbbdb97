//! What texts are refused for, each with its place, what was expected and what came.

use super::{FieldSize, Model, Sizes, library};
use crate::cell::library as cells;
use crate::model::{Mode, Spec};
use crate::syntax::{MAX_BYTES, MAX_DEPTH, MAX_TOKENS};

/// Lines of a model that is right but for what is put in.
fn refused(text: &str) -> String {
    let error = Model::parse("m", text).unwrap_err();
    assert_eq!(error.kind, crate::Kind::Data, "{error}");
    assert!(!error.message.contains('\n'), "{error}");
    error.message
}

const FIELDS: &str = "field text: tokens\nfield label: class\n";

#[test]
fn lines_that_are_none_are_refused_with_their_place() {
    let long = format!("h = {}\n", "f(".repeat(MAX_DEPTH + 1));
    let chain = format!("h = {}x\n", "x + ".repeat(MAX_DEPTH + 1));
    let wide = format!("h = f({})\n", "x, ".repeat(MAX_TOKENS));
    for (text, want) in [
        (
            "",
            "m: a model needs a line `loss cross_entropy(linear(v), target)`",
        ),
        (
            "field text tokens\n",
            "m:1:12: expected `:`, found `tokens`",
        ),
        (
            "field text: words\n",
            "m:1:13: expected `tokens`, `class`, `classes`, `vector`, `reals`, `bits` or `set`, found `words`",
        ),
        (
            "field text: tokens of\n",
            "m:1:20: expected the end of the line, found `of`",
        ),
        (
            "field tags: classes\n",
            "m:1:20: expected `along` and the name of a field with steps, found the end of the line",
        ),
        (
            "field tags: classes along\n",
            "m:1:26: expected the name of a field with steps, found the end of the line",
        ),
        (
            "field tags: classes along text\n",
            "m:1:27: no field above is called `text`",
        ),
        (
            "field text: tokens\nfield tags: classes along txt\n",
            "m:2:27: no field above is called `txt`; did you mean `text`?",
        ),
        (
            "field a: class\nfield b: tokens within a\n",
            "m:2:24: expected a field of tokens, found `a`",
        ),
        (
            "= 3\n",
            "m:1:1: expected `field`, `loss` or a name, found `=`",
        ),
        ("h rnn(x)\n", "m:1:3: expected `=`, found `rnn`"),
        (
            "h = rnn(x\n",
            "m:1:10: expected `)`, found the end of the line",
        ),
        ("h = rnn()\n", "m:1:9: expected an expression, found `)`"),
        (
            "h = rnn(x, cell = \"gru)\n",
            "m:1:19: `\"` is never closed in its line",
        ),
        (
            "h = \"gru\"\n",
            "m:1:5: expected an expression, found `\"gru\"`",
        ),
        ("h = rnn(x; y)\n", "m:1:10: `;` has no meaning here"),
        ("h = 1.2.3\n", "m:1:5: `1.2.3` is not a number"),
        (&long, "m:1:133: expressions nest at most 64 deep"),
        (&chain, "m:1:263: a chain of operators has at most 64 links"),
        (&wide, "m:1:1501: a line has at most 1000 words and symbols"),
    ] {
        assert_eq!(refused(text), want);
    }
    let large = "#".repeat(MAX_BYTES + 1);
    assert_eq!(
        refused(&large),
        "m: a model is at most 65536 bytes, this text has 65537"
    );
}

#[test]
fn names_and_calls_that_do_not_fit_are_refused() {
    for (lines, want) in [
        (
            "h = rnn(embed(txt))\n",
            "m:3:15: unknown name `txt`; did you mean `text`?",
        ),
        (
            "h = rnn(g)\ng = embed(text)\n",
            "m:3:9: `g` is used before line 4 makes it",
        ),
        (
            "h = rnn(h)\n",
            "m:3:9: `h` is used in the line that makes it",
        ),
        (
            "h = embed(text)\nh = rnn(h)\n",
            "m:4:1: `h` is made already in line 3",
        ),
        (
            "text = embed(text)\n",
            "m:3:1: `text` is a field already in line 1",
        ),
        (
            "field text: class\n",
            "m:3:7: `text` is a field already in line 1",
        ),
        ("loss = embed(text)\n", "m:3:1: `loss` is a reserved word"),
        (
            "norm_l0 = embed(text)\n",
            "m:3:1: `norm_l0` is a reserved word",
        ),
        (
            "h = embed(text)\ng = h\n",
            "m:4:5: a second name for `h`: expected a function or a sum",
        ),
        ("h = 3\n", "m:3:5: expected a value, found `3`"),
        (
            "h = 3 * 4\n",
            "m:3:7: expected a value, found numbers alone",
        ),
        (
            "h = rn(embed(text))\n",
            "m:3:5: unknown function `rn`; did you mean `rnn`?",
        ),
        (
            "h = split(embed(text), 3, 2)\n",
            "m:3:24: the part: expected a whole number from 1 to 2, found `3`",
        ),
        (
            "h = embed(grams(text, 1, 9))\n",
            "m:3:23: the number of tokens: expected a whole number from 2 to 64, found `1`",
        ),
        (
            "h = embed(grams(text, 2, text))\n",
            "m:3:26: the number of symbols: expected a whole number",
        ),
        (
            "h = embed(grams(label, 2, 9))\n",
            "m:3:17: `grams` expects a field of tokens",
        ),
        (
            "h = embed(positions(label, 2))\n",
            "m:3:21: `positions` expects a field of tokens, reals or bits",
        ),
        (
            "h = embed(positions(text, 0))\n",
            "m:3:27: the number of positions: expected a whole number from 1 to 16777216, found `0`",
        ),
        (
            "h = linear(last(positions(text, 2)))\n",
            "m:3:17: `last` expects values, found the symbols of `positions(text, 2)`: write `embed(positions(text, 2))`",
        ),
        (
            "h = linear(last(grams(text, 2, 9)))\n",
            "m:3:17: `last` expects values, found the symbols of `grams(text, 2, 9)`: write `embed(grams(text, 2, 9))`",
        ),
        (
            "h = split(embed(text), 1, text)\n",
            "m:3:27: the number of parts: expected a whole number",
        ),
        (
            "h = split(text, 1, 2)\n",
            "m:3:11: `split` expects values, found the symbols of `text`: write `embed(text)`",
        ),
        (
            "h = rnn(embed(text), start = embed(text))\n",
            "m:3:5: start: expected a row an example, or an `rnn` whose sequences are that, found `h.embed_2` of line 3 (a row a step of `text`)",
        ),
        (
            "h = linear(last(embed(text)), parts = 0)\n",
            "m:3:39: parts: expected a whole number from 1 to 1024, found `0`",
        ),
        (
            "h = read(label, last(embed(text)))\n",
            "m:3:10: `read` expects values, found the symbols of `label`: write `embed(label)`",
        ),
        (
            "h = last(embed(text))\np = read(h, h, size = 0)\n",
            "m:4:23: size: expected a whole number from 1 to 256, found `0`",
        ),
        (
            "h = last(embed(text))\np = read(h, h, scales = 2)\n",
            "m:4:16: `read` has no argument `scales` (it has size, width)",
        ),
        (
            "h = last(embed(text))\np = write(h, h)\n",
            "m:4:5: `write` expects 3 operands, found 2",
        ),
        (
            "h = last(embed(text))\np = write(h, h, h, width = h)\n",
            "m:4:28: width: expected a whole number",
        ),
        (
            "h = rnn(text)\n",
            "m:3:9: `rnn` expects values, found the symbols of `text`: write `embed(text)`",
        ),
        (
            "h = tanh(text)\n",
            "m:3:10: `tanh` expects values, found the symbols of `text`: write `embed(text)`",
        ),
        (
            "h = embed(embed(text))\n",
            "m:3:11: `embed` expects a field of tokens or classes, `previous(F, k)`, `grams(F, n, k)` or `positions(F, k)`",
        ),
        (
            "h = rnn(embed(text), embed(text))\n",
            "m:3:5: `rnn` expects 1 operand, found 2",
        ),
        (
            "h = rnn(embed(text), size = 3)\n",
            "m:3:22: `rnn` has no argument `size` (it has cell, hidden, layers, given, start, memory, memory2, weight)",
        ),
        (
            "h = rnn(embed(text), hiden = 3)\n",
            "m:3:22: `rnn` has no argument `hiden`; did you mean `hidden`? (it has cell, hidden, layers, given, start, memory, memory2, weight)",
        ),
        (
            "h = last(embed(text), k = 3)\n",
            "m:3:23: `last` has no argument `k` (it has none)",
        ),
        (
            "h = rnn(embed(text), hidden = 3, hidden = 4)\n",
            "m:3:34: `hidden` is given twice",
        ),
        (
            "h = rnn(hidden = 3, embed(text))\n",
            "m:3:21: an operand stands before the arguments with names",
        ),
        (
            "h = rnn(embed(text), hidden = 2.5)\n",
            "m:3:31: hidden: expected a whole number from 1 to 1048576, found `2.5`",
        ),
        (
            "h = rnn(embed(text), hidden = 0)\n",
            "m:3:31: hidden: expected a whole number from 1 to 1048576, found `0`",
        ),
        (
            "h = rnn(embed(text), hidden = -1)\n",
            "m:3:31: hidden: expected a whole number",
        ),
        (
            "h = rnn(embed(text), layers = 65)\n",
            "m:3:31: layers: expected a whole number from 1 to 64, found `65`",
        ),
        (
            "h = rnn(embed(text), cell = gru)\n",
            "m:3:29: cell: expected a cell's name in quotation marks, such as \"gru\"",
        ),
        (
            "h = rnn(embed(text), cell = \"gruu\")\n",
            "m:3:29: cell: unknown cell `gruu`; did you mean `gru`?",
        ),
        (
            "h = dropout(embed(text), rate = 1)\n",
            "m:3:33: rate: expected a number from 0 to below 1",
        ),
        (
            "h = embed(text, weight = 3)\n",
            "m:3:26: weight: expected the name of an `embed`",
        ),
        (
            "g = rnn(embed(text))\nh = embed(text, weight = g)\n",
            "m:4:26: weight: expected the name of an `embed`, found `g`",
        ),
        (
            "h = embed(previous(text, 0))\n",
            "m:3:26: the number of steps: expected a whole number from 1 to 1000, found `0`",
        ),
        (
            "h = embed(previous(label, 1))\n",
            "m:3:20: `previous` expects a field of tokens, reals or bits",
        ),
        (
            "h = next(text)\n",
            "m:3:5: `next` is what a loss predicts, not a value",
        ),
        (
            "h = cross_entropy(embed(text), label)\n",
            "m:3:5: `cross_entropy` is a loss: write `loss cross_entropy(linear(v), target)`",
        ),
        (
            "h = tanh(x = embed(text))\n",
            "m:3:10: expected a value, found `x =`",
        ),
    ] {
        assert_eq!(refused(&format!("{FIELDS}{lines}")), want, "{lines}");
    }
}

/// Rows in no order are pooled; what reads them one after another is refused, with its line.
#[test]
fn a_set_is_pooled_and_never_read_in_order() {
    let head = "field rows: set\nfield label: class\nv = linear(rows)\n";
    let pooled = "p = concat(mean(v), max(v), sum(v))\nloss cross_entropy(linear(p), label)\n";
    let model = Model::parse("m", &format!("{head}{pooled}")).unwrap();
    let sizes = Sizes {
        examples: 3,
        fields: vec![
            FieldSize::Reals {
                width: 2,
                steps: 4,
                rows: 8,
            },
            FieldSize::Classes(2),
        ],
    };
    assert!(
        model
            .plan(&Spec::default(), &sizes, Mode::Gradients)
            .is_ok()
    );
    for (line, place, name) in [
        ("h = rnn(v)\n", "4:5", "rnn"),
        ("h = birnn(v)\n", "4:5", "birnn"),
        ("h = last(v)\n", "4:5", "last"),
        ("h = window(rows, 2)\n", "4:12", "window"),
        ("h = previous(rows, 1)\n", "4:14", "previous"),
        ("loss squared(v, next(rows))\n", "4:22", "next"),
        ("loss squared(v, ahead(rows, 2))\n", "4:23", "ahead"),
    ] {
        let found = Model::parse("m", &format!("{head}{line}")).unwrap_err();
        let want = format!(
            "m:{place}: `{name}` expects rows in order, found those of the set `rows` of line 1; `mean`, `max`, `sum`, `dot` and `additive` take them in any"
        );
        assert_eq!(found.message, want);
    }
}

#[test]
fn values_that_do_not_meet_and_losses_that_do_not_fit_are_refused() {
    let two = "field text: tokens\nfield other: tokens\nfield label: class\nfield tags: classes along text\n";
    for (lines, want) in [
        (
            "a = rnn(embed(text))\nb = rnn(embed(other))\nc = a + b\n",
            "m:7:7: `+` expects values along one axis, found `a` of line 5 (a row a step of `text`) and `b` of line 6 (a row a step of `other`)",
        ),
        (
            "a = embed(text)\nh = rnn(embed(other), given = a)\n",
            "m:6:5: `rnn` expects values along one axis, found `h.embed` of line 6 (a row a step of `other`) and `a` of line 5 (a row a step of `text`)",
        ),
        (
            "a = last(embed(text))\nb = dot(a, embed(other))\n",
            "m:6:5: `dot` expects a memory whose rows are the steps of an example's sequence, found `a` of line 5 (a row an example)",
        ),
        (
            "field letters: tokens within text\na = embed(text)\nb = additive(a, embed(letters))\n",
            "m:7:5: `additive` expects a query with a row an example or a row a step of its sequence, found `b.embed` of line 7 (a row a step of `letters`)",
        ),
        (
            "a = last(embed(text))\nb = rnn(a)\n",
            "m:6:5: `rnn` expects a value with rows along a field of tokens, reals or bits, found `a` of line 5 (a row an example)",
        ),
        (
            "a = last(last(embed(text)))\n",
            "m:5:5: `last` expects a value with rows along a field of tokens, reals or bits, found `a.last` of line 5 (a row an example)",
        ),
        (
            "loss squared(linear(embed(text)), tags)\n",
            "m:5:35: `squared` expects values, found the symbols of `tags`: write `embed(tags)`",
        ),
        (
            "loss text\n",
            "m:5:6: expected a loss: `cross_entropy(linear(v), target)`, or a program on rows such as `squared(v, next(F))`",
        ),
        (
            "loss cross_entropy(embed(text), tags)\n",
            "m:5:20: `cross_entropy` expects `linear(v)`, found `loss.embed` of line 5 (a row a step of `text`)",
        ),
        (
            "loss cross_entropy(linear(embed(text)))\n",
            "m:5:6: `cross_entropy` expects 2 operands, found 1",
        ),
        (
            "loss cross_entropy(linear(embed(text)), text)\n",
            "m:5:41: expected `next(F)` or a field of classes to predict, found `text`",
        ),
        (
            "loss cross_entropy(linear(embed(text)), label)\n",
            "m:5:6: `cross_entropy` expects a row an example for `label`, found `loss.linear` of line 5 (a row a step of `text`)",
        ),
        (
            "loss cross_entropy(linear(embed(text)), tags, weight = 0)\n",
            "m:5:56: weight: expected a number above 0",
        ),
        (
            "loss cross_entropy(linear(embed(tags)), tags)\nh = linear(embed(other))\nloss cross_entropy(linear(last(h)), label)\n",
            "m:5:6: `tags` is predicted here and read in line 5",
        ),
        (
            "loss cross_entropy(linear(embed(text)), tags)\n",
            "m:2:7: `other` is a field that nothing uses",
        ),
    ] {
        assert_eq!(refused(&format!("{two}{lines}")), want, "{lines}");
    }
    let text = "field text: tokens\n";
    for (lines, want) in [
        (
            "h = rnn(embed(text))\n",
            "m: a model needs a line `loss cross_entropy(linear(v), target)`",
        ),
        (
            "h = rnn(embed(text))\nloss cross_entropy(linear(embed(text)), next(text))\n",
            "m:2:1: `h` is made and never used",
        ),
        (
            "h = birnn(embed(text))\nloss cross_entropy(linear(h), next(text))\n",
            "m:3:6: `next(text)` must not be predicted from what reads all of it, as `h` of line 2 (a row a step of `text`) does",
        ),
        (
            "m = rnn(embed(text))\nh = rnn(embed(text), start = m)\nloss cross_entropy(linear(h), next(text))\n",
            "m:4:6: `next(text)` must not be predicted from what reads all of it, as `h` of line 3 (a row a step of `text`) does",
        ),
        (
            "m = rnn(embed(text))\nh = rnn(embed(text), cell = \"gru-attend\", memory = m)\nloss cross_entropy(linear(h), next(text))\n",
            "m:4:6: `next(text)` must not be predicted from what reads all of it, as `h` of line 3 (a row a step of `text`) does",
        ),
        (
            "m = rnn(embed(text))\nh = rnn(embed(text), cell = \"gru-attend\", memory = mean(m))\nloss cross_entropy(linear(h), next(text))\n",
            "m:3:5: memory: expected rows that are the steps of an example's sequence, looked at by such steps, found `h.mean` of line 3 (a row an example)",
        ),
        (
            "m = rnn(embed(text))\nh = rnn(embed(text), hidden = 3, weight = m)\nloss cross_entropy(linear(h), next(text))\n",
            "m:3:5: `rnn` with a weight that it shares has its cell, its hidden size and its layers",
        ),
        (
            "m = birnn(embed(text))\nh = rnn(embed(text), weight = m)\nloss cross_entropy(linear(h), next(text))\n",
            "m:3:31: weight: expected the name of an `rnn`, found `m`",
        ),
        (
            "repeat 2\nm = rnn(embed(text))\nend\nh = rnn(m, weight = m)\nloss cross_entropy(linear(h), next(text))\n",
            "m:5:5: weight: expected layers outside of `repeat`, found `m@2`",
        ),
        (
            "m = rnn(embed(text))\nh = rnn(embed(text), memory2 = m)\nloss cross_entropy(linear(h), next(text))\n",
            "m:3:32: memory2: expected `memory` beside it",
        ),
        (
            "h = rnn(embed(text))\nloss cross_entropy(linear(dot(h, h)), next(text))\n",
            "m:3:6: `next(text)` must not be predicted from what reads all of it, as `loss.dot` of line 3 (a row a step of `text`) does",
        ),
        (
            "h = rnn(embed(text))\nlook = hard(dot(h, h))\nloss cross_entropy(linear(look), next(text))\nloss policy(log_prob(look), entropy(look), log_prob(look), log_prob(look))\n",
            "m:4:6: `next(text)` must not be predicted from what reads all of it, as `look.dot` of line 3 (a row a step of `text`) does",
        ),
        (
            "h = rnn(embed(text))\nlook = hard(additive(h, mean(h)))\nloss cross_entropy(linear(look + h), next(text))\n",
            "m:3:8: `hard` learns where to look by how likely its draws were: expected a line `loss policy(log_prob(look), ..)`",
        ),
        (
            "h = rnn(embed(text))\nloss policy(log_prob(h), log_prob(h), h, h)\nloss cross_entropy(linear(h), next(text))\n",
            "m:3:22: `log_prob` expects a value that `hard` made, found `h`",
        ),
        (
            "h = rnn(embed(text))\nloss cross_entropy(linear(hard(mean(h)) + h), next(text))\n",
            "m:3:32: `hard` expects a value that `dot` or `additive` made, found `loss.mean`",
        ),
        (
            "h = rnn(embed(text))\nloss cross_entropy(linear(entropy(additive(h, h)) * h), next(text))\n",
            "m:3:35: `entropy` expects a value that `hard` made, found `loss.additive`",
        ),
        (
            "h = rnn(embed(text))\nloss cross_entropy(linear(h + mean(h)), next(text))\n",
            "m:3:6: `next(text)` must not be predicted from what reads all of it, as `loss.mean` of line 3 (a row an example) does",
        ),
        (
            "field tags: classes along text\nh = linear(rnn(embed(text)))\nloss cross_entropy(h, tags)\nloss cross_entropy(linear(embed(text)), next(text))\n",
            "m:2:7: `tags` has something for every step of `text`, which is read at other steps than it has, as line 5 predicts them",
        ),
        (
            "h = linear(rnn(embed(text)))\nloss cross_entropy(h, next(text))\nloss cross_entropy(h, next(text))\n",
            "m:4:6: the scores of a loss belong to it alone, but something else uses `h` of line 2 (a row a step of `text`)",
        ),
    ] {
        assert_eq!(refused(&format!("{text}{lines}")), want, "{lines}");
    }
}

/// What only the widths of a plan show, and sizes and settings that do not fit.
#[test]
fn widths_sizes_and_settings_that_do_not_fit_are_refused() {
    let cell = |name: &str| std::sync::Arc::new(cells::builtin(name).unwrap());
    let spec = Spec {
        cells: vec![cell("gru")],
        hidden: 3,
        embed: 5,
        ..Spec::default()
    };
    let tokens = FieldSize::Tokens {
        symbols: 7,
        marks: [0, 0],
        steps: 4,
        rows: 8,
    };
    let sizes = Sizes {
        examples: 2,
        fields: vec![tokens, FieldSize::Classes(3)],
    };
    let of = |lines: &str, change: &dyn Fn(&mut Spec, &mut Sizes)| {
        let (mut spec, mut sizes) = (spec.clone(), sizes.clone());
        change(&mut spec, &mut sizes);
        let model = Model::parse("m", &format!("{FIELDS}{lines}")).unwrap();
        model
            .plan(&spec, &sizes, Mode::Gradients)
            .unwrap_err()
            .message
    };
    let nothing = |_: &mut Spec, _: &mut Sizes| {};
    let classify = "h = rnn(embed(text))\nloss cross_entropy(linear(last(h)), label)\n";
    let start = "h = rnn(embed(text), start = mean(embed(text)))\nloss cross_entropy(linear(last(h)), label)\n";
    let begun = start.replace("embed(text)))", "embed(text, width = 3)))");
    let patch = |call: &str| {
        format!(
            "v = linear(last(embed(text)), width = 12)\nat = linear(v)\na = {call}\n\
             loss cross_entropy(linear(concat(at, a)), label)\n"
        )
    };
    let states = |own: &str, other: &str| {
        let argument = |a: &str| {
            if a.is_empty() {
                String::new()
            } else {
                format!(", {a}")
            }
        };
        let (own, other) = (argument(own), argument(other));
        format!(
            "m = rnn(embed(text){other})\nh = rnn(embed(text){own}, start = m)\nloss cross_entropy(linear(last(h)), label)\n"
        )
    };
    for (found, want) in [
        (
            of(
                "rnn = rnn(embed(text, width = 3))\nh = rnn(rnn, weight = rnn)\nloss cross_entropy(linear(last(h)), label)\n",
                &|spec, _| spec.layer_norm = true,
            ),
            "m:4:5: weight: expected layers that learn nothing else, found rnn.norm_l0.norm_weight",
        ),
        (
            of(
                "m = rnn(embed(text))\nh = rnn(m, weight = m)\nloss cross_entropy(linear(last(h)), label)\n",
                &nothing,
            ),
            "m:4:5: expected values as wide wherever parameters are the same, found m.weight_ih_l0 [3, 9] where it is [5, 9] at first",
        ),
        (
            of(start, &nothing),
            "m:3:5: start: expected a value as wide as the state (3), found 5",
        ),
        (
            of(&begun, &|spec, _| spec.learn_initial = true),
            "m:3:5: start: expected learn-initial false, as states begin with a value, found true",
        ),
        (
            of(
                &begun.replace("start", "cell = \"highway\", hidden = 5, start"),
                &nothing,
            ),
            "m:3:5: start: cell highway has no memory that could begin so",
        ),
        (
            of(&states("cell = \"lstm\"", ""), &nothing),
            "m:4:5: start: expected the states h of cell gru, as `m` of line 3 has, found the states h, c of cell lstm",
        ),
        (
            of(&states("layers = 2", "layers = 3"), &nothing),
            "m:4:5: start: expected 3 layers, as `m` of line 3 has, found 2 layers",
        ),
        (
            of(&states("hidden = 4", ""), &nothing),
            "m:4:5: start: expected hidden 3, as `m` of line 3 has, found hidden 4",
        ),
        (
            of(
                &states("hidden = 4", "").replace("m = r", "m = bir"),
                &nothing,
            ),
            "m:4:5: start: expected hidden 6, as `m` of line 3 has, found hidden 4",
        ),
        (
            of(&states("", ""), &|spec, _| spec.learn_initial = true),
            "m:4:5: start: expected learn-initial false, as states begin with a value, found true",
        ),
        (
            of(
                "h = rnn(embed(text), memory = linear(embed(text)))\nloss cross_entropy(linear(last(h)), label)\n",
                &nothing,
            ),
            "m:3:5: memory: expected none, as cell gru has, found 1 memory",
        ),
        (
            of(
                "h = rnn(embed(text), cell = \"gru-attend\")\nloss cross_entropy(linear(last(h)), label)\n",
                &nothing,
            ),
            "m:3:5: memory: expected 1 memory, as cell gru-attend has, found none",
        ),
        (
            of(
                "h = rnn(embed(text), cell = \"gru-attend\", memory = embed(text))\nloss cross_entropy(linear(last(h)), label)\n",
                &nothing,
            ),
            "m:3:5: memory: expected a value as wide as the state (3), found 5: `linear(v)` makes it that",
        ),
        (
            of(
                "e = last(embed(text))\nloss cross_entropy(linear(split(e, 1, 2)), label)\n",
                &nothing,
            ),
            "m:4:27: expected a value whose width is a multiple of 2, found `e` of line 3 (5)",
        ),
        (
            of(
                "e = last(embed(text))\nloss cross_entropy(linear(linear(e, parts = 3)), label)\n",
                &nothing,
            ),
            "m:4:27: expected a value whose width is a multiple of 3, found `e` of line 3 (5)",
        ),
        (
            of(&patch("read(v, at, size = 2)"), &nothing),
            "m:5:5: `read` expects a square image, or its `width`, found `v` of line 3 (12 pixels)",
        ),
        (
            of(&patch("read(v, at, width = 5)"), &nothing),
            "m:5:5: `read` expects an image of rows of 5 pixels, found `v` of line 3 (12 pixels)",
        ),
        (
            of(&patch("read(v, v, width = 4)"), &nothing),
            "m:5:5: `read` expects a place of five numbers, found `v` of line 3 (12)",
        ),
        (
            of(&patch("write(v, at, v, width = 4)"), &nothing),
            "m:5:5: `write` expects a square of numbers, found `v` of line 3 (12)",
        ),
        (
            of(&patch("write(split(v, 1, 3), at, v)"), &nothing),
            "m:5:5: `write` expects a square image, or its `width`, found `v` of line 3 (12 pixels)",
        ),
        (
            of(&patch("write(split(v, 1, 3), at, v, width = 8)"), &nothing),
            "m:5:5: `write` expects an image of rows of 8 pixels, found `v` of line 3 (12 pixels)",
        ),
        (
            of(&patch("write(split(v, 1, 3), v, v, width = 4)"), &nothing),
            "m:5:5: `write` expects a place of five numbers, found `v` of line 3 (12)",
        ),
        (
            of(
                &patch("read(v, at, width = 4)")
                    .replace("at = linear(v)", "at = linear(v, width = 6)"),
                &nothing,
            ),
            "m:5:5: `read` expects a place of five numbers, found `at` of line 4 (6)",
        ),
        (
            of(classify, &|spec, _| {
                spec.label_smoothing = 0.1;
                spec.scores_at_once = 4;
            }),
            "label-smoothing: expected 0, as scores of 3 symbols at 2 positions are made in chunks, got 0.1",
        ),
        (
            of(
                "e = embed(text)\nh = rnn(e)\nloss cross_entropy(linear(last(e * h)), label)\n",
                &nothing,
            ),
            "m:5:34: expected values of one width, found `e` of line 3 (5) and `h` of line 4 (3)",
        ),
        (
            of(
                "h = rnn(embed(text))\nloss cross_entropy(linear(last(h), width = 4), label)\n",
                &nothing,
            ),
            "m:4:20: width: expected 3, as `label` has so many, found 4",
        ),
        (
            of(
                "a = linear(embed(text))\nh = linear(a, weight = a)\nloss cross_entropy(linear(last(h)), label)\n",
                &nothing,
            ),
            "m:4:5: weight: expected [3, 3], found [3, 5]",
        ),
        (
            of(
                "h = birnn(embed(text))\nloss cross_entropy(linear(last(h)), label)\n",
                &|spec, _| spec.project = 2,
            ),
            "m:4:27: `last` expects both directions side by side, each of which ends elsewhere; found them mixed by project above 0",
        ),
        (
            of(
                "h = rnn(embed(text), layers = 3)\nloss cross_entropy(linear(last(h)), label)\n",
                &|spec, _| {
                    spec.cells = vec![cell("gru"), cell("lstm")];
                },
            ),
            "m:3:5: layers: expected 2, as the settings name a cell for each of so many layers, found 3",
        ),
        (
            of(
                "e = embed(text)\nh = rnn(e, cell = \"highway\", given = mean(e))\nloss cross_entropy(linear(last(h)), label)\n",
                &nothing,
            ),
            "m:4:5: given: cell highway uses x elementwise, so that nothing can stand beside it",
        ),
        (
            of(classify, &|spec, _| spec.tie = true),
            "tie: expected false, as no loss predicts the next token, got true",
        ),
        (
            of(classify, &|spec, _| spec.bidirectional = true),
            "bidirectional: expected false, as a model says so by birnn, got true",
        ),
        (
            of(classify, &|spec, _| spec.penalties.temporal = 0.5),
            "temporal-penalty: expected a stream, got sequences of different lengths",
        ),
        (
            of(classify, &|_, sizes| sizes.fields.truncate(1)),
            "sizes: expected those of 2 fields, found 1",
        ),
        (
            of(classify, &|_, sizes| sizes.fields[1] = FieldSize::Vector(3)),
            "sizes: expected those of field label (Class), none of them 0, found vectors: Vector(3)",
        ),
        (
            of(classify, &|_, sizes| {
                sizes.fields[1] = FieldSize::Classes(0)
            }),
            "sizes: expected those of field label (Class), none of them 0, found classes: Classes(0)",
        ),
    ] {
        assert_eq!(found, want);
    }
}

/// Without a width, only layers of cells that read nothing else take one-hot vectors.
#[test]
fn embeddings_that_are_read_as_rows_have_a_width() {
    let table = |text: &str| {
        let model = Model::parse("m", text).unwrap();
        let spec = Spec {
            cells: vec![std::sync::Arc::new(cells::builtin("rnn").unwrap())],
            hidden: 3,
            embed: 0,
            ..Spec::default()
        };
        let tokens = FieldSize::Tokens {
            symbols: 6,
            marks: [4, 5],
            steps: 4,
            rows: 8,
        };
        let sizes = Sizes {
            examples: 2,
            fields: vec![tokens],
        };
        let plan = model.plan(&spec, &sizes, Mode::Evaluate).unwrap();
        let table = plan
            .parameters
            .iter()
            .find(|p| p.name.contains("embed") || p.name.starts_with("e."));
        table.map(|table| table.file_shape.clone())
    };
    let field = "field text: tokens\n";
    let loss = "loss cross_entropy(linear(h), next(text))\n";
    for (lines, shape) in [
        ("h = rnn(embed(text))\n", None),
        ("e = embed(text)\nh = rnn(e)\n", None),
        ("h = tanh(linear(embed(text)))\n", Some(vec![6, 3])),
        ("e = embed(text)\nh = concat(rnn(e), e)\n", Some(vec![6, 3])),
        (
            "e = embed(text)\nback = embed(previous(text, 1), weight = e)\nh = concat(rnn(e), back)\n",
            Some(vec![6, 3]),
        ),
        (
            "h = tanh(linear(embed(text, width = 2)))\n",
            Some(vec![6, 2]),
        ),
    ] {
        assert_eq!(table(&format!("{field}{lines}{loss}")), shape, "{lines}");
    }
}

#[test]
fn an_unknown_model_is_refused_with_the_nearest() {
    let error = library::builtin("clasify").unwrap_err();
    let want = "unknown model `clasify`; did you mean `classify`? (known: language, classify, ";
    assert!(error.message.starts_with(want), "{error}");
    for name in library::names() {
        assert_eq!(library::builtin(name).unwrap().name, name);
    }
}

/// Losses that are programs on rows, and what they predict.
#[test]
fn numbers_that_a_loss_cannot_predict_are_refused() {
    let fields = "field text: tokens\nfield past: reals\nfield label: class\nfield v: vector\n";
    // Uses every field.
    let rest = "loss cross_entropy(linear(last(rnn(embed(text)))), label)\nloss squared(linear(last(rnn(past))), v)\n";
    for (lines, want) in [
        (
            "loss sqared(linear(last(rnn(past))), v)\n",
            "m:5:6: `sqared` is no loss; did you mean `squared`?; expected one of squared, absolute, bernoulli, gaussian, mixture, \
             quantile, handwriting, kl, reinforce, policy, activation, temporal, norm, cross_entropy",
        ),
        (
            "loss squared(linear(rnn(past)))\n",
            "m:5:6: `squared` expects 2 operands (x, y), found 1",
        ),
        (
            "h = rnn(past)\nloss squared(linear(h), h)\n",
            "m:6:6: `squared` expects numbers of a field to predict, such as `next(F)`, among its operands, or what hangs on a `sample`",
        ),
        (
            "loss squared(linear(rnn(past)), next(text))\n",
            "m:5:33: `next` expects a field of reals or bits here; tokens are what `cross_entropy` predicts",
        ),
        (
            "loss cross_entropy(linear(rnn(past)), next(past))\n",
            "m:5:39: cross_entropy: `next` expects a field of tokens; numbers are what a program on rows predicts, such as `squared`",
        ),
        (
            "h = next(past)\nloss squared(linear(rnn(past)), h)\n",
            "m:5:5: `next` is what a loss predicts, not a value",
        ),
        (
            "loss squared(linear(rnn(past)), rnn(next(past)))\n",
            "m:5:6: `squared` expects numbers of a field to predict, such as `next(F)`, among its operands, or what hangs on a `sample`",
        ),
        (
            "loss squared(rnn(next(past)), next(past))\n",
            "m:5:14: `past` of line 5 (a row a step of `past`) is what a loss predicts, so that no layer may read it, as `loss.rnn` of line 5 (a row a step of `past`) does",
        ),
        (
            "loss squared(linear(birnn(past)), next(past))\n",
            "m:5:6: `next(past)` must not be predicted from what reads all of it, as `loss.birnn` of line 5 (a row a step of `past`) does",
        ),
        (
            "loss quantile(linear(rnn(past)), next(past), p = 0.5)\n",
            "m:5:46: `quantile` has no argument `p` (it has weight, q)",
        ),
        (
            "loss quantile(linear(rnn(past)), next(past), q = 0.5, q = 1)\n",
            "m:5:55: `q` is given twice",
        ),
        (
            "loss quantile(linear(rnn(past)), next(past), q = past)\n",
            "m:5:50: q: expected a number",
        ),
        (
            "h = window(text, 2)\nloss squared(linear(rnn(past)), next(past))\n",
            "m:5:5: `window` expects a field of reals or bits; of tokens, `previous` gives each",
        ),
        (
            "loss squared(linear(rnn(past)), ahead(past, 0))\n",
            "m:5:45: the number of steps: expected a whole number from 1 to 1000, found `0`",
        ),
        (
            "loss squared(linear(rnn(embed(text))), next(past))\n",
            "m:5:6: `squared` expects values along one axis, found `loss.linear` of line 5 (a row a step of `text`) and `past` of line 5 (a row a step of `past`)",
        ),
    ] {
        let error = Model::parse("m", &format!("{fields}{lines}{rest}")).unwrap_err();
        assert_eq!(error.message, want, "{lines}");
    }
}

/// What lines between `repeat` and `end` are refused for.
#[test]
fn rounds_that_cannot_be_are_refused() {
    let fields = "field v: vector\nfield label: class\n";
    let rest = "loss cross_entropy(linear(c), label)\n";
    for (lines, want) in [
        (
            "c = zeros(v)\nrepeat 0\nc = c + linear(v)\nend\n",
            "m:4:8: repeat: expected a whole number from 1 to 1000, found `0`",
        ),
        (
            "c = zeros(v)\nrepeat 2.5\nc = c + linear(v)\nend\n",
            "m:4:8: repeat: expected a whole number from 1 to 1000, found `2.5`",
        ),
        (
            "c = zeros(v)\nrepeat v\nc = c + linear(v)\nend\n",
            "m:4:8: expected how often, a whole number, found `v`",
        ),
        (
            "c = zeros(v)\nrepeat 1000\nc = c + v\nc_2 = c + v\nc_3 = c + v\nc_4 = c + v\nc_5 = c + v\nend\n",
            "m:4:8: repeat: expected at most 4096 lines in all, found 1000 times 5",
        ),
        (
            "c = zeros(v)\nrepeat 2\nc = c + linear(v)\n",
            "m:4:1: `repeat` without the line `end` behind its lines",
        ),
        (
            "c = linear(v)\nend\n",
            "m:4:1: `end` without a line `repeat N` above",
        ),
        (
            "c = linear(v)\nrepeat 3\nend\n",
            "m:5:1: a `repeat` without a line to make",
        ),
        (
            "repeat 3\nrepeat 2\nc = linear(v)\nend\nend\n",
            "m:4:1: a `repeat` within another is not to be had",
        ),
        (
            "repeat 3\nfield w: vector\nc = linear(v)\nend\n",
            "m:4:1: a field is declared once: expected its line above `repeat`",
        ),
        // Nothing is handed on that the first round does not have.
        (
            "repeat 3\nc = c + linear(v)\nend\n",
            "m:4:5: `c` is used in the line that makes it",
        ),
        (
            "c = zeros(v)\nrepeat 3\nc = linear(v)\nend\n",
            "m:3:1: `c` is made again in line 5 before anything uses it",
        ),
        (
            "c = zeros(v)\nrepeat 3\nc = c + linear(v)\nc = c + v\nend\n",
            "m:6:1: `c` is made already in line 5",
        ),
        (
            "c = zeros(v)\nrepeat 3\nc = c + linear(v)\nend\nc = c + v\n",
            "m:7:1: `c` is made already in line 5",
        ),
        (
            "c = zeros(v)\nrepeat 2\nc = c + linear(v)\nend\nrepeat 2\nc = c + v\nend\n",
            "m:8:1: `c` is made already in line 5",
        ),
        (
            "c = zeros(v)\nrepeat 3\nv = linear(c)\nend\n",
            "m:5:1: `v` is a field already in line 1",
        ),
        (
            "c = zeros(v)\nrepeat 3\nc = c + linear(v)\nunused = tanh(c)\nend\n",
            "m:6:1: `unused` is made and never used",
        ),
        (
            "c = zeros(v)\nrepeat 3\nc = c + linear(v)\nloss cross_entropy(linear(c), label)\nend\n",
            "m:6:6: a loss within `repeat` is a program on rows; `cross_entropy` stands behind its `end`",
        ),
        (
            "c = linear(v)\nloss kl(linear(v), c)\n",
            "m:4:6: `kl` expects numbers of a field to predict, such as `next(F)`, among its operands, or what hangs on a `sample`",
        ),
        (
            "c = linear(v)\nd = sample(c, label)\n",
            "m:4:15: `sample` expects values, found the symbols of `label`: write `embed(label)`",
        ),
    ] {
        let error = Model::parse("m", &format!("{fields}{lines}{rest}")).unwrap_err();
        assert_eq!(error.message, want, "{lines}");
    }
    // Values of one name as wide in every round, or the parameters would be others.
    let text = format!(
        "{fields}c = zeros(v, width = 2)\nrepeat 3\nc = linear(concat(c, v), width = 4)\nend\n{rest}"
    );
    let model = Model::parse("m", &text).unwrap();
    let sizes = Sizes {
        examples: 2,
        fields: vec![FieldSize::Vector(3), FieldSize::Classes(3)],
    };
    let error = model
        .plan(&Spec::default(), &sizes, Mode::Gradients)
        .unwrap_err();
    assert_eq!(
        error.message,
        "m:5:5: expected values as wide wherever parameters are the same, found c.weight [4, 7] where it is [4, 5] at first"
    );
    let text = format!("{fields}c = linear(v)\nrepeat 3\nc = linear(c)\nend\n{rest}");
    let model = Model::parse("m", &text).unwrap();
    let error = model
        .plan(&Spec::default(), &sizes, Mode::Gradients)
        .unwrap_err();
    assert_eq!(
        error.message,
        "m:5:5: a line above has the parameter c.weight, too: expected another name for one of the two"
    );
    // A value may be called as these lines begin.
    let text = format!("{fields}end = linear(v)\nrepeat = tanh(end)\nc = end + repeat\n{rest}");
    Model::parse("m", &text).unwrap();
}
