//! Aligned columns for people, cut to the width of the terminal.

use console::{Alignment, measure_text_width, pad_str, truncate_str};

const GAP: &str = "  ";
/// A column is not cut below this width for the sake of others.
const COLUMN_WIDTH_MIN: usize = 8;

/// Rows of cells under headings.
#[derive(Debug, Default)]
pub(crate) struct Table {
    headings: Vec<String>,
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A heading that starts with `>` makes a column of numbers, which stand to the right.
    pub(crate) fn new<S: AsRef<str>>(headings: impl IntoIterator<Item = S>) -> Self {
        let mut table = Self::default();
        for heading in headings {
            let heading = heading.as_ref();
            let bare = heading.strip_prefix('>');
            table.right.push(bare.is_some());
            table.headings.push(bare.unwrap_or(heading).to_owned());
        }
        table
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines, each `indent` blanks in, and at most `width` wide.
    pub(crate) fn lines(&self, indent: usize, width: Option<usize>) -> Vec<String> {
        let widths = self.widths(indent, width);
        let render = |cells: &[String], faint: bool| {
            let cells: Vec<_> = cells
                .iter()
                .zip(&widths)
                .zip(&self.right)
                .filter(|((_, width), _)| **width > 0)
                .map(|((cell, width), right)| {
                    let alignment = if *right {
                        Alignment::Right
                    } else {
                        Alignment::Left
                    };
                    let cell = truncate_str(cell, *width, "…");
                    pad_str(&cell, *width, alignment, None).into_owned()
                })
                .collect();
            let line = cells.join(GAP);
            let line = line.trim_end();
            let line = if faint {
                crate::look::faint(line)
            } else {
                line.to_owned()
            };
            format!("{}{line}", " ".repeat(indent))
        };
        let headed = self.headings.iter().any(|heading| !heading.is_empty());
        let heading = headed.then(|| render(&self.headings, true));
        heading
            .into_iter()
            .chain(self.rows.iter().map(|row| render(row, false)))
            .collect()
    }

    /// The width of every column; 0 for those at the end that do not fit at all.
    fn widths(&self, indent: usize, width: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = (0..self.headings.len())
            .map(|at| {
                let cells = self.rows.iter().filter_map(|row| row.get(at));
                let cells = cells.chain(std::iter::once(&self.headings[at]));
                cells
                    .map(|cell| measure_text_width(cell))
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let Some(width) = width else {
            return widths;
        };
        let room = |widths: &[usize]| {
            let shown = widths.iter().filter(|width| **width > 0).count();
            widths.iter().sum::<usize>() + indent + GAP.len() * shown.saturating_sub(1)
        };
        while room(&widths) > width {
            let widest = widths.iter().copied().max().unwrap_or(0);
            if widest > COLUMN_WIDTH_MIN {
                let over = room(&widths) - width;
                // Cut the widest down to the next, or as far as needed.
                let next = widths
                    .iter()
                    .copied()
                    .filter(|w| *w < widest)
                    .max()
                    .unwrap_or(0);
                let to = next
                    .max(widest.saturating_sub(over))
                    .max(COLUMN_WIDTH_MIN)
                    .min(widest - 1);
                if let Some(column) = widths.iter_mut().find(|w| **w == widest) {
                    *column = to;
                }
            } else {
                match widths.iter().rposition(|w| *w > 0) {
                    Some(last) if last > 0 => widths[last] = 0,
                    _ => break,
                }
            }
        }
        widths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["name", ">area", "note"]);
        table.row(vec![
            "Bern".into(),
            "51".into(),
            "a rather long note about the city".into(),
        ]);
        table.row(vec!["Zürich 東京".into(), "87,000".into(), "x".into()]);
        table
    }

    #[test]
    fn columns_are_aligned_and_numbers_stand_right() {
        let lines = table().lines(2, None);
        let plain: Vec<_> = lines
            .iter()
            .map(|line| console::strip_ansi_codes(line).into_owned())
            .collect();
        assert_eq!(
            plain,
            [
                "  name           area  note",
                "  Bern             51  a rather long note about the city",
                "  Zürich 東京  87,000  x",
            ]
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in 1..80 {
            let lines = table().lines(2, Some(width));
            if width >= 2 + COLUMN_WIDTH_MIN {
                assert!(
                    lines.iter().all(|line| measure_text_width(line) <= width),
                    "{width}: {lines:#?}"
                );
            }
        }
    }
}
