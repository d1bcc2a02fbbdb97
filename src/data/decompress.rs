//! Compressed texts: gzip and zstd, known by their first bytes, not by their names.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use flate2::bufread::GzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// Bytes that are read from a file at a time.
const BUFFER: usize = 256 << 10;

/// Why a text could not be read.
#[derive(Debug)]
pub(super) enum ReadFault {
    /// The reading itself failed.
    Io(io::Error),
    /// The compressed bytes end too early; the format.
    Short(&'static str),
    /// The compressed bytes are not what they should be; the format and the fault.
    Damaged(&'static str, String),
}

/// The text that bytes stand for, decompressed where they are compressed.
pub(super) struct Decompressed<'a> {
    inner: Decompressor<'a>,
    /// Whether the raw bytes came to their end.
    ended: Rc<Cell<bool>>,
    /// Whether reading the raw bytes failed.
    failed: Rc<Cell<bool>>,
}

type Raw<'a> = BufReader<Watched<'a>>;

enum Decompressor<'a> {
    Plain(Raw<'a>),
    Gzip(Box<Gzip<'a>>),
    Zstd(Box<Zstd<'a>>),
}

impl<'a> Decompressed<'a> {
    /// Looks at the first bytes of `raw`.
    pub fn new(raw: Box<dyn Read + 'a>) -> Result<Self, ReadFault> {
        let (ended, failed) = (Rc::default(), Rc::default());
        let watched = Watched {
            raw,
            first: Vec::new(),
            ended: Rc::clone(&ended),
            failed: Rc::clone(&failed),
        };
        let mut raw = BufReader::with_capacity(BUFFER, watched);
        raw.get_mut().look_ahead(4).map_err(ReadFault::Io)?;
        let inner = match raw.get_ref().first.as_slice() {
            [0x1f, 0x8b, ..] => Decompressor::Gzip(Box::new(Gzip(Some(GzDecoder::new(raw))))),
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => {
                Decompressor::Zstd(Box::new(Zstd {
                    raw,
                    frame: FrameDecoder::new(),
                    open: false,
                }))
            }
            _ => Decompressor::Plain(raw),
        };
        Ok(Decompressed {
            inner,
            ended,
            failed,
        })
    }

    /// The program that decompresses it, where it is compressed.
    pub fn packed(&self) -> Option<&'static str> {
        match self.inner {
            Decompressor::Plain(_) => None,
            Decompressor::Gzip(_) => Some("gzip"),
            Decompressor::Zstd(_) => Some("zstd"),
        }
    }

    /// Fills `bytes` as far as the text goes; less than all of them at its end.
    pub fn fill(&mut self, bytes: &mut [u8]) -> Result<usize, ReadFault> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.read(&mut bytes[filled..])? {
                0 => break,
                more => filled += more,
            }
        }
        Ok(filled)
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, ReadFault> {
        let (format, read) = match &mut self.inner {
            Decompressor::Plain(raw) => return retry(|| raw.read(bytes)).map_err(ReadFault::Io),
            Decompressor::Gzip(gzip) => ("gzip", retry(|| gzip.read(bytes))),
            Decompressor::Zstd(zstd) => ("zstd", zstd.read(bytes)),
        };
        read.map_err(|e| match (self.failed.get(), self.ended.get()) {
            (true, _) => ReadFault::Io(e),
            // gzip says so itself; zstd has many ways to, all of them at the end of the bytes.
            (_, true) if format == "zstd" || e.kind() == io::ErrorKind::UnexpectedEof => {
                ReadFault::Short(format)
            }
            _ => ReadFault::Damaged(format, e.to_string().replace('\n', " ")),
        })
    }
}

fn retry(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Members of gzip, one after another, and after the last one zeros, with which tapes and disks are filled up.
struct Gzip<'a>(Option<GzDecoder<Raw<'a>>>);

impl Gzip<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(member) = &mut self.0 else {
                return Ok(0);
            };
            let read = member.read(bytes)?;
            if read > 0 {
                return Ok(read);
            }
            let raw = member.get_mut();
            let next = raw.fill_buf()?.first().copied();
            match next {
                Some(0x1f) => self.0 = self.0.take().map(|m| GzDecoder::new(m.into_inner())),
                None | Some(0) => {
                    zeros(raw)?;
                    self.0 = None;
                }
                Some(_) => return Err(strange()),
            }
        }
    }
}

/// Reads on to the end, over zeros alone.
fn zeros(raw: &mut impl BufRead) -> io::Result<()> {
    loop {
        let bytes = raw.fill_buf()?;
        let count = bytes.len();
        if bytes.iter().any(|b| *b != 0) {
            return Err(strange());
        }
        if count == 0 {
            return Ok(());
        }
        raw.consume(count);
    }
}

fn strange() -> io::Error {
    io::Error::other(
        "after it come bytes that are not gzip; gzip -dc reads what stands before them",
    )
}

/// Frames of zstd, one after another, with their checksums compared.
struct Zstd<'a> {
    raw: Raw<'a>,
    frame: FrameDecoder,
    /// Whether a frame has begun and not all of it was read.
    open: bool,
}

impl Zstd<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.open {
                if self.raw.fill_buf()?.is_empty() {
                    return Ok(0);
                }
                match self.frame.reset(&mut self.raw) {
                    Ok(()) => self.open = true,
                    Err(FrameDecoderError::ReadFrameHeaderError(
                        ReadFrameHeaderError::SkipFrame { length, .. },
                    )) => {
                        let length = u64::from(length);
                        let skipped = io::copy(&mut (&mut self.raw).take(length), &mut io::sink())?;
                        if skipped < length {
                            return Err(io::ErrorKind::UnexpectedEof.into());
                        }
                        continue;
                    }
                    Err(e) => return Err(io::Error::other(e)),
                }
            }
            if self.frame.can_collect() == 0 && !self.frame.is_finished() {
                let upto = BlockDecodingStrategy::UptoBytes(BUFFER);
                self.frame
                    .decode_blocks(&mut self.raw, upto)
                    .map_err(io::Error::other)?;
            }
            let read = self.frame.read(bytes)?;
            if read > 0 {
                return Ok(read);
            }
            if self.frame.is_finished() && self.frame.can_collect() == 0 {
                let found = self.frame.get_checksum_from_data();
                if found.is_some() && found != self.frame.get_calculated_checksum() {
                    return Err(io::Error::other("its checksum is another"));
                }
                self.open = false;
            }
        }
    }
}

/// Raw bytes, with a note of how their reading ended.
struct Watched<'a> {
    raw: Box<dyn Read + 'a>,
    /// Bytes that were looked at and not yet handed on.
    first: Vec<u8>,
    ended: Rc<Cell<bool>>,
    failed: Rc<Cell<bool>>,
}

impl Watched<'_> {
    fn look_ahead(&mut self, count: u64) -> io::Result<()> {
        let mut first = Vec::new();
        (&mut self.raw).take(count).read_to_end(&mut first)?;
        self.first = first;
        Ok(())
    }
}

impl Read for Watched<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if !self.first.is_empty() {
            let count = bytes.len().min(self.first.len());
            bytes[..count].copy_from_slice(&self.first[..count]);
            self.first.drain(..count);
            return Ok(count);
        }
        let read = self.raw.read(bytes);
        match &read {
            Ok(0) if !bytes.is_empty() => self.ended.set(true),
            Err(e) if e.kind() != io::ErrorKind::Interrupted => self.failed.set(true),
            _ => {}
        }
        read
    }
}
