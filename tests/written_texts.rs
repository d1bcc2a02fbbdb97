//! Texts that a model writes about examples: the same alone and beside others, on the processor and on an adapter, and with
//! beams at least as good as without.

mod common;

use std::io::Cursor;
use std::sync::Arc;

use common::device;
use pollster::block_on;
use wgrnn::data::fields::{FieldCodes, FieldFile, FileFormat, ReadRules, VocabularyRules, read};
use wgrnn::data::{VocabKind, VocabularyRecipe};
use wgrnn::exec::Device;
use wgrnn::model::text::Model;
use wgrnn::model::{Init, Spec, initialize};
use wgrnn::op::Plan;
use wgrnn::rng::{Purpose, Stream};
use wgrnn::search::{Found, LengthPenalty, Scoring};
use wgrnn::train::{Choice, ExampleSet, TextLimits, TextWriter, examples};

const MODEL: &str = "field source: tokens\nfield target: tokens\nm = birnn(embed(source), hidden = 4)\n\
    h = rnn(embed(target), start = m)\nloss cross_entropy(linear(h), next(target))\n";

/// Made-up pairs of words, more than are written side by side, and the model's settings.
fn pairs() -> (FieldCodes, ExampleSet, Spec) {
    let model = Arc::new(Model::parse("pairs", MODEL).unwrap());
    let mut stream = Stream::new(2, Purpose::Check, 0);
    let mut draw = |n: usize| (stream.uniform() * n as f32) as usize;
    let mut word = |least: usize| -> String {
        let length = least + draw(9);
        (0..length)
            .map(|_| char::from(b"abcdefg"[draw(7)]))
            .collect()
    };
    let lines: String = (0..70)
        .map(|_| format!("{}\t{}\n", word(1), word(1)))
        .collect();
    let text = format!("source\ttarget\n{lines}");
    let file = FieldFile {
        field: None,
        path: "-".into(),
    };
    let rules = ReadRules {
        format: Some(FileFormat::parse("tsv").unwrap()),
        ..ReadRules::default()
    };
    let folder = std::env::temp_dir();
    let fields = examples::fields(&model);
    let read = read(&fields, &[file], &rules, &folder, &mut Cursor::new(text)).unwrap();
    let rules = VocabularyRules {
        default: VocabularyRecipe {
            kind: VocabKind::Char,
            ..VocabularyRecipe::default()
        },
        ..VocabularyRules::default()
    };
    let (codes, _) = FieldCodes::build(&read, &rules).unwrap();
    let records = Arc::new(codes.encode(&read, &folder).unwrap());
    let all = (0..records.len() as u32).collect();
    let set = ExampleSet::new(model, records, all, Some(1)).unwrap();
    let spec = common::models::settings("gru", 2);
    let spec = Spec { hidden: 8, ..spec };
    (codes, set, spec)
}

/// Parameters with which texts differ and end.
fn parameters(plan: &Plan) -> wgrnn::Result<Vec<f32>> {
    let drawn = initialize(
        plan,
        &Init {
            seed: 11,
            ..Init::default()
        },
    )?;
    let mut all: Vec<f32> = drawn.into_iter().map(|x| 8.0 * x).collect();
    // The end mark is the last symbol.
    let bias = plan
        .parameters
        .iter()
        .find(|p| p.name == "loss.linear.bias");
    let bias = bias.unwrap().matrix;
    let bias = &mut all[bias.offset..][..bias.rows * bias.cols];
    bias.fill(0.0);
    *bias.last_mut().unwrap() = 0.5;
    Ok(all)
}

fn limits(beams: usize) -> TextLimits {
    TextLimits {
        most: 12,
        beams,
        texts: beams.max(1),
        ..TextLimits::default()
    }
}

fn write(
    device: &Device,
    (codes, set, spec): &(FieldCodes, ExampleSet, Spec),
    temperature: f64,
    limits: TextLimits,
) -> wgrnn::Result<Vec<Vec<Found>>> {
    let choice = Choice {
        temperature,
        ..Choice::default()
    };
    block_on(async {
        let made = TextWriter::new(device, spec, set.clone(), codes, parameters, limits);
        made.await?.write(&choice).await
    })
}

fn tokens(all: &[Vec<Found>]) -> Vec<Vec<Vec<u32>>> {
    let of = |found: &Vec<Found>| found.iter().map(|f| f.tokens.clone()).collect();
    all.iter().map(of).collect()
}

#[test]
fn a_text_is_the_same_alone_and_beside_others() {
    let pairs = pairs();
    let (codes, set, spec) = &pairs;
    let mut ended = Vec::new();
    for (temperature, beams) in [(0.0, 1), (0.0, 3), (1.5, 1)] {
        let all = write(&Device::Cpu, &pairs, temperature, limits(beams)).unwrap();
        assert_eq!(all.len(), set.len());
        for example in [0, 1, 33, 69] {
            // Draws hang on the example's number, which is 0 for one that is alone.
            if temperature > 0.0 && example > 0 {
                continue;
            }
            let numbers = vec![set.number(example)];
            let alone = set.some(numbers).unwrap();
            let one = write(
                &Device::Cpu,
                &(codes.clone(), alone, spec.clone()),
                temperature,
                limits(beams),
            );
            let one = one.unwrap();
            let beside = &all[example as usize];
            assert_eq!(
                tokens(&one)[0],
                tokens(&all)[example as usize],
                "{beams} beams"
            );
            for (one, beside) in one[0].iter().zip(beside) {
                assert!((one.score - beside.score).abs() < 1e-5);
            }
        }
        let first = |n: usize| &all[n][0].tokens;
        assert!((1..70).any(|n| first(n) != first(0)), "all texts are equal");
        ended.extend(all.iter().flatten().map(|found| found.ended));
    }
    assert!(ended.contains(&true) && ended.contains(&false));
}

#[test]
fn an_adapter_writes_what_the_processor_writes() {
    let pairs = pairs();
    let gpu = Device::Gpu(device());
    for beams in [1, 4] {
        let both = [&Device::Cpu, &gpu].map(|on| write(on, &pairs, 0.0, limits(beams)).unwrap());
        assert_eq!(tokens(&both[0]), tokens(&both[1]), "{beams} beams");
    }
}

#[test]
fn more_beams_find_no_worse_texts() {
    let pairs = pairs();
    for penalty in [LengthPenalty::None, LengthPenalty::Average] {
        let of = |beams| {
            let limits = TextLimits {
                scoring: Scoring {
                    length: penalty,
                    coverage: 0.0,
                },
                ..limits(beams)
            };
            let all = write(&Device::Cpu, &pairs, 0.0, limits).unwrap();
            assert!(all.iter().all(|found| found.len() <= beams));
            for found in &all {
                assert!(found.windows(2).all(|two| two[0].score >= two[1].score));
            }
            all.iter().map(|found| found[0].score).sum::<f64>()
        };
        let (greedy, wide) = (of(1), of(20));
        assert!(wide > greedy + 0.5, "{penalty:?}: {greedy} {wide}");
    }
}

#[test]
fn beams_that_cannot_be_are_refused() {
    let pairs = pairs();
    let refused = |temperature, beams| {
        let e = write(&Device::Cpu, &pairs, temperature, limits(beams)).unwrap_err();
        (e.kind, e.message)
    };
    let (kind, message) = refused(0.0, 0);
    assert_eq!(kind, wgrnn::Kind::Usage);
    assert!(message.contains("at least 1, got 0"), "{message}");
    let (_, message) = refused(1.0, 2);
    assert!(
        message.contains("expected 1") && message.contains("got 2"),
        "{message}"
    );
}
