//! Curves as SVG: on white, so that they can be read on a dark page too.

use anyhow::Context as _;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

/// Lines over a logarithmic axis.
pub(crate) struct Plot {
    pub(crate) title: &'static str,
    pub(crate) x: &'static str,
    pub(crate) y: &'static str,
    pub(crate) scale: Scale,
    pub(crate) lines: Vec<Line>,
}

/// Of the vertical axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// From nothing: what stays the same is level, and twice as much is twice as high.
    Linear,
    Logarithmic,
}

/// What was measured of one contender.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

impl Plot {
    pub(crate) fn svg(&self) -> anyhow::Result<String> {
        let points = || self.lines.iter().flat_map(|line| line.points.iter());
        let range = |of: fn(&(f64, f64)) -> f64| {
            points().map(of).fold(None, |range: Option<(f64, f64)>, value| {
                let (least, most) = range.unwrap_or((value, value));
                Some((least.min(value), most.max(value)))
            })
        };
        let (left, right) = range(|it| it.0).context("a plot without points")?;
        let (bottom, top) = range(|it| it.1).context("a plot without points")?;
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            area.fill(&WHITE)?;
            let (chart, legend) = area.split_horizontally(CHART_WIDTH);
            let x = (left..right).log_scale();
            match self.scale {
                Scale::Linear => self.draw(&chart, x, 0.0..top * ABOVE)?,
                Scale::Logarithmic => {
                    self.draw(&chart, x, (bottom / ABOVE..top * ABOVE).log_scale())?;
                }
            }
            self.draw_legend(&legend)?;
            area.present()?;
        }
        Ok(svg)
    }

    fn draw<X, Y>(
        &self,
        area: &DrawingArea<SVGBackend<'_>, Shift>,
        x: X,
        y: Y,
    ) -> anyhow::Result<()>
    where
        X: AsRangedCoord<Value = f64>,
        Y: AsRangedCoord<Value = f64>,
        X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
        Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let mut chart = ChartBuilder::on(area)
            .caption(self.title, (FONT, 18))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(72)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .x_desc(self.x)
            .y_desc(self.y)
            .label_style((FONT, 13))
            .axis_desc_style((FONT, 14))
            .bold_line_style(RGBColor(208, 208, 208))
            .max_light_lines(0)
            .x_label_formatter(&|value| label(*value))
            .y_label_formatter(&|value| label(*value))
            .draw()?;
        for (place, line) in self.lines.iter().enumerate() {
            let style = color(place, &line.name).stroke_width(2);
            let points = line.points.iter().copied();
            chart.draw_series(LineSeries::new(points, style).point_size(3))?;
        }
        Ok(())
    }

    /// Beside the chart, where it covers no line.
    fn draw_legend(&self, area: &DrawingArea<SVGBackend<'_>, Shift>) -> anyhow::Result<()> {
        let mut y = 60;
        for (place, line) in self.lines.iter().enumerate() {
            let style = color(place, &line.name).stroke_width(3);
            area.draw(&PathElement::new([(4, y), (24, y)], style))?;
            area.draw(&Text::new(line.name.as_str(), (32, y - 7), (FONT, 13)))?;
            y += 22;
        }
        Ok(())
    }
}

/// The same for one contender in all plots.
fn color(place: usize, name: &str) -> RGBColor {
    let known = COLORS.iter().find(|(known, _)| *known == name);
    known.or_else(|| COLORS.get(place)).map_or(BLACK, |(_, color)| *color)
}

/// A number on an axis: 1000 as 1k.
fn label(value: f64) -> String {
    let (value, unit) = match value {
        _ if value >= 1e9 => (value / 1e9, "G"),
        _ if value >= 1e6 => (value / 1e6, "M"),
        _ if value >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    // Two digits are enough between the powers of ten.
    format!("{}{unit}", (value * 100.0).round() / 100.0)
}

const SIZE: (u32, u32) = (900, 400);

const CHART_WIDTH: u32 = 660;

const FONT: &str = "sans-serif";

/// Room above the highest line.
const ABOVE: f64 = 1.2;

/// Told apart by those who see few colours as well (Okabe and Ito's).
const COLORS: [(&str, RGBColor); 5] = [
    ("pgabsorb, no rules", RGBColor(0, 114, 178)),
    ("PgBouncer, session mode", RGBColor(213, 94, 0)),
    ("HAProxy, mode tcp", RGBColor(0, 158, 115)),
    ("pgabsorb, a rule reacts", RGBColor(86, 180, 233)),
    ("direct", BLACK),
];
