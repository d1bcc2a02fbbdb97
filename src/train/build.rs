//! From settings to a model: its specification, how it starts, how it is updated.

use std::sync::Arc;

use super::optimizer;
use super::settings::{self, Settings};
use crate::cell::{Cell, Noise};
use crate::layer::Connections;
use crate::model::{Drops, Init, Penalties, Scheme, Spec, Update};

/// The model that checked settings ask for, over a vocabulary of `vocab` symbols. One cell serves every layer, else there
/// is one for each.
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
    }
}

/// How the model is updated.
pub fn update(settings: &Settings) -> Update {
    Update {
        rule: optimizer::rule(settings),
        clip_norm: settings.clip_norm,
        clip_value: settings.clip_value,
    }
}

/// How the model starts.
pub fn init(settings: &Settings) -> Init {
    Init {
        scheme: match settings.init {
            settings::Init::Uniform => Scheme::Uniform,
            settings::Init::Normal => Scheme::Normal,
            settings::Init::Xavier => Scheme::Xavier,
            settings::Init::Orthogonal => Scheme::Orthogonal,
        },
        scale: settings.init_scale,
        forget_bias: settings.forget_bias,
        seed: settings.seed,
    }
}
