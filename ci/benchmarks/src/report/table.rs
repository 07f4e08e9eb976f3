//! Tables of text.

use std::fmt::Write as _;

use super::Report;
use crate::measure::{Latency, Throughput};
use crate::stats::Spread;

/// Returns a table: the name of each row, and its figures.
pub fn text(corner: &str, columns: &[&str], rows: &[(String, Vec<String>)]) -> String {
    let first = rows.iter().map(|(name, _)| name.len()).chain([corner.len()]).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().map(|(_, cells)| cells[column].chars().count());
        cells.chain([columns[column].chars().count()]).max().unwrap_or(0)
    };
    let mut table = String::new();
    let mut line = |name: &str, cells: &mut dyn Iterator<Item = &str>| {
        let _ = write!(table, "{name:<first$}");
        for (column, cell) in cells.enumerate() {
            let _ = write!(table, "  {cell:>width$}", width = width(column));
        }
        table.push('\n');
    };
    line(corner, &mut columns.iter().copied());
    for (name, cells) in rows {
        line(name, &mut cells.iter().map(String::as_str));
    }
    table
}

/// Returns a number of nodes in words.
pub fn nodes(number: u32) -> String {
    if number == 1 { "1 node".to_owned() } else { format!("{number} nodes") }
}

/// Returns a figure with separated thousands, and a dash for no figure.
pub fn number(value: Option<f64>, digits: usize) -> String {
    let Some(value) = value.filter(|value| value.is_finite()) else { return "–".to_owned() };
    let plain = format!("{value:.digits$}");
    let (whole, rest) = plain.split_at(plain.find('.').unwrap_or(plain.len()));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 && digit.is_ascii_digit() && !grouped.ends_with('-') {
            // The separator is a thin space.
            grouped.push('\u{2009}');
        }
        grouped.push(digit);
    }
    grouped + rest
}

/// Returns a figure with its spread.
fn spread(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or("–".to_owned(), |spread| {
        format!("{} ±{:.0}%", number(Some(spread.median), digits), spread.percent())
    })
}

/// The names of the columns of [`throughput`].
pub const THROUGHPUT: [&str; 6] = ["messages/s", "MB/s", "× C", "CPU s/million", "cores", "refused/message"];

/// The figures of one row.
pub fn throughput(row: &Throughput) -> Vec<String> {
    vec![
        spread(Some(row.messages_per_second), 0),
        number(Some(row.megabytes_per_second.median), 1),
        spread(row.versus_c, 2),
        spread(Some(row.cpu_seconds_per_million), 2),
        number(Some(row.cores.median), 2),
        number(Some(row.retries_per_message.median), 1),
    ]
}

/// The names of the columns of [`latency`].
pub const LATENCY: [&str; 5] = ["messages/s", "p50 µs", "p99 µs", "p99.9 µs", "p50 × C"];

/// The figures of one row.
pub fn latency(row: &Latency) -> Vec<String> {
    vec![
        number(Some(row.messages_per_second), 0),
        spread(Some(row.p50), 1),
        spread(Some(row.p99), 1),
        spread(Some(row.p999), 1),
        spread(row.versus_c, 2),
    ]
}

/// Returns all tables of a report.
pub fn report(report: &Report) -> String {
    let mut out = String::new();
    for (nodes, size) in report.throughput_cases() {
        let rows = report.results.throughput.iter().filter(|row| (row.nodes, row.size) == (nodes, size));
        let rows: Vec<_> = rows.map(|row| (row.variant.to_string(), throughput(row))).collect();
        let _ = writeln!(out, "\n{}, {size} bytes: throughput", self::nodes(nodes));
        out += &text("", &THROUGHPUT, &rows);
    }
    for case in report.latency_cases() {
        let rows = report.results.latency.iter().filter(|row| (row.nodes, row.size, row.load) == case);
        let rows: Vec<_> = rows.map(|row| (row.variant.to_string(), latency(row))).collect();
        let (nodes, size, load) = case;
        let _ = writeln!(out, "\n{}, {size} bytes: latency, {}", self::nodes(nodes), load.what());
        out += &text("", &LATENCY, &rows);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        assert_eq!(number(Some(1_234_567.0), 0), "1\u{2009}234\u{2009}567");
        assert_eq!(number(Some(123.456), 2), "123.46");
        assert_eq!(number(Some(-1234.0), 0), "-1\u{2009}234");
        assert_eq!(number(Some(-123.0), 0), "-123");
        assert_eq!(number(None, 0), "–");
    }
}
