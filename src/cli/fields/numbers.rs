//! What `eval` says of predicted numbers: errors in the units that the model reads and in those of the data, beside rules
//! without a network.

use serde_json::json;
use wgrnn::data::fields::FieldCode;
use wgrnn::metrics::Errors;
use wgrnn::model::text::Reading;
use wgrnn::train::{LossEvaluation, Numbers};
use wgrnn::{Error, Result};

use super::eval::{EvalData, LossReport};

/// Columns that are listed one by one, at most.
const LISTED: usize = 40;

impl EvalData<'_> {
    /// A loss of numbers that is more than its mean.
    pub(super) fn numbers(
        &self,
        report: &mut LossReport,
        loss: &LossEvaluation,
        numbers: &Numbers,
        field: &str,
    ) -> Result<()> {
        if numbers.forecast.reading == Reading::Bits {
            return self.bits(report, loss, numbers, field);
        }
        if numbers.forecast.is_along() {
            return self.along(report, loss, numbers, field);
        }
        let (steps, count) = (numbers.forecast.steps, numbers.model.count());
        let beside = |of: &dyn Fn(&Errors) -> Option<f64>| {
            let mut all = vec![("last value".to_string(), of(&numbers.last))];
            if let Some((season, errors)) = &numbers.season {
                all.push((format!("season {season}"), of(errors)));
            }
            let shown = all
                .iter()
                .filter_map(|(name, value)| Some((name, (*value)?)));
            let shown: Vec<String> = shown
                .map(|(name, value)| format!("{name} {value:.5}"))
                .collect();
            shown.join(", ")
        };
        let mse = |errors: &Errors| errors.mse(|_| 1.0);
        let mae = |errors: &Errors| errors.mae(|_| 1.0);
        let own = numbers.model.clone();
        let reading = match numbers.forecast.reading {
            Reading::Quantile(q) => format!(" of quantile {q}"),
            _ => String::new(),
        };
        report.lines.push(format!(
            "{field}{reading}: MSE {:.5} ({}), MAE {:.5} ({}), loss {:.5} over {count} predictions of {}",
            mse(&own).unwrap_or(f64::NAN),
            beside(&mse),
            mae(&own).unwrap_or(f64::NAN),
            beside(&mae),
            loss.nats,
            if steps == 1 { "1 step".to_string() } else { format!("{steps} steps") },
        ));
        let season = numbers.season.as_ref();
        if let Some((season, errors)) = season
            && errors.count() < count
        {
            report.lines.push(format!(
                "  a season of {season} steps before it is known for {} of {count} predictions",
                errors.count()
            ));
        }
        report.set("mse", json!(mse(&own)));
        report.set("mae", json!(mae(&own)));
        report.set("last_value_mse", json!(mse(&numbers.last)));
        report.set("last_value_mae", json!(mae(&numbers.last)));
        report.set("season_mse", json!(season.and_then(|(_, e)| mse(e))));
        report.set("season_mae", json!(season.and_then(|(_, e)| mae(e))));
        if steps > 1 {
            let by_step = own.mse_by_step();
            let text: Vec<String> = by_step.iter().map(|mse| format!("{mse:.4}")).collect();
            let text = text.join(" ");
            report.lines.push(format!("  MSE by step ahead: {text}"));
            report.set("mse_by_step", json!(by_step));
        }
        self.own_units(report, &own, field);
        Ok(())
    }

    /// A loss of numbers along steps.
    fn along(
        &self,
        report: &mut LossReport,
        loss: &LossEvaluation,
        numbers: &Numbers,
        field: &str,
    ) -> Result<()> {
        let Some(FieldCode::Steps { width, scale, .. }) = self.run.codes.code(field) else {
            return Err(Error::internal(format!("field {field} has no numbers")));
        };
        let rule = match &self.floors {
            Some(floors) => floors.middle(field, self.set)?,
            None => None,
        };
        let unit = |c: usize| scale.as_ref().map_or(1.0, |scale| scale[c].deviation);
        // The root of the mean of squared distances, in the units of the data.
        let distance = |errors: &Errors| Some((*width as f64 * errors.mse(unit)?).sqrt());
        let (own, rule) = (distance(&numbers.model), rule.as_ref().and_then(distance));
        report.lines.push(format!(
            "{field}: off by {:.4} (root of the mean square{}), loss {:.5} over {} steps",
            own.unwrap_or(f64::NAN),
            rule.map_or(String::new(), |off| format!("; mean of training {off:.4}")),
            loss.nats,
            numbers.model.count()
        ));
        report.set("distance", json!(own));
        report.set("mean_distance", json!(rule));
        self.own_units(report, &numbers.model, field);
        Ok(())
    }

    /// Errors of every column in the units of the data.
    fn own_units(&self, report: &mut LossReport, errors: &Errors, field: &str) {
        let Some(FieldCode::Steps {
            width,
            names,
            scale,
        }) = self.run.codes.code(field)
        else {
            return;
        };
        let unit = |c: usize| scale.as_ref().map_or(1.0, |scale| scale[c].deviation);
        report.set("own_mse", json!(errors.mse(unit)));
        report.set("own_mae", json!(errors.mae(unit)));
        if scale.is_none() && *width == 1 {
            return;
        }
        let mut columns = Vec::new();
        for c in 0..*width {
            let name = names.get(c).cloned().unwrap_or(c.to_string());
            let Some((mse, mae)) = errors.of_column(c, unit(c)) else {
                continue;
            };
            if c < LISTED {
                report.lines.push(format!(
                    "  {name}: MSE {mse:.5}, RMSE {:.5}, MAE {mae:.5} in its own units",
                    mse.sqrt()
                ));
            }
            columns.push(json!({ "name": name, "mse": mse, "mae": mae }));
        }
        report.set("columns", json!(columns));
    }

    /// Whether what is predicted of a field is where a pen goes.
    pub(super) fn is_pen(&self, field: usize) -> bool {
        let model = &self.run.model;
        let horizon = self.run.loaded.settings.horizon;
        let forecasts = (0..model.losses().len()).filter_map(|loss| model.forecast(loss, horizon));
        let mut pens = forecasts.filter(|f| f.reading == Reading::Handwriting);
        pens.any(|forecast| forecast.field == field)
    }

    /// A loss of a pen's steps.
    pub(super) fn pen(
        &self,
        report: &mut LossReport,
        loss: &LossEvaluation,
        field: &str,
    ) -> Result<()> {
        let rule = match &self.floors {
            Some(floors) => floors.pen(field, self.set)?,
            None => None,
        };
        report.lines.push(format!(
            "{field}: {:.5} nats a step{} over {} steps",
            loss.nats,
            rule.map_or(String::new(), |nats| format!(" (one Gaussian {nats:.5})")),
            loss.count
        ));
        report.set("one_gaussian", json!(rule));
        Ok(())
    }

    fn bits(
        &self,
        report: &mut LossReport,
        loss: &LossEvaluation,
        numbers: &Numbers,
        field: &str,
    ) -> Result<()> {
        let rule = match &self.floors {
            Some(floors) => floors.notes(field, self.set)?,
            None => None,
        };
        let accuracy = numbers.sets.accuracy();
        report.lines.push(format!(
            "{field}: {:.5} nats a step{}, frame accuracy {} over {} steps",
            loss.nats,
            rule.map_or(String::new(), |nats| format!(" (note frequency {nats:.5})")),
            accuracy.map_or("-".to_string(), |share| format!("{share:.4}")),
            loss.count
        ));
        report.set("frame_accuracy", json!(accuracy));
        report.set("note_frequency", json!(rule));
        Ok(())
    }
}
