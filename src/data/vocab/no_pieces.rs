//! In a build without the feature `subwords`: there are no sub-words, and whoever asks for them is told so.

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

    pub fn encode(&self, _: Vec<String>) -> Result<Vec<Vec<u32>>> {
        match *self {}
    }

    pub fn dropped(&self, _: &str, _: &mut dyn FnMut(char, usize)) -> Result<()> {
        match *self {}
    }

    pub fn decode(&self, _: &[u32]) -> String {
        match *self {}
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
