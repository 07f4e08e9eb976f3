//! The verdict at the end of a run.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cpg_checker::{Found, History, Process, Property, Report, Source, log};
use serde_json::{Value, json};

use crate::arguments::Options;
use crate::run::Faults;
use cpg_faults::Result;

/// The report of the checker, and what the driver has seen.
pub struct Verdict {
    pub options: Options,
    /// The faults, if they were part of this run.
    pub faults: Option<Faults>,
    pub report: Report,
    /// The lines in the logs of the daemons that report dropped messages.
    pub drops: Vec<String>,
    pub directory: PathBuf,
    /// The reasons why something could not be found out.
    pub undecided: Vec<String>,
}

impl Verdict {
    /// Checks the records and logs in a directory.
    pub fn over(directory: &Path) -> Result<Self> {
        let mut history = History::default();
        let mut drops = Vec::new();
        let mut names: Vec<PathBuf> =
            fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
        names.sort_unstable();
        for path in names {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("records") => history.processes.push(Process { name: stem, source: Source::File(path) }),
                Some("log") => {
                    let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
                    drops.extend(log::drops(&text).map(|line| format!("{stem}: {line}")));
                    if let Some(node) = stem.strip_prefix("node").and_then(|node| node.parse().ok()) {
                        history.rings.insert(node, log::rings(&text));
                    }
                }
                _ => {}
            }
        }
        history.logged_drops = Some(!drops.is_empty());
        Ok(Self {
            options: Options::default(),
            faults: None,
            report: cpg_checker::check(&history)?,
            drops,
            directory: directory.to_owned(),
            undecided: Vec::new(),
        })
    }

    /// Adds the failures that the driver has seen.
    pub fn add_failures(&mut self, failures: Vec<String>) {
        for failure in failures {
            self.report.violation(Property::Convergence, || failure);
        }
    }

    /// Prints the verdict. Returns true if all is well.
    pub fn tell(&self) -> Result<bool> {
        let counts = &self.report.counts;
        let good = self.report.is_good();
        println!("{:>12}  processes, {} memberships", counts.processes, counts.incarnations);
        println!(
            "{:>12}  messages sent: {} refused, {} handed back; tickets: {} resolved, {} failed",
            counts.sent, counts.refused, counts.handed_back, counts.resolved, counts.failed
        );
        println!("{:>12}  deliveries, {} after their sender had left", counts.delivered, counts.late);
        println!("{:>12}  views, {} of rings", counts.views, counts.rings);
        println!(
            "{:>12}  stretches of history compared, with {} messages and views",
            counts.compared, counts.compared_events
        );
        for (breaks, all) in self.faults.iter().flatten() {
            let faults: Vec<String> = all.iter().map(|(name, count)| format!("{count} {name}")).collect();
            println!("{:>12}  {}: {}", all.values().sum::<u64>(), breaks.name(), faults.join(", "));
        }
        println!("{:>12}  children of clients that forked", counts.forks);
        for (index, property) in Property::ALL.into_iter().enumerate() {
            let found = self.report.violations.get(&property);
            println!("{:>12}  violations of {}, {property}", found.map_or(0, |found| found.count), index + 1);
            tell_texts(found, usize::MAX);
        }
        for (known, found) in &self.report.known {
            println!("{:>12}  known: {}", found.count, known.name());
            if !good || self.options.verbose {
                tell_texts(Some(found), 5);
            }
        }
        if !self.drops.is_empty() {
            println!("{:>12}  lines about dropped messages in the logs of corosync", self.drops.len());
            self.drops.iter().take(3).for_each(|line| println!("{:>14}{line}", ""));
        }
        let what = match self.faults {
            Some(_) => format!("seed {}", self.options.seed),
            None => self.directory.display().to_string(),
        };
        let found = match (good, &self.undecided[..]) {
            (true, []) => "all is well".to_owned(),
            (true, texts) => format!("it could not be found out: {}", texts.join("; ")),
            (false, _) => "something is wrong".to_owned(),
        };
        println!("{what}: {found}");
        if let Some(path) = &self.options.json {
            fs::write(path, serde_json::to_string_pretty(&self.json())? + "\n")?;
        }
        if !good || !self.undecided.is_empty() || self.options.keep.is_some() {
            println!("records and logs: {}", self.directory.display());
        } else if self.directory.starts_with(std::env::temp_dir()) {
            fs::remove_dir_all(&self.directory)?;
        }
        if good && !self.undecided.is_empty() {
            return Err("it could not be found out whether all is well".into());
        }
        Ok(good)
    }

    fn json(&self) -> Value {
        let counts = &self.report.counts;
        let found = |found: &Found| json!({ "count": found.count, "texts": found.texts });
        let violations: BTreeMap<&str, Value> = Property::ALL
            .into_iter()
            .map(|property| {
                let of = self.report.violations.get(&property).cloned().unwrap_or_default();
                (property.name(), found(&of))
            })
            .collect();
        let known: BTreeMap<&str, Value> =
            self.report.known.iter().map(|(known, of)| (known.name(), found(of))).collect();
        json!({
            "seed": self.options.seed,
            "nodes": self.options.nodes,
            "seconds": self.options.length.as_secs(),
            "good": self.report.is_good(),
            "undecided": self.undecided,
            "faults": self.faults.iter().flatten().map(|(breaks, all)| (breaks.name(), all)).collect::<BTreeMap<_, _>>(),
            "forks": counts.forks,
            "processes": counts.processes,
            "memberships": counts.incarnations,
            "sent": counts.sent,
            "delivered": counts.delivered,
            "views": counts.views,
            "rings": counts.rings,
            "resolved": counts.resolved,
            "failed": counts.failed,
            "handed_back": counts.handed_back,
            "refused": counts.refused,
            "late": counts.late,
            "compared": counts.compared,
            "compared_events": counts.compared_events,
            "violations": violations,
            "known": known,
            "drops": self.drops,
        })
    }
}

/// Prints the first texts of those that are kept, but no more than the limit.
fn tell_texts(found: Option<&Found>, most: usize) {
    for text in found.into_iter().flat_map(|found| found.texts.iter().take(most)) {
        println!("{:>14}{text}", "");
    }
}
