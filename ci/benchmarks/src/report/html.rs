//! A page with all tables and charts, in one file.

use std::fmt::Write as _;

use super::{Report, chart, table};
use crate::Result;
use crate::variant::Variant;

const STYLE: &str = "
body { font: 15px/1.5 sans-serif; max-width: 1300px; margin: 2em auto; padding: 0 1em; color: #1e1e1e; background: #fff }
h1, h2 { font-weight: 600 }
table { border-collapse: collapse; margin: .5em 0 1.5em; font-variant-numeric: tabular-nums }
th, td { padding: .15em .8em; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap }
th:first-child, td:first-child { text-align: left }
figure { display: inline-block; margin: 0 1em 1em 0 }
details { margin: .5em 0 }
dt { font-family: monospace }
";

/// Returns the page.
pub fn page(report: &Report) -> Result<String> {
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <title>cpg: benchmarks</title>\n<style>{STYLE}</style>\n<h1>cpg: benchmarks</h1>\n"
    );
    about(&mut page, report)?;
    let results = &report.results;
    let mut nodes: Vec<u32> = results.throughput.iter().map(|row| row.nodes).collect();
    nodes.dedup();
    page += "<h2>Throughput and what it costs the sender</h2>\n";
    for &nodes in &nodes {
        figure(
            &mut page,
            &chart::by_size(report, "Megabytes per second", nodes, |row| row.megabytes_per_second)?,
        );
        let title = "CPU seconds of the sender per million messages";
        figure(&mut page, &chart::by_size(report, title, nodes, |row| row.cpu_seconds_per_million)?);
    }
    for (nodes, size) in report.throughput_cases() {
        let rows = results.throughput.iter().filter(|row| (row.nodes, row.size) == (nodes, size));
        let rows = rows.map(|row| (row.variant, table::throughput(row)));
        rows_of(&mut page, &format!("{}, {size} bytes", table::nodes(nodes)), &table::THROUGHPUT, rows)?;
    }
    page += "<h2>Latency</h2>\n<p>The large dot is the latency that half of the messages do not exceed; then follow 99 % and 99.9 %.</p>\n";
    for case in report.latency_cases() {
        let rows: Vec<_> =
            results.latency.iter().filter(|row| (row.nodes, row.size, row.load) == case).collect();
        let (nodes, size, load) = case;
        let title = format!("{}, {size} bytes; {}", table::nodes(nodes), load.what());
        figure(&mut page, &chart::latencies(&title, &rows)?);
        let rows = rows.iter().map(|row| (row.variant, table::latency(row)));
        rows_of(&mut page, &title, &table::LATENCY, rows)?;
    }
    page += "</html>\n";
    Ok(page)
}

/// Returns the description of the machine and of the measurements.
fn about(page: &mut String, report: &Report) -> Result<()> {
    let machine = &report.machine;
    writeln!(
        page,
        "<p>{}: {} cores of {}; {}; {}; {}.</p>",
        escape(&machine.date),
        machine.cores,
        escape(&machine.cpu),
        escape(&machine.kernel),
        escape(&machine.corosync),
        escape(&machine.compilers)
    )?;
    writeln!(
        page,
        "<p>All nodes of a cluster run on this machine. Each figure is the median of {} rounds of {} s, in each of which \
         every program had its turn; ± is half the distance of the quartiles. One process on node 1 sends and delivers its \
         own messages. Throughput and latency under load are those at node 2, where there is one.</p>",
        report.rounds, report.seconds
    )?;
    writeln!(page, "<dl>")?;
    for variant in Variant::built() {
        writeln!(page, "<dt>{variant}</dt><dd>{}</dd>", escape(variant.what()))?;
    }
    writeln!(page, "</dl>")?;
    Ok(())
}

fn figure(page: &mut String, svg: &str) {
    let _ = writeln!(page, "<figure>{svg}</figure>");
}

fn rows_of(
    page: &mut String,
    title: &str,
    columns: &[&str],
    rows: impl Iterator<Item = (Variant, Vec<String>)>,
) -> Result<()> {
    write!(page, "<details><summary>{}</summary>\n<table><tr><th></th>", escape(title))?;
    for column in columns {
        write!(page, "<th>{}</th>", escape(column))?;
    }
    writeln!(page, "</tr>")?;
    for (variant, cells) in rows {
        write!(page, "<tr><td>{variant}</td>")?;
        for cell in cells {
            write!(page, "<td>{}</td>", escape(&cell))?;
        }
        writeln!(page, "</tr>")?;
    }
    writeln!(page, "</table></details>")?;
    Ok(())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
