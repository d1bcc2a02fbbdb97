//! What opens and closes in order.

use super::Draw;

/// `pairs` times open and close: whether something opens, step by step. While both can be, either is as likely.
pub fn steps(draw: &mut Draw, pairs: usize) -> Vec<bool> {
    let (mut unopened, mut open) = (pairs, 0);
    let mut steps = Vec::with_capacity(2 * pairs);
    while unopened + open > 0 {
        let opens = open == 0 || unopened > 0 && draw.coin();
        if opens {
            unopened -= 1;
            open += 1;
        } else {
            open -= 1;
        }
        steps.push(opens);
    }
    steps
}
