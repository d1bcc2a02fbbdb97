//! `rare-words`: how often a minibatch says anything of a word at all.

use std::sync::Arc;

use pollster::block_on;
use serde_json::json;

use super::{
    Experiment, Facts, Finding, Measured, Plot, Point, Scale, Series, Size, crossed, facts, run,
    whole,
};
use crate::cell::library;
use crate::data::{VocabKind, Vocabulary, builtin};
use crate::error::{Error, Result};
use crate::exec::{Device, Engine};
use crate::model::{Dims, Init, Mode, Spec, initialize};
use crate::task::Inputs;

/// The experiment.
pub struct RareWords;

const EMBEDDING: &str = "embedding.weight";
const STEPS: usize = 32;
const BATCHES: [usize; 4] = [1, 4, 16, 64];

impl Experiment for RareWords {
    fn name(&self) -> &'static str {
        "rare-words"
    }

    fn about(&self) -> &'static str {
        "How sparse are the gradients of rare words?"
    }

    fn method(&self) -> &'static str {
        "The words of the built-in corpus are read in minibatches of 32 steps by an LSTM at its start, and of each the gradient of the \
         embedding is made: its rows that are not all zero are counted. Words are those that occur, by falling frequency: the ten most frequent, and \
         the rarer half."
    }

    fn points(&self, size: Size, seed: u64) -> Vec<Facts> {
        let (characters, minibatches) = match size {
            Size::Quick => (200_000, 20),
            Size::Full => (5_000_000, 500),
        };
        crossed(
            json!({"characters": characters, "minibatches": minibatches, "seed": seed}),
            &[("batch", json!(BATCHES))],
        )
    }

    fn measure(&self, point: &Point, device: &Device) -> Result<Facts> {
        let made = builtin::generate(1, whole(point, "characters")? as usize).text;
        let vocabulary = Vocabulary::build(VocabKind::Word, made.as_bytes(), 1)?;
        let ids = vocabulary.encode(made.as_bytes())?;
        let batch = whole(point, "batch")? as usize;
        let spec = Spec {
            vocab: vocabulary.len(),
            cells: vec![Arc::new(library::builtin("lstm")?)],
            hidden: 8,
            embed: 8,
            ..Spec::default()
        };
        let dims = Dims {
            steps: STEPS,
            batch,
        };
        let plan = Arc::new(spec.plan(dims, Mode::Gradients)?);
        let init = Init {
            seed: whole(point, "seed")?,
            ..Init::default()
        };
        let parameters = initialize(&plan, &init)?;
        let lacks = |what: &str| Error::internal(format!("a plan without {what}"));
        let made = Engine::with_parameters(device, plan.clone(), &parameters);
        let mut engine = block_on(made)?;
        let gradients = plan.io.gradients.ok_or_else(|| lacks("gradients"))?;
        let table = plan.parameters.iter().find(|p| p.name == EMBEDDING);
        let table = table.ok_or_else(|| lacks(EMBEDDING))?.matrix;
        // In how many minibatches the row of each word has a gradient.
        let mut with = vec![0u64; table.rows];
        let minibatches = whole(point, "minibatches")?;
        // Rows are read from places far apart, as streams are.
        let apart = ids.len() / batch;
        for n in 0..minibatches as usize {
            let at = |step: usize, row: usize| {
                ids[(row * apart + (n * STEPS) % apart.saturating_sub(STEPS + 1).max(1) + step)
                    % ids.len()]
            };
            let inputs: Vec<u32> = (0..=STEPS)
                .flat_map(|step| (0..batch).map(move |row| (step, row)))
                .map(|(step, row)| at(step, row))
                .collect();
            let inputs = Inputs::new(&inputs).reset(true);
            let inputs = inputs.scale(1.0 / (STEPS * batch) as f64);
            let all = block_on(async {
                engine.run(&inputs).await?;
                engine.read(gradients).await
            })?;
            for (word, with) in with.iter_mut().enumerate() {
                let row = &all[table.offset + word * table.stride..][..table.cols];
                *with += u64::from(row.iter().any(|g| *g != 0.0));
            }
        }
        let share = |words: &[u64]| {
            words.iter().sum::<u64>() as f64 / (words.len().max(1) as u64 * minibatches) as f64
        };
        // Words stand by falling frequency.
        let (frequent, rare) = (&with[..with.len().min(10)], &with[with.len() / 2..]);
        Ok(facts(json!({
            "words": with.len(), "all": share(&with), "frequent": share(frequent), "rare": share(rare),
        })))
    }

    fn columns(&self) -> &'static [&'static str] {
        &["batch", "words", "all", "frequent", "rare"]
    }

    fn plot(&self, measured: &[Measured]) -> Plot {
        let series = [
            ("all", "all words"),
            ("frequent", "the ten most frequent"),
            ("rare", "the rarer half"),
        ];
        let series = series.map(|(name, words)| Series {
            name: words.into(),
            points: measured
                .iter()
                .filter_map(|m| Some((m.number("batch")?, m.number(name)?)))
                .collect(),
        });
        Plot {
            title: "Share of minibatches in which the row of a word has a gradient".into(),
            across: "sequences of 32 words in a minibatch".into(),
            up: "share".into(),
            across_scale: Scale::Log,
            up_scale: Scale::Linear,
            series: series.into(),
        }
    }

    fn findings(&self, measured: &[Measured]) -> Vec<Finding> {
        let said = measured.iter().filter_map(|m| {
            Some(format!(
                "{} sequences: {} of all, {} of the ten most frequent, {} of the rarer half",
                m.number("batch")?,
                run::shown(m.number("all")?),
                run::shown(m.number("frequent")?),
                run::shown(m.number("rare")?)
            ))
        });
        let of = |m: &Measured| {
            let (frequent, rare) = (m.number("frequent")?, m.number("rare")?);
            Some((m.number("batch")?, frequent, rare))
        };
        let at = measured
            .iter()
            .filter_map(of)
            .find(|(batch, ..)| *batch == 16.0);
        vec![Finding {
            claim: "In minibatches of 16 sequences frequent words always have a gradient, and the rarer half of all words hardly ever: in less than \
                    one of ten",
            by: "Duchi, Hazan, Singer 2011, of what adaptive rates are for; taught of word models",
            found: format!(
                "share of rows that have a gradient: {}",
                said.collect::<Vec<_>>().join("; ")
            ),
            holds: at.map(|(_, frequent, rare)| frequent > 0.99 && rare < 0.1),
        }]
    }
}
