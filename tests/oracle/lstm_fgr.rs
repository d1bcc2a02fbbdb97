//! The LSTM with full gate recurrence of Greff 2015: lstm-peephole whose gates i, f, o also get the PREVIOUS i, f, o,
//! each through a matrix of its own; order g, i, f, o, and i, f, o in those matrices.

use super::layer::{Back, Cell, Parameters, States, Step, Was, linear};
use super::lstm_peephole::{gates, gates_backward};

/// See the head of this file.
pub struct LstmFgr;

/// The matrices [3H, H] that multiply the previous i, f, o, which are states 2, 3, 4.
const RECURRENT: [(&str, usize); 3] = [
    ("weight_prev_i", 2),
    ("weight_prev_f", 3),
    ("weight_prev_o", 4),
];

impl Cell for LstmFgr {
    fn name(&self) -> &'static str {
        "lstm-fgr"
    }

    fn states(&self) -> &'static [&'static str] {
        &["h", "c", "i", "f", "o"]
    }

    fn parameters(&self, d: usize, h: usize) -> Vec<(&'static str, usize)> {
        let recurrent = RECURRENT.map(|(name, _)| (name, 3 * h * h));
        let others = [
            ("weight_ih", 4 * h * d),
            ("weight_hh", 4 * h * h),
            ("bias_ih", 4 * h),
            ("peep", 3 * h),
        ];
        [&others[..], &recurrent[..]].concat()
    }

    fn forward(&self, p: &Parameters, x: &[f64], old: &[Vec<f64>]) -> Step {
        let h = old[0].len();
        let terms = [("weight_ih", x), ("weight_hh", &old[0])];
        let mut a = linear(p, &terms, &["bias_ih"]);
        // g gets nothing from the gates.
        let terms = RECURRENT.map(|(name, state)| (name, &old[state][..]));
        for (a, more) in a[h..].iter_mut().zip(linear(p, &terms, &[])) {
            *a += more;
        }
        let mut step = gates(a, &p["peep"], &old[1]);
        for gate in 1..4 {
            step.new.push(step.kept[gate * h..][..h].to_vec());
        }
        step
    }

    fn backward(&self, back: &mut Back, was: &Was, dnew: &[Vec<f64>], dx: &mut [f64]) -> States {
        let h = was.old[0].len();
        let (da, dc_old) = gates_backward(back, was, dnew, &dnew[2..].concat());
        let mut dold = vec![vec![0.0; h]; 5];
        back.product("weight_ih", &da, was.x, dx);
        back.product("weight_hh", &da, &was.old[0], &mut dold[0]);
        back.vector("bias_ih", 0, &da);
        dold[1] = dc_old;
        for (name, state) in RECURRENT {
            back.product(name, &da[h..], &was.old[state], &mut dold[state]);
        }
        dold
    }
}
