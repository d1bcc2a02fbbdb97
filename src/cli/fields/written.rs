//! What `eval` says of the texts that a model writes about examples, beside those that they should be.

use clap::ArgMatches;
use serde_json::json;
use wgrnn::exec::Device;
use wgrnn::metrics::Accuracy;
use wgrnn::search::Found;
use wgrnn::train::TextLimits;
use wgrnn::{Error, Result};

use super::LoadedFields;
use super::eval::{Measured, Report, share};
use crate::cli::decoding;

/// Texts that are to be written and compared.
pub(super) struct Written {
    /// The loss that predicts their tokens.
    pub loss: usize,
    field: String,
    /// Without a largest length where nobody says one.
    limits: TextLimits,
    longest: Option<usize>,
}

impl Written {
    /// What the flags ask for of a model that writes texts about something; none of another.
    ///
    /// # Errors
    /// Usage, for flags of texts and another model, and as [`decoding::limits`].
    pub fn wanted(m: &ArgMatches, run: &LoadedFields) -> Result<Option<Written>> {
        let model = &run.model;
        let written = model.written().ok().filter(|_| model.fields().len() > 1);
        let Some((loss, field)) = written else {
            return match decoding::given(m, &decoding::FLAGS) {
                None => Ok(None),
                Some(flag) => Err(Error::usage(format!(
                    "--{flag}: expected a model that writes texts about other fields, got {}",
                    model.name
                ))),
            };
        };
        let longest = m.get_one::<u64>("max-length").map(|n| *n as usize);
        Ok(Some(Written {
            loss,
            field: model.fields()[field].name.clone(),
            limits: decoding::limits(m, longest.unwrap_or(usize::MAX))?,
            longest,
        }))
    }

    /// Writes a text about every example and says how many are those that they should be, to the letter.
    ///
    /// # Errors
    /// As [`LoadedFields::write`].
    pub fn measure(&self, report: &mut Report, of: &Measured<'_>, device: &Device) -> Result<()> {
        let name = &self.field;
        let all = 0..of.set.len() as u32;
        let right = all.map(|example| of.set.tokens(name, example));
        let right: Vec<Vec<u32>> = right.collect::<Result<_>>()?;
        let longest = right.iter().map(Vec::len).max().unwrap_or(0);
        // One token more than the longest has is wrong already.
        let free = decoding::MOST.max(longest + 1).max(self.limits.least);
        let limits = TextLimits {
            most: self.longest.unwrap_or(free),
            ..self.limits.clone()
        };
        let beams = limits.beams;
        let choice = decoding::likeliest();
        let remedy = "measure fewer examples";
        let set = of.set.clone();
        let texts = of.run.write(device, set, &choice, remedy, limits)?;
        let is = |(found, right): (&Vec<Found>, &Vec<u32>)| {
            found.first().is_some_and(|text| text.tokens == *right)
        };
        let exact = Accuracy::of(texts.iter().zip(&right).map(is));
        let how = match beams {
            1 => "each token the likeliest".to_string(),
            beams => format!("the best of {beams} beams"),
        };
        report.lines.push(format!(
            "{name}: exact {} of {} texts, {how}",
            share(exact),
            exact.total
        ));
        report.set("exact", json!(exact.share()));
        Ok(())
    }
}
