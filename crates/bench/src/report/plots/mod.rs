//! Plots as inline SVG, drawn without a font and without a script.
//!
//! A plot is drawn in *roles* instead of colours: the page's style sheet decides what they look like, in light, in dark and
//! in print. A series keeps its colour, dash pattern and marker in all plots of a page, and its name stands beside its
//! line, so that a plot can be read without telling colours apart.

mod bars;
mod cost;
mod frame;
mod pen;
mod probes;
mod spectrum;
mod timeline;

pub(super) use bars::{Bar, bars};
pub(super) use cost::{Cost, cost};
pub(super) use probes::probes;
pub(super) use spectrum::spectrum;
pub(super) use timeline::timeline;

/// The line and the marker of a series, for a legend.
pub(super) fn sample(series: usize, name: &str) -> String {
    pen::svg((44.0, 12.0), &format!("how {name} is drawn"), "", |pen| {
        pen.line([(0.0, 6.0), (44.0, 6.0)], pen::Role::Dashed(series), 2.0);
        pen.marker((22.0, 6.0), series);
    })
}
