//! Fuzzes `hostile::corpus`.
#![no_main]

#[path = "../hostile.rs"]
mod hostile;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::corpus(bytes));
