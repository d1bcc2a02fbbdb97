//! The functions of the model language: one table of what each is called, takes and does, and how calls are read by it.

use std::ops::RangeInclusive;

use super::check::Checker;
use super::graph::{AttendScores, Function, LayerSizes, StartOf};
use crate::cell::library;
use crate::cell::operator::{Binary, Unary};
use crate::error::{Result, did_you_mean};
use crate::op::Retina;
use crate::op::steps::Pool;
use crate::syntax::{Expr, MAX_DEPTH, Position};

/// What a function is called and takes.
pub(super) struct Signature {
    /// Its name.
    pub name: &'static str,
    /// How many operands it takes, the first and the last number.
    pub operands: (usize, usize),
    /// The names of its arguments.
    pub arguments: &'static [&'static str],
    /// How it is written, for the page of the language.
    pub written: &'static str,
    /// What it does, for the page of the language.
    pub about: &'static str,
}

const fn of(
    name: &'static str,
    operands: (usize, usize),
    arguments: &'static [&'static str],
    written: &'static str,
    about: &'static str,
) -> Signature {
    Signature {
        name,
        operands,
        arguments,
        written,
        about,
    }
}

/// The one loss.
pub(super) const LOSS: &str = "cross_entropy";

/// The arguments of recurrent layers.
const OF_LAYERS: &[&str] = &[
    "cell", "hidden", "layers", "given", "start", "memory", "memory2", "weight",
];

/// All functions.
pub(super) const FUNCTIONS: &[Signature] = &[
    of(
        "embed",
        (1, 1),
        &["width", "weight"],
        "embed(F)",
        "A learned row for every symbol of a field of tokens or classes, or of `previous(F, k)`, `grams(F, n, k)` or `positions(F, k)`. `width` from the settings (`embed`, of \
         which 0 means one-hot vectors where a layer of cells reads nothing else, and as many as `hidden` elsewhere); `weight = NAME` shares the table of another `embed`.",
    ),
    of(
        "linear",
        (1, 1),
        &["width", "weight", "parts"],
        "linear(v)",
        "W v + bias. `width` is the number of classes where a loss takes it, else `hidden` of the settings; `weight = NAME` \
         shares the table of an `embed` or the matrix of another `linear`. `parts = n`: the same W and bias for each of n equal \
         parts of v's columns, each to `width` columns, as the cells of an image.",
    ),
    of(
        "rnn",
        (1, 1),
        OF_LAYERS,
        "rnn(v)",
        "Recurrent layers over v: `cell`, `hidden`, `layers` and all else that the settings say of them. `given = v2`: a row \
         beside v at every step, which the first layer reads with it. `start = v3`: a row a sequence, as wide as `hidden`: the \
         state that is each layer's output, before the first step. `start = m`, where m is another `rnn` or `birnn`: layer by \
         layer all states of m behind the last step of each sequence, by their names; of a `birnn` each direction begins its \
         own, or, side by side, those of an `rnn` of twice the hidden size. `memory = v4`, for a cell with a line `memory m`: rows \
         as wide as `hidden` along another field, at which every step looks; `memory2 = v5` for a second one. `weight = m2`: the \
         parameters of another `rnn`, whose cell, hidden size and layers these are, so that one stack reads several values.",
    ),
    of(
        "birnn",
        (1, 1),
        OF_LAYERS,
        "birnn(v)",
        "The same in both directions, side by side.",
    ),
    of(
        "dropout",
        (1, 1),
        &["rate"],
        "dropout(v)",
        "Dropout while training; `rate` from the settings (`dropout`).",
    ),
    of(
        "norm",
        (1, 1),
        &[],
        "norm(v)",
        "Layer normalisation with a learned gain and shift.",
    ),
    of(
        "concat",
        (2, 64),
        &[],
        "concat(a, b, ..)",
        "The columns of values side by side.",
    ),
    of(
        "split",
        (3, 3),
        &[],
        "split(v, k, n)",
        "The k-th of n equal parts of v's columns, counted from 1.",
    ),
    of(
        "last",
        (1, 1),
        &[],
        "last(v)",
        "The last row of every sequence; of `birnn`, each direction where it ended: backward at the first row.",
    ),
    of(
        "mean",
        (1, 1),
        &[],
        "mean(v)",
        "The mean of a sequence's own rows.",
    ),
    of(
        "max",
        (1, 1),
        &[],
        "max(v)",
        "The largest of a sequence's own rows, column by column; with two operands, the larger.",
    ),
    of(
        "sum",
        (1, 1),
        &[],
        "sum(v)",
        "The sum of a sequence's own rows.",
    ),
    of(
        "dot",
        (2, 2),
        &[],
        "dot(m, q)",
        "Attention (Luong 2015): for every row of q the sum of the rows of m, those of the same example, each weighed by the softmax of its inner \
         product with q. m has rows along a field of tokens, reals, bits or a set; q too, or a row an example. `dot(m, linear(q))` is \
         Luong's general score.",
    ),
    of(
        "additive",
        (2, 2),
        &["width"],
        "additive(m, q)",
        "The same by the scores v tanh(W q + U m) (Bahdanau 2015), `width` columns wide: `hidden` of the settings where the line says none.",
    ),
    of(
        "hard",
        (1, 1),
        &[],
        "hard(v)",
        "Of a value that `dot` or `additive` made, in place of the sum of the rows of m: one of them, drawn by their weights; out of training the one of \
         the largest weight (hard attention, Xu 2015). `log_prob` in `loss policy` teaches where to look.",
    ),
    of(
        "log_prob",
        (1, 1),
        &[],
        "log_prob(v)",
        "Of a value that `hard` made: the logarithm of how likely the row that was drawn was.",
    ),
    of(
        "entropy",
        (1, 1),
        &[],
        "entropy(v)",
        "Of a value that `hard` made: the entropy in nats of what it draws by, which is the larger the less it is decided.",
    ),
    of(
        "previous",
        (2, 2),
        &[],
        "previous(F, k)",
        "The tokens or numbers of a field k steps earlier; before the first one stands the start mark, or 0.",
    ),
    of(
        "grams",
        (3, 3),
        &[],
        "grams(F, n, k)",
        "Each token of a field and the n - 1 before it, start marks before the first one, as one of k symbols: each such \
         sequence its own where k is at least the number of the field's symbols to the power of n, else by a hash, so that \
         some share one (Joulin 2016).",
    ),
    of(
        "positions",
        (2, 2),
        &[],
        "positions(F, k)",
        "The number of each step of a field within its sequence, as one of k symbols, the last of which stands for all behind it, too \
         (Gehring 2017); of a set, the place where the data have it.",
    ),
    of(
        "window",
        (2, 2),
        &[],
        "window(F, k)",
        "The numbers of a field at the last k steps, side by side, the latest last; before the first step stands 0.",
    ),
    of(
        "zeros",
        (1, 1),
        &["width"],
        "zeros(v)",
        "A row of 0 for each of v, such as a state before the first round of `repeat`; as wide as a loss takes it, else `hidden` of the settings.",
    ),
    of(
        "sample",
        (2, 2),
        &[],
        "sample(mean, s)",
        "mean + exp(s / 2) e, where each e is a draw of its own from the unit Gaussian, in training and out of it (Kingma and Welling 2014): \
         s is the logarithm of the variance. `loss kl(mean, s)` is what it costs.",
    ),
    of(
        "stop",
        (1, 1),
        &[],
        "stop(v)",
        "v as a constant: no gradient goes back through it. A draw that is stopped is learned by its log density alone: `loss reinforce`.",
    ),
    of(
        "rounds",
        (1, 1),
        &[],
        "rounds(v)",
        "Behind `end`: what v was in all rounds, side by side.",
    ),
    of(
        "right",
        (2, 2),
        &[],
        "right(linear(v), target)",
        "The probability that these scores, those of a cross-entropy, give to what is right: a class, or `next(F)`. It is what draws are \
         rewarded by, a constant, and for losses alone.",
    ),
    of(
        "glimpse",
        (2, 2),
        &["size", "scales", "width"],
        "glimpse(image, at)",
        "What an eye sees of an image at a place, two numbers across and down, -1 to 1 (Mnih 2014): `scales` squares (3), each twice as \
         large and coarse as the one before, of `size` * `size` numbers (8). `width`: pixels of the image's rows, where it is no square. \
         It is a constant.",
    ),
    of(
        "read",
        (2, 2),
        &["size", "width"],
        "read(image, at)",
        "What a grid of `size` * `size` Gaussian filters (5) reads of an image (Gregor 2015, section 3.2). `at` is five numbers, as many as a \
         `linear` has whose line says no width: the grid's middle across and down, -1 to 1, and the logarithms of the filters' variance in \
         pixels, of the distance between them, at 0 over the whole image, and of what they are multiplied by. A filter outside the image \
         reads its edge. `width`: pixels of the image's rows, where it is no square.",
    ),
    of(
        "write",
        (3, 3),
        &["width"],
        "write(patch, at, v)",
        "An image as wide as v that such a grid makes of a square of numbers, spot by spot, where it is divided by what `read` multiplies by.",
    ),
    of(
        "repeat",
        (1, 2),
        &[],
        "repeat(v, n)",
        "The columns of v side by side n times; n from the settings (`horizon`) where the line says none.",
    ),
    of(
        "next",
        (1, 1),
        &[],
        "next(F)",
        "In a loss: the next token of a field, or the numbers of its next step.",
    ),
    of(
        "ahead",
        (1, 2),
        &[],
        "ahead(F, k)",
        "In a loss: the numbers of the next k steps of a field of reals or bits, side by side; k from the settings (`horizon`) \
         where the line says none. `last(ahead(F, k))` are those behind all that is read.",
    ),
];

const OF_LOSS: Signature = of(
    LOSS,
    (2, 2),
    &["weight"],
    "loss cross_entropy(linear(v), target)",
    "",
);

/// The pointwise operator called so that takes so many operands, as its program on rows writes it: that of the cells.
pub(super) fn pointwise(name: &str, operands: usize) -> Option<&'static str> {
    match operands {
        // A minus is an operator that is not written as a word.
        1 if name == "neg" => Some("neg"),
        1 => Unary::ALL
            .iter()
            .map(|op| op.name())
            .find(|known| *known == name),
        _ => Binary::ALL
            .iter()
            .map(|op| op.name())
            .find(|known| *known == name),
    }
}

/// The program on rows of an operator; what is no value is a number.
pub(super) fn program(operator: &str, operands: &[Option<f64>]) -> String {
    let names = ["a", "b"];
    let rows = names
        .iter()
        .zip(operands)
        .filter(|(_, number)| number.is_none());
    let rows: Vec<&str> = rows.map(|(name, _)| *name).collect();
    let written = names
        .iter()
        .zip(operands)
        .map(|(name, number)| match number {
            // Brackets hold a minus together with its number.
            Some(number) => format!("({number:?})"),
            None => (*name).to_string(),
        });
    let written: Vec<String> = written.collect();
    let value = match (operator, &written[..]) {
        ("neg", [a]) => format!("-{a}"),
        (word, operands) if word.starts_with(char::is_alphabetic) => {
            format!("{word}({})", operands.join(", "))
        }
        (symbol, operands) => operands.join(&format!(" {symbol} ")),
    };
    format!("row {}\nmade = {value}\n", rows.join(", "))
}

/// A number as it stands in an expression, with any minus before it.
pub(super) fn constant(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Number(value, _) => Some(*value),
        Expr::Call(name, operands, _) if name == "neg" => constant(&operands[0]).map(|x| -x),
        _ => None,
    }
}

/// A call with its operands and arguments apart.
pub(super) struct Call<'e> {
    pub signature: &'static Signature,
    pub operands: Vec<&'e Expr>,
    pub arguments: Vec<(&'e str, &'e Expr, Position)>,
    pub position: Position,
}

impl<'e> Call<'e> {
    /// A call of a function of the table.
    pub fn new(
        checker: &Checker<'_>,
        name: &str,
        operands: &'e [Expr],
        position: Position,
    ) -> Result<Call<'e>> {
        let Some(signature) = FUNCTIONS.iter().find(|f| f.name == name) else {
            let message = if name == LOSS {
                format!("`{name}` is a loss: write `loss {name}(linear(v), target)`")
            } else {
                let pointwise = Unary::ALL.iter().map(|op| op.name());
                let hint = did_you_mean(name, FUNCTIONS.iter().map(|f| f.name).chain(pointwise));
                format!("unknown function `{name}`{hint}")
            };
            return Err(checker.fault(position, message));
        };
        Call::of(checker, signature, operands, position)
    }

    /// A call of the loss.
    pub fn of_loss(
        checker: &Checker<'_>,
        operands: &'e [Expr],
        position: Position,
    ) -> Result<Call<'e>> {
        Call::of(checker, &OF_LOSS, operands, position)
    }

    fn of(
        checker: &Checker<'_>,
        signature: &'static Signature,
        all: &'e [Expr],
        position: Position,
    ) -> Result<Call<'e>> {
        let name = signature.name;
        let (mut operands, mut arguments) = (Vec::new(), Vec::new());
        for expr in all {
            match expr {
                Expr::Argument(argument, value, at) => {
                    if !signature.arguments.contains(&argument.as_str()) {
                        let known = match signature.arguments {
                            [] => "it has none".to_string(),
                            known => format!("it has {}", known.join(", ")),
                        };
                        let hint = did_you_mean(argument, signature.arguments.iter().copied());
                        let message =
                            format!("`{name}` has no argument `{argument}`{hint} ({known})");
                        return Err(checker.fault(*at, message));
                    }
                    if arguments.iter().any(|(known, _, _)| *known == argument) {
                        let message = format!("`{argument}` is given twice");
                        return Err(checker.fault(*at, message));
                    }
                    arguments.push((argument.as_str(), &**value, *at));
                }
                operand if arguments.is_empty() => operands.push(operand),
                operand => {
                    let message = "an operand stands before the arguments with names";
                    return Err(checker.fault(operand.position(), message));
                }
            }
        }
        let (least, most) = signature.operands;
        if !(least..=most).contains(&operands.len()) {
            let expected = match (least, most) {
                (1, 1) => "1 operand".to_string(),
                (a, b) if a == b => format!("{a} operands"),
                (a, b) => format!("{a} to {b} operands"),
            };
            let found = operands.len();
            let message = format!("`{name}` expects {expected}, found {found}");
            return Err(checker.fault(position, message));
        }
        Ok(Call {
            signature,
            operands,
            arguments,
            position,
        })
    }

    fn argument(&self, name: &str) -> Option<&'e Expr> {
        let found = self.arguments.iter().find(|(known, _, _)| *known == name);
        found.map(|(_, value, _)| *value)
    }
}

/// A number as a whole one within a range.
pub(super) fn whole(
    checker: &Checker<'_>,
    what: &str,
    value: f64,
    range: RangeInclusive<usize>,
    position: Position,
) -> Result<usize> {
    let (least, most) = (*range.start(), *range.end());
    if value.fract() == 0.0 && value >= least as f64 && value <= most as f64 {
        return Ok(value as usize);
    }
    let message =
        format!("{what}: expected a whole number from {least} to {most}, found `{value}`");
    Err(checker.fault(position, message))
}

/// An operand that is a number of steps.
pub(super) fn steps(checker: &Checker<'_>, operand: &Expr) -> Result<usize> {
    match operand {
        Expr::Number(steps, position) => {
            whole(checker, "the number of steps", *steps, 1..=1000, *position)
        }
        other => {
            let message = "expected a number of steps from 1 on";
            Err(checker.fault(other.position(), message))
        }
    }
}

/// An argument that is a number.
pub(super) fn number(
    checker: &Checker<'_>,
    call: &Call<'_>,
    name: &str,
    expected: &str,
    fits: impl Fn(f64) -> bool,
) -> Result<Option<f64>> {
    let Some(expr) = call.argument(name) else {
        return Ok(None);
    };
    match expr {
        Expr::Number(value, _) if fits(*value) => Ok(Some(*value)),
        other => {
            let message = format!("{name}: expected {expected}");
            Err(checker.fault(other.position(), message))
        }
    }
}

/// An argument that is a size.
fn size(
    checker: &Checker<'_>,
    call: &Call<'_>,
    name: &str,
    range: RangeInclusive<usize>,
) -> Result<Option<usize>> {
    match call.argument(name) {
        None => Ok(None),
        Some(Expr::Number(value, position)) => {
            whole(checker, name, *value, range, *position).map(Some)
        }
        Some(other) => {
            let message = format!("{name}: expected a whole number");
            Err(checker.fault(other.position(), message))
        }
    }
}

/// An argument that names a value whose weight is shared.
fn weight(
    checker: &mut Checker<'_>,
    call: &Call<'_>,
    fits: fn(&Function) -> bool,
    expected: &str,
) -> Result<Option<usize>> {
    let (value, position) = match call.argument("weight") {
        None => return Ok(None),
        Some(Expr::Name(name, position)) => (checker.named(name, *position)?, *position),
        Some(other) => {
            let message = format!("weight: expected the name of {expected}");
            return Err(checker.fault(other.position(), message));
        }
    };
    let node = checker.node(value);
    if fits(&node.function) {
        return Ok(Some(value));
    }
    let message = format!(
        "weight: expected the name of {expected}, found `{}`",
        node.label
    );
    Err(checker.fault(position, message))
}

/// The layers whose parameters a line shares by way of `value`, and what these are.
fn shared_layers(
    checker: &Checker<'_>,
    value: usize,
    position: Position,
) -> Result<(usize, LayerSizes)> {
    let node = checker.node(value);
    let Function::Recurrent { sizes, weight, .. } = &node.function else {
        return Err(checker.fault(position, "weight: no recurrent layers"));
    };
    if checker.is_in_rounds(value) {
        let message = format!(
            "weight: expected layers outside of `repeat`, found `{}`",
            node.label
        );
        return Err(checker.fault(position, message));
    }
    Ok((weight.unwrap_or(value), sizes.clone()))
}

/// Refuses symbols that no `embed` has made into rows.
pub(super) fn must_be_rows(
    checker: &Checker<'_>,
    name: &str,
    value: usize,
    position: Position,
) -> Result<()> {
    if !checker.is_symbols(value) {
        return Ok(());
    }
    let label = &checker.node(value).label;
    let message =
        format!("`{name}` expects values, found the symbols of `{label}`: write `embed({label})`");
    Err(checker.fault(position, message))
}

/// The most of a size that a line may say.
const MOST: usize = 1 << 20;

/// The most symbols that `grams` makes.
pub(super) const MOST_SYMBOLS: usize = 1 << 24;

/// The most numbers of the side of what is seen of an image.
const MOST_SQUARE: usize = 256;

/// The most parts of a value: each is a product of its own.
const MOST_PARTS: usize = 1024;

/// The function that a call is; values that arguments name come to the operands.
pub(super) fn function(
    checker: &mut Checker<'_>,
    call: &Call<'_>,
    values: &mut Vec<usize>,
) -> Result<Function> {
    let name = call.signature.name;
    if name == "embed" {
        if !checker.is_symbols(values[0]) {
            let message = "`embed` expects a field of tokens or classes, `previous(F, k)`, `grams(F, n, k)` or `positions(F, k)`";
            return Err(checker.fault(call.operands[0].position(), message));
        }
    } else {
        for (value, operand) in values.iter().zip(&call.operands) {
            must_be_rows(checker, name, *value, operand.position())?;
        }
    }
    Ok(match name {
        "embed" => {
            let fits = |f: &Function| matches!(f, Function::Embed { .. });
            let shared = weight(checker, call, fits, "an `embed`")?;
            let width = size(checker, call, "width", 1..=MOST)?;
            if shared.is_some() && width.is_some() {
                let message = "`embed` with a weight that it shares has its width";
                return Err(checker.fault(call.position, message));
            }
            Function::Embed {
                width,
                weight: shared,
            }
        }
        "linear" => {
            let fits = |f: &Function| matches!(f, Function::Embed { .. } | Function::Linear { .. });
            Function::Linear {
                weight: weight(checker, call, fits, "an `embed` or a `linear`")?,
                width: size(checker, call, "width", 1..=MOST)?,
                parts: size(checker, call, "parts", 1..=MOST_PARTS)?.unwrap_or(1),
            }
        }
        "rnn" | "birnn" => {
            let mut beside = |name: &str| -> Result<Option<usize>> {
                let Some(expr) = call.argument(name) else {
                    return Ok(None);
                };
                let value = checker.value(expr)?;
                must_be_rows(checker, name, value, expr.position())?;
                values.push(value);
                Ok(Some(values.len() - 1))
            };
            let (given, start) = (beside("given")?, beside("start")?);
            let (first, second) = (beside("memory")?, beside("memory2")?);
            if first.is_none()
                && let Some(second) = call.argument("memory2")
            {
                let message = "memory2: expected `memory` beside it";
                return Err(checker.fault(second.position(), message));
            }
            let memories = first.into_iter().chain(second).collect();
            let both = name == "birnn";
            let (fits, expected): (fn(&Function) -> bool, _) = if both {
                (
                    |f| matches!(f, Function::Recurrent { both: true, .. }),
                    "a `birnn`",
                )
            } else {
                (
                    |f| matches!(f, Function::Recurrent { both: false, .. }),
                    "an `rnn`",
                )
            };
            let shared = weight(checker, call, fits, expected)?;
            let mut sizes = LayerSizes {
                cell: cell(checker, call)?,
                hidden: size(checker, call, "hidden", 1..=MOST)?,
                layers: size(checker, call, "layers", 1..=MAX_DEPTH)?,
            };
            let shared = match shared {
                Some(_) if sizes != LayerSizes::default() => {
                    let message = format!(
                        "`{name}` with a weight that it shares has its cell, its hidden size and its layers"
                    );
                    return Err(checker.fault(call.position, message));
                }
                Some(other) => {
                    let layers;
                    (layers, sizes) = shared_layers(checker, other, call.position)?;
                    Some(layers)
                }
                None => None,
            };
            // An `rnn` with a row a sequence of x begins states as any such value does.
            let start = start.map(|place| match checker.node(values[place]) {
                node if matches!(node.function, Function::Recurrent { .. })
                    && Some(node.along) != checker.sequences(values[0]) =>
                {
                    StartOf::States(place)
                }
                _ => StartOf::Value(place),
            });
            Function::Recurrent {
                given,
                start,
                memories,
                both,
                sizes,
                weight: shared,
            }
        }
        "dropout" => Function::Dropout {
            rate: number(
                checker,
                call,
                "rate",
                "a number from 0 to below 1",
                |rate| (0.0..1.0).contains(&rate),
            )?,
        },
        "norm" => Function::Norm,
        "zeros" => Function::Zeros {
            width: size(checker, call, "width", 1..=MOST)?,
        },
        "sample" => Function::Sample,
        "stop" => Function::Stop,
        "glimpse" => Function::Glimpse {
            size: size(checker, call, "size", 1..=MOST_SQUARE)?.unwrap_or(8),
            scales: size(checker, call, "scales", 1..=Retina::MOST_SCALES)?.unwrap_or(3),
            width: size(checker, call, "width", 1..=MOST)?,
        },
        "read" => Function::ReadPatch {
            size: size(checker, call, "size", 1..=MOST_SQUARE)?.unwrap_or(5),
            width: size(checker, call, "width", 1..=MOST)?,
        },
        "write" => Function::WritePatch {
            width: size(checker, call, "width", 1..=MOST)?,
        },
        "concat" => Function::Concat,
        "split" => split(checker, call)?,
        "repeat" => Function::Repeat {
            times: match call.operands.get(1) {
                Some(operand) => Some(steps(checker, operand)?),
                None => None,
            },
        },
        "dot" => Function::Attend {
            scores: AttendScores::Dot,
        },
        "additive" => Function::Attend {
            scores: AttendScores::Additive {
                width: size(checker, call, "width", 1..=MOST)?,
            },
        },
        "hard" => {
            made_by(checker, call, values[0], "`dot` or `additive`", |f| {
                matches!(f, Function::Attend { .. })
            })?;
            Function::Hard
        }
        "log_prob" => {
            made_by(checker, call, values[0], "`hard`", |f| *f == Function::Hard)?;
            Function::LogProb
        }
        "entropy" => {
            made_by(checker, call, values[0], "`hard`", |f| *f == Function::Hard)?;
            Function::Entropy
        }
        "last" => Function::Last,
        "mean" => Function::Pool(Pool::Mean),
        "max" => Function::Pool(Pool::Max),
        _ => Function::Pool(Pool::Sum),
    })
}

/// Refuses a value that no such function made.
fn made_by(
    checker: &Checker<'_>,
    call: &Call<'_>,
    value: usize,
    expected: &str,
    fits: impl Fn(&Function) -> bool,
) -> Result<()> {
    let node = checker.node(value);
    if fits(&node.function) {
        return Ok(());
    }
    let (name, found) = (call.signature.name, &node.label);
    let message = format!("`{name}` expects a value that {expected} made, found `{found}`");
    Err(checker.fault(call.operands[0].position(), message))
}

/// `split(v, k, n)`: which part of how many.
fn split(checker: &Checker<'_>, call: &Call<'_>) -> Result<Function> {
    let number = |place: usize, what: &str, most: usize| match call.operands[place] {
        Expr::Number(value, position) => whole(checker, what, *value, 1..=most, *position),
        other => {
            let message = format!("{what}: expected a whole number");
            Err(checker.fault(other.position(), message))
        }
    };
    let parts = number(2, "the number of parts", MOST_PARTS)?;
    let part = number(1, "the part", parts)? - 1;
    Ok(Function::Split { parts, part })
}

/// The name of a built-in cell.
fn cell(checker: &Checker<'_>, call: &Call<'_>) -> Result<Option<String>> {
    match call.argument("cell") {
        None => Ok(None),
        Some(Expr::Text(name, position)) => {
            if library::all_names().any(|known| known == name) {
                return Ok(Some(name.clone()));
            }
            let hint = did_you_mean(name, library::all_names());
            let message = format!("cell: unknown cell `{name}`{hint}");
            Err(checker.fault(*position, message))
        }
        Some(other) => {
            let message = "cell: expected a cell's name in quotation marks, such as \"gru\"";
            Err(checker.fault(other.position(), message))
        }
    }
}
