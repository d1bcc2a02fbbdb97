//! Sets of notes as a standard MIDI file: format 0, a step a quarter note, a note that goes on is held.

/// Ticks of a quarter note.
const QUARTER: u32 = 480;
/// How hard keys are struck, 0 to 127.
const VELOCITY: u8 = 72;
const NOTE_ON: u8 = 0x90;
const NOTE_OFF: u8 = 0x80;

/// A number in groups of seven bits, of which all but the last have the highest bit.
fn variable_length(n: u32, into: &mut Vec<u8>) {
    let mut groups = vec![(n & 0x7F) as u8];
    let mut rest = n >> 7;
    while rest > 0 {
        groups.push((rest & 0x7F) as u8 | 0x80);
        rest >>= 7;
    }
    into.extend(groups.iter().rev());
}

/// The bytes of a file that plays the steps one after another, each a list of keys; keys above 127 are left out.
pub fn file(steps: &[Vec<u32>]) -> Vec<u8> {
    let mut track = Vec::new();
    let mut waited = 0;
    let mut sounding: Vec<u8> = Vec::new();
    let empty = Vec::new();
    for step in steps.iter().chain([&empty]) {
        let keys: Vec<u8> = step
            .iter()
            .filter_map(|key| u8::try_from(*key).ok().filter(|key| *key < 128))
            .collect();
        let ends = sounding.iter().filter(|key| !keys.contains(key));
        let ends = ends.map(|key| (NOTE_OFF, *key));
        let begins = keys.iter().filter(|key| !sounding.contains(key));
        let begins = begins.map(|key| (NOTE_ON, *key));
        for (status, key) in ends.chain(begins) {
            variable_length(waited, &mut track);
            track.extend([status, key, VELOCITY]);
            waited = 0;
        }
        sounding = keys;
        waited += QUARTER;
    }
    track.extend([0, 0xFF, 0x2F, 0]);
    let mut file = b"MThd".to_vec();
    file.extend(6u32.to_be_bytes());
    for word in [0, 1, QUARTER as u16] {
        file.extend(word.to_be_bytes());
    }
    file.extend(b"MTrk");
    file.extend((track.len() as u32).to_be_bytes());
    file.extend(track);
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_notes_begin_and_end_once() {
        let bytes = file(&[vec![60, 64], vec![60], vec![], vec![300]]);
        let head = b"MThd\0\0\0\x06\0\0\0\x01\x01\xE0MTrk";
        assert_eq!(&bytes[..head.len()], head);
        let track = &bytes[head.len() + 4..];
        let length = bytes[head.len()..head.len() + 4].try_into().unwrap();
        assert_eq!(u32::from_be_bytes(length) as usize, track.len());
        // 480 ticks are 0x83 0x60.
        let want: &[u8] = &[
            0, 0x90, 60, 72, 0, 0x90, 64, 72, // both begin
            0x83, 0x60, 0x80, 64, 72, // one ends a quarter later
            0x83, 0x60, 0x80, 60, 72, // the other after two
            0, 0xFF, 0x2F, 0,
        ];
        assert_eq!(track, want);
        let mut wide = Vec::new();
        variable_length(0x0FFF_FFFF, &mut wide);
        assert_eq!(wide, [0xFF, 0xFF, 0xFF, 0x7F]);
    }
}
