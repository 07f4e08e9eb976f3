//! `?` in a handler: the handler calls a function that returns a `Result`, and `run` ends with its error.
//!
//! A handler has no caller that could take an error, because C calls it. [`Group::run`] has a way out: a handler that
//! returns `Break(value)` ends the run, and the value comes back as [`Ended::Broke`]. The function below uses `?` as
//! anywhere else.

use std::error::Error;
use std::ops::ControlFlow::{Break, Continue};

use cpg::{Ended, Event, Group, Limits};

/// Adds up the numbers that members send; the word "end" ends it.
#[derive(Default)]
struct Sum {
    sum: i64,
    ended: bool,
}

impl Sum {
    fn handle(&mut self, event: &Event<'_>) -> Result<(), Box<dyn Error>> {
        if let Event::Deliver(message) = event {
            match std::str::from_utf8(message.payload())? {
                "end" => self.ended = true,
                number => {
                    let parsed: Result<i64, _> = number.parse();
                    self.sum += parsed.map_err(|error| format!("'{number}': {error}"))?;
                }
            }
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut group = Group::join("idioms")?;
    let mut sum = Sum::default();
    let ended = group.run(Limits::forever(), |_, event| match sum.handle(&event) {
        Ok(()) if sum.ended => Break(Ok(())),
        Ok(()) => Continue(()),
        Err(error) => Break(Err(error)),
    })?;
    // The group is still joined: what ended is the run.
    group.leave()?;
    if let Ended::Broke(result) = ended {
        result?;
    }
    println!("sum {}", sum.sum);
    Ok(())
}
