//! Tables of texts.

use serde::Serialize;

use super::units::TIGHT;

/// A column.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Column {
    /// The head that it has in common with the columns beside it; empty if none.
    group: String,
    head: String,
    /// Whether it holds words, which begin at the left, or numbers, which end at the right.
    words: bool,
}

impl Column {
    pub(crate) fn words(head: impl Into<String>) -> Self {
        Self { head: head.into(), words: true, ..Self::default() }
    }

    pub(crate) fn number(head: impl Into<String>) -> Self {
        Self { head: head.into(), ..Self::default() }
    }

    pub(crate) fn of(self, group: &str) -> Self {
        Self { group: group.to_owned(), ..self }
    }
}

/// A head over several columns.
#[derive(Clone, Debug, Serialize)]
struct Group {
    head: String,
    span: usize,
}

/// Rows of texts under heads. The texts are what people read: nothing in them is escaped yet.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Table {
    columns: Vec<Column>,
    /// Empty if no column has a group.
    groups: Vec<Group>,
    rows: Vec<Vec<String>>,
}

/// Where there is no number.
pub(crate) const NONE: &str = "–";

impl Table {
    /// Columns but for the first that say nothing in any row are left out.
    pub(crate) fn new(columns: Vec<Column>, rows: Vec<Vec<String>>) -> Self {
        let says = |at: &usize| *at == 0 || rows.iter().any(|row| !row[*at].is_empty() && row[*at] != NONE);
        let kept: Vec<usize> = (0..columns.len()).filter(says).collect();
        let columns: Vec<Column> = kept.iter().map(|at| columns[*at].clone()).collect();
        let rows = rows.iter().map(|row| kept.iter().map(|at| row[*at].clone()).collect()).collect();
        let mut groups: Vec<Group> = Vec::new();
        for column in &columns {
            match groups.last_mut() {
                Some(group) if group.head == column.group => group.span += 1,
                _ => groups.push(Group { head: column.group.clone(), span: 1 }),
            }
        }
        if columns.iter().all(|column| column.group.is_empty()) {
            groups.clear();
        }
        Self { columns, groups, rows }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// For a terminal: aligned, the heads through `style`.
    pub(crate) fn text(&self, style: impl Fn(String) -> String) -> String {
        let tight = |text: &str| text.replace(TIGHT, "");
        let wide = |text: &str| tight(text).chars().count();
        let mut widths: Vec<usize> = self.columns.iter().map(|column| wide(&column.head)).collect();
        for row in &self.rows {
            for (width, text) in widths.iter_mut().zip(row) {
                *width = wide(text).max(*width);
            }
        }
        let mut first = 0;
        for group in &self.groups {
            // A head that is wider than its columns widens the first of them.
            let span: usize = widths[first..first + group.span].iter().sum::<usize>() + 2 * (group.span - 1);
            widths[first] += wide(&group.head).saturating_sub(span);
            first += group.span;
        }
        let line = |texts: &mut dyn Iterator<Item = (&str, bool, usize)>| {
            let cell = |(text, words, width): (&str, bool, usize)| {
                let (text, pad) = (tight(text), " ".repeat(width.saturating_sub(wide(text))));
                if words { text + &pad } else { pad + &text }
            };
            texts.map(cell).collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let mut lines = Vec::new();
        if !self.groups.is_empty() {
            let mut first = 0;
            let heads = self.groups.iter().map(|group| {
                let width = widths[first..first + group.span].iter().sum::<usize>() + 2 * (group.span - 1);
                first += group.span;
                (bridge(&group.head, width), width)
            });
            let heads: Vec<_> = heads.collect();
            lines.push(style(line(&mut heads.iter().map(|(head, width)| (head.as_str(), false, *width)))));
        }
        let columns = || self.columns.iter().zip(&widths);
        lines.push(style(line(&mut columns().map(|(column, width)| (column.head.as_str(), column.words, *width)))));
        for row in &self.rows {
            lines.push(line(
                &mut columns().zip(row).map(|((column, width), text)| (text.as_str(), column.words, *width)),
            ));
        }
        lines.join("\n") + "\n"
    }

    /// As GitHub reads it; a group stands before its columns' heads.
    pub(crate) fn markdown(&self) -> String {
        let row = |texts: Vec<String>| format!("| {} |\n", texts.join(" | "));
        let head = |column: &Column| escape(format!("{} {}", column.group, column.head).trim());
        let line = |column: &Column| if column.words { "---".to_owned() } else { "---:".to_owned() };
        let mut text = row(self.columns.iter().map(head).collect()) + &row(self.columns.iter().map(line).collect());
        for texts in &self.rows {
            text += &row(texts.iter().map(|text| escape(text)).collect());
        }
        text
    }
}

/// A head in the middle of a line over its columns; alone where there is no room for one.
fn bridge(head: &str, width: usize) -> String {
    if head.is_empty() || head.chars().count() + 4 > width {
        head.to_owned()
    } else {
        format!("{:─^width$}", format!(" {head} "))
    }
}

/// Text that Markdown takes for nothing else.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '>' => escaped.extend(['\\', c]),
            // The name of an endpoint must not mention a user of GitHub.
            '@' => escaped.push_str("@\u{200b}"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let columns = vec![
            Column::words("target"),
            Column::number("p50").of("latency"),
            Column::number("p99").of("latency"),
            Column::number("memory"),
        ];
        let row = |texts: [&str; 4]| texts.map(str::to_owned).to_vec();
        Table::new(columns, vec![row(["tcp", "1.00\u{a0}µs", "12.0\u{a0}µs", ""]), row(["a|b", "9\u{a0}ns", "–", "–"])])
    }

    #[test]
    fn columns_are_aligned_and_those_that_say_nothing_are_left_out() {
        assert_eq!(
            table().text(|head| head),
            "        ── latency ───\ntarget     p50     p99\ntcp     1.00µs  12.0µs\na|b        9ns       –\n"
        );
    }

    #[test]
    fn nothing_in_a_cell_ends_it_in_markdown() {
        let markdown = table().markdown();
        assert!(markdown.starts_with("| target | latency p50 | latency p99 |\n| --- | ---: | ---: |\n"), "{markdown}");
        assert!(markdown.contains("| a\\|b |"), "{markdown}");
        assert_eq!(escape("<img> @team"), "&lt;img\\> @\u{200b}team");
    }
}
