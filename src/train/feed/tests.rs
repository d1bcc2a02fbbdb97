//! Epochs of lines: what comes, in which order, from where a run goes on.

use super::*;
use crate::data::LineOrder;
use crate::data::{BatchSize, Batching, Lines};
use crate::error::Kind;

fn lines() -> Lines {
    let list = |n: u32| (0..1 + n * n % 7).map(|w| w % 5).collect();
    let lists: Vec<Vec<u32>> = (0..40).map(list).collect();
    Lines::from_lists(&lists, 5, 6).unwrap()
}

fn feed(size: BatchSize, bucket: usize, together: usize) -> Feed {
    let batching = Batching {
        order: LineOrder::Target,
        size,
        bucket,
    };
    let lines = Box::new(packed(size, together));
    Feed::Sequences(Box::new(SequenceFeed::new(lines, batching, together, 3)))
}

/// The minibatch of lines of a step.
fn text(feed: &mut Feed, step: u64) -> TextBatch {
    match feed.batch(step).unwrap() {
        Batch::Text(batch) => batch,
        other => panic!("{other:?}"),
    }
}

fn packed(size: BatchSize, together: usize) -> PackedLines {
    PackedLines::new(lines(), size, false, together).unwrap()
}

#[test]
fn every_line_comes_once_an_epoch_within_the_capacity() {
    for size in [
        BatchSize::Sentences(7),
        BatchSize::Sentences(99),
        BatchSize::Tokens(11),
        BatchSize::Tokens(3),
    ] {
        for (bucket, together) in [(0, 1), (2, 1), (0, 3), (2, 50)] {
            let mut feed = feed(size, bucket, together);
            let capacity = packed(size, together).packing();
            let mut step = 0;
            for epoch in 0..4 {
                let (mut rows, mut counted) = (0, 0);
                loop {
                    let place = feed.place(step);
                    assert_eq!(place.epoch, epoch);
                    let batch = text(&mut feed, step);
                    let starts = batch.starts.unwrap();
                    assert_eq!(capacity.fault(&starts), None, "{size:?}");
                    (rows, counted) = (rows + batch.rows, counted + batch.counted);
                    step += 1;
                    if place.ends() {
                        break;
                    }
                }
                assert!(feed.even().is_none_or(|steps| step == (epoch + 1) * steps));
                assert_eq!(rows, 40);
                assert_eq!(counted as u64, lines().predictions());
            }
        }
    }
}

#[test]
fn an_update_of_several_minibatches_has_their_lines() {
    for size in [BatchSize::Sentences(7), BatchSize::Tokens(11)] {
        let (mut one, mut three) = (feed(size, 0, 1), feed(size, 0, 3));
        let rows = |feed: &mut Feed, step| {
            let batch = text(feed, step);
            let mut rows: Vec<_> = batch.ids[..batch.counted]
                .iter()
                .copied()
                .zip(batch.targets.unwrap())
                .collect();
            rows.sort_unstable();
            (rows, batch.rows)
        };
        let (minibatches, updates) = (one.place(0).steps, three.place(0).steps);
        assert_eq!(updates, minibatches.div_ceil(3));
        for update in 0..updates {
            let (mut all, mut sequences) = (Vec::new(), 0);
            for step in 3 * update..minibatches.min(3 * update + 3) {
                let (part, n) = rows(&mut one, step);
                all.extend(part);
                sequences += n;
            }
            all.sort_unstable();
            assert_eq!(rows(&mut three, update), (all, sequences), "{size:?}");
        }
    }
    let error = PackedLines::new(lines(), BatchSize::Sentences(7), true, 2).unwrap_err();
    assert_eq!(error.kind, Kind::Usage);
}

#[test]
fn a_feed_that_begins_in_mid_run_reads_the_same() {
    let size = BatchSize::Tokens(11);
    let (mut from_start, mut later) = (feed(size, 2, 2), feed(size, 2, 2));
    let all: Vec<_> = (0..50).map(|s| text(&mut from_start, s).ids).collect();
    for step in [49, 20, 21] {
        assert_eq!(text(&mut later, step).ids, all[step as usize]);
    }
    assert_ne!(all[0], all[1]);
}

#[test]
fn a_feed_that_goes_on_counts_no_epoch_before_its_own() {
    let size = BatchSize::Tokens(11);
    let mut whole = feed(size, 2, 2);
    for step in 0..50 {
        let place = whole.place(step);
        let batch = text(&mut whole, step);
        let began = whole.began().unwrap();
        assert_eq!(place.index, step - began.step);
        // What a checkpoint after the step before holds may be that one's epoch, too.
        let mut one = feed(size, 2, 2);
        one.go_on(step, Some(began)).unwrap();
        assert_eq!(one.place(step), place);
        assert_eq!(text(&mut one, step).ids, batch.ids);
        assert_eq!(
            one.epochs(step),
            place.epoch as f64 + place.index as f64 / place.steps as f64
        );
    }
    let later = feed(size, 2, 2).go_on(whole.began().unwrap().step, Some(Began::default()));
    assert_eq!(later.unwrap_err().kind, Kind::Checkpoint);
    // What nobody could count to: an error or a place, at once.
    for (step, epoch, before) in [
        (u64::MAX, 0, 0),
        (u64::MAX, 1, 0),
        (u64::MAX, u64::MAX, 1),
        (5, 1, 6),
        (5, 0, 5),
        (5, 6, 5),
    ] {
        let began = Began {
            epoch,
            step: before,
        };
        let error = feed(size, 2, 2).go_on(step, Some(began)).unwrap_err();
        assert_eq!(error.kind, Kind::Checkpoint);
    }
    let far = Began {
        epoch: u64::MAX / 2,
        step: u64::MAX / 2,
    };
    let mut one = feed(size, 2, 2);
    one.go_on(far.step + 1, Some(far)).unwrap();
    assert_eq!(one.place(far.step + 1).index, 1);
}

#[test]
fn a_text_without_lines_is_refused() {
    let none = lines().slice(0..0);
    let error = PackedLines::new(none, BatchSize::Sentences(2), false, 1).unwrap_err();
    assert_eq!(error.kind, Kind::Data);
}
