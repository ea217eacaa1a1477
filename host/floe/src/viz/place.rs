//! Where the parts of a drawing stand: columns from left to right, so that every edge leads to the right.
//!
//! A node's column is the longest way to it; an edge that passes columns has a stop in each, so that nothing else stands there,
//! and one with a label has the label in a column of its own. The library then decides the order within the columns, so that
//! few edges cross, and the heights. It gets nothing else to decide: the same flow has the same drawing.

use std::collections::BTreeMap;

use rust_sugiyama::configure::{Config, RankingType};

/// Between columns, and between what stands in one.
const COLUMN_GAP: f64 = 44.0;
const ROW_GAP: f64 = 16.0;
/// The height of an edge that passes a column.
const PASSING: f64 = 4.0;

/// Pixels.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Size {
    pub(super) width: f64,
    pub(super) height: f64,
}

/// The middle of something.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spot {
    pub(super) x: f64,
    pub(super) y: f64,
}

/// A part of an edge's way: it crosses a column here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stop {
    pub(super) spot: Spot,
    /// The column's width.
    pub(super) column: f64,
    /// The label stands here.
    pub(super) label: bool,
}

/// Where everything stands.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) nodes: Vec<Spot>,
    /// For each edge its stops, from the one node to the other.
    pub(super) ways: Vec<Vec<Stop>>,
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) size: Size,
}

/// Places nodes and edges between them, each perhaps with a label of some size. The edges have no cycle.
pub(super) fn place(nodes: &[Size], edges: &[(usize, usize, Option<Size>)]) -> Layout {
    let mut columns = columns(nodes.len(), edges);
    let mut sizes = nodes.to_vec();
    let (mut ways, mut links) = (Vec::new(), Vec::new());
    for &(from, to, label) in edges {
        let passed = columns[from] + 1..columns[to];
        // In the middle of the way.
        let at = label.map(|_| usize::midpoint(columns[from], columns[to]));
        let mut way = vec![from];
        for column in passed {
            let size = label.filter(|_| at == Some(column)).unwrap_or(Size { width: 0.0, height: PASSING });
            way.push(sizes.len());
            sizes.push(size);
            columns.push(column);
        }
        way.push(to);
        links.extend(way.windows(2).map(|pair| (pair[0], pair[1])));
        ways.push((way, at));
    }
    let spots = arrange(&sizes, &links, &columns);
    let mut widths = BTreeMap::<usize, f64>::new();
    for (size, column) in sizes.iter().zip(&columns) {
        let width = widths.entry(*column).or_default();
        *width = width.max(size.width);
    }
    let stop = |vertex: usize, at: Option<usize>| Stop {
        spot: spots[vertex],
        column: widths[&columns[vertex]],
        label: at == Some(columns[vertex]),
    };
    let ways = ways.iter().map(|(way, at)| way.iter().map(|vertex| stop(*vertex, *at)).collect()).collect();
    let edge_of = |part: fn(Spot, Size) -> f64, better: fn(f64, f64) -> f64| {
        spots.iter().zip(&sizes).map(|(spot, size)| part(*spot, *size)).reduce(better).unwrap_or_default()
    };
    let left = edge_of(|spot, size| spot.x - size.width / 2.0, f64::min);
    let top = edge_of(|spot, size| spot.y - size.height / 2.0, f64::min);
    let right = edge_of(|spot, size| spot.x + size.width / 2.0, f64::max);
    let bottom = edge_of(|spot, size| spot.y + size.height / 2.0, f64::max);
    let size = Size { width: right - left, height: bottom - top };
    Layout { nodes: spots[..nodes.len()].to_vec(), ways, left, top, size }
}

/// The column of each node: one behind its last predecessor's, two if there is a label between them.
fn columns(count: usize, edges: &[(usize, usize, Option<Size>)]) -> Vec<usize> {
    let mut columns = vec![0; count];
    // A way has at most one edge less than there are nodes.
    for _ in 0..count {
        let mut moved = false;
        for (from, to, label) in edges {
            let column = columns[*from] + if label.is_some() { 2 } else { 1 };
            if columns[*to] < column {
                columns[*to] = column;
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    columns
}

/// The library draws from top to bottom: what is high here is wide there.
fn arrange(sizes: &[Size], links: &[(usize, usize)], columns: &[usize]) -> Vec<Spot> {
    let number = |index: usize| u32::try_from(index).expect("a drawing has less than four billion parts");
    let vertices: Vec<(u32, (f64, f64))> =
        sizes.iter().enumerate().map(|(index, size)| (number(index), (size.height, size.width))).collect();
    let links: Vec<(u32, u32)> = links.iter().map(|(from, to)| (number(*from), number(*to))).collect();
    let config = Config { ranking_type: RankingType::Up, vertex_spacing: ROW_GAP, ..Config::default() };
    let mut spots = vec![Spot::default(); sizes.len()];
    let mut below = 0.0;
    // Parts of a flow that nothing connects come one below the other.
    for (part, height, _) in rust_sugiyama::from_vertices_and_edges(&vertices, &links, &config) {
        let top = part.iter().map(|(index, (y, _))| y - sizes[*index].height / 2.0).reduce(f64::min).unwrap_or_default();
        for (index, (y, _)) in part {
            spots[index].y = y - top + below;
        }
        below += height + 2.0 * ROW_GAP;
    }
    // Columns stand where their widths put them.
    let mut widths = vec![0.0_f64; columns.iter().max().map_or(0, |last| last + 1)];
    for (size, column) in sizes.iter().zip(columns) {
        widths[*column] = widths[*column].max(size.width);
    }
    let mut x = 0.0;
    let middles: Vec<f64> = widths
        .iter()
        .map(|width| {
            let middle = x + width / 2.0;
            x += width + COLUMN_GAP;
            middle
        })
        .collect();
    for (spot, column) in spots.iter_mut().zip(columns) {
        spot.x = middles[*column];
    }
    spots
}
