//! Worlds in which somebody else is let into a part of a space: they are shown what is there, whatever
//! history is dropped and whatever is redacted.

mod reports;

fn run(seeds: impl IntoIterator<Item = u64>) -> Vec<stead_sim::Report> {
    reports::of(stead_sim::run_guests, seeds)
}

#[test]
fn who_is_let_into_a_part_is_shown_what_is_there() {
    let half = std::thread::spawn(move || run(0..30));
    let mut reports = run(30..60);
    reports.extend(half.join().expect("the first worlds end as they must"));
    let sum = |of: fn(&stead_sim::Report) -> u64| reports.iter().map(of).sum::<u64>();
    let (shown, checkpoints) = (sum(|it| it.shown), sum(|it| it.checkpoints));
    let dropped = sum(|it| it.dropped);
    assert!(
        shown > 100 && checkpoints > 50 && dropped > 500,
        "{shown}, {checkpoints}, {dropped}"
    );
}

/// Checkpoints by devices whose clocks are ahead, and redactions that are held back: a document that differed, and
/// checkpoints made without end.
#[test]
fn worlds_with_a_guest_that_redact_all_the_time_end_equal_without_exception() {
    run([491, 20_249]);
}
