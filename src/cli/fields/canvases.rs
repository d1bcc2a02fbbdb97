//! `predict` and `sample` for models that paint: images as numbers, and a sheet of their canvases as PNG.

use std::path::Path;

use clap::ArgMatches;
use clap::parser::ValueSource;
use pollster::block_on;
use serde_json::json;
use wgrnn::data::fields::FieldCode;
use wgrnn::op::Plan;
use wgrnn::train::examples::{Canvases, Paint, paint};
use wgrnn::{Error, Result};

use super::LoadedFields;
use crate::cli::{flags, out};

/// Flags of models that paint alone.
pub const OF_IMAGES: [&str; 2] = ["png", "image-width"];
/// Flags of `predict` and of `sample` that have a meaning here.
const MEANT: [&str; 11] = [
    "run",
    "files",
    "seed",
    "count",
    "png",
    "image-width",
    "checkpoint",
    "device",
    "json",
    "format",
    "columns",
];
/// Pixels of the sheet for one of an image, and between images.
const SCALE: usize = 2;
const GAP: usize = 2;
/// Images of a row where each has one canvas, at most.
const ACROSS: usize = 10;
/// The most pixels of a sheet.
const MOST_PIXELS: usize = 1 << 28;

/// The arguments of a sheet.
pub fn args() -> [clap::Arg; 2] {
    [
        clap::Arg::new("png")
            .long("png")
            .value_name("FILE")
            .value_parser(clap::value_parser!(std::path::PathBuf))
            .help("Of models that paint: a sheet of the images, a row an image where it has a canvas a round"),
        flags::whole("image-width", 1, 65536)
            .help("Pixels of an image's row on that sheet (default: images are square)"),
    ]
}

/// Paints examples again, or new images, and prints a line for each: its numbers between commas, or as JSON with the canvases of
/// all rounds.
///
/// # Errors
/// Usage: flags that have no meaning for such models; images that have no such rows. Io: a sheet that cannot be written.
pub fn print(m: &ArgMatches, run: &LoadedFields, of: Paint<'_>, seed: u64) -> Result<()> {
    refuse(m, &run.model.name)?;
    let Some(painting) = run.model.painting() else {
        return Err(Error::internal("a model that paints nothing"));
    };
    let name = &run.model.fields()[painting.field].name;
    let Some(FieldCode::Width(pixels)) = run.codes.code(name) else {
        return Err(Error::internal(format!("field {name} has no width")));
    };
    let sheet = match flags::path(m, "png") {
        Some(file) => Some((file, image_width(m, *pixels)?)),
        None if m.value_source("image-width").is_some() => {
            return Err(Error::usage("--image-width: expected --png FILE too"));
        }
        None => None,
    };
    let device = flags::open_device(m)?;
    let weights = |plan: &Plan| run.weights(plan, "the images", "a smaller model");
    let spec = &run.loaded.spec;
    let images = block_on(paint(
        &device,
        (&run.model, spec),
        &run.codes,
        of,
        seed,
        weights,
    ))?;
    if let Some((file, width)) = sheet {
        write(file, &images, width)?;
    }
    let mut text = String::new();
    for image in &images {
        if m.get_flag("json") {
            text.push_str(&json!({ "canvases": image }).to_string());
        } else {
            let numbers = image.last().into_iter().flatten();
            let numbers: Vec<String> = numbers.map(ToString::to_string).collect();
            text.push_str(&numbers.join(","));
        }
        text.push('\n');
    }
    out::raw(text.as_bytes())
}

/// Refuses flags of other models.
fn refuse(m: &ArgMatches, model: &str) -> Result<()> {
    let given = |id: &&str| m.value_source(id) == Some(ValueSource::CommandLine);
    let mut ids = m.ids().map(clap::Id::as_str);
    match ids.find(|id| given(id) && !MEANT.contains(id)) {
        None => Ok(()),
        Some(flag) => Err(Error::usage(format!(
            "--{flag}: expected none, as model {model} paints images"
        ))),
    }
}

/// Refuses flags of models that paint where none does.
///
/// # Errors
/// Usage, naming the flag.
pub fn refuse_sheet(m: &ArgMatches, model: &str) -> Result<()> {
    match flags::first_given(m, &OF_IMAGES) {
        None => Ok(()),
        Some(flag) => Err(Error::usage(format!(
            "--{flag}: expected a run of a model that paints images, got one of {model}"
        ))),
    }
}

fn image_width(m: &ArgMatches, pixels: usize) -> Result<usize> {
    match m.get_one::<u64>("image-width") {
        Some(width) if pixels.is_multiple_of(*width as usize) => Ok(*width as usize),
        Some(width) => Err(Error::usage(format!(
            "--image-width: expected a divisor of the {pixels} numbers of an image, got {width}"
        ))),
        None if pixels.isqrt().pow(2) == pixels => Ok(pixels.isqrt()),
        None => Err(Error::usage(format!(
            "--png: expected images of a square number of pixels, or --image-width, got {pixels}"
        ))),
    }
}

/// Writes the sheet: white is 1, black 0, what lies beyond as far as there is grey for it.
fn write(file: &Path, images: &[Canvases], width: usize) -> Result<()> {
    let rounds = images.first().map_or(1, Vec::len);
    let across = match rounds {
        1 => images.len().clamp(1, ACROSS),
        rounds => rounds,
    };
    let all: Vec<&Vec<f32>> = images.iter().flatten().collect();
    let height = all.first().map_or(1, |image| image.len() / width);
    let down = all.len().div_ceil(across).max(1);
    let side = |count: usize, pixels: usize| count * (pixels * SCALE + GAP) + GAP;
    let (wide, high) = (side(across, width), side(down, height));
    if wide * high > MOST_PIXELS {
        return Err(Error::usage(format!(
            "--png: expected a sheet of at most {MOST_PIXELS} pixels, got {wide} x {high}: paint fewer images"
        )));
    }
    let mut pixels = vec![96u8; wide * high];
    for (n, image) in all.iter().enumerate() {
        let (left, top) = (side(n % across, width), side(n / across, height));
        for y in 0..height * SCALE {
            for x in 0..width * SCALE {
                let value = image[y / SCALE * width + x / SCALE];
                pixels[(top + y) * wide + left + x] = (255.0 * value.clamp(0.0, 1.0)).round() as u8;
            }
        }
    }
    let failed = |e: png::EncodingError| Error::io("write", file, &std::io::Error::other(e));
    let created = std::fs::File::create(file).map_err(|e| Error::io("write", file, &e))?;
    let mut encoder = png::Encoder::new(std::io::BufWriter::new(created), wide as u32, high as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&pixels).map_err(failed)?;
    writer.finish().map_err(failed)
}
