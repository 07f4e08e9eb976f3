//! The task of one process, and its outcome.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::Result;
use crate::variant::Variant;

/// The kinds of work; `c/load.c` knows the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// Sends as many messages as it can.
    Flood,
    /// Sends one message, waits until it is delivered here, and sends the next.
    Echo,
    /// Sends so many messages per second, each at its time.
    Paced,
    /// Receives the messages of another process, up to the last.
    Receive,
}

impl Job {
    const ALL: [(Self, &str); 4] =
        [(Self::Flood, "flood"), (Self::Echo, "echo"), (Self::Paced, "paced"), (Self::Receive, "receive")];

    fn name(self) -> &'static str {
        let (_, name) = Self::ALL.into_iter().find(|(job, _)| *job == self).expect("all are there");
        name
    }
}

/// The sizes of window and packets, if they are not the defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    pub window: usize,
    pub packet: usize,
}

/// The work of one process.
#[derive(Debug, Clone)]
pub struct Task {
    pub variant: Variant,
    pub job: Job,
    pub group: String,
    pub size: usize,
    pub duration: Duration,
    /// The messages per second of [`Job::Paced`], and 0 for other jobs. The receiver measures latencies if this is not
    /// 0.
    pub rate: f64,
    pub sizes: Option<Sizes>,
}

impl Task {
    /// Returns a task that sends as many messages of this size as possible.
    pub fn flood(variant: Variant, size: usize, duration: Duration) -> Self {
        Self { variant, job: Job::Flood, group: String::new(), size, duration, rate: 0.0, sizes: None }
    }

    /// Returns true if latencies are to be measured.
    pub fn is_timed(&self) -> bool {
        match self.job {
            Job::Flood => false,
            Job::Echo | Job::Paced => true,
            Job::Receive => self.rate > 0.0,
        }
    }

    /// Returns arguments from which [`parse`](Self::parse), or the C program, makes the same task.
    pub fn arguments(&self) -> Vec<String> {
        let mut words = vec![
            self.variant.c_style().unwrap_or(self.variant.name()).to_owned(),
            self.job.name().to_owned(),
            self.group.clone(),
            self.size.to_string(),
            self.duration.as_millis().to_string(),
            self.rate.to_string(),
        ];
        words
            .extend(self.sizes.iter().flat_map(|sizes| [sizes.window.to_string(), sizes.packet.to_string()]));
        words
    }

    pub fn parse(words: &[String]) -> Result<Self> {
        let [variant, job, group, size, duration, rate, sizes @ ..] = words else {
            return Err("a worker needs six arguments".into());
        };
        let sizes = match sizes {
            [window, packet] => Some(Sizes { window: window.parse()?, packet: packet.parse()? }),
            _ => None,
        };
        let (job, _) = Job::ALL.into_iter().find(|(_, name)| name == job).ok_or("no such job")?;
        Ok(Self {
            variant: variant.parse()?,
            job,
            group: group.clone(),
            size: size.parse()?,
            duration: Duration::from_millis(duration.parse()?),
            rate: rate.parse()?,
            sizes,
        })
    }
}

/// The latencies in nanoseconds that half, 99 % and 99.9 % of the messages do not exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Latencies {
    pub p50: u64,
    pub p99: u64,
    pub p999: u64,
}

/// The measurements of a process. Times are in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// The number of messages delivered here.
    pub received: u64,
    /// The time from the first delivery to the last.
    pub span: u64,
    /// The time from the start of sending until the last message was delivered here.
    pub wall: u64,
    /// The CPU time of the whole process during that.
    pub cpu: u64,
    /// The number of times that flow control refused a message, which the program then sent again.
    pub retries: u64,
    pub latencies: Option<Latencies>,
}

impl Outcome {
    /// Returns the messages per second.
    pub fn rate(&self) -> f64 {
        // The time is that between the first and the last.
        self.received.saturating_sub(1) as f64 / self.span.max(1) as f64 * 1e9
    }

    /// Returns the number of cores that the process kept busy.
    pub fn cores(&self) -> f64 {
        self.cpu as f64 / self.wall.max(1) as f64
    }

    /// Returns the CPU seconds per million messages, which are microseconds per message.
    pub fn cpu_per_million(&self) -> f64 {
        self.cpu as f64 / 1e3 / self.received.max(1) as f64
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { received, span, wall, cpu, retries, latencies } = self;
        write!(f, "received {received} span {span} wall {wall} cpu {cpu} retries {retries}")?;
        if let Some(Latencies { p50, p99, p999 }) = latencies {
            write!(f, " p50 {p50} p99 {p99} p999 {p999}")?;
        }
        Ok(())
    }
}

impl FromStr for Outcome {
    type Err = crate::Failure;

    fn from_str(line: &str) -> Result<Self> {
        let mut outcome = Self::default();
        let mut latencies = Latencies::default();
        let unknown = || format!("a worker said {line:?}");
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.is_empty() {
            return Err(unknown().into());
        }
        for pair in words.chunks(2) {
            let [name, number] = pair else { return Err(unknown().into()) };
            let slot = match *name {
                "received" => &mut outcome.received,
                "span" => &mut outcome.span,
                "wall" => &mut outcome.wall,
                "cpu" => &mut outcome.cpu,
                "retries" => &mut outcome.retries,
                "p50" => &mut latencies.p50,
                "p99" => &mut latencies.p99,
                "p999" => &mut latencies.p999,
                _ => return Err(unknown().into()),
            };
            *slot = number.parse()?;
        }
        outcome.latencies = (latencies.p50 > 0).then_some(latencies);
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_survives_the_command_line() {
        let mut task = Task::flood(Variant::Coalesced, 64, Duration::from_millis(250));
        task.group = "g".to_owned();
        task.sizes = Some(Sizes { window: 1 << 20, packet: 4096 });
        let again = Task::parse(&task.arguments()).unwrap();
        assert_eq!(again.arguments(), task.arguments());
        assert_eq!(again.sizes, task.sizes);
    }

    #[test]
    fn an_outcome_survives_its_line() {
        let latencies = Some(Latencies { p50: 1, p99: 2, p999: 3 });
        let outcome = Outcome { received: 11, span: 10, wall: 20, cpu: 5, retries: 0, latencies };
        assert_eq!(outcome.to_string().parse::<Outcome>().unwrap(), outcome);
        assert!((outcome.rate() - 1e9).abs() < 1.0);
        assert!("received".parse::<Outcome>().is_err());
    }
}
