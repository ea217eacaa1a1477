//! Tables for people.

use comfy_table::{Table, presets};

/// Rows under a header, without lines between them.
pub(crate) fn table<R, C>(header: &[&str], rows: R) -> String
where
    R: IntoIterator<Item = C>,
    C: IntoIterator<Item = String>,
{
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if !header.is_empty() {
        table.set_header(header);
    }
    for row in rows {
        table.add_row(row.into_iter().collect::<Vec<_>>());
    }
    // Without borders every line begins and ends with padding.
    table.lines().map(|line| line.trim_end().strip_prefix(' ').unwrap_or(line.trim_end()).to_owned() + "\n").collect()
}
