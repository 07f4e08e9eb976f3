//! Where it was measured.

use std::fs;
use std::process::Command;

use serde::Serialize;

/// What the figures depend on.
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
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/local/sbin:/usr/sbin:/sbin";
        let said = |program: &str, argument: &str| {
            let output = Command::new(program).arg(argument).env("PATH", &path).output();
            let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
            text.ok()
                .and_then(|text| text.lines().next().map(str::to_owned))
                .unwrap_or_else(|| "?".to_owned())
        };
        Self {
            cpu: model.map_or("?", |(_, name)| name).to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: said("uname", "-sr"),
            corosync: said("corosync", "-v"),
            compilers: format!("{}; {}", said("rustc", "--version"), said("cc", "--version")),
            date: said("date", "+%Y-%m-%d"),
        }
    }
}
