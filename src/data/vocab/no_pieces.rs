//! In a build without the feature `subwords`: there are no sub-words, and whoever asks for them is told so.

use super::losses::DecodingLosses;
use crate::error::{Error, Result};

/// There is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::data) enum Pieces {}

fn missing() -> Error {
    Error::usage("this program was built without sub-words (the feature subwords)")
}

impl Pieces {
    pub fn new(_: &[u8], _: bool) -> Result<Self> {
        Err(missing())
    }

    pub fn len(&self) -> usize {
        match *self {}
    }

    pub fn lines(&self) -> bool {
        match *self {}
    }

    pub fn json(&self) -> &str {
        match *self {}
    }

    pub fn own(&self) -> u32 {
        match *self {}
    }

    pub fn newline(&self) -> Option<u32> {
        match *self {}
    }

    pub fn unknown(&self) -> Option<u32> {
        match *self {}
    }

    pub fn joining(&self) -> Joining {
        match *self {}
    }

    pub fn is_byte(&self, _: u32) -> bool {
        match *self {}
    }

    pub fn encode_lines(&self, _: &[(String, u64)]) -> Result<Vec<(Vec<u32>, DecodingLosses)>> {
        match *self {}
    }

    pub fn dropped(&self, _: &str, _: &mut dyn FnMut(char, usize)) -> Result<()> {
        match *self {}
    }

    pub fn decode(&self, _: &[u32]) -> String {
        match *self {}
    }
}

/// What a decoder of sub-words would do.
#[expect(dead_code, reason = "there is no decoder")]
pub(super) enum Joining {
    Plain,
    Bytes,
    Whole,
}

/// Takes what is found.
#[expect(dead_code, reason = "nothing is found")]
pub(super) struct Out<'a> {
    pub ids: &'a mut Vec<u32>,
    pub losses: &'a mut DecodingLosses,
    pub dropped: &'a mut dyn FnMut(char, u64),
}

/// Encodes nothing.
#[derive(Default)]
pub(super) struct PieceStream;

impl PieceStream {
    pub fn is_empty(&self) -> bool {
        true
    }

    pub fn push(&mut self, _: &str, _: u64) {}

    pub fn advance(&mut self, pieces: &Pieces, _: &mut Out) -> Result<()> {
        match *pieces {}
    }

    pub fn finish(&mut self, pieces: &Pieces, _: &mut Out) -> Result<()> {
        match *pieces {}
    }
}

/// Counts nothing.
#[derive(Default)]
pub(super) struct PieceCounts;

impl PieceCounts {
    pub fn add(&mut self, _: &str) {}

    pub fn finish(self, _: u64, _: Option<usize>, _: bool) -> Result<Pieces> {
        Err(missing())
    }
}
