//! The growth of the costs with the size of the load, as a chart.

use std::{fs, path::Path};

use plotters::{coord::Shift, prelude::*};
use redsync_tests::bench::grouped;

use crate::{Outcome, report::Report};

const SIZE: (u32, u32) = (1_200, 340);
const LEGEND: u32 = 36;
const FONT: &str = "sans-serif";

/// Text and axes. In the file, it is the color of the text around it.
const INK: RGBColor = BLACK;

/// The parts that are drawn. Their colors are distinct on white and on black.
const PARTS: [(&str, &str, RGBColor); 3] = [
    ("kept", "guards kept alive", RGBColor(47, 129, 247)),
    (
        "names",
        "names waited for, held elsewhere",
        RGBColor(219, 109, 40),
    ),
    (
        "one-name",
        "waiters of one name, held elsewhere",
        RGBColor(63, 165, 90),
    ),
];

/// Titles, and the figures that they show.
const PANELS: [(&str, &str); 3] = [
    ("CPU of the process, % of a core", "CPU, %"),
    ("memory each, kB", "memory each, kB"),
    (
        "all locked after their release elsewhere, s",
        "all granted after, s",
    ),
];

/// The color of text and axes if a page shows the file as an image. If the page contains the
/// drawing, the drawing is not the root, and has the color of the page.
const STYLE: &str = "<style>svg:root { color: #1f2328 } \
    @media (prefers-color-scheme: dark) { svg:root { color: #e6edf3 } }</style>";

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The points of one part: sizes, and figures.
type Line = Vec<(f64, f64)>;

pub(crate) fn draw(report: &Report, path: &Path) -> Outcome<()> {
    let mut drawing = String::new();
    let root = SVGBackend::with_string(&mut drawing, SIZE).into_drawing_area();
    let (legend, panels) = root.split_vertically(LEGEND);
    draw_legend(&legend)?;
    for (area, (title, figure)) in panels.split_evenly((1, PANELS.len())).iter().zip(PANELS) {
        let lines = PARTS.map(|(part, _, _)| report.growth(part, figure).collect());
        draw_panel(area, title, &lines)?;
    }
    root.present()?;
    drop((root, legend, panels));
    Ok(fs::write(path, for_both_backgrounds(&drawing))?)
}

fn draw_legend(area: &Area<'_>) -> Outcome<()> {
    let width = (SIZE.0 / 3) as i32;
    for (index, (_, title, color)) in (0..).zip(PARTS) {
        let (left, middle) = (index * width + 20, LEGEND as i32 / 2);
        let line = [(left, middle), (left + 24, middle)];
        area.draw(&PathElement::new(line, color.stroke_width(3)))?;
        let style = (FONT, 15).into_font().color(&INK);
        area.draw(&Text::new(title, (left + 32, middle - 6), style))?;
    }
    Ok(())
}

fn draw_panel(area: &Area<'_>, title: &str, lines: &[Line; 3]) -> Outcome<()> {
    let points = || lines.iter().flatten();
    let largest = points().map(|point| point.0).fold(100.0, f64::max);
    let most = points().map(|point| point.1).fold(0.01, f64::max);
    let least = points().map(|point| point.1).fold(most, f64::min).max(1e-3);
    let text = (FONT, 13).into_font().color(&INK);
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 16).into_font().color(&INK))
        .margin(10)
        .margin_right(24)
        .x_label_area_size(26)
        .y_label_area_size(46)
        .build_cartesian_2d(
            (8.0..largest * 1.25).log_scale(),
            (least / 1.5..most * 1.5).log_scale(),
        )?;
    (chart.configure_mesh())
        .axis_style(INK.mix(0.5))
        .bold_line_style(INK.mix(0.15))
        .light_line_style(TRANSPARENT)
        .label_style(text)
        .x_labels(4)
        .y_labels(4)
        .x_label_formatter(&|size| grouped(*size))
        .y_label_formatter(&|figure| grouped(*figure))
        .draw()?;
    for (points, (_, _, color)) in lines.iter().zip(PARTS) {
        // A logarithmic scale has no zero.
        let points = points
            .iter()
            .map(|(size, figure)| (*size, figure.max(least)));
        let style = color.filled().stroke_width(3);
        let line = LineSeries::new(points, style);
        chart.draw_series(line.point_size(4))?;
    }
    Ok(())
}

/// Makes the drawing as wide as its place, and gives it the color of the text around it.
fn for_both_backgrounds(drawing: &str) -> String {
    let (width, height) = SIZE;
    let size = format!(r#"width="{width}" height="{height}" "#);
    let drawing = drawing
        .replacen(&size, "", 1)
        .replace("#000000", "currentColor");
    let (head, rest) = drawing.split_once('\n').unwrap_or((&drawing, ""));
    // In Markdown, a blank line would end it.
    let rest = rest.lines().filter(|line| !line.trim().is_empty());
    let lines = [head, STYLE].into_iter().chain(rest);
    lines.map(|line| format!("{line}\n")).collect()
}
