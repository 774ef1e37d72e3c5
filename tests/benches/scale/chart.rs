//! The growth of the costs with the size of the load, as a chart.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::Outcome;
use crate::report::Report;

const SIZE: (u32, u32) = (1_200, 360);
const FONT: &str = "sans-serif";

/// One chart: figures of the same name of some parts.
struct Panel {
    title: &'static str,
    figure: &'static str,
    /// Parts, and how the chart calls them.
    parts: &'static [(&'static str, &'static str)],
}

const PANELS: [Panel; 3] = [
    Panel {
        title: "CPU of the process, % of a core",
        figure: "CPU, %",
        parts: &[
            ("kept", "guards kept alive"),
            ("names", "names waited for"),
            ("one-name", "waiters of one name"),
        ],
    },
    Panel {
        title: "memory each, kB",
        figure: "memory each, kB",
        parts: &[
            ("kept", "guards kept alive"),
            ("names", "names waited for"),
            ("one-name", "waiters of one name"),
        ],
    },
    Panel {
        title: "time until all are granted, s",
        figure: "all granted after, s",
        parts: &[("names", "names waited for")],
    },
];

pub(crate) fn draw(report: &Report, path: &Path) -> Outcome<()> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, panel) in root.split_evenly((1, PANELS.len())).iter().zip(&PANELS) {
        panel.draw(report, area)?;
    }
    Ok(root.present()?)
}

impl Panel {
    fn draw(&self, report: &Report, area: &DrawingArea<SVGBackend<'_>, Shift>) -> Outcome<()> {
        let lines: Vec<(&str, Vec<(f64, f64)>)> = self
            .parts
            .iter()
            .map(|(part, title)| {
                let points = report.growth(part, self.figure);
                (
                    *title,
                    points.map(|(size, figure)| (size as f64, figure)).collect(),
                )
            })
            .collect();
        let points = || lines.iter().flat_map(|(_, points)| points);
        let largest = points().map(|point| point.0).fold(10.0, f64::max);
        let most = points().map(|point| point.1).fold(0.0, f64::max).max(1e-3);
        let mut chart = ChartBuilder::on(area)
            .caption(self.title, (FONT, 18))
            .margin(12)
            .x_label_area_size(30)
            .y_label_area_size(52)
            .build_cartesian_2d((10.0..largest).log_scale(), 0.0..most * 1.15)?;
        chart.configure_mesh().x_labels(5).y_labels(6).draw()?;
        for (index, (title, points)) in lines.into_iter().enumerate() {
            let color = Palette99::pick(index).to_rgba();
            chart
                .draw_series(LineSeries::new(points, color.stroke_width(2)).point_size(3))?
                .label(title)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .label_font((FONT, 13))
            .background_style(WHITE.mix(0.8))
            .draw()?;
        Ok(())
    }
}
