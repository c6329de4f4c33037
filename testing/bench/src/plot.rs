//! A plot with logarithmic axes, written as SVG.

use std::path::Path;

use plotters::prelude::*;

use crate::Failure;

/// One line of a plot.
pub(crate) struct Series {
    name: &'static str,
    points: Vec<(f64, f64)>,
}

impl Series {
    pub(crate) const fn new(name: &'static str, points: Vec<(f64, f64)>) -> Self {
        Self { name, points }
    }
}

/// Several lines over one measure.
pub(crate) struct Plot {
    pub(crate) title: String,
    pub(crate) across: &'static str,
    pub(crate) series: Vec<Series>,
}

/// Colours that people who see no red or no green can tell apart (Okabe and Ito).
const COLOURS: [RGBColor; 4] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
];

impl Plot {
    /// Writes the plot; series without points are left out.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let least = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::INFINITY, f64::min);
        let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
        let (x_min, x_max) = (
            least(&mut points().map(|point| point.0)),
            most(&mut points().map(|point| point.0)),
        );
        let (y_min, y_max) = (
            least(&mut points().map(|point| point.1)),
            most(&mut points().map(|point| point.1)),
        );
        if !(x_min > 0.0 && y_min > 0.0) {
            return Err(format!("{}: nothing to plot on a logarithmic scale", self.title).into());
        }
        let area = SVGBackend::new(path, (720, 420)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(&self.title, ("sans-serif", 18))
            .margin(14)
            .x_label_area_size(40)
            .y_label_area_size(70)
            .build_cartesian_2d(
                (x_min / 1.3..x_max * 1.3).log_scale(),
                (y_min / 2.0..y_max * 2.0).log_scale(),
            )?;
        chart
            .configure_mesh()
            .x_desc(self.across)
            .light_line_style(WHITE)
            .draw()?;
        for (series, colour) in self.series.iter().zip(COLOURS) {
            if series.points.is_empty() {
                continue;
            }
            chart
                .draw_series(LineSeries::new(
                    series.points.iter().copied(),
                    colour.stroke_width(2),
                ))?
                .label(series.name)
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2))
                });
            chart.draw_series(
                series
                    .points
                    .iter()
                    .map(|point| Circle::new(*point, 4, colour.filled())),
            )?;
        }
        chart
            .configure_series_labels()
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.3))
            .draw()?;
        area.present()?;
        Ok(())
    }
}
