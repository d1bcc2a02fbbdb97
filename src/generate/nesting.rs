//! What opens and closes in order.

use super::Draw;

/// A line in which so many `pairs` of what opens and what closes it stand, each closed before those around it. While something
/// can open and something can close, either is as likely.
pub fn line(
    draw: &mut Draw,
    pairs: usize,
    mut pair: impl FnMut(&mut Draw) -> (String, String),
) -> String {
    let (mut text, mut open) = (String::new(), Vec::new());
    let mut unopened = pairs;
    while unopened > 0 || !open.is_empty() {
        if open.is_empty() || unopened > 0 && draw.coin() {
            let (opens, closes) = pair(draw);
            text.push_str(&opens);
            open.push(closes);
            unopened -= 1;
        } else if let Some(closes) = open.pop() {
            text.push_str(&closes);
        }
    }
    text.push('\n');
    text
}
