//! Charts, as SVG.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::{Report, table};
use crate::Result;
use crate::measure::{Latency, Throughput};
use crate::stats::Spread;
use crate::variant::Variant;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const FONT: &str = "sans-serif";

/// The variants that the overview leaves out, so that it can be read at a glance.
const ASIDE: [Variant; 5] =
    [Variant::CSleep, Variant::CThreads, Variant::QueuedThreads, Variant::CoalescedThreads, Variant::Tokio];

fn colour(variant: Variant) -> RGBColor {
    match variant {
        Variant::C => RGBColor(30, 30, 30),
        Variant::COne => RGBColor(75, 75, 75),
        Variant::CTwin => RGBColor(150, 150, 150),
        Variant::CSleep => RGBColor(120, 120, 120),
        Variant::CThreads => RGBColor(175, 175, 175),
        Variant::Peer => RGBColor(213, 94, 0),
        Variant::Plain => RGBColor(86, 180, 233),
        Variant::Queued => RGBColor(0, 84, 160),
        Variant::QueuedThreads => RGBColor(120, 150, 200),
        Variant::Coalesced => RGBColor(0, 158, 115),
        Variant::CoalescedThreads => RGBColor(130, 200, 175),
        Variant::Tokio => RGBColor(204, 121, 167),
    }
}

/// Draws the throughput for each number of nodes, one below the other.
///
/// The letters are large, so that they can be read on a page that shows the picture 330 pixels wide.
pub fn overview(report: &Report) -> Result<String> {
    let mut nodes: Vec<u32> = report.results.throughput.iter().map(|row| row.nodes).collect();
    nodes.dedup();
    let panels = nodes.len().max(1);
    draw((400, 360 * panels as u32), |paper| {
        for (area, nodes) in paper.split_evenly((panels, 1)).iter().zip(nodes) {
            let rows = report.results.throughput.iter();
            let shown: Vec<_> =
                rows.filter(|row| row.nodes == nodes && !ASIDE.contains(&row.variant)).collect();
            let title = format!("Megabytes per second, {}", table::nodes(nodes));
            lines(area, &title, 17, &shown, |row| row.megabytes_per_second)?;
        }
        Ok(())
    })
}

/// Draws one figure of each variant over the size of messages.
pub fn by_size(
    report: &Report,
    title: &str,
    nodes: u32,
    figure: fn(&Throughput) -> Spread,
) -> Result<String> {
    let rows: Vec<_> = report.results.throughput.iter().filter(|row| row.nodes == nodes).collect();
    let title = format!("{title}, {}", table::nodes(nodes));
    draw((620, 420), |paper| lines(paper, &title, 12, &rows, figure))
}

/// Draws the latencies of each variant: a line from p50 to p99.9.
pub fn latencies(title: &str, rows: &[&Latency]) -> Result<String> {
    draw((620, 70 + 34 * rows.len() as u32), |paper| ranges(paper, title, rows))
}

fn ranges(area: &Area<'_>, title: &str, rows: &[&Latency]) -> Result<()> {
    let figures = rows.iter().flat_map(|row| [row.p50.median, row.p999.median]);
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .caption(title, (FONT, 15))
        .x_label_area_size(24)
        .y_label_area_size(100)
        .build_cartesian_2d(decades(figures).log_scale(), (0..rows.len()).into_segmented())?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(TRANSPARENT)
        .label_style((FONT, 12))
        .x_label_formatter(&|micros| duration(*micros))
        .y_labels(rows.len())
        .y_label_formatter(&|place| match place {
            // The first variant is at the top.
            SegmentValue::CenterOf(index) | SegmentValue::Exact(index) if *index < rows.len() => {
                rows[rows.len() - 1 - index].variant.to_string()
            }
            _ => String::new(),
        })
        .draw()?;
    for (index, row) in rows.iter().rev().enumerate() {
        let place = || SegmentValue::CenterOf(index);
        let style = colour(row.variant);
        let ends = [row.p50.median, row.p999.median].map(|micros| (micros, place()));
        chart.draw_series([PathElement::new(ends, style.stroke_width(2))])?;
        let dots = [(row.p50, 6), (row.p99, 4), (row.p999, 3)];
        chart.draw_series(
            dots.map(|(at, radius)| Circle::new((at.median, place()), radius, style.filled())),
        )?;
    }
    Ok(())
}

/// Draws a line for each variant, with the quartiles of its points. `letters` is the height of the letters.
fn lines(
    area: &Area<'_>,
    title: &str,
    letters: u32,
    rows: &[&Throughput],
    figure: impl Fn(&Throughput) -> Spread,
) -> Result<()> {
    let sizes = rows.iter().map(|row| row.size as f64);
    let figures = rows.iter().flat_map(|row| [figure(row).low, figure(row).high]);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .margin_right(letters + 4)
        .caption(title, (FONT, letters + 3))
        .x_label_area_size(3 * letters)
        .y_label_area_size(4 * letters)
        .build_cartesian_2d(decades(sizes).log_scale(), decades(figures).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .label_style((FONT, letters))
        .x_desc("bytes per message")
        .x_label_formatter(&|size| short(*size))
        .y_label_formatter(&|value| short(*value))
        .draw()?;
    for variant in Variant::built() {
        let own: Vec<_> = rows.iter().filter(|row| row.variant == variant).collect();
        if own.is_empty() {
            continue;
        }
        let style = colour(variant);
        let points: Vec<_> = own.iter().map(|row| (row.size as f64, figure(row))).collect();
        let medians = points.iter().map(|(size, spread)| (*size, spread.median));
        chart
            .draw_series(LineSeries::new(medians.clone(), style.stroke_width(2)))?
            .label(variant.name())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style.stroke_width(2)));
        chart.draw_series(medians.map(|point| Circle::new(point, 3, style.filled())))?;
        let quartiles = points.iter().map(|(size, spread)| {
            PathElement::new([(*size, spread.low), (*size, spread.high)], style.stroke_width(1))
        });
        chart.draw_series(quartiles)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.85))
        .label_font((FONT, letters))
        .draw()?;
    Ok(())
}

/// Adds a white background, so that the picture can be read on a dark page as well.
fn draw(size: (u32, u32), paint: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<String> {
    let mut svg = String::new();
    {
        let paper = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        paper.fill(&WHITE)?;
        paint(&paper)?;
        paper.present()?;
    }
    Ok(svg)
}

/// Returns the range of whole powers of ten around all figures.
fn decades(figures: impl Iterator<Item = f64>) -> Range<f64> {
    let known = figures.filter(|figure| figure.is_finite() && *figure > 0.0);
    let (low, high) =
        known.fold((f64::MAX, f64::MIN_POSITIVE), |(low, high), figure| (low.min(figure), high.max(figure)));
    if low > high {
        return 1.0..10.0;
    }
    let (low, high) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    10_f64.powi(low)..10_f64.powi(high.max(low + 1))
}

/// Returns the short text of a power of ten.
fn short(value: f64) -> String {
    match value {
        1e6.. => format!("{} M", value / 1e6),
        1e3.. => format!("{} k", value / 1e3),
        _ => format!("{value}"),
    }
}

fn duration(micros: f64) -> String {
    match micros {
        1e6.. => format!("{} s", micros / 1e6),
        1e3.. => format!("{} ms", micros / 1e3),
        _ => format!("{micros} µs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_whole_decades() {
        assert_eq!(decades([16.0, 1_000_000.0].into_iter()), 10.0..1e6);
        assert_eq!(decades([5.0].into_iter()), 1.0..10.0);
        assert_eq!(decades([f64::NAN, 0.0].into_iter()), 1.0..10.0);
    }
}
