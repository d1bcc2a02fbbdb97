fn main() {
    for n in wgrnn::cell::library::names() {
        let c = wgrnn::cell::library::builtin(n).unwrap();
        let k = c.compile();
        println!(
            "== {n} {} saved {} deltas {} scratch {} {:?} {:?}\nF\n{}B\n{}I\n{}",
            c.summary(&k),
            k.saved,
            k.deltas,
            k.scratch,
            k.lane_delta,
            k.vector_delta,
            c.equations(&k.forward),
            c.equations(&k.backward),
            c.equations(std::slice::from_ref(&k.initial))
        );
    }
}
