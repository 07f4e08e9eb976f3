//! Running programs in tests. The message of a failure has the program, its status and its output.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::cluster;
use crate::error::{Error, Result};

const POLL: Duration = Duration::from_millis(1);

/// Runs a program that must succeed, and returns its output. The program has no input unless the command sets one.
///
/// # Panics
///
/// Panics if the program cannot be run, or if its status is not success. The message has the command, the status and
/// standard error.
#[track_caller]
pub fn succeed(command: &mut Command) -> Output {
    let output = run(command);
    assert_success(command, &output);
    output
}

/// Runs a program to its end, with any status. The program has no input unless the command sets one.
///
/// # Panics
///
/// Panics if the program cannot be run.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{}: {error}", name(command)))
}

/// Asserts that a program has succeeded.
///
/// # Panics
///
/// Panics if the program has not succeeded. The message is that of [`succeed`].
#[track_caller]
pub fn assert_success(command: &Command, output: &Output) {
    assert_code(command, output, 0);
}

/// Asserts that a program has exited with this status, and was not killed.
///
/// # Panics
///
/// Panics if the program has ended in another way. The message is that of [`succeed`].
#[track_caller]
pub fn assert_code(command: &Command, output: &Output, code: i32) {
    assert!(output.status.code() == Some(code), "{}{}", describe(command, output), wanted(code));
}

/// Asserts that a child has exited with this status, and was not killed. `errors` is its standard error if the test has
/// read it; else standard error is in the output of the test already.
///
/// # Panics
///
/// Panics if the child has ended in another way. The message has the name, the status and the errors.
#[track_caller]
pub fn assert_ended(name: &str, status: ExitStatus, code: i32, errors: &str) {
    assert!(status.code() == Some(code), "{}{}", described(name, status, errors), wanted(code));
}

fn wanted(code: i32) -> String {
    if code == 0 { String::new() } else { format!("\nExpected was status {code}.") }
}

/// Returns a text with the command, its status and its output, for a test that asserts more than success.
pub fn describe(command: &Command, output: &Output) -> String {
    let mut text = described(&name(command), output.status, &String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8_lossy(&output.stdout);
    if !printed.trim().is_empty() {
        write!(text, "\nOn standard output:\n{}", printed.trim_end()).expect("a String takes everything");
    }
    text
}

fn described(name: &str, status: ExitStatus, errors: &str) -> String {
    let errors = errors.trim_end();
    let (separator, errors) =
        if errors.is_empty() { (" ", "nothing on standard error") } else { ("\n", errors) };
    format!("{name}: {status}:{separator}{errors}")
}

/// Returns the program with its arguments, without the words that enter a node.
pub(crate) fn name(command: &Command) -> String {
    let words: Vec<&OsStr> = [command.get_program()].into_iter().chain(command.get_args()).collect();
    let (words, place) = match cluster::without_entering(&words) {
        Some(words) => (words, " on a node"),
        None => (words.as_slice(), ""),
    };
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    format!("`{}`{place}", words.join(" "))
}

/// Runs a program that prints little. Kills it and returns `None` if it has not ended by the deadline: a program that
/// asks a paused daemon would wait for ever.
pub(crate) fn run_until(command: &mut Command, deadline: Instant) -> Result<Option<Output>> {
    let failed = |command: &Command| Error::system(name(command));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed(command))?;
    let mut in_time = true;
    while child.try_wait().map_err(failed(command))?.is_none() {
        if Instant::now() >= deadline {
            in_time = false;
            child.kill().map_err(failed(command))?;
            break;
        }
        thread::sleep(POLL);
    }
    let output = child.wait_with_output().map_err(failed(command))?;
    Ok(in_time.then_some(output))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn message(action: impl FnOnce() + std::panic::UnwindSafe) -> String {
        *std::panic::catch_unwind(action).unwrap_err().downcast().unwrap()
    }

    #[test]
    fn the_message_of_a_failed_child_has_its_name_its_status_and_its_errors() {
        assert_eq!(succeed(&mut shell("echo well")).stdout, b"well\n");
        let told = message(|| drop(succeed(&mut shell("echo said; echo why >&2; exit 3"))));
        assert!(told.starts_with("`sh -c echo said; "), "{told}");
        assert!(told.ends_with("`: exit status: 3:\nwhy\nOn standard output:\nsaid"), "{told}");
        let told = message(|| drop(succeed(&mut shell("kill -KILL $$"))));
        assert!(told.ends_with("signal: 9 (SIGKILL): nothing on standard error"), "{told}");
        let told = message(|| drop(run(&mut Command::new("no-such-program"))));
        assert!(told.starts_with("`no-such-program`: No such file"), "{told}");
        let status = run(&mut shell("exit 4")).status;
        let told = message(|| assert_ended("chat", status, 0, "no daemon\n"));
        assert_eq!(told, "chat: exit status: 4:\nno daemon");
        let told = message(|| assert_ended("chat", status, 5, ""));
        assert_eq!(told, "chat: exit status: 4: nothing on standard error\nExpected was status 5.");
        assert_ended("chat", status, 4, "");
    }

    #[test]
    fn a_program_that_does_not_end_is_killed_at_the_deadline() {
        let soon = Instant::now() + Duration::from_millis(20);
        assert!(run_until(Command::new("sleep").arg("1000"), soon).unwrap().is_none());
        let later = Instant::now() + Duration::from_secs(20);
        assert_eq!(run_until(&mut shell("exit 3"), later).unwrap().unwrap().status.code(), Some(3));
        let failed = run_until(&mut Command::new("no-such-program"), later).unwrap_err();
        assert!(failed.to_string().starts_with("`no-such-program`: No such file"), "{failed}");
    }
}
