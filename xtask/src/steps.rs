//! Prints a run of named steps: what starts, how it ended, how long it took, and the sum at the end.
//! It must not know what any step does.

use std::time::{Duration, Instant};

use crate::Failure;
use crate::run::{Counts, Outcome};

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Passed,
    Failed(String),
    Skipped(String),
}

/// What a step's work answers when it did not go wrong.
pub(crate) enum Done {
    /// The step did its work; the note, when there is one, is shown in the sum.
    Ran { note: Option<String> },
    /// The step could not be had here, and why.
    Skipped { reason: String },
}

struct Finished {
    name: &'static str,
    end: End,
    note: Option<String>,
    took: Duration,
    counts: Counts,
}

/// A run of steps and what came of each.
pub(crate) struct Steps {
    total: usize,
    fail_fast: bool,
    finished: Vec<Finished>,
    closing_lines: Vec<String>,
    counts: Counts,
    skips: Vec<String>,
    began: Instant,
}

impl Steps {
    /// A run of `total` steps; with `fail_fast` the first failure keeps the later ones from starting.
    pub(crate) fn new(total: usize, fail_fast: bool) -> Steps {
        Steps {
            total,
            fail_fast,
            finished: Vec::new(),
            closing_lines: Vec::new(),
            counts: Counts::default(),
            skips: Vec::new(),
            began: Instant::now(),
        }
    }

    /// Runs one step and shows how it ended. The step reports test runs through the given [`Tally`].
    pub(crate) fn step(
        &mut self,
        name: &'static str,
        about: &str,
        work: impl FnOnce(&mut Tally) -> Result<Done, Failure>,
    ) {
        if self.fail_fast && self.any_failed() {
            self.finish(
                name,
                End::Skipped("an earlier step failed".into()),
                None,
                Duration::ZERO,
                Counts::default(),
            );
            return;
        }
        eprintln!(
            "\n==> [{}/{}] {name}: {about}",
            self.finished.len() + 1,
            self.total
        );
        let began = Instant::now();
        let mut tally = Tally::default();
        let result = work(&mut tally);
        let (end, note) = match result {
            Ok(Done::Ran { note }) => (End::Passed, note),
            Ok(Done::Skipped { reason }) => (End::Skipped(reason), None),
            Err(failure) => (End::Failed(failure), None),
        };
        match &end {
            End::Passed => eprintln!("==> {name}: passed in {}", seconds(began.elapsed())),
            End::Failed(failure) => eprintln!(
                "==> {name}: FAILED after {}: {failure}",
                seconds(began.elapsed())
            ),
            End::Skipped(reason) => eprintln!("==> {name}: skipped: {reason}"),
        }
        self.closing_lines.append(&mut tally.closing_lines);
        self.skips.append(&mut tally.skips);
        self.finish(name, end, note, began.elapsed(), tally.counts);
    }

    fn finish(
        &mut self,
        name: &'static str,
        end: End,
        note: Option<String>,
        took: Duration,
        counts: Counts,
    ) {
        self.counts.add(counts);
        self.finished.push(Finished {
            name,
            end,
            note,
            took,
            counts,
        });
    }

    fn any_failed(&self) -> bool {
        self.finished
            .iter()
            .any(|step| matches!(step.end, End::Failed(_)))
    }

    /// Shows the sum: each step's time and end, what was skipped, the runners' closing lines and the count of tests.
    pub(crate) fn close(self) -> Result<(), Failure> {
        println!("\nSteps, in {}:", seconds(self.began.elapsed()));
        for step in &self.finished {
            let end = match &step.end {
                End::Passed => "passed",
                End::Failed(_) => "FAILED",
                End::Skipped(_) => "skipped",
            };
            let mut line = format!("  {:<9} {:<8} {:>8}", step.name, end, seconds(step.took));
            if step.counts != Counts::default() {
                line.push_str(&format!(
                    "  {} tests",
                    step.counts.passed + step.counts.failed
                ));
            }
            match &step.end {
                End::Failed(why) | End::Skipped(why) => line.push_str(&format!("  {why}")),
                End::Passed => {
                    if let Some(note) = &step.note {
                        line.push_str(&format!("  {note}"));
                    }
                }
            }
            println!("{line}");
        }
        for skip in &self.skips {
            println!("  not run here: {skip}");
        }
        if !self.closing_lines.is_empty() {
            println!("\nThe runners' own closing lines:");
            for line in &self.closing_lines {
                println!("  {line}");
            }
        }
        let failed: Vec<&str> = self
            .finished
            .iter()
            .filter(|step| matches!(step.end, End::Failed(_)))
            .map(|step| step.name)
            .collect();
        // A step without tests of its own (a lint, the rings) that failed counts as one failure.
        let silent = self
            .finished
            .iter()
            .filter(|step| matches!(step.end, End::Failed(_)) && step.counts.failed == 0)
            .count() as u64;
        println!();
        println!(
            "{} passed, {} failed, {} skipped",
            self.counts.passed,
            self.counts.failed + silent,
            self.counts.skipped
        );
        if failed.is_empty() {
            Ok(())
        } else {
            Err(format!(
                "failed: {}. Run one step alone with: cargo xtask test {}",
                failed.join(", "),
                failed[0]
            ))
        }
    }
}

/// What one step gathers while it works.
#[derive(Default)]
pub(crate) struct Tally {
    counts: Counts,
    closing_lines: Vec<String>,
    skips: Vec<String>,
}

impl Tally {
    /// Takes over a test run's counts; a run that failed becomes a failure.
    pub(crate) fn tests(&mut self, outcome: Outcome) -> Result<(), Failure> {
        self.counts.add(outcome.counts);
        self.closing_lines.extend(outcome.closing_lines);
        if outcome.success {
            Ok(())
        } else if outcome.counts.failed > 0 {
            Err(format!("{} tests failed", outcome.counts.failed))
        } else {
            Err("it did not run to its end; see its output above".into())
        }
    }

    /// Says plainly that something was not run, and why.
    pub(crate) fn skip(&mut self, what: String) {
        eprintln!("    not run here: {what}");
        self.skips.push(what);
    }
}

/// A duration as a person reads it.
fn seconds(duration: Duration) -> String {
    if duration.as_secs() < 60 {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!(
            "{} min {:02} s",
            duration.as_secs() / 60,
            duration.as_secs() % 60
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran() -> Result<Done, Failure> {
        Ok(Done::Ran { note: None })
    }

    #[test]
    fn a_run_without_failures_ends_well_even_when_a_step_was_skipped() {
        let mut steps = Steps::new(2, false);
        steps.step("one", "works", |_| ran());
        steps.step("two", "is not to be had", |_| {
            Ok(Done::Skipped {
                reason: "no such tool".into(),
            })
        });
        assert_eq!(steps.close(), Ok(()));
    }

    #[test]
    fn one_failure_fails_the_whole_and_names_its_step() {
        let mut steps = Steps::new(2, false);
        let mut later_ran = false;
        steps.step("one", "fails", |_| Err("broken".into()));
        steps.step("two", "works", |_| {
            later_ran = true;
            ran()
        });
        assert!(
            steps
                .close()
                .is_err_and(|why| why.contains("one") && !why.contains("two"))
        );
        assert!(later_ran);
    }

    #[test]
    fn failing_fast_starts_no_later_step() {
        let mut steps = Steps::new(2, true);
        let mut later_ran = false;
        steps.step("one", "fails", |_| Err("broken".into()));
        steps.step("two", "works", |_| {
            later_ran = true;
            ran()
        });
        assert!(steps.close().is_err());
        assert!(!later_ran);
    }

    #[test]
    fn a_test_run_that_failed_fails_its_step() {
        let mut tally = Tally::default();
        let counts = Counts {
            passed: 3,
            failed: 1,
            skipped: 0,
        };
        let outcome = Outcome {
            success: false,
            counts,
            closing_lines: vec!["3 passed, 1 failed".into()],
        };
        assert!(
            tally
                .tests(outcome)
                .is_err_and(|why| why.contains("1 tests failed"))
        );
        assert!(tally.tests(Outcome::default()).is_err());
    }
}
