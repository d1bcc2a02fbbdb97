//! What is said of numbers beyond their middle: mixtures of Gaussians, probabilities of bits, losses of one's own. All on the
//! processor, with a series made here.

mod sandbox;

use std::fs;

use sandbox::Sandbox;

const STEPS: usize = 160;

/// A number that stays or falls by a rule that two steps before tell, and a bit that is 1 every third step.
fn folder() -> Sandbox {
    let sandbox = Sandbox::new();
    let mut text = String::from("level,bit\n");
    for step in 0..STEPS {
        let level = 40.0 + 10.0 * f64::from(u8::from(step % 4 < 2));
        text.push_str(&format!("{level},{}\n", u8::from(step % 3 == 0)));
    }
    fs::write(sandbox.at("series.csv"), text).unwrap();
    sandbox
}

/// Trains the model of these lines, whose field is the column, as run `r`.
fn train(sandbox: &Sandbox, column: &str, lines: &str) {
    let model = format!("field x: reals\n{lines}\n");
    fs::write(sandbox.at("own.model"), model).unwrap();
    sandbox.ok(&format!(
        "train --model own.model series.csv --columns x={column} --context 16 --standardize --hidden 12 --steps 300 --lr 0.02 \
         --batch 8 --val 0.2 --device cpu -q --out r"
    ));
}

/// The header of a table, and the numbers of its one row.
fn row(table: &str) -> (String, Vec<f64>) {
    let lines: Vec<&str> = table.lines().collect();
    let [header, row] = lines[..] else {
        panic!("expected two lines, found {table}")
    };
    let numbers = row.split(',').map(|x| x.parse().unwrap());
    (header.to_string(), numbers.collect())
}

#[test]
fn a_mixture_says_its_mean_and_its_deviation_and_is_drawn_from() {
    let sandbox = folder();
    train(
        &sandbox,
        "level",
        "m = linear(rnn(x), width = 6)\nloss mixture(split(m, 1, 3), split(m, 2, 3), split(m, 3, 3), next(x))",
    );
    let (header, numbers) = row(&sandbox.ok("predict r series.csv --device cpu"));
    assert_eq!(header, "series,step,level,level.deviation");
    // Step 160 is the first of four.
    assert!((numbers[2] - 50.0).abs() < 2.0, "{numbers:?}");
    assert!(numbers[3] > 0.0 && numbers[3] < 4.0, "{numbers:?}");
    sandbox.refuses(
        "predict r series.csv --steps 2 --device cpu",
        2,
        &["--steps: expected at most 1", "no loss says the middle"],
    );
    let sample = "sample r --length 40 --count 1 --device cpu --begin series.csv --begin-steps 12";
    let drawn = sandbox.ok(sample);
    let levels = drawn.lines().skip(13).map(|line| {
        let number = line.rsplit(',').next().unwrap();
        number.parse::<f64>().unwrap()
    });
    let levels: Vec<f64> = levels.collect();
    assert_eq!(levels.len(), 40);
    let near = |x: &&f64| (**x - 40.0).abs() < 4.0 || (**x - 50.0).abs() < 4.0;
    assert!(levels.iter().filter(near).count() > 30, "{levels:?}");
}

#[test]
fn a_bit_of_a_series_has_a_probability() {
    let sandbox = folder();
    train(&sandbox, "bit", "loss bernoulli(linear(rnn(x)), next(x))");
    let (header, numbers) = row(&sandbox.ok("predict r series.csv --device cpu"));
    assert_eq!(header, "series,step,bit.probability");
    // Step 160 is the second of three.
    assert!(numbers[2] > 0.0 && numbers[2] < 0.1, "{numbers:?}");
}

#[test]
fn what_a_loss_of_ones_own_reads_is_said_as_it_is() {
    let sandbox = folder();
    let text = "row a\nnumber y\noff = mean(a) - y\nloss = off * off\n";
    fs::write(sandbox.at("ensemble.loss"), text).unwrap();
    train(
        &sandbox,
        "level",
        "loss ensemble(linear(rnn(x), width = 3), next(x))",
    );
    let (header, numbers) = row(&sandbox.ok("predict r series.csv --device cpu"));
    assert_eq!(header, "series,step,loss.0,loss.1,loss.2");
    // Of numbers that are 1 and -1 as the model reads them.
    let mean = numbers[2..].iter().sum::<f64>() / 3.0;
    assert!((mean - 1.0).abs() < 0.3, "{numbers:?}");
}

#[test]
fn a_run_goes_on_with_the_loss_that_it_began_with() {
    let sandbox = folder();
    let loss = "row x, y\nconst d = 0.5\noff = max(x - y, y - x)\nloss = mean(min(off, d) * off)\n";
    let write = |name: &str, text: &str| fs::write(sandbox.at(name), text).unwrap();
    write("own.loss", loss);
    write(
        "own.model",
        "field x: reals\nloss own(linear(rnn(x)), next(x), d = 2)\n",
    );
    let flags = "--model own.model series.csv --columns x=level --context 16 --standardize --hidden 6 --batch 4 --val 0.2 \
                 --save-every 0 --device cpu -q";
    sandbox.ok(&format!("train {flags} --steps 9 --out whole"));
    sandbox.ok(&format!("train {flags} --steps 4 --out parts"));
    // Another one in its file is not passed over; without the files the run has its own.
    write("own.loss", &loss.replace("off, d", "off, 2 * d"));
    let resume = "train --resume parts --steps 9 --device cpu -q";
    sandbox.refuses(resume, 3, &["own.model: is not the model that parts"]);
    fs::remove_file(sandbox.at("own.loss")).unwrap();
    fs::remove_file(sandbox.at("own.model")).unwrap();
    sandbox.ok(resume);
    let ((a, whole), (b, parts)) = (sandbox.newest("whole"), sandbox.newest("parts"));
    assert_eq!((a, b), (9, 9));
    assert_eq!(whole.tensors, parts.tensors);
    assert_eq!(sandbox.losses("whole"), sandbox.losses("parts"));
}
