//! Fuzzes `hostile::tokenizer`.
#![no_main]

#[path = "../hostile.rs"]
mod hostile;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::tokenizer(bytes));
