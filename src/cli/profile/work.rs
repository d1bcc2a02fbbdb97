//! A training step to be measured: a model with made-up text, and the flags that say which.

use std::sync::Arc;

use clap::{Arg, ArgMatches};
use wgrnn::Result;
use wgrnn::model::text::{Model, Sizes};
use wgrnn::model::{Dims, Mode, Spec, Update, initialize};
use wgrnn::op::{Hyper, Plan};
use wgrnn::rng::{Purpose, key};
use wgrnn::task::{Inputs, MadeUp};
use wgrnn::train::{Settings, init, unroll, update};

use super::super::models::shown;
use super::super::{flags, memory};
use super::model::{ProfiledModel, model};

/// The sections of settings that change what a step computes, and one more setting that does.
const SECTIONS: [&str; 6] = [
    "preset",
    "model",
    "noise inside cells",
    "regularisers",
    "minibatches",
    "optimiser",
];
const LINES: &str = "lines";
/// Symbols where no run says how many: those of a plain English text.
const VOCAB: &str = "65";

/// Whether a setting changes what a step computes.
pub fn matters(name: &str) -> bool {
    let key = Settings::keys().iter().find(|key| key.name == name);
    key.is_some_and(|key| SECTIONS.contains(&key.section) || key.name == LINES)
}

/// The flags of such a step.
pub fn arguments() -> Vec<Arg> {
    let settings = flags::settings().filter(|arg| matters(arg.get_id().as_str()));
    let own = [
        flags::run()
            .required(false)
            .help("The folder of a run whose settings are taken; flags change them"),
        flags::device(),
        flags::whole("vocab-size", 1, 1 << 24)
            .default_value(VOCAB)
            .help("Symbols in the made-up text; a run brings its own"),
        flags::whole("length", 1, 1 << 16)
            .default_value("50")
            .help("Of models of fields: tokens of the longest made-up sequence"),
    ];
    own.into_iter().chain(settings).collect()
}

/// A training step without its numbers.
pub struct PlannedStep {
    pub settings: Settings,
    pub spec: Spec,
    pub update: Update,
    pub plan: Arc<Plan>,
    /// What a minibatch holds, in words.
    pub minibatch: String,
    /// Of a model of fields: which, and the sizes of a minibatch.
    pub fields: Option<(Arc<Model>, Sizes)>,
}

impl PlannedStep {
    /// The step that the flags say.
    ///
    /// # Errors
    /// Those of the flags, of the run and of the model.
    pub fn new(m: &ArgMatches) -> Result<PlannedStep> {
        let ProfiledModel {
            settings,
            spec,
            fields,
        } = model(m)?;
        let update = update(&settings);
        if let Some((model, sizes)) = fields {
            let spec = Spec {
                // The means of several losses are made by weights.
                weighted: model.losses().len() > 1,
                ..spec
            };
            let plan = Arc::new(model.plan(&spec, &sizes, Mode::Train(update))?);
            return Ok(PlannedStep {
                minibatch: format!("model {}, {}", model.name, shown(&model, &sizes)),
                settings,
                spec,
                update,
                plan,
                fields: Some((model, sizes)),
            });
        }
        let dims = Dims {
            steps: settings.seq_len,
            batch: settings.batch,
        };
        let rows = match settings.batch_tokens {
            // Filled up, all lines are as long as a segment.
            _ if !settings.lines || settings.pad => 0,
            0 => dims.steps.saturating_mul(dims.batch),
            most => most,
        };
        let spec = Spec {
            packed: rows,
            ..spec
        };
        let plan = Arc::new(spec.unrolled(dims, unroll(&settings), Mode::Train(update))?);
        Ok(PlannedStep {
            minibatch: format!("V {}, B {}, T {}", spec.vocab, dims.batch, dims.steps),
            settings,
            spec,
            update,
            plan,
            fields: None,
        })
    }
}

/// A training step.
pub struct ProfiledStep {
    pub step: PlannedStep,
    pub parameters: Vec<f32>,
    /// Predictions of a minibatch.
    pub rows: usize,
    minibatch: MadeUp,
}

impl ProfiledStep {
    /// The step that the flags say.
    ///
    /// # Errors
    /// Those of the flags, of the run and of the model; Device, when it does not fit into memory.
    pub fn new(m: &ArgMatches) -> Result<ProfiledStep> {
        let step = PlannedStep::new(m)?;
        let plan = &step.plan;
        memory::check("the model and its minibatch", plan.bytes(), |_| {
            "lower --hidden, --layers or --batch".into()
        })?;
        let parameters = initialize(plan, &init(&step.settings, &step.spec)?)?;
        let minibatch = MadeUp::new(plan, step.settings.seed)?;
        Ok(ProfiledStep {
            rows: minibatch.rows(plan),
            parameters,
            minibatch,
            step,
        })
    }

    /// What a run of it reads. A rate of 0 keeps the weights, and with them the work, the same however many steps there are.
    pub fn inputs(&self) -> Inputs<'_> {
        let PlannedStep {
            settings,
            update,
            plan,
            ..
        } = &self.step;
        let (correction1, correction2) = update.rule.corrections(1);
        let key = key(settings.seed, Purpose::Dropout);
        self.minibatch.inputs().draws(key, 0).hyper(Hyper {
            lr: 0.0,
            scale: self.minibatch.scale(plan) / settings.accumulate as f64,
            update: 1.0,
            correction1,
            correction2,
        })
    }
}
