//! The machine of the measurements.

use std::fs;
use std::process::Command;

use serde::Serialize;

/// The properties of the machine on which the figures depend.
#[derive(Debug, Serialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub kernel: String,
    pub corosync: String,
    pub compilers: String,
    pub date: String,
}

impl Machine {
    pub fn this() -> Self {
        let unknown = |why: &dyn std::fmt::Display| format!("unknown ({why})");
        let cpu = match fs::read_to_string("/proc/cpuinfo") {
            Ok(text) => {
                let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
                model.map_or_else(|| unknown(&"/proc/cpuinfo has no model name"), |(_, name)| name.to_owned())
            }
            Err(error) => unknown(&error),
        };
        let said = |program: &str, argument: &str| {
            let output = testcluster::find(program).map_err(|error| error.to_string()).and_then(|path| {
                Command::new(path).arg(argument).output().map_err(|error| error.to_string())
            });
            match output {
                Ok(output) => {
                    let text = String::from_utf8_lossy(&output.stdout);
                    text.lines().next().map_or_else(|| unknown(&output.status), str::to_owned)
                }
                Err(error) => unknown(&error),
            }
        };
        Self {
            cpu,
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: said("uname", "-sr"),
            corosync: said("corosync", "-v"),
            compilers: format!("{}; {}", said("rustc", "--version"), said("cc", "--version")),
            date: said("date", "+%Y-%m-%d"),
        }
    }
}
