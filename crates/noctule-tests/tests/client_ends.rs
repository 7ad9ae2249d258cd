//! The client's session against the broker, over links and processes that die; `xtask simulate`
//! runs more of it.

use noctule_tests::ends::run;
use noctule_tests::sim::Coverage;

#[test]
fn nothing_is_lost_or_handled_twice_whatever_breaks_at_either_end() {
    let mut total = Coverage::default();
    for seed in 0..200 {
        match run(seed, false) {
            Ok(coverage) => total.add(&coverage),
            Err(broken) => panic!("{broken}"),
        }
    }
    assert_eq!(total.never().next(), None, "{total}");
    println!("{total}");
}
