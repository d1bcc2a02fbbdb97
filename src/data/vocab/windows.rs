//! The ids of a text that is read in blocks, as its tokenizer has them for the whole text.
//!
//! What a tokenizer makes of a place depends on what stands around it, and where a text begins or ends it may do something
//! of its own. So a text is encoded in windows that overlap, and goes over from one window to the next only where both have
//! the same tokens at the same places for some way to either side: what a window's end does to its tokens stops before
//! that. Windows without such a place are joined and encoded anew.

use std::collections::HashMap;
use std::ops::Range;

use rayon::prelude::*;

use super::losses::{DecodingLosses, difference};
use super::pieces::{Pieces, guarded};
use crate::error::{Error, Result};

/// How a text is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cutting {
    /// Bytes of a window without its overlaps, more than twice `reach`.
    pub window: usize,
    /// How many bytes from the middle of an overlap a cut may lie.
    pub reach: usize,
    /// To either side of a cut so many bytes have the same tokens in both windows, and so many more lie before its end.
    pub agree: usize,
    /// Bytes that are encoded at once.
    pub block: usize,
    /// A text of more bytes without a cut is refused.
    pub limit: usize,
}

impl Cutting {
    /// For a tokenizer whose decisions look about `far` bytes around: its longest token or word.
    pub fn new(far: usize) -> Self {
        let agree = far.max(512);
        let window = (64 << 10).max(8 * agree);
        Cutting {
            window,
            reach: 1024,
            agree,
            block: 16 * window,
            limit: 16 * window.max(1 << 20),
        }
    }

    /// The most bytes of a window that was not joined with another.
    fn longest(&self) -> usize {
        self.window + self.window / 2 + 2 * self.overlap()
    }

    /// Bytes to either side of the middle of an overlap.
    fn overlap(&self) -> usize {
        self.reach + 2 * self.agree
    }
}

/// A token, and the bytes that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TokenSpan {
    id: u32,
    from: usize,
    upto: usize,
}

/// A stretch of the text with overlaps, and its tokens.
struct Window {
    from: usize,
    upto: usize,
    /// The middle of the overlap with the window before.
    middle: usize,
    tokens: Option<WindowTokens>,
}

/// The tokens of a window.
struct WindowTokens {
    list: Vec<TokenSpan>,
    /// Whether they stand in the order of their places, as they must where they are to be cut.
    ordered: bool,
}

/// Where the text goes over from a window to the next.
struct WindowBoundary {
    at: usize,
    /// How many tokens of the window before stand before it.
    before: usize,
    /// How many of the window after do.
    after: usize,
}

/// Takes what is found.
pub(super) struct Out<'a> {
    pub ids: &'a mut Vec<u32>,
    pub losses: &'a mut DecodingLosses,
    /// Is told of every character that is dropped, and where it stands.
    pub dropped: &'a mut dyn FnMut(char, u64),
}

/// A text on its way to ids.
#[derive(Default)]
pub(super) struct PieceStream {
    /// What is not encoded yet, and before it what that needs to be encoded rightly.
    text: String,
    /// Where `text` begins in the whole.
    at: u64,
    /// How much of `text` is encoded.
    done: usize,
    /// The tokens around `done`.
    around: Vec<TokenSpan>,
    /// The length of `text` that is waited for.
    wait: usize,
}

impl PieceStream {
    /// Whether nothing was added since the beginning.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Adds `text`, which begins at byte `at` of the whole.
    pub fn push(&mut self, text: &str, at: u64) {
        if self.is_empty() {
            self.at = at;
        }
        self.text.push_str(text);
    }

    /// Encodes as much as is sure, once there is enough.
    ///
    /// # Errors
    /// `Kind::Data` where the tokenizer fails, or too long a text cannot be cut.
    pub fn advance(&mut self, pieces: &Pieces, out: &mut Out) -> Result<()> {
        let cutting = pieces.cutting();
        if self.text.len() < self.wait.max(cutting.block) {
            return Ok(());
        }
        let (windows, cuts) = self.windows(pieces)?;
        let Some(last) = cuts.last() else {
            if self.text.len() >= cutting.limit {
                return Err(Error::data(format!(
                    "the {} bytes from byte {} on cannot be cut: the tokenizer's tokens hang on text far before or after \
                     them, and a text of {} bytes and more is not encoded at once; does it split a text into words?",
                    self.text.len(),
                    self.at,
                    cutting.limit
                )));
            }
            self.wait = 2 * self.text.len();
            return Ok(());
        };
        let [.., before, after] = &windows[..] else {
            return Ok(());
        };
        self.emit(pieces, &windows[..windows.len() - 1], &cuts, last.at, out)?;
        let near = near(before.list(), last.at, cutting.agree).to_vec();
        // What agreed goes on from the same beginning.
        let from = after.from;
        self.around = near
            .into_iter()
            .map(|t| TokenSpan {
                id: t.id,
                from: t.from.saturating_sub(from),
                upto: t.upto.saturating_sub(from),
            })
            .collect();
        self.done = last.at - from;
        self.at += from as u64;
        self.text.drain(..from);
        self.wait = self.text.len() + cutting.block;
        Ok(())
    }

    /// The end of the text; the next one begins.
    ///
    /// # Errors
    /// As [`advance`](Self::advance).
    pub fn finish(&mut self, pieces: &Pieces, out: &mut Out) -> Result<()> {
        if !self.is_empty() {
            let (windows, cuts) = self.windows(pieces)?;
            self.emit(pieces, &windows, &cuts, self.text.len(), out)?;
        }
        *self = PieceStream::default();
        Ok(())
    }

    /// The windows of what is there, and where the text goes over from each to the next.
    fn windows(&self, pieces: &Pieces) -> Result<(Vec<Window>, Vec<WindowBoundary>)> {
        let cutting = pieces.cutting();
        let (text, overlap) = (&self.text, cutting.overlap());
        let mut middles = vec![self.done];
        let next = (1..).map(|n| self.done + n * cutting.window);
        middles.extend(next.take_while(|at| at + cutting.window / 2 <= text.len()));
        let mut windows: Vec<Window> = middles
            .iter()
            .enumerate()
            .map(|(n, middle)| Window {
                from: match n {
                    0 => 0,
                    _ => floor(text, middle - overlap.min(*middle)),
                },
                upto: match middles.get(n + 1) {
                    Some(next) => floor(text, (next + overlap).min(text.len())),
                    None => text.len(),
                },
                middle: *middle,
                tokens: None,
            })
            .collect();
        loop {
            let fresh = windows.par_iter_mut().filter(|w| w.tokens.is_none());
            fresh.try_for_each(|window| {
                let tokens = tokens(pieces, text, window.from..window.upto, self.at)?;
                window.tokens = Some(tokens);
                Ok(())
            })?;
            if near(windows[0].list(), self.done, cutting.agree) != self.around
                && !self.around.is_empty()
            {
                return Err(Error::data(format!(
                    "the text cannot be cut near byte {}: the tokenizer's tokens hang on text far before or after them",
                    self.at + self.done as u64
                )));
            }
            let pairs = windows.windows(2);
            let cuts: Vec<Option<WindowBoundary>> = pairs
                .map(|pair| cut(text, &pair[0], &pair[1], cutting))
                .collect();
            if cuts.iter().all(Option::is_some) {
                return Ok((windows, cuts.into_iter().flatten().collect()));
            }
            let mut joined: Vec<Window> = Vec::new();
            for (n, window) in windows.into_iter().enumerate() {
                match joined.last_mut() {
                    Some(before) if n > 0 && cuts[n - 1].is_none() => {
                        before.upto = window.upto;
                        before.tokens = None;
                    }
                    _ => joined.push(window),
                }
            }
            windows = joined;
        }
    }

    /// Gives away the tokens of `windows`, from where the text is encoded up to `end`.
    fn emit(
        &self,
        pieces: &Pieces,
        windows: &[Window],
        cuts: &[WindowBoundary],
        end: usize,
        out: &mut Out,
    ) -> Result<()> {
        let first = match self.done {
            0 => 0,
            done => windows[0].list().partition_point(|t| t.from < done),
        };
        let mut starts = vec![(self.done, first)];
        starts.extend(cuts.iter().map(|cut| (cut.at, cut.after)));
        let parts: Vec<(&Window, Range<usize>, &[TokenSpan])> = windows
            .iter()
            .enumerate()
            .map(|(n, window)| {
                let (from, first) = starts[n];
                let (upto, last) = cuts
                    .get(n)
                    .map_or((end, window.list().len()), |cut| (cut.at, cut.before));
                (window, from..upto, &window.list()[first..last])
            })
            .collect();
        let losses: Vec<DecodingLosses> = parts
            .par_iter()
            .map(|(window, part, own)| {
                let ids: Vec<u32> = window.list().iter().map(|t| t.id).collect();
                let own: Vec<u32> = own.iter().map(|t| t.id).collect();
                let whole = &self.text[window.from..window.upto];
                losses(pieces, whole, &ids, &self.text[part.clone()], &own)
            })
            .collect();
        for ((window, part, own), mut lost) in parts.into_iter().zip(losses) {
            out.ids.extend(own.iter().map(|t| t.id));
            let length = window.upto - window.from;
            if length > pieces.cutting().longest() {
                lost.uncut = length as u64;
            }
            out.losses.add(lost);
            pieces.dropped(&self.text[window.from..window.upto], &mut |c, at| {
                let at = window.from + at;
                if part.contains(&at) {
                    (out.dropped)(c, self.at + at as u64);
                }
            })?;
        }
        Ok(())
    }
}

impl Window {
    /// Its tokens.
    fn list(&self) -> &[TokenSpan] {
        self.tokens.as_ref().map_or(&[], |tokens| &tokens.list)
    }
}

/// The tokens of a part of a text that begins at byte `at`.
fn tokens(pieces: &Pieces, text: &str, part: Range<usize>, at: u64) -> Result<WindowTokens> {
    let own = &text[part.clone()];
    let encode = || pieces.tokenizer().encode(own, false);
    let failed = |e| pieces.failed(e, own, at + part.start as u64);
    let found = guarded(encode)?.map_err(failed)?;
    let list: Vec<TokenSpan> = found
        .get_ids()
        .iter()
        .zip(found.get_offsets())
        .map(|(id, (from, upto))| TokenSpan {
            id: *id,
            from: part.start + from,
            upto: part.start + upto,
        })
        .collect();
    let ordered = list.is_sorted_by_key(|t| t.from);
    Ok(WindowTokens { list, ordered })
}

/// The tokens that begin within `agree` bytes of `at`.
fn near(list: &[TokenSpan], at: usize, agree: usize) -> &[TokenSpan] {
    let from = list.partition_point(|t| t.from < at.saturating_sub(agree));
    let upto = list.partition_point(|t| t.from < at + agree);
    &list[from..upto.max(from)]
}

/// Where the text can go over from a window to the next: at white space if there is some, as near the middle as can be.
fn cut(text: &str, before: &Window, after: &Window, cutting: &Cutting) -> Option<WindowBoundary> {
    let ordered = |w: &Window| w.tokens.as_ref().is_some_and(|tokens| tokens.ordered);
    if !ordered(before) || !ordered(after) {
        return None;
    }
    let (one, two) = (before.list(), after.list());
    let begin = |list: &[TokenSpan], at: usize| list.partition_point(|t| t.from < at);
    let first = begin(one, after.middle.saturating_sub(cutting.reach)).max(1);
    let last = begin(one, after.middle + cutting.reach + 1).max(first);
    let mut places: Vec<WindowBoundary> = (first..last)
        .map(|n| WindowBoundary {
            at: one[n].from,
            before: n,
            after: begin(two, one[n].from),
        })
        .collect();
    let spaced = |at: usize| {
        let borders = [text[..at].chars().next_back(), text[at..].chars().next()];
        borders.into_iter().flatten().any(char::is_whitespace)
    };
    places.retain(|place| text.is_char_boundary(place.at));
    places.sort_by_key(|place| (!spaced(place.at), place.at.abs_diff(after.middle)));
    let parts = |list: &[TokenSpan], n: usize, at: usize| {
        n > 0 && list.get(n).is_some_and(|t| t.from == at) && {
            let left = list[n - 1];
            left.from < at && left.upto <= at
        }
    };
    places.into_iter().find(|place| {
        let at = place.at;
        parts(one, place.before, at)
            && parts(two, place.after, at)
            && near(one, at, cutting.agree) == near(two, at, cutting.agree)
    })
}

/// The last place up to `at` that lies between characters.
fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// What is lost of `part` of `whole`, a text with `ids` of which `own` are those of the part.
pub(super) fn losses(
    pieces: &Pieces,
    whole: &str,
    ids: &[u32],
    part: &str,
    own: &[u32],
) -> DecodingLosses {
    let count = |text: &str| text.matches('\n').count() as u64;
    let back = pieces.decode(ids);
    let mut losses = DecodingLosses {
        line_ends: count(part),
        ..DecodingLosses::default()
    };
    if back.trim() == whole.trim() {
        return losses;
    }
    if count(back.trim()) < count(whole.trim()) {
        let mut known: HashMap<u32, u64> = HashMap::new();
        let ends = |id: &u32| {
            *known
                .entry(*id)
                .or_insert_with(|| count(&pieces.decode(&[*id])))
        };
        let kept: u64 = own.iter().map(ends).sum();
        losses.lost_line_ends = losses.line_ends.saturating_sub(kept);
    }
    losses.example = difference(whole, &back, losses.lost_line_ends > 0);
    losses
}

#[cfg(test)]
mod tests;
