//! What of the settings says which model the weights are of.

use std::path::Path;

use super::Settings;
use crate::cell::library;
use crate::train::state::CellText;

impl Settings {
    /// The settings of a model of `cells` apart from any run: how many layers of what size, how they are connected, what a
    /// token is. All else, of training and of files, is as if nobody had set it; a cell or model of one's own is named by its
    /// file without the folder.
    pub fn of_model(&self, cells: &[CellText]) -> Settings {
        let cells = cells.iter().map(|cell| {
            if library::all_names().any(|n| n == cell.name) {
                cell.name.clone()
            } else {
                format!("{}.cell", cell.name)
            }
        });
        Settings {
            model: file_name(&self.model).to_string(),
            vocab: self.vocab,
            // Its contents are in the vocabulary.
            tokenizer: self.tokenizer.as_ref().map(|_| "tokenizer.json".into()),
            lines: self.lines,
            cell: cells.collect::<Vec<_>>().join(","),
            hidden: self.hidden,
            layers: self.layers,
            embed: self.embed,
            tie: self.tie,
            softmax: self.softmax,
            cutoffs: self.cutoffs.clone(),
            project: self.project,
            residual: self.residual,
            skip: self.skip,
            layer_norm: self.layer_norm,
            learn_initial: self.learn_initial,
            ..Settings::default()
        }
    }
}

/// What stands behind the last folder of a path.
pub fn file_name(path: &str) -> &str {
    let name = Path::new(path).file_name();
    name.and_then(|name| name.to_str()).unwrap_or(path)
}
