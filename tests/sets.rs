//! Sets: rows in no order, some an example, as a user meets them. On the processor, with arrays made here.

mod sandbox;

use std::fs;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use sandbox::Sandbox;

/// Examples, and the most rows of one.
const EXAMPLES: usize = 40;
const ROWS: usize = 5;

/// `regions` `[N, R, 2]` with `lengths` and `labels`: an example is 1 where one of its rows is far from 0. `turn` turns the
/// order of its rows.
fn regions(turn: usize) -> Vec<u8> {
    let (mut x, mut lengths, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..EXAMPLES {
        let (rows, is) = (1 + n % ROWS, n % 2);
        let row = |k: usize| {
            let noise = ((n * 31 + k * 17) % 13) as f32 / 13.0 - 0.5;
            let far = if is == 1 && k == n % rows { 3.0 } else { 0.0 };
            [noise + far, -noise]
        };
        for k in 0..ROWS {
            let order = |k: usize| (k + turn) % rows;
            let numbers = if k < rows {
                row(order(k))
            } else {
                [f32::NAN; 2]
            };
            x.extend(numbers.iter().flat_map(|v| v.to_le_bytes()));
        }
        lengths.extend((rows as i64).to_le_bytes());
        labels.extend((is as i64).to_le_bytes());
    }
    let view = |kind, shape: &[usize], bytes| TensorView::new(kind, shape.to_vec(), bytes).unwrap();
    let tensors = [
        ("regions", view(Dtype::F32, &[EXAMPLES, ROWS, 2], &x)),
        ("lengths", view(Dtype::I64, &[EXAMPLES], &lengths)),
        ("labels", view(Dtype::I64, &[EXAMPLES], &labels)),
    ];
    safetensors::serialize(tensors, None).unwrap()
}

#[test]
fn sets_are_read_and_no_order_of_their_rows_counts() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.at("a.safetensors"), regions(0)).unwrap();
    fs::write(sandbox.at("b.safetensors"), regions(1)).unwrap();
    let model = "field regions: set\nfield label: class\nv = tanh(linear(regions, width = 8))\n\
                 loss cross_entropy(linear(concat(mean(v), max(v), sum(v))), label)\n";
    fs::write(sandbox.at("set.model"), model).unwrap();
    let train = "train --model set.model a.safetensors --val 0 --batch 8 --lr 0.02 --device cpu -q";
    sandbox.ok(&format!("{train} --epochs 40 --out r"));
    let found = sandbox.ok("predict r a.safetensors --device cpu");
    assert_eq!(found, "0\n1\n".repeat(EXAMPLES / 2));
    let scores = |file: &str| -> Vec<f64> {
        let text = sandbox.ok(&format!("predict r {file} --top 2 --device cpu"));
        let numbers = text.split_whitespace().map(|word| word.parse().unwrap());
        numbers.collect()
    };
    for (a, b) in scores("a.safetensors").iter().zip(scores("b.safetensors")) {
        // Sums of rows in another order are rounded otherwise.
        assert!((a - b).abs() < 1e-3, "{a} {b}");
    }
    let shown = sandbox.ok("models show set.model");
    let line = "rows of numbers in no order";
    assert!(shown.contains(line) && shown.contains("set"), "{shown}");
    for (flag, part) in [
        ("--time 1", "--time: expected none, as the rows of a set"),
        ("--context 3", "expected no context 3"),
    ] {
        sandbox.refuses(&format!("{train} {flag} --steps 2 --out s"), 2, &[part]);
    }
    fs::write(sandbox.at("order.model"), "field regions: set\nfield label: class\nloss cross_entropy(linear(last(rnn(regions))), label)\n").unwrap();
    let parts = [
        "order.model:3:32: `rnn` expects rows in order, found those of the set `regions` of line 1",
    ];
    sandbox.refuses("models show order.model", 3, &parts);
}
