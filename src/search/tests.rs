//! A beam beside greedy choice and beside all texts there are, on a toy whose probabilities hang on the last two symbols.

use super::*;
use crate::rng::{Purpose, Stream};
use crate::search::LengthPenalty;

const V: usize = 5;
const START: u32 = 3;
const END: u32 = 4;

/// Log probabilities by the last two symbols, all different.
struct Toy(Vec<[f32; V]>);

impl Toy {
    fn new(seed: u64) -> Toy {
        let mut stream = Stream::new(seed, Purpose::Check, 0);
        let row = |_| {
            let mut row = [0.0f32; V];
            row.iter_mut()
                .for_each(|x| *x = 2.0 * stream.normal() as f32);
            let sum: f32 = row.iter().map(|x| x.exp()).sum();
            row.iter_mut().for_each(|x| *x -= sum.ln());
            row
        };
        Toy((0..V * V).map(row).collect())
    }

    fn row(&self, tokens: &[u32]) -> &[f32] {
        let back = |n: usize| tokens.len().checked_sub(n).map_or(START, |at| tokens[at]) as usize;
        &self.0[back(2) * V + back(1)]
    }

    /// What the prediction behind some tokens weighs the steps of a memory by.
    fn weights(&self, tokens: &[u32]) -> Vec<f32> {
        self.row(tokens)[..3]
            .iter()
            .map(|p| 0.5 * p.exp())
            .collect()
    }

    /// One prediction behind every beginning.
    fn step(&self, beam: &mut Beam) {
        let live: Vec<Vec<u32>> = beam.live().map(|(tokens, _)| tokens.to_vec()).collect();
        let weights: Vec<Vec<f32>> = live.iter().map(|tokens| self.weights(tokens)).collect();
        let weights: Vec<&[f32]> = weights.iter().map(Vec::as_slice).collect();
        beam.look(&weights);
        let rows: Vec<&[f32]> = live.iter().map(|tokens| self.row(tokens)).collect();
        beam.advance(&rows).unwrap();
    }

    fn search(&self, limits: BeamLimits, begin: &[u32]) -> Vec<Found> {
        let mut beam = Beam::new(limits, begin.to_vec());
        while !beam.is_over() {
            self.step(&mut beam);
        }
        beam.found()
    }

    /// The score of a text, from its definition.
    fn score(&self, scoring: Scoring, sum: f64, tokens: &[u32], predictions: usize) -> f64 {
        let mut score = sum / scoring.length.divisor(predictions);
        for step in 0..3 {
            let before = (0..predictions).map(|n| self.weights(&tokens[..n])[step]);
            let covered: f64 = before.map(f64::from).sum();
            score += scoring.coverage * covered.min(1.0).ln();
        }
        score
    }

    /// Every text of at most `most` tokens, best first.
    fn all(&self, limits: &BeamLimits) -> Vec<Found> {
        let (mut open, mut all) = (vec![(Vec::new(), 0.0)], Vec::new());
        while let Some((tokens, sum)) = open.pop() {
            let full = tokens.len() == limits.most;
            let predictions = tokens.len() + usize::from(!full);
            let own = if full {
                0.0
            } else {
                f64::from(self.row(&tokens)[END as usize])
            };
            if tokens.len() >= limits.least || full {
                all.push(Found {
                    log_probability: sum + own,
                    score: self.score(limits.scoring, sum + own, &tokens, predictions),
                    ended: !full,
                    // Not found in rows side by side.
                    rows: Vec::new(),
                    tokens: tokens.clone(),
                });
            }
            for token in (0..START).filter(|_| !full) {
                let score = f64::from(self.row(&tokens)[token as usize]);
                open.push(([&tokens[..], &[token]].concat(), sum + score));
            }
        }
        all.sort_by(|a, b| b.score.total_cmp(&a.score));
        all
    }
}

const SCORINGS: [Scoring; 4] = [
    of(LengthPenalty::None, 0.0),
    of(LengthPenalty::Average, 0.0),
    of(LengthPenalty::Wu(0.7), 0.0),
    of(LengthPenalty::Wu(0.7), 0.4),
];

const fn of(length: LengthPenalty, coverage: f64) -> Scoring {
    Scoring { length, coverage }
}

fn limits(beams: usize, most: usize) -> BeamLimits {
    BeamLimits {
        beams,
        texts: beams,
        early_stop: false,
        scoring: Scoring::default(),
        least: 0,
        most,
        block_ngram: 0,
        start: START,
        end: END,
    }
}

#[test]
fn one_beam_is_greedy() {
    for seed in 0..40 {
        let toy = Toy::new(seed);
        let mut tokens = vec![1];
        let mut ended = false;
        while tokens.len() < 8 && !ended {
            let row = toy.row(&tokens);
            let open = (0..V as u32).filter(|t| *t != START);
            let best = open
                .max_by(|a, b| row[*a as usize].total_cmp(&row[*b as usize]))
                .unwrap();
            ended = best == END;
            tokens.extend((!ended).then_some(best));
        }
        let found = toy.search(limits(1, 7), &[1]);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (&found[0].tokens, found[0].ended),
            (&tokens, ended),
            "{seed}"
        );
    }
}

#[test]
fn a_beam_as_wide_as_all_beginnings_finds_the_best_texts_of_all() {
    for scoring in SCORINGS {
        for (seed, least) in (0..12).flat_map(|seed| [(seed, 0), (seed, 2)]) {
            let toy = Toy::new(seed);
            let limits = BeamLimits {
                scoring,
                least,
                // 3^4 beginnings of four tokens, and an end behind each.
                ..limits(4 * 81, 4)
            };
            let (found, all) = (toy.search(limits.clone(), &[]), toy.all(&limits));
            assert_eq!(found.len(), all.len());
            for (found, all) in found.iter().zip(&all) {
                assert_eq!(found.tokens, all.tokens, "{scoring:?} {seed}");
                assert!((found.score - all.score).abs() < 1e-12);
                assert_eq!(found.ended, all.ended);
            }
        }
    }
}

#[test]
fn a_text_says_which_rows_made_it() {
    for seed in 0..30 {
        let toy = Toy::new(seed);
        let mut beam = Beam::new(limits(3, 6), vec![1, 0]);
        let mut beginnings: Vec<Vec<Vec<u32>>> = Vec::new();
        while !beam.is_over() {
            let live: Vec<Vec<u32>> = beam.live().map(|(tokens, _)| tokens.to_vec()).collect();
            let rows: Vec<&[f32]> = live.iter().map(|tokens| toy.row(tokens)).collect();
            beam.advance(&rows).unwrap();
            beginnings.push(live);
        }
        for found in beam.found() {
            let written = found.tokens.len() - 2;
            assert_eq!(found.rows.len(), written + usize::from(found.ended));
            for (step, row) in found.rows.iter().enumerate() {
                assert_eq!(beginnings[step][*row], found.tokens[..2 + step], "{seed}");
            }
        }
    }
}

/// The bound ends a search early, and changes nothing of what is kept.
#[test]
fn a_search_that_stops_has_what_one_to_the_end_has() {
    let mut early = 0;
    for scoring in SCORINGS {
        for seed in 0..30 {
            let toy = Toy::new(seed);
            let limits = BeamLimits {
                scoring,
                ..limits(2, 9)
            };
            let found = toy.search(limits.clone(), &[]);
            let one = BeamLimits {
                texts: 1,
                ..limits.clone()
            };
            assert_eq!(toy.search(one, &[]), found[..1]);
            // Goes on from what is over as long as anything lives, keeping all.
            let mut beam = Beam::new(limits.clone(), vec![]);
            let mut steps = 0;
            let mut kept: Vec<Found> = Vec::new();
            while !beam.live.is_empty() {
                beam.kept.clear();
                toy.step(&mut beam);
                kept.append(&mut beam.kept);
                steps += 1;
            }
            kept.sort_by(|a, b| b.score.total_cmp(&a.score));
            kept.truncate(2);
            assert_eq!(found, kept, "{scoring:?} {seed}");
            let longest = found.iter().map(|f| f.tokens.len()).max().unwrap_or(0);
            early += usize::from(steps > longest + 2);
        }
    }
    assert!(early > 10, "{early}");
}

#[test]
fn no_ngram_comes_twice_and_no_text_is_too_short() {
    for seed in 0..30 {
        let toy = Toy::new(seed);
        for n in 1..4 {
            let limits = BeamLimits {
                block_ngram: n,
                least: 3,
                ..limits(3, 12)
            };
            let begin = [0, 1, 0];
            for found in toy.search(limits, &begin) {
                let tokens = &found.tokens;
                assert!(tokens.starts_with(&begin) && !tokens.contains(&START));
                let windows: Vec<&[u32]> = tokens.windows(n).collect();
                let twice = (3..windows.len()).find(|at| windows[..*at].contains(&windows[*at]));
                assert_eq!(twice, None, "{seed} {n}: {tokens:?}");
                assert!(tokens.len() >= 6 || !found.ended);
            }
        }
    }
    // Of three symbols that come once each, none is left: such a text ends by itself.
    let limits = BeamLimits {
        block_ngram: 1,
        least: 9,
        ..limits(30, 12)
    };
    let found = Toy::new(1).search(limits, &[]);
    assert_eq!(found.len(), 6);
    assert!(found.iter().all(|f| f.tokens.len() == 3 && !f.ended));
}

#[test]
fn equal_scores_go_to_the_earlier_beginning_and_the_smaller_token() {
    let even = [-1.0; V];
    let mut beam = Beam::new(limits(2, 3), vec![]);
    beam.advance(&[&even]).unwrap();
    assert_eq!(
        beam.live().collect::<Vec<_>>(),
        [(&[0][..], 0), (&[1][..], 0)]
    );
    beam.advance(&[&even, &even]).unwrap();
    assert_eq!(
        beam.live().collect::<Vec<_>>(),
        [(&[0, 0][..], 0), (&[0, 1][..], 0)]
    );
    let first = [-1.0, -1.0, -1.0, -1.0, -3.0];
    beam.advance(&[&[-2.0; V], &first]).unwrap();
    let found: Vec<Vec<u32>> = beam.found().into_iter().map(|f| f.tokens).collect();
    assert_eq!(found, [[0, 1, 0], [0, 1, 1]]);
}

#[test]
fn nothing_is_written_where_nothing_may_be_and_bad_scores_are_refused() {
    let mut beam = Beam::new(limits(3, 0), vec![2, 1]);
    assert!(beam.is_over());
    let found = beam.clone().found();
    assert_eq!((&found[0].tokens[..], found[0].score), (&[2, 1][..], 0.0));
    beam = Beam::new(limits(3, 2), vec![]);
    let e = beam
        .advance(&[&[0.0, f32::NAN, 0.0, 0.0, 0.0]])
        .unwrap_err();
    assert!(e.message.contains("token 1 is NaN"), "{e}");
    // What may not be drawn: the start, and the end of what is too short.
    let least = BeamLimits {
        least: 1,
        ..limits(1, 2)
    };
    let mut beam = Beam::new(least, vec![]);
    let scores = beam.allowed(&[-1.0; V]).unwrap().unwrap();
    assert_eq!(scores, [-1.0, -1.0, -1.0, NEVER, NEVER]);
    beam.follow(2, -1.0);
    beam.follow(END, -0.5);
    let found = beam.found();
    assert_eq!((&found[0].tokens[..], found[0].ended), (&[2][..], true));
    assert_eq!((found[0].log_probability, found[0].score), (-1.5, -0.75));
}

/// With an early stop nothing is written behind the step in which as many texts have ended as there are beams; what was found until
/// then is what a search to the end had found, too.
#[test]
fn an_early_stop_ends_with_as_many_texts_as_beams() {
    let mut shorter = 0;
    for seed in 0..30 {
        let toy = Toy::new(seed);
        let whole = limits(3, 9);
        let mut beam = Beam::new(whole.clone(), vec![]);
        let (mut ended, mut steps) = (0, 0);
        while !beam.is_over() && ended < 3 {
            let before = beam.live.len();
            toy.step(&mut beam);
            steps += 1;
            ended = beam.ended;
            assert!(ended <= 3 * steps && before > 0);
        }
        let early = BeamLimits {
            early_stop: true,
            ..whole.clone()
        };
        let found = toy.search(early, &[]);
        assert_eq!(found, beam.kept, "{seed}");
        assert!(found.iter().all(|text| text.rows.len() <= steps));
        shorter += usize::from(found != toy.search(whole, &[]));
    }
    assert!(shorter > 3, "{shorter}");
}
