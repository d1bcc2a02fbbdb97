//! Models of numbers as a user meets them: series of vectors, notes, strokes, labels of sequences and of their steps. All on the
//! processor, with data made here.

mod sandbox;

use std::f64::consts::TAU;
use std::fmt::Write;
use std::fs;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

use sandbox::Sandbox;

/// Tiny models that learn within moments.
const TINY: &str = "--lr 0.02 --batch 8 --device cpu -q";

/// Steps of the series, of which the first are to train on, the last to test.
const STEPS: usize = 240;
const SPLIT: [usize; 3] = [160, 40, 40];
/// Steps after which it comes again, nearly.
const SEASON: usize = 12;

/// What the series is at a step: a wave and a tide with two units, and a noise that is always the same.
fn at(step: usize) -> [f64; 2] {
    let angle = TAU * (step % SEASON) as f64 / SEASON as f64;
    let noise = ((step * 7919) % 101) as f64 / 101.0 - 0.5;
    [
        200.0 + 50.0 * angle.sin() + 8.0 * noise,
        3.0 + 0.5 * angle.cos() - 0.08 * noise,
    ]
}

/// The first steps of the series as a table with an hour a row.
fn series(steps: usize) -> String {
    let mut text = String::from("date,wave,tide\n");
    for step in 0..steps {
        let ([wave, tide], day, hour) = (at(step), step / 24 + 1, step % 24);
        writeln!(text, "2016-07-{day:02} {hour:02}:00:00,{wave},{tide}").unwrap();
    }
    text
}

/// The flags of a run on `series.csv`.
fn on_series(model: &str) -> String {
    let [train, valid, test] = SPLIT;
    format!(
        "train --model {model} series.csv --context 24 --split {train},{valid},{test} --standardize --time date --hidden 16 --eval-every 50 {TINY}"
    )
}

/// A folder with `series.csv`.
fn folder() -> Sandbox {
    let sandbox = Sandbox::new();
    fs::write(sandbox.at("series.csv"), series(STEPS)).unwrap();
    sandbox
}

fn json(sandbox: &Sandbox, args: &str) -> Value {
    serde_json::from_str(&sandbox.ok(args)).unwrap()
}

fn number(value: &Value, name: &str) -> f64 {
    let found = value[name].as_f64();
    found.unwrap_or_else(|| panic!("no {name} in {value}"))
}

fn near(found: f64, want: f64, within: f64) {
    assert!((found - want).abs() <= within, "{found} is not {want}");
}

/// The rows of a table of numbers, and its header.
fn table(text: &str) -> (String, Vec<Vec<f64>>) {
    let mut lines = text.lines();
    let header = lines.next().unwrap().to_string();
    let row = |line: &str| line.split(',').map(|cell| cell.parse().unwrap()).collect();
    (header, lines.map(row).collect())
}

/// Mean square of what the test's steps of both columns differ by from those `before` them, in deviations of training's steps.
fn naive(before: usize) -> f64 {
    let begin = SPLIT[0] + SPLIT[1];
    let of = |column: usize| {
        let train: Vec<f64> = (0..SPLIT[0]).map(|step| at(step)[column]).collect();
        let mean = train.iter().sum::<f64>() / SPLIT[0] as f64;
        let variance = train.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / SPLIT[0] as f64;
        let differ = |step: usize| (at(step)[column] - at(step - before)[column]).powi(2);
        (begin..STEPS).map(differ).sum::<f64>() / SPLIT[2] as f64 / variance
    };
    (of(0) + of(1)) / 2.0
}

#[test]
fn a_series_is_learned_measured_and_gone_on_with() {
    let sandbox = folder();
    sandbox.ok(&format!("{} --steps 150 --out r", on_series("forecast")));
    let value = json(
        &sandbox,
        &format!("eval r --part test --season {SEASON} --device cpu --json"),
    );
    let loss = &value["losses"][0];
    assert_eq!(loss["count"], SPLIT[2]);
    // Both rules are what the data say, computed here.
    near(number(loss, "last_value_mse"), naive(1), 1e-4);
    near(number(loss, "season_mse"), naive(SEASON), 1e-4);
    let mse = number(loss, "mse");
    assert!(mse < 0.5 * naive(1), "{mse} beside {}", naive(1));
    // In its own units the wave is far larger than the tide.
    let of = |n: usize| number(&loss["columns"][n], "mse");
    near(number(loss, "own_mse"), (of(0) + of(1)) / 2.0, 1e-3);
    assert_eq!(loss["columns"][0]["name"], "wave");
    assert!(of(0) > 100.0 * of(1) && of(0).sqrt() < 20.0, "{loss}");

    let text = sandbox.ok(&format!("eval r series.csv --season {SEASON} --device cpu"));
    let line = text.lines().next().unwrap();
    for part in ["past: MSE 0.", "(last value 0.", "season 12 0.", "MAE 0."] {
        assert!(line.contains(part), "{part}: {text}");
    }
    // Each step but the first has one before it.
    assert!(
        line.ends_with(&format!("over {} predictions of 1 step", STEPS - 1)),
        "{text}"
    );
    assert!(text.contains("  tide: MSE 0.0"), "{text}");

    // On from the last step, each from those before, in units of the data.
    let (header, rows) = table(&sandbox.ok("predict r series.csv --steps 3 --device cpu"));
    assert_eq!(header, "series,step,wave,tide");
    assert_eq!(rows.len(), 3);
    for (n, row) in rows.iter().enumerate() {
        let [wave, tide] = at(STEPS + n);
        assert_eq!(row[..2], [1.0, n as f64 + 1.0]);
        near(row[2], wave, 25.0);
        near(row[3], tide, 0.25);
    }
    let first = sandbox.ok("predict r series.csv --json --device cpu");
    let first: Value = serde_json::from_str(&first).unwrap();
    near(number(&first["values"], "wave"), rows[0][2], 1e-3);

    // Step by step is as with the steps before in the file.
    let more = format!(
        "{}2016-07-11 00:00:00,{},{}\n",
        series(STEPS),
        rows[0][2],
        rows[0][3]
    );
    fs::write(sandbox.at("more.csv"), more).unwrap();
    let (_, next) = table(&sandbox.ok("predict r more.csv --device cpu"));
    near(next[0][2], rows[1][2], 1e-3);
    near(next[0][3], rows[1][3], 1e-5);

    // A file's columns are those of the training.
    fs::write(sandbox.at("other.csv"), series(30).replace("tide", "tied")).unwrap();
    let parts = ["other.csv", "wave, tide as in training, found wave, tied"];
    sandbox.refuses("eval r other.csv --device cpu", 3, &parts);
}

#[test]
fn several_steps_at_once_are_measured_step_by_step() {
    let sandbox = folder();
    let flags = on_series("forecast-window");
    sandbox.ok(&format!("{flags} --horizon 3 --steps 100 --out w"));
    let value = json(&sandbox, "eval w --part test --device cpu --json");
    let loss = &value["losses"][0];
    assert_eq!(loss["count"], SPLIT[2] - 2);
    let steps = loss["mse_by_step"].as_array().unwrap();
    let mean = steps.iter().filter_map(Value::as_f64).sum::<f64>() / 3.0;
    assert_eq!(steps.len(), 3);
    near(number(loss, "mse"), mean, 1e-6);
    assert!(mean < 0.5 * number(loss, "last_value_mse"), "{loss}");
    let (_, rows) = table(&sandbox.ok("predict w series.csv --device cpu"));
    assert_eq!(rows.len(), 3);
    near(rows[2][2], at(STEPS + 2)[0], 25.0);
    // Two blocks of three, of which the last two steps are not asked for.
    let (_, more) = table(&sandbox.ok("predict w series.csv --steps 4 --device cpu"));
    assert_eq!((more.len(), &more[..3]), (4, &rows[..]));
}

#[test]
fn quantiles_and_deviations_have_columns_of_their_own() {
    let sandbox = folder();
    let head = "field past: reals\nh = rnn(past)\n";
    let mut quantiles = head.to_string();
    for q in ["0.1", "0.5", "0.9"] {
        writeln!(quantiles, "loss quantile(linear(h), next(past), q = {q})").unwrap();
    }
    let gaussian = format!("{head}loss gaussian(linear(h), linear(h), next(past))\n");
    fs::write(sandbox.at("q.model"), quantiles).unwrap();
    fs::write(sandbox.at("g.model"), gaussian).unwrap();
    for name in ["q", "g"] {
        let flags = on_series(&format!("{name}.model"));
        sandbox.ok(&format!("{flags} --steps 150 --out {name}"));
    }
    let (header, rows) = table(&sandbox.ok("predict q series.csv --steps 2 --device cpu"));
    assert_eq!(
        header,
        "series,step,wave.q0.1,tide.q0.1,wave.q0.5,tide.q0.5,wave.q0.9,tide.q0.9"
    );
    for row in &rows {
        assert!(row[2] < row[4] && row[4] < row[6], "{rows:?}");
        assert!(row[3] < row[5] && row[5] < row[7], "{rows:?}");
    }
    let text = sandbox.ok("eval q --part test --device cpu");
    assert!(text.contains("past of quantile 0.9: MSE"), "{text}");
    let (header, rows) = table(&sandbox.ok("predict g series.csv --device cpu"));
    assert_eq!(
        header,
        "series,step,wave,tide,wave.deviation,tide.deviation"
    );
    near(rows[0][2], at(STEPS)[0], 25.0);
    // In units of the data: less than the columns' own deviations, more than nothing.
    assert!(rows[0][4] > 0.5 && rows[0][4] < 36.0, "{rows:?}");
    assert!(rows[0][5] > 0.005 && rows[0][5] < 0.36, "{rows:?}");
}

/// Dropout, windows and scales are what they were.
#[test]
fn a_resumed_series_equals_one_that_never_stopped() {
    let sandbox = folder();
    let flags = format!(
        "{} --stride 5 --dropout 0.3 --layers 2 --save-every 0",
        on_series("forecast")
    );
    sandbox.ok(&format!("{flags} --out whole --steps 13"));
    sandbox.ok(&format!("{flags} --out parts --steps 5"));
    sandbox.ok("train --resume parts --steps 13 --device cpu -q");
    let ((a, whole), (b, parts)) = (sandbox.newest("whole"), sandbox.newest("parts"));
    assert_eq!((a, b), (13, 13));
    assert!(whole.tensors.len() > 10);
    assert_eq!(whole.tensors, parts.tensors);
    let losses = |run: &str| sandbox.losses(run);
    assert_eq!(
        (losses("whole").len(), losses("whole")),
        (13, losses("parts"))
    );
}

/// Four chords that come by turns.
const CHORDS: [&[u32]; 4] = [&[60, 64, 67], &[62, 65], &[], &[59, 71]];

/// Pieces of twelve chords, each beginning with another one.
fn pieces() -> String {
    let piece = |n: usize| json!((n..n + 12).map(|k| CHORDS[k % 4]).collect::<Vec<_>>());
    (0..12).map(|n| format!("{}\n", piece(n))).collect()
}

/// Nats a step where each note of 59 to 71 sounds by its share of the steps that are predicted, one more of either kind counted.
fn note_frequency() -> f64 {
    let steps: Vec<&[u32]> = (0..12)
        .flat_map(|n| (n + 1..n + 12).map(|k| CHORDS[k % 4]))
        .collect();
    let of = |note: u32| {
        let count = steps.iter().filter(|step| step.contains(&note)).count() as f64;
        let (all, p) = (
            steps.len() as f64,
            (count + 1.0) / (steps.len() as f64 + 2.0),
        );
        -(count * p.ln() + (all - count) * (1.0 - p).ln()) / all
    };
    (59..=71).map(of).sum()
}

#[test]
fn music_is_learned_drawn_and_written_as_midi() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.at("music.jsonl"), pieces()).unwrap();
    sandbox.ok(&format!(
        "train --model chorale music.jsonl --hidden 16 --val 0 --epochs 60 --out m {TINY}"
    ));
    let value = json(&sandbox, "eval m music.jsonl --device cpu --json");
    let loss = &value["losses"][0];
    assert!(number(loss, "frame_accuracy") > 0.9, "{loss}");
    assert!(
        number(loss, "nats") < 0.5 * number(loss, "note_frequency"),
        "{loss}"
    );
    near(number(loss, "note_frequency"), note_frequency(), 1e-6);
    let text = sandbox.ok("eval m music.jsonl --device cpu");
    assert!(
        text.starts_with("notes: 0.") && text.contains("(note frequency "),
        "{text}"
    );
    assert!(
        text.contains("frame accuracy 0.9") || text.contains("frame accuracy 1."),
        "{text}"
    );

    let sets = |text: &str| -> Vec<Vec<Vec<u32>>> {
        text.lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect()
    };
    // Behind twelve steps of the first piece the four chords come again.
    let ahead = sets(&sandbox.ok("predict m music.jsonl --steps 4 --device cpu"));
    assert_eq!(ahead.len(), 12);
    assert_eq!(
        ahead[0],
        [vec![60, 64, 67], vec![62, 65], vec![], vec![59, 71]]
    );
    let drawn = "sample m --length 9 --begin music.jsonl --begin-steps 3 --midi p.mid --seed 4 --device cpu -q";
    let drawn = drawn.replace(" -q", "");
    let found = sets(&sandbox.ok(&drawn));
    assert_eq!((found.len(), found[0].len()), (1, 12));
    assert_eq!(found[0][..3], [vec![60, 64, 67], vec![62, 65], vec![]]);
    assert!(
        found[0]
            .iter()
            .flatten()
            .all(|note| (59..=71).contains(note)),
        "{found:?}"
    );
    let midi = fs::read(sandbox.at("p.mid")).unwrap();
    assert!(midi.starts_with(b"MThd\0\0\0\x06") && midi.windows(4).any(|part| part == b"MTrk"));

    fs::write(sandbox.at("high.jsonl"), "[[60],[64]]\n[[60],[72]]\n").unwrap();
    let parts = [
        "high.jsonl: line 2",
        "field notes: step 1",
        "notes of 59..71, found 72",
    ];
    sandbox.refuses("eval m high.jsonl --device cpu", 3, &parts);
    let train = "train --model chorale music.jsonl --device cpu --notes";
    sandbox.refuses(
        &format!("{train} 60..72"),
        3,
        &["music.jsonl", "60..72, found 59"],
    );
    for range in ["72..60", "60", "a..b"] {
        sandbox.refuses(&format!("{train} {range}"), 2, &["notes: expected", range]);
    }
    sandbox.refuses(
        "sample m --svg s.svg --device cpu",
        2,
        &["--svg: expected a model of strokes"],
    );
    fs::write(sandbox.at("twice.jsonl"), "[[60],[64,64]]\n").unwrap();
    let parts = [
        "twice.jsonl: line 1",
        "step 1, number 1",
        "each note of a step once",
    ];
    sandbox.refuses("eval m twice.jsonl --device cpu", 3, &parts);
}

#[test]
fn strokes_are_drawn_as_numbers_and_as_a_picture() {
    let sandbox = Sandbox::new();
    let stroke = |n: usize| {
        let steps =
            (0..9).map(|k| json!([(n + k) % 3, 1.5 * (k % 2) as f64, usize::from(k % 3 == 2)]));
        format!("{}\n", Value::from(steps.collect::<Vec<_>>()))
    };
    fs::write(
        sandbox.at("pen.jsonl"),
        (0..12).map(stroke).collect::<String>(),
    )
    .unwrap();
    sandbox.ok(&format!(
        "train --model strokes pen.jsonl --standardize --hidden 8 --val 0.2 --steps 20 --out s {TINY}"
    ));
    let flags = "--length 7 --count 2 --seed 3 --device cpu";
    let (header, rows) = table(&sandbox.ok(&format!("sample s {flags} --svg s.svg")));
    assert_eq!(header, "series,step,points.0,points.1,points.2");
    assert_eq!(rows.len(), 14);
    assert!(
        rows.iter().all(|row| row[4] == 0.0 || row[4] == 1.0),
        "{rows:?}"
    );
    let svg = fs::read_to_string(sandbox.at("s.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("path"), "{svg}");
    assert_eq!(rows, table(&sandbox.ok(&format!("sample s {flags}"))).1);
    sandbox.refuses(
        "sample s --midi p.mid --device cpu",
        2,
        &["--midi: expected a model of sets of notes, got strokes"],
    );
    sandbox.refuses(
        "sample s --prime a --device cpu",
        2,
        &["--prime: expected none", "--begin"],
    );
    let (header, next) = table(&sandbox.ok("predict s pen.jsonl --device cpu"));
    assert_eq!(header, "series,step,points.0,points.1,points.2.probability");
    assert_eq!(next.len(), 12);
    // Offsets are of 0 to 2 and of 0 and 1.5.
    for row in &next {
        assert!(
            (-1.0..3.0).contains(&row[2]) && (-1.0..2.5).contains(&row[3]),
            "{next:?}"
        );
        assert!(row[4] > 0.0 && row[4] < 1.0, "{next:?}");
    }
    sandbox.refuses(
        "predict s pen.jsonl --steps 2 --device cpu",
        2,
        &["--steps: expected at most 1", "no loss says the middle"],
    );
}

/// The pen goes right for `a`, down for `b`, and never the same way twice.
#[test]
fn strokes_follow_the_letters_that_are_given() {
    let sandbox = Sandbox::new();
    let word = |n: usize| {
        let letters = (0..1 + n % 3).map(|k| if (n >> k) & 1 == 0 { 'a' } else { 'b' });
        let text: String = letters.collect();
        let off = |k: usize| ((7 * n + 5 * k) % 11) as f64 / 10.0 - 0.5;
        let step = |(k, c)| match c {
            'a' => json!([2.0 + off(k), off(k + 3), 1]),
            _ => json!([off(k), 2.0 + off(k + 4), 1]),
        };
        let steps = text.chars().enumerate().map(step);
        let points: Vec<Value> = [json!([0, 0, 0])].into_iter().chain(steps).collect();
        format!("{}\n", json!({"text": text, "points": points}))
    };
    let all: String = (0..96).map(word).collect();
    fs::write(sandbox.at("pen.jsonl"), all).unwrap();
    sandbox.ok(
        "train --model strokes-text pen.jsonl --vocab char --hidden 24 --lr 0.02 --batch 16 --steps 1500 --device cpu --out s",
    );
    let drawn = |text: &str| {
        let args = format!("sample s --given text={text} --length 3 --temperature 0 --device cpu");
        let (_, rows) = table(&sandbox.ok(&args));
        let down = |row: &Vec<f64>| row[3] > row[2];
        rows.iter()
            .map(|row| if down(row) { 'b' } else { 'a' })
            .collect::<String>()
    };
    let words = (0..8).map(|n: usize| {
        (0..3)
            .map(|k| if (n >> k) & 1 == 0 { 'a' } else { 'b' })
            .collect::<String>()
    });
    // A pen that follows none of its letters draws half of them right, one that has lost its place in the text as many.
    let pairs = words.flat_map(|text| text.chars().zip(drawn(&text).chars()).collect::<Vec<_>>());
    let right = pairs.filter(|(asked, drawn)| asked == drawn).count();
    assert!(
        right >= 20,
        "{right} of 24 letters drawn as they were asked for"
    );
    let refused = [
        (
            "",
            "--given text=VALUE: expected a value for each field that pieces of model strokes-text are about",
        ),
        ("--given points=1", "--given points: the model makes it"),
        (
            "--given text=a --given text=b",
            "--given text: expected once",
        ),
        (
            "--given text=a --begin pen.jsonl",
            "--begin: expected a model of one field",
        ),
    ];
    for (flags, part) in refused {
        sandbox.refuses(
            &format!("sample s {flags} --length 3 --device cpu"),
            2,
            &[part],
        );
    }
}

/// Of which kind a frame is.
fn frame(example: usize, step: usize) -> usize {
    usize::from((example * 5 + step * step) % 7 > 3)
}

/// Sequences of two kinds, and of frames of two kinds, told by a noisy number beside one that says nothing: `x [N, T, 2]`, and
/// `labels [N]` or `targets [N, T]`.
fn arrays(along: bool) -> Vec<u8> {
    let (examples, steps) = (24, 6);
    let (mut x, mut labels) = (Vec::new(), Vec::<i64>::new());
    for n in 0..examples {
        for step in 0..steps {
            let kind = if along { frame(n, step) } else { n % 2 };
            let noise = ((n * 31 + step * 17) % 13) as f32 / 13.0 - 0.5;
            x.extend([2.0 * kind as f32 - 1.0 + noise, noise]);
            if along || step == 0 {
                labels.push(5 + kind as i64);
            }
        }
    }
    let bytes: Vec<u8> = x.iter().flat_map(|x: &f32| x.to_le_bytes()).collect();
    let ids: Vec<u8> = labels.iter().flat_map(|n| n.to_le_bytes()).collect();
    let (name, shape) = match along {
        true => ("targets", vec![examples, steps]),
        false => ("labels", vec![examples]),
    };
    let x = TensorView::new(Dtype::F32, vec![examples, steps, 2], &bytes).unwrap();
    let labels = TensorView::new(Dtype::I64, shape, &ids).unwrap();
    safetensors::serialize([("x", x), (name, labels)], None).unwrap()
}

#[test]
fn sequences_and_frames_get_labels() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.at("kinds.safetensors"), arrays(false)).unwrap();
    fs::write(sandbox.at("frames.safetensors"), arrays(true)).unwrap();
    sandbox.ok(&format!(
        "train --model sequence-label kinds.safetensors --hidden 8 --val 0 --epochs 12 --out k {TINY}"
    ));
    let value = json(&sandbox, "eval k kinds.safetensors --device cpu --json");
    assert_eq!(value["losses"][0]["accuracy"], 1.0);
    let answers = sandbox.ok("predict k kinds.safetensors --device cpu");
    assert_eq!(answers, "5\n6\n".repeat(12));
    sandbox.ok(&format!(
        "train --model frame-label frames.safetensors --hidden 8 --val 0 --epochs 20 --out f {TINY}"
    ));
    let value = json(&sandbox, "eval f frames.safetensors --device cpu --json");
    let loss = &value["losses"][0];
    assert_eq!(
        (&loss["accuracy"], &loss["count"]),
        (&1.0.into(), &144.into())
    );
    // Fewer frames are of kind 6.
    let frames = (0..24 * 6).filter(|n| frame(n / 6, n % 6) == 0).count();
    near(number(loss, "majority"), frames as f64 / 144.0, 1e-6);
    let text = sandbox.ok("eval f frames.safetensors --device cpu");
    let line = "labels: step accuracy 1.0000 (majority 0.";
    assert!(
        text.starts_with(line) && text.contains("nats over 144 steps"),
        "{text}"
    );
    let answers = sandbox.ok("predict f frames.safetensors --json --device cpu");
    let frames = |n| -> Vec<&str> { (0..6).map(|step| ["5", "6"][frame(n, step)]).collect() };
    for (n, line) in answers.lines().enumerate() {
        let found: Value = serde_json::from_str(line).unwrap();
        let labels = found["labels"].as_array().unwrap().iter();
        let labels: Vec<&str> = labels.map(|l| l[0]["label"].as_str().unwrap()).collect();
        assert_eq!(labels, frames(n), "{n}");
    }
    assert_eq!(answers.lines().count(), 24);
    // As text, a label a line and an empty line behind each sequence.
    let lines = |n| format!("{}\n\n", frames(n).join("\n"));
    let want: String = (0..24).map(lines).collect();
    assert_eq!(
        sandbox.ok("predict f frames.safetensors --device cpu"),
        want
    );

    // Of labels there are no parts, seasons or steps ahead.
    for (args, part) in [
        (
            "eval k kinds.safetensors --part test",
            "--part: expected none",
        ),
        (
            "eval k kinds.safetensors --season 3",
            "--season: expected none",
        ),
        (
            "predict k kinds.safetensors --steps 3",
            "--steps: expected none, as model sequence-label predicts labels",
        ),
        (
            "train --model sequence-label kinds.safetensors --context 3",
            "expected no context 3",
        ),
        (
            "train --model sequence-label kinds.safetensors --horizon 3",
            "horizon: expected none",
        ),
        (
            "train --model sequence-label kinds.safetensors --notes 1..3",
            "notes: expected none, as no field is of bits",
        ),
        (
            "train --model sequence-label kinds.safetensors --time date",
            "--time: expected a table",
        ),
    ] {
        sandbox.refuses(&format!("{args} --device cpu"), 2, &[part]);
    }
    sandbox.refuses("sample k --device cpu", 2, &["k"]);
}

/// A class and eight numbers a row.
fn digits(columns: usize) -> String {
    let names: Vec<String> = (0..columns).map(|n| format!("p{n}")).collect();
    let mut text = format!("label,{}\n", names.join(","));
    for n in 0..24 {
        let (kind, noise) = (n % 2, n % 5);
        let cells: Vec<String> = (0..columns)
            .map(|c| ((c % 2 == kind) as usize * 9 + noise).to_string())
            .collect();
        writeln!(text, "{},{}", ["odd", "even"][kind], cells.join(",")).unwrap();
    }
    text
}

#[test]
fn a_row_of_a_table_is_an_example_of_frames() {
    let sandbox = Sandbox::new();
    let write = |name: &str, text: &str| fs::write(sandbox.at(name), text).unwrap();
    write("eight.csv", &digits(8));
    write("six.csv", &digits(6));
    let train = |model: &str, flags: &str| {
        json(
            &sandbox,
            &format!(
                "train --model {model} eight.csv --hidden 4 --val 0 --standardize {flags} {TINY} --json"
            ),
        )
    };
    // A weight of each of four gates and units for another number of a step, in both directions.
    let wide = train("sequence-label", "--frame-width 4 --epochs 20 --out d");
    let narrow = train("sequence-label", "--steps 1");
    assert_eq!(
        number(&wide, "parameters") - number(&narrow, "parameters"),
        32.0 * 3.0
    );
    let chosen = train(
        "pixels",
        "--columns pixels=2-5 --frame-width 2 --steps 1 --out p",
    );
    assert_eq!(
        number(&chosen, "parameters"),
        number(&train("pixels", "--frame-width 2 --steps 1"), "parameters")
    );

    let value = json(&sandbox, "eval d eight.csv --device cpu --json");
    assert_eq!(value["losses"][0]["accuracy"], 1.0);
    let answers = "odd\neven\n".repeat(12);
    assert_eq!(sandbox.ok("predict d eight.csv --device cpu"), answers);
    // The label need not be there.
    let bare: String = digits(8)
        .lines()
        .map(|l| format!("{}\n", l.split_once(',').unwrap().1))
        .collect();
    write("bare.csv", &bare);
    assert_eq!(sandbox.ok("predict d bare.csv --device cpu"), answers);

    let text = digits(8);
    write("strange.csv", &text.replace("even", "seven"));
    write(
        "text.csv",
        &text
            .replacen("even,0", "even,nil", 1)
            .replacen("even,1", "even,none", 1),
    );
    write("ragged.csv", &text.replacen("\neven,", "\neven,1,", 1));
    write("empty.csv", "");
    write("gap.csv", &text.replacen("odd,9", "odd,", 1));
    for (args, code, parts) in [
        (
            "eval d six.csv",
            3,
            &[
                "six.csv: field frames: frame-width: expected a divisor of 6",
                "got 4",
            ][..],
        ),
        (
            "eval d strange.csv",
            3,
            &["strange.csv: line 3", "\"seven\""],
        ),
        (
            "eval d text.csv",
            3,
            &["text.csv: line 3, column 2 (p0): expected a finite number, found \"none\""],
        ),
        (
            "eval d ragged.csv",
            3,
            &["ragged.csv: line 3: expected 9 column(s) as in the first line, found 10"],
        ),
        ("eval d empty.csv", 3, &["empty.csv"]),
        (
            "eval d gap.csv",
            3,
            &["gap.csv: line 2, column 2 (p0): expected a number, found an empty cell"],
        ),
        (
            "train --model pixels eight.csv --frame-width 3",
            3,
            &["frame-width: expected a divisor of 8", "got 3"],
        ),
        (
            "train --model pixels eight.csv --time p0",
            2,
            &["--time: expected none, as each row is an example"],
        ),
        (
            "train --model classify eight.csv --frame-width 4",
            2,
            &["--frame-width: expected none, as no field of model classify is of reals"],
        ),
    ] {
        sandbox.refuses(&format!("{args} --device cpu"), code, parts);
    }
}

#[test]
fn series_that_do_not_fit_are_refused_by_name() {
    let sandbox = folder();
    let write = |name: &str, text: &str| fs::write(sandbox.at(name), text).unwrap();
    let short = series(6);
    write("short.csv", &short);
    let still = |line: &str| match line.rsplit_once(',') {
        Some((rest, cell)) if cell != "tide" => format!("{rest},4\n"),
        _ => format!("{line}\n"),
    };
    write("still.csv", &short.lines().map(still).collect::<String>());
    let mut lines: Vec<&str> = short.lines().collect();
    lines.swap(3, 4);
    write("order.csv", &format!("{}\n", lines.join("\n")));
    write(
        "nan.csv",
        &short.replacen(&format!(",{}\n", at(1)[1]), ",NaN\n", 1),
    );
    for (args, code, parts) in [
        (
            "forecast-window short.csv --time date --context 2 --horizon 9 --val 0",
            3,
            &["2 to read and 9 to predict", "found at most 6"][..],
        ),
        (
            "forecast short.csv --time date --split 5,1,1",
            3,
            &["split: expected at least 7 steps, found 6"],
        ),
        (
            "forecast-window short.csv --time date --context 6 --val 0",
            3,
            &["at least 7 steps", "6 to read and 1 to predict"],
        ),
        (
            "forecast-window short.csv --time date",
            2,
            &["context: expected how many steps model forecast-window reads"],
        ),
        (
            "forecast short.csv --time date --horizon 3",
            2,
            &["horizon: expected none"],
        ),
        (
            "forecast short.csv --time date --stride 3",
            2,
            &["stride: expected a context beside it, which is what examples read, got 3"],
        ),
        (
            "forecast short.csv --time date --split 5,x",
            2,
            &["split: expected steps to train on", "got 5,x"],
        ),
        (
            "forecast short.csv --time date --frame-width 3",
            3,
            &["frame-width: expected a divisor of 2", "got 3"],
        ),
        (
            "forecast still.csv --time 1 --standardize",
            3,
            &[
                "still.csv: field past: column tide: expected different values",
                "found 4",
            ],
        ),
        (
            "forecast order.csv --time date",
            3,
            &["order.csv: line 5, column 1 (date): dates out of order"],
        ),
        (
            "forecast short.csv --time day",
            3,
            &["expected a column day for the time"],
        ),
        (
            "forecast short.csv",
            3,
            &["short.csv: line 2, column 1 (date): expected a finite number"],
        ),
        (
            "forecast nan.csv --time date",
            3,
            &["nan.csv: line 3, column 3 (tide): expected a number, found \"NaN\""],
        ),
        (
            "language a.txt --horizon 3",
            2,
            &["--horizon: expected a model of fields"],
        ),
    ] {
        sandbox.refuses(&format!("train --model {args} --device cpu"), code, parts);
    }
    // What is missing may be carried on, but not from nothing.
    let tiny = "--hidden 4 --steps 2 --val 0 --device cpu -q";
    sandbox.ok(&format!(
        "train --model forecast nan.csv --time date --missing carry {tiny}"
    ));
    sandbox.ok(&format!(
        "train --model forecast short.csv --time date --out s {tiny}"
    ));
    write(
        "first.csv",
        &short.replacen(&format!(",{}\n", at(0)[1]), ",\n", 1),
    );
    let parts = ["first.csv: field past: row 0, column tide: expected a number before it"];
    sandbox.refuses(
        "train --model forecast first.csv --time date --missing carry --device cpu",
        3,
        &parts,
    );
    sandbox.refuses(
        "sample s --midi p.mid --device cpu",
        2,
        &["--midi: expected a model of sets of notes, got forecast"],
    );
    sandbox.refuses(
        "eval s --part last --device cpu",
        2,
        &["--part: expected train, valid or test, got last"],
    );
    sandbox.refuses(
        "eval s short.csv --confusion c.csv --device cpu",
        2,
        &["--confusion: expected a model that predicts classes"],
    );
    sandbox.refuses(
        "predict s short.csv --top 2 --device cpu",
        2,
        &["--top: expected none, as model forecast predicts numbers"],
    );
}

/// A loss of one's own stands in a file beside the model's, and stays with the run when that file is gone.
#[test]
fn a_loss_of_ones_own_stays_with_the_run() {
    let sandbox = folder();
    let write = |name: &str, text: &str| fs::write(sandbox.at(name), text).unwrap();
    write(
        "huber.loss",
        "row x, y\nconst d = 1\nsize = max(x - y, y - x)\nnear = min(size, d)\nloss = mean(near * (size - 0.5 * near))\n",
    );
    write(
        "own.model",
        "field past: reals\nloss huber(linear(rnn(past)), next(past), d = 0.5)\n",
    );
    let train = on_series("own.model");
    sandbox.ok(&format!("{train} --steps 60 --out r"));
    fs::remove_file(sandbox.at("huber.loss")).unwrap();
    let report = json(&sandbox, "eval r --part test --json --device cpu");
    // Half the mean of errors of a few tenths of a deviation, less than half of one.
    let nats = number(&report["losses"][0], "nats");
    assert!(nats > 0.0 && nats < 0.25, "{nats}");
    // As wide as the field, what it compares is read in the field's units.
    let (header, rows) = table(&sandbox.ok("predict r series.csv --device cpu"));
    assert_eq!(header, "series,step,wave,tide");
    near(rows[0][2], at(STEPS)[0], 25.0);
    sandbox.refuses(
        "predict r series.csv --steps 2 --device cpu",
        2,
        &["--steps: expected at most 1", "no loss says the middle"],
    );
    let parts = [
        "own.model:2:6: `huber` is no loss",
        "expected one of squared",
    ];
    sandbox.refuses(&format!("{train} --steps 9 --out s"), 3, &parts);
    write("squared.loss", "row x, y\nloss = mean(x - y)\n");
    write(
        "two.model",
        "field past: reals\nloss squared(linear(rnn(past)), next(past))\n",
    );
    let parts = ["two.model:2:6: `squared` is a built-in loss and that of the file squared.loss"];
    sandbox.refuses("models show two.model", 3, &parts);
}

/// Beside a loss of numbers the answers are the labels alone.
#[test]
fn labels_beside_numbers_are_answered_alone() {
    let sandbox = folder();
    fs::write(sandbox.at("digits.csv"), digits(8)).unwrap();
    let model = "field frames: reals\nfield label: class\nh = rnn(frames)\n\
                 loss cross_entropy(linear(last(h)), label)\nloss squared(linear(h), next(frames))\n";
    fs::write(sandbox.at("both.model"), model).unwrap();
    sandbox.ok(&format!(
        "train --model both.model digits.csv --val 0 --hidden 5 --steps 3 --out r {TINY}"
    ));
    let answers = sandbox.ok("predict r digits.csv --device cpu");
    assert!(answers.lines().count() > 1);
    let label = |line: &str| !line.is_empty() && !line.contains(['\t', '?']);
    assert!(answers.lines().all(label), "{answers}");
    let answer = sandbox.ok("predict r digits.csv --device cpu --json");
    let answer: Value = serde_json::from_str(answer.lines().next().unwrap()).unwrap();
    let names: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(names, ["label"]);
}

/// Numbers along steps: where a digit is in each frame, which a model says without being told.
#[test]
fn places_along_frames_are_learned_measured_and_predicted() {
    let sandbox = Sandbox::new();
    for (name, count, seed) in [("train", 60, 1), ("test", 5, 2)] {
        let flags = format!("--count {count} --length 6 --seed {seed} --out {name}.jsonl");
        sandbox.ok(&format!("generate moving {flags}"));
    }
    let columns = "--columns frames=frames,places=places";
    let train =
        format!("train --model track {columns} --hidden 16 --steps 150 {TINY} --standardize");
    // Standardised, what never changes is refused; places alone have no such column.
    let refused = sandbox.run(&format!("{train} train.jsonl --out r"));
    assert_eq!(refused.code, 3, "{}", refused.err);
    let train = train.replace(" --standardize", "");
    sandbox.ok(&format!("{train} train.jsonl --out r"));
    let value = json(&sandbox, "eval r test.jsonl --device cpu --json");
    let loss = &value["losses"][0];
    assert_eq!(loss["count"], 30);
    let lines = fs::read_to_string(sandbox.at("test.jsonl")).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (_, said) = table(&sandbox.ok("predict r test.jsonl --device cpu"));
    let mut squares = 0.0;
    for row in &said {
        let place = &lines[row[0] as usize - 1]["places"][row[1] as usize - 1];
        squares += (0..2)
            .map(|n| (row[2 + n] - place[n].as_f64().unwrap()).powi(2))
            .sum::<f64>();
    }
    assert_eq!(said.len(), 30);
    near(number(loss, "distance"), (squares / 30.0).sqrt(), 1e-3);
    assert!(
        number(loss, "distance") < 0.7 * number(loss, "mean_distance"),
        "{loss}"
    );
    let text = sandbox.ok("eval r test.jsonl --device cpu");
    assert!(
        text.contains("places: off by ") && text.contains("; mean of training "),
        "{text}"
    );

    // Without the places the same is said; with too few of them nothing is.
    let frames = |line: &Value| json!({ "frames": line["frames"] }).to_string();
    let alone: Vec<String> = lines.iter().map(frames).collect();
    fs::write(sandbox.at("frames.jsonl"), alone.join("\n")).unwrap();
    let (header, again) = table(&sandbox.ok("predict r frames.jsonl --device cpu"));
    assert_eq!(
        (header.as_str(), again),
        ("series,step,places.0,places.1", said)
    );
    let mut short = lines[0].clone();
    short["places"].as_array_mut().unwrap().pop();
    fs::write(sandbox.at("short.jsonl"), short.to_string()).unwrap();
    let refused = sandbox.run("eval r short.jsonl --device cpu");
    assert_eq!(refused.code, 3);
    let why = "frames has 6 steps, places 5 rows of numbers; expected one for every step";
    assert!(refused.err.contains(why), "{}", refused.err);
}
