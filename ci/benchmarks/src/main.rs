//! What each style of receiving costs beside a plain C loop, on one node, in one run.
//!
//!     cpg-benchmarks [ROUNDS [COUNT]]
//!
//! For each size and round every style receives COUNT messages that a C program sends, in turn, so that a machine that
//! changes its speed changes it for all. A line says the median of messages a second and of CPU time a message, as a ratio to C.

use std::error::Error;
use std::io::{BufRead, BufReader, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use cpg::{Dispatch, Event, Group, OwnedEvent};
use testcluster::Cluster;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const STYLES: [&str; 8] =
    ["c", "dispatch-all", "run", "split", "recv", "tokio-dispatch", "tokio-recv", "c again"];
const SIZES: [usize; 2] = [64, 8192];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, style, count] = &arguments[..] {
        assert_eq!(mode, "receive");
        return receive(style, count.parse()?);
    }
    let number = |i: usize, default| arguments.get(i).map_or(Ok(default), |text| text.parse());
    let (rounds, count) = (number(0, 7)?, number(1, 200_000)?);
    let baseline = build()?;
    let cluster = Cluster::start(1)?;
    for size in SIZES {
        let count = count / (1 + size / 4096);
        let mut figures = vec![Vec::new(); STYLES.len()];
        for _ in 0..rounds {
            for (style, figures) in STYLES.iter().zip(&mut figures) {
                figures.push(measure(&cluster, &baseline, style, count, size)?);
            }
        }
        report(size, count, &figures);
    }
    Ok(())
}

fn build() -> Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name("cpgbench");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("c/cpgbench.c");
    let built = Command::new("cc").args(["-O2", "-o"]).arg(&program).arg(source).arg("-lcpg").status()?;
    if built.success() { Ok(program) } else { Err("cc failed".into()) }
}

/// Messages a second, and nanoseconds of CPU time a message, of one receiver.
fn measure(cluster: &Cluster, baseline: &Path, style: &str, count: usize, size: usize) -> Result<(f64, f64)> {
    let mut receiver = match style {
        "c" | "c again" => {
            let mut command = cluster.command_on(1, baseline);
            command.args(["receive", "bench", &count.to_string()]);
            command
        }
        style => {
            let mut command = cluster.command_on(1, std::env::current_exe()?);
            command.args(["receive", style, &count.to_string()]);
            command
        }
    };
    let mut receiver = receiver.stdout(Stdio::piped()).spawn()?;
    let mut said = BufReader::new(receiver.stdout.take().ok_or("no output")?);
    let mut line = String::new();
    said.read_line(&mut line)?;
    let mut sender: Child = cluster
        .command_on(1, baseline)
        .args(["send", "bench", &count.to_string(), &size.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    BufReader::new(sender.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    sender.stdin.take().ok_or("no input")?.write_all(b"g")?;
    line.clear();
    said.read_line(&mut line)?;
    sender.wait()?;
    receiver.wait()?;
    let (wall, cpu) = line.trim().split_once(' ').ok_or_else(|| format!("{style} said {line:?}"))?;
    let count = count as f64;
    Ok((count / wall.parse::<f64>()? * 1e9, cpu.parse::<f64>()? / count))
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn report(size: usize, count: usize, figures: &[Vec<(f64, f64)>]) {
    println!("{size} bytes, {count} messages, {} rounds", figures[0].len());
    println!("{:<16} {:>12} {:>8} {:>12} {:>8}", "style", "messages/s", "/ C", "CPU ns/msg", "/ C");
    for (style, own) in STYLES.iter().zip(figures) {
        // Round by round, so that the ratio is of neighbours.
        let ratio = |part: fn(&(f64, f64)) -> f64| {
            median(own.iter().zip(&figures[0]).map(|(own, c)| part(own) / part(c)).collect())
        };
        let rate = median(own.iter().map(|figure| figure.0).collect());
        let cpu = median(own.iter().map(|figure| figure.1).collect());
        println!(
            "{style:<16} {rate:>12.0} {:>8.3} {cpu:>12.0} {:>8.3}",
            ratio(|figure| figure.0),
            ratio(|figure| figure.1)
        );
    }
    println!();
}

/// Counts messages, and the time from the first to the last.
struct Count {
    wanted: usize,
    delivered: usize,
    began: Option<(Instant, u64)>,
}

impl Count {
    fn hear(&mut self) -> ControlFlow<()> {
        if self.delivered == 0 {
            self.began = Some((Instant::now(), cpu()));
        }
        self.delivered += 1;
        if self.delivered == self.wanted { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        if matches!(event, Event::Deliver(_)) { self.hear() } else { ControlFlow::Continue(()) }
    }

    fn owned(&mut self, event: &OwnedEvent) {
        if matches!(event, OwnedEvent::Deliver(_)) {
            let _ = self.hear();
        }
    }

    fn done(&self) -> bool {
        self.delivered == self.wanted
    }
}

fn cpu() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the function writes one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn receive(style: &str, wanted: usize) -> Result<()> {
    let mut count = Count { wanted, delivered: 0, began: None };
    let mut group = Group::join("bench")?;
    println!("ready");
    match style {
        "dispatch-all" => {
            let mut fds = [libc::pollfd {
                fd: std::os::fd::AsRawFd::as_raw_fd(&group),
                events: libc::POLLIN,
                revents: 0,
            }];
            while !count.done() {
                // SAFETY: the array has one entry.
                unsafe { libc::poll(fds.as_mut_ptr(), 1, -1) };
                group.dispatch(Dispatch::All, |_, event| {
                    let _ = count.event(&event);
                })?;
            }
        }
        "run" => group.run(|_, event| count.event(&event))?,
        "split" => {
            let (_sender, mut receiver) = group.split();
            receiver.run(|_, event| count.event(&event))?;
        }
        "recv" => {
            while !count.done() {
                count.owned(&group.recv()?);
            }
        }
        style => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut group = cpg::tokio::Group::new(group)?;
                while !count.done() {
                    if style == "tokio-dispatch" {
                        group
                            .dispatch(|_, event| {
                                let _ = count.event(&event);
                            })
                            .await?;
                    } else {
                        count.owned(&group.recv().await?);
                    }
                }
                Ok::<(), cpg::Error>(())
            })?;
        }
    }
    let (began, began_cpu) = count.began.ok_or("nothing came")?;
    println!("{} {}", began.elapsed().as_nanos(), cpu() - began_cpu);
    Ok(())
}
