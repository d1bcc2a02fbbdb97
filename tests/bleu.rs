//! BLEU, its words and chrF beside what sacrebleu has for the same sentences (`tests/golden/bleu.py`).

use serde_json::Value;
use wgrnn::metrics::{Bleu, Chrf, Tokenization};

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/metrics/bleu.json")).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn texts(value: &Value) -> Vec<&str> {
    list(value).iter().map(|v| v.as_str().unwrap()).collect()
}

/// Both sum logarithms and shares in double precision, not in the same order.
#[track_caller]
fn assert_close(got: f64, want: &Value, what: &str) {
    let want = want.as_f64().unwrap();
    assert!(
        (got - want).abs() <= 1e-11,
        "{what}: got {got}, want {want}"
    );
}

#[test]
fn lines_are_cut_into_words_as_by_mteval() {
    let golden = golden();
    let words = list(&golden["words"]);
    assert!(words.len() > 50);
    for pair in words {
        let [line, want] = texts(pair)[..] else {
            panic!("a line and its words")
        };
        assert_eq!(Tokenization::V13a.apply(line), want, "{line:?}");
    }
}

#[test]
fn bleu_is_sacrebleus_to_the_last_printed_digit() {
    let golden = golden();
    for case in list(&golden["cases"]) {
        let name = &case["name"];
        for (tokenization, want) in Tokenization::ALL.into_iter().zip(list(&case["bleu"])) {
            let what = format!("{name}, {}", tokenization.name());
            assert_eq!(want["tok"], tokenization.name(), "{what}");
            let mut bleu = Bleu::new(tokenization);
            for (hypothesis, references) in texts(&case["hypotheses"])
                .into_iter()
                .zip(list(&case["references"]))
            {
                bleu.add(hypothesis, &texts(references)).unwrap();
            }
            assert_eq!(bleu.to_string(), want["line"], "{what}");
            assert_eq!(bleu.signature(), want["signature"], "{what}");
            assert_close(bleu.score(), &want["score"], &what);
            assert_close(bleu.brevity_penalty(), &want["bp"], &what);
            for n in 0..4 {
                assert_close(bleu.precisions()[n], &want["precisions"][n], &what);
                assert_close(bleu.score_to(n + 1), &want["orders"][n], &what);
            }
        }
    }
}

#[test]
fn chrf_is_sacrebleus_to_the_last_printed_digit() {
    let golden = golden();
    for case in list(&golden["cases"]) {
        let mut chrf = Chrf::default();
        let hypotheses = texts(&case["hypotheses"]).into_iter();
        for (hypothesis, references) in hypotheses.zip(list(&case["references"])) {
            chrf.add(hypothesis, &texts(references)).unwrap();
        }
        let (name, want) = (case["name"].as_str().unwrap(), &case["chrf"]);
        assert_eq!(chrf.to_string(), want["line"], "{name}");
        assert_eq!(chrf.signature(), want["signature"], "{name}");
        assert_close(chrf.score(), &want["score"], name);
    }
}

#[test]
fn a_sentence_without_a_reference_is_refused() {
    let none: [&str; 0] = [];
    let want = "a sentence to compare: expected one reference or more, found none";
    let fault = Bleu::new(Tokenization::None).add("a b", &none).unwrap_err();
    assert_eq!(fault.message, want);
    assert_eq!(Chrf::default().add("a b", &none).unwrap_err(), fault);
}
