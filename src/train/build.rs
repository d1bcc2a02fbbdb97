//! From settings to a model: its specification, how it starts, how it is updated.

use std::sync::Arc;

use super::examples::ExampleSet;
use super::optimizer;
use super::settings::{self, BestBy, Settings, SoftmaxName, SparseName, TeacherForcingName, pairs};
use crate::cell::{Cell, Noise};
use crate::data::fields::{ClassWeights, FieldCodes};
use crate::error::{Error, Result, nearest};
use crate::model::Connections;
use crate::model::text::{Loss, Model, Target};
use crate::model::{Drops, Init, Penalties, Softmax, Spec, Unroll, Update};
use crate::task::LossWeight;

/// The model that checked settings ask for, over a vocabulary of `vocab` symbols. One cell serves every layer, else there
/// is one for each. Only how many rows are packed is added where the data are known.
pub fn spec(settings: &Settings, cells: Vec<Cell>, vocab: usize) -> Spec {
    let mut cells: Vec<Arc<Cell>> = cells.into_iter().map(Arc::new).collect();
    if let [cell] = &cells[..] {
        cells = vec![cell.clone(); settings.layers];
    }
    Spec {
        vocab,
        cells,
        hidden: settings.hidden,
        embed: settings.embed,
        dropout: settings.dropout,
        drops: Drops {
            input: settings.dropout_input,
            tokens: settings.dropout_embedding,
            weights: settings.dropout_weights,
            locked: settings.dropout_locked,
        },
        penalties: Penalties {
            activation: settings.activation_penalty,
            temporal: settings.temporal_penalty,
            norm: settings.norm_stabilizer,
            propagation: settings.propagation_penalty,
        },
        tie: settings.tie,
        project: settings.project,
        bidirectional: settings.bidirectional,
        layer_norm: settings.layer_norm,
        learn_initial: settings.learn_initial,
        connections: Connections {
            residual: settings.residual,
            skip: settings.skip,
        },
        noise: Noise {
            zoneout: settings.zoneout,
            zoneout_memory: settings.zoneout_memory,
            recurrent: settings.dropout_recurrent,
        },
        softmax: softmax(settings, vocab),
        label_smoothing: settings.label_smoothing,
        horizon: settings.horizon,
        stateful: if settings.stateful {
            settings.context
        } else {
            0
        },
        sparse: sparse(settings, vocab),
        half: settings.half,
        weighted: settings.pad,
        // Inputs that the model draws itself are not what it is to predict.
        targets_apart: settings.scheduled_sampling != TeacherForcingName::Off,
        ..Spec::default()
    }
}

/// Symbols that are drawn for a sampled softmax where nothing is said, if there are four times as many.
const SAMPLES: usize = 8192;

fn softmax(settings: &Settings, vocab: usize) -> Softmax {
    match settings.softmax {
        SoftmaxName::Full => Softmax::Full,
        SoftmaxName::Adaptive => {
            let list = settings.cutoffs.as_deref().map(settings::cutoffs);
            // A bad list has been refused by now.
            let list = list.and_then(std::result::Result::ok);
            let cutoffs = list.unwrap_or_else(|| Softmax::default_cutoffs(vocab));
            Softmax::Adaptive { cutoffs }
        }
        SoftmaxName::Sampled => Softmax::Sampled {
            samples: settings.samples.unwrap_or(SAMPLES.min(vocab / 4).max(1)),
        },
    }
}

/// Whether updates touch only rows in use: where the settings allow it, and a minibatch uses fewer rows than there are.
fn sparse(settings: &Settings, vocab: usize) -> bool {
    let allowed = match settings.sparse {
        SparseName::Off => false,
        SparseName::Lazy => true,
        SparseName::Auto => optimizer::rule(settings).rests(),
    };
    let rows = settings.seq_len.saturating_mul(settings.batch);
    let used = match softmax(settings, vocab) {
        Softmax::Sampled { samples } => rows.saturating_mul(2).saturating_add(samples),
        _ => rows,
    };
    let whole = minibatches(settings) == 1 && settings.recompute == 0;
    allowed && whole && used < vocab
}

/// How the training plan is cut up.
pub fn unroll(settings: &Settings) -> Unroll {
    Unroll {
        recompute: settings.recompute,
        states: settings.recompute_states,
        minibatches: minibatches(settings),
    }
}

/// Windows of an update; the minibatches of lines of an update are packed together.
fn minibatches(settings: &Settings) -> usize {
    if settings.lines {
        1
    } else {
        settings.accumulate
    }
}

/// How the losses of `model` count: by their shares, and where one is of classes, by these's weights among `train`.
///
/// # Errors
/// Usage for weights that are written otherwise, or of a model without classes; Data for a name that is no class.
pub fn loss_weights(
    settings: &Settings,
    train: &ExampleSet,
    codes: &FieldCodes,
) -> Result<Vec<LossWeight>> {
    let model = train.model();
    let text = settings.class_weights.as_deref().unwrap_or("none");
    let asked = ClassWeights::parse(text)?;
    let mut met = asked == ClassWeights::None;
    let mut weights = Vec::new();
    for loss in model.losses() {
        let field = loss.target.field();
        let field = field.map_or("", |field| model.fields()[field].name.as_str());
        let counts = train.class_counts(codes, field);
        let classes = match (codes.classes(field), counts) {
            (Some(names), Some(counts)) if asked != ClassWeights::None => {
                met = true;
                asked.weights(names, &counts)?
            }
            _ => Vec::new(),
        };
        let share = loss.weight;
        weights.push(LossWeight { share, classes });
    }
    if met {
        Ok(weights)
    } else {
        let name = &model.name;
        Err(Error::usage(format!(
            "--class-weights: expected none, as model {name} predicts no class, got {text}"
        )))
    }
}

/// By what models are compared: as the settings say, else classes by their accuracy, anything else by its loss.
pub fn best_by(settings: &Settings, model: &Model) -> BestBy {
    settings.best_by.unwrap_or_else(|| {
        let class = |loss: &Loss| matches!(loss.target, Target::Class(_));
        if model.losses().iter().any(class) {
            BestBy::Accuracy
        } else {
            BestBy::Loss
        }
    })
}

/// How the model is updated.
pub fn update(settings: &Settings) -> Update {
    Update {
        rule: optimizer::rule(settings),
        clip_norm: settings.clip_norm,
        clip_value: settings.clip_value,
    }
}

/// How the model `spec` starts.
///
/// # Errors
/// Usage: a bias of a variable that no cell has; chrono for a cell without a gate that keeps or writes a state.
pub fn init(settings: &Settings, spec: &Spec) -> Result<Init> {
    let list = settings.gate_bias.as_deref().unwrap_or("");
    let gate_bias = pairs(list).map_err(|e| Error::usage(format!("gate-bias: {e}")))?;
    let biased = || spec.cells.iter().flat_map(|cell| cell.biased());
    for (name, _) in &gate_bias {
        if !biased().any(|known| known == name) {
            let mut known: Vec<&str> = biased().collect();
            known.dedup();
            return Err(Error::usage(format!(
                "gate-bias: no variable of {} that has a bias is called {name}{} (known: {})",
                spec.cell_names(),
                hint(name, &known),
                known.join(", ")
            )));
        }
    }
    if settings.chrono.is_some() {
        let mut gated = false;
        for cell in spec.cells.iter().filter(|c| !c.is_feed_forward()) {
            gated = true;
            if cell.memory_gates().is_empty() {
                return Err(Error::usage(format!(
                    "chrono: cell {} has no gate with a bias that keeps or writes a state",
                    cell.name
                )));
            }
        }
        if !gated {
            let names = spec.cell_names();
            return Err(Error::usage(format!("chrono: {names} has no memory")));
        }
    }
    Ok(Init {
        scheme: settings.init,
        scale: settings.init_scale,
        input_scale: settings.input_scale,
        embed_scale: settings.embed_scale,
        forget_bias: settings.forget_bias,
        chrono: settings.chrono,
        gate_bias,
        seed: settings.seed,
    })
}

fn hint(name: &str, known: &[&str]) -> String {
    let near = nearest(name, known.iter().copied());
    near.map_or(String::new(), |n| format!("; did you mean {n}?"))
}
