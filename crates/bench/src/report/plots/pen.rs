//! What plots are drawn with.

use plotters::element::{Drawable, PointCollection};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Parts of a pixel that are drawn: the backend rounds to whole units.
const GRAIN: f64 = 4.0;
/// Colours of series, before they repeat; their names in the style sheet are `--s0` and so on.
pub(super) const COLORS: usize = 7;
/// Dash patterns, before they repeat: another number than that of the colours, so that 35 series are told apart.
const DASHES: [&str; 5] = ["", "28 12", "8 10", "36 10 8 10", "18 8"];
/// How much larger than drawn a drawing may be shown.
const STRETCH: f64 = 1.35;
/// Size of letters in pixels.
const LETTER: f64 = 13.0;
/// About the width of a letter, in the wider of the usual fonts.
pub(super) const LETTER_WIDTH: f64 = 8.0;

/// What something is drawn as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Letters and axes.
    Ink,
    /// Letters of lesser weight.
    Faint,
    /// Lines behind everything.
    Grid,
    /// Of a series, filled or outlined.
    Series(usize),
    /// A series' line, with its dash pattern.
    Dashed(usize),
}

impl Role {
    /// A colour that stands for the role until the drawing is done.
    fn color(self) -> RGBColor {
        match self {
            Self::Ink => RGBColor(0xab, 0, 0),
            Self::Faint => RGBColor(0xab, 0, 1),
            Self::Grid => RGBColor(0xab, 0, 2),
            Self::Series(index) => RGBColor(0xab, 1, (index % COLORS) as u8),
            Self::Dashed(index) => RGBColor(0xab, 2, (index % (COLORS * DASHES.len())) as u8),
        }
    }

    /// What it is in the style sheet, between the quotes of an attribute.
    fn name(self) -> String {
        match self {
            Self::Ink => "var(--ink)".to_owned(),
            Self::Faint => "var(--faint)".to_owned(),
            Self::Grid => "var(--grid)".to_owned(),
            Self::Series(index) => format!("var(--s{index})"),
            Self::Dashed(index) => match DASHES[index % DASHES.len()] {
                "" => format!("var(--s{})", index % COLORS),
                dashes => format!("var(--s{})\" stroke-dasharray=\"{dashes}", index % COLORS),
            },
        }
    }

    fn all() -> impl Iterator<Item = Self> {
        let series = (0..COLORS).map(Self::Series).chain((0..COLORS * DASHES.len()).map(Self::Dashed));
        [Self::Ink, Self::Faint, Self::Grid].into_iter().chain(series)
    }
}

/// Which side of a text its place is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Middle,
    Right,
}

/// Draws in pixels from the upper left corner.
pub(super) struct Pen<'a>(DrawingArea<SVGBackend<'a>, plotters::coord::Shift>);

/// A drawing of `width` × `height` pixels. `title` and `description` are its text for screen readers.
pub(super) fn svg(size: (f64, f64), title: &str, description: &str, draw: impl FnOnce(&Pen<'_>)) -> String {
    let mut text = String::new();
    {
        let units = [size.0, size.1].map(|pixels| (pixels * GRAIN) as u32);
        draw(&Pen(SVGBackend::with_string(&mut text, (units[0], units[1])).into_drawing_area()));
    }
    for role in Role::all() {
        let RGBColor(red, green, blue) = role.color();
        text = text.replace(&format!("\"#{red:02X}{green:02X}{blue:02X}\""), &format!("\"{}\"", role.name()));
    }
    // What the backend writes though it is the default.
    for said in [" opacity=\"1\"", " font-family=\"sans-serif\"", " stroke=\"none\"", " dy=\"0.5ex\""] {
        text = text.replace(said, "");
    }
    let inside = text.split_once('>').map_or("", |(_, inside)| inside);
    let [width, height] = [size.0, size.1].map(|pixels| pixels * GRAIN);
    let [title, description] = [title, description].map(escape);
    format!(
        "<svg role=\"img\" aria-label=\"{title}\" viewBox=\"0 0 {width} {height}\" style=\"max-width:{}px\" \
         font-family=\"system-ui, sans-serif\"><title>{title}</title><desc>{description}</desc>{inside}",
        size.0 * STRETCH
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

impl Pen<'_> {
    fn draw<E>(&self, element: E)
    where
        for<'e> &'e E: PointCollection<'e, (i32, i32)>,
        for<'b> E: Drawable<SVGBackend<'b>>,
    {
        // Cannot fail: it is drawn into a text.
        let _ = self.0.draw(&element);
    }

    /// A line through all points, `width` pixels thick.
    pub(super) fn line(&self, points: impl IntoIterator<Item = (f64, f64)>, role: Role, width: f64) {
        let points: Vec<_> = points.into_iter().map(unit).collect();
        if points.len() > 1 {
            self.draw(PathElement::new(points, role.color().stroke_width((width * GRAIN) as u32)));
        }
    }

    /// A filled rectangle between two corners.
    pub(super) fn rectangle(&self, from: (f64, f64), to: (f64, f64), role: Role) {
        self.draw(Rectangle::new([unit(from), unit(to)], role.color().filled()));
    }

    /// One line of text whose middle is at the height of its place.
    pub(super) fn text(&self, at: (f64, f64), align: Align, text: &str, role: Role) {
        let side = match align {
            Align::Left => HPos::Left,
            Align::Middle => HPos::Center,
            Align::Right => HPos::Right,
        };
        // The backend divides sizes by 1.24.
        let font = FontDesc::new(FontFamily::SansSerif, LETTER * GRAIN * 1.24, FontStyle::Normal);
        let color = role.color();
        let style = TextStyle::from(font).color(&color).pos(Pos::new(side, VPos::Center));
        // A third of the height of a letter below the middle is where it stands.
        self.draw(Text::new(text.to_owned(), unit((at.0, at.1 + LETTER * 0.36)), style));
    }

    /// The marker of a series: seven forms.
    pub(super) fn marker(&self, at: (f64, f64), series: usize) {
        let role = Role::Series(series % COLORS).color().filled();
        let around = |corners: &[(f64, f64)]| -> Vec<(i32, i32)> {
            corners.iter().map(|(x, y)| unit((at.0 + x, at.1 + y))).collect()
        };
        match series % 7 {
            0 => self.draw(Circle::new(unit(at), (3.5 * GRAIN) as i32, role)),
            1 => self.draw(Polygon::new(around(&[(-3.2, -3.2), (3.2, -3.2), (3.2, 3.2), (-3.2, 3.2)]), role)),
            2 => self.draw(Polygon::new(around(&[(0.0, -4.5), (4.2, 3.0), (-4.2, 3.0)]), role)),
            3 => self.draw(Polygon::new(around(&[(0.0, -4.8), (4.8, 0.0), (0.0, 4.8), (-4.8, 0.0)]), role)),
            4 => self.draw(Polygon::new(around(&[(0.0, 4.5), (4.2, -3.0), (-4.2, -3.0)]), role)),
            5 => self.cross(at, Role::Series(series % COLORS)),
            _ => self.draw(Circle::new(
                unit(at),
                (3.5 * GRAIN) as i32,
                Role::Series(series % COLORS).color().stroke_width((1.5 * GRAIN) as u32),
            )),
        }
    }

    /// An oblique cross.
    pub(super) fn cross(&self, at: (f64, f64), role: Role) {
        for slope in [1.0, -1.0] {
            self.line([(at.0 - 4.0, at.1 - 4.0 * slope), (at.0 + 4.0, at.1 + 4.0 * slope)], role, 2.0);
        }
    }
}

fn unit((x, y): (f64, f64)) -> (i32, i32) {
    ((x * GRAIN).round() as i32, (y * GRAIN).round() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_names_roles_and_no_colours() {
        let text = svg((100.0, 50.0), "a <b>", "shows \"it\"", |pen| {
            for series in 0..40 {
                pen.line([(0.0, 0.0), (50.0, 25.25)], Role::Dashed(series), 2.0);
                pen.marker((10.0, 10.0), series);
            }
            pen.text((1.0, 1.0), Align::Left, "<script>", Role::Ink);
        });
        assert!(!text.contains('#'), "{text}");
        assert!(text.contains("<title>a &lt;b&gt;</title><desc>shows &quot;it&quot;</desc>"), "{text}");
        assert!(text.contains("&lt;script&gt;") && !text.contains("<script>"), "{text}");
        assert!(text.contains("points=\"0,0 200,101 \""), "{text}");
        assert!(text.contains("stroke=\"var(--s1)\" stroke-dasharray=\"28 12\""), "{text}");
        assert!(text.ends_with("</svg>\n"), "{text}");
    }
}
