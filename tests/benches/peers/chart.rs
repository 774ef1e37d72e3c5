//! The table as a chart.

use std::path::Path;

use plotters::{coord::Shift, prelude::*};
use redsync_tests::bench::{number, time};

use crate::{
    Outcome,
    figures::Figures,
    implementation::Implementation,
    results::Results,
    setting::{Setting, Threads, Workload},
};

const SIZE: (u32, u32) = (1_200, 560);
const FONT: &str = "sans-serif";

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// One chart of bars.
#[derive(Clone, Copy)]
struct Panel {
    title: &'static str,
    setting: Setting,
    figure: fn(&Figures) -> Option<f64>,
    show: fn(f64) -> String,
    /// Whether the scale is logarithmic, for implementations that differ by orders of magnitude.
    logarithmic: bool,
}

/// Draws the most telling figures as bars.
pub(crate) fn draw(results: &Results, path: &Path) -> Outcome<()> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, panel) in root
        .margin(8, 8, 8, 8)
        .split_evenly((2, 3))
        .iter()
        .zip(panels())
    {
        panel.draw(results, area)?;
    }
    Ok(root.present()?)
}

fn panels() -> [Panel; 6] {
    let contended = Setting {
        tasks: 16,
        hold_ms: 2,
        ..Setting::of(Workload::Contended)
    };
    let parallel = Setting {
        tasks: 512,
        runtime: Threads::Multi,
        ..Setting::of(Workload::Parallel)
    };
    let linear = Panel {
        title: "one task, three nodes: lock and unlock, p50",
        setting: Setting::of(Workload::Uncontended),
        figure: |it| it.p50_us,
        show: time,
        logarithmic: false,
    };
    [
        linear,
        Panel {
            title: "512 tasks: locks per second",
            setting: parallel,
            figure: |it| it.ops_per_s,
            show: number,
            ..linear
        },
        Panel {
            title: "512 tasks: CPU seconds per 100,000",
            setting: parallel,
            figure: |it| it.cpu_s_per_100k,
            show: number,
            ..linear
        },
        Panel {
            title: "16 tasks, one name: wait, p99 (log scale)",
            setting: contended,
            figure: |it| it.p99_us,
            logarithmic: true,
            ..linear
        },
        Panel {
            title: "from process to process, p50 (log scale)",
            setting: Setting {
                processes: 2,
                ..Setting::of(Workload::Handoff)
            },
            logarithmic: true,
            ..linear
        },
        Panel {
            title: "one node of five hung, p50 (log scale)",
            setting: Setting {
                nodes: 5,
                ..Setting::of(Workload::Hung)
            },
            logarithmic: true,
            ..linear
        },
    ]
}

impl Panel {
    fn draw(&self, results: &Results, area: &Area<'_>) -> Outcome<()> {
        let area = area.margin(8, 8, 8, 8).titled(self.title, (FONT, 19))?;
        let figure = |it: &Implementation| {
            let figures = results.find(&self.setting, *it)?.figures();
            Some((*it, (self.figure)(&figures)?))
        };
        let bars: Vec<_> = Implementation::ALL.iter().filter_map(figure).collect();
        let most = bars.iter().map(|bar| bar.1).fold(0.0, f64::max);
        let least = bars.iter().map(|bar| bar.1).fold(f64::INFINITY, f64::min);
        let (width, height) = area.dim_in_pixel();
        let (width, height) = (f64::from(width), f64::from(height));
        let (names, values, row) = (125.0, 72.0, height / Implementation::ALL.len() as f64);
        for (index, (implementation, value)) in bars.into_iter().enumerate() {
            let part = if self.logarithmic {
                // The smallest value has a bar, too.
                (2.0 * value / least).log(2.0 * most / least)
            } else {
                value / most
            };
            let (top, end) = (
                index as f64 * row,
                (width - names - values).mul_add(part, names),
            );
            let at = |x: f64, y: f64| (x as i32, y.mul_add(row, top) as i32);
            let bar = [at(names, 0.2), at(end, 0.8)];
            area.draw(&Rectangle::new(bar, color(implementation).filled()))?;
            let text = |text, position| Text::new(text, position, (FONT, 16));
            area.draw(&text(implementation.title().to_owned(), at(0.0, 0.4)))?;
            area.draw(&text((self.show)(value), at(end + 6.0, 0.4)))?;
        }
        Ok(())
    }
}

const fn color(implementation: Implementation) -> RGBColor {
    match implementation {
        Implementation::Deadpool => RGBColor(33, 102, 172),
        Implementation::Redis => RGBColor(67, 147, 195),
        Implementation::Fred => RGBColor(146, 197, 222),
        Implementation::Rslock => RGBColor(214, 96, 77),
        Implementation::Floor | Implementation::FloorBlocking | Implementation::None => {
            RGBColor(150, 150, 150)
        }
    }
}
