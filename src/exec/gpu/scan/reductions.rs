//! The reductions over rows that a cell's equations ask for, in its kernels.

use std::fmt::Write;

use super::places::Places;
use crate::cell::Stage;
use crate::cell::reduction::{EPS, Reduction};
use crate::cell::stage::Load;

impl Places<'_> {
    /// For each of `rows` rows the reductions that the stage's program asks for.
    pub fn reductions(&self, stage: &Stage, rows: usize) -> std::result::Result<String, String> {
        let mut out = String::new();
        let total = match self.width {
            1 => "total",
            _ => "(total.x + total.y + total.z + total.w)",
        };
        let h = self.scan.hidden;
        let place = |row: Load| self.load(row).ok_or(format!("no row for {row:?}"));
        for (n, reduction) in stage.reductions.iter().enumerate() {
            for r in 0..rows {
                let mean = |m: usize| format!("number_{m}_{r}");
                let (value, result) = match *reduction {
                    Reduction::Mean(row) => (place(row)?, "mean".to_string()),
                    Reduction::Scale { row, mean: m } => {
                        let centred = format!("({} - {})", place(row)?, mean(m));
                        (
                            format!("{centred} * {centred}"),
                            format!("1.0 / sqrt(mean + {EPS:?})"),
                        )
                    }
                    Reduction::Slope { sent, row, mean: m } => (
                        format!("{} * ({} - {})", place(sent)?, place(row)?, mean(m)),
                        "mean".to_string(),
                    ),
                };
                let _ = writeln!(
                    out,
                    "var number_{n}_{r} = V(0.0);\n{{\nlet b = row{r};\nvar total = V(0.0);\n\
                     for (var j = 0u; j < UNITS; j++) {{\ntotal += {value};\n}}\n\
                     let mean = {total} / {h}.0;\nnumber_{n}_{r} = V({result});\n}}"
                );
            }
        }
        Ok(out)
    }
}
