//! A drawing as SVG, made here from the first to the last byte: no other program, no scripts, no fonts or pictures from
//! elsewhere. `place` says where everything stands; this module writes shapes and texts, and escapes them.

use std::fmt::Write as _;

use super::place::{Layout, Size, Spot, Stop, place};
use super::{Picture, Shape, is_shown};

/// Pixels from one line of text to the next, and how wide a character is taken to be: a little more than most are.
const LINE: f64 = 18.0;
const CHARACTER: f64 = 7.5;
/// The same of an edge's label, which is written smaller.
const LABEL_LINE: f64 = 14.0;
const LABEL_CHARACTER: f64 = 6.5;
/// Between a node's text and its border.
const PADDING: f64 = 12.0;
/// Above a node that asks for turns: its loop and what is said of it.
const LOOP: f64 = 34.0;
/// Around everything.
const MARGIN: f64 = 12.0;
/// Characters of a line of text, and lines of a label; the rest is cut. The other formats have it all.
const WIDTH: usize = 30;
const LABEL_LINES: usize = 4;

/// The whole document.
pub(super) fn svg(picture: &Picture) -> String {
    let boxes = boxes(picture);
    let lines = lines(picture);
    let sizes: Vec<Size> = boxes.iter().map(Box::room).collect();
    let edges: Vec<(usize, usize, Option<Size>)> = lines.iter().map(|line| (line.from, line.to, line.room())).collect();
    let layout = place(&sizes, &edges);
    let mut text = String::new();
    open(&mut text, &picture.name, &layout);
    for (line, way) in lines.iter().zip(&layout.ways) {
        line.draw(&mut text, way, [boxes[line.from].right(), boxes[line.to].left()]);
    }
    for (node, spot) in boxes.iter().zip(&layout.nodes) {
        node.draw(&mut text, spot);
    }
    text.push_str("</svg>\n");
    text
}

fn open(text: &mut String, name: &str, layout: &Layout) {
    let [x, y] = [layout.left - MARGIN, layout.top - MARGIN].map(number);
    let [width, height] = [layout.size.width + 2.0 * MARGIN, layout.size.height + 2.0 * MARGIN].map(number);
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"{x} {y} {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\" text-anchor=\"middle\">\n\
         <title>{}</title>\n\
         <defs><marker id=\"arrow\" markerWidth=\"9\" markerHeight=\"8\" refX=\"8\" refY=\"4\" orient=\"auto\">\
         <path d=\"M0,0 L9,4 L0,8 z\" fill=\"#334155\"/></marker></defs>\n\
         <rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n",
        escaped(name)
    );
}

// === nodes ===

/// A node as it is drawn.
struct Box {
    lines: Vec<String>,
    /// None: where messages enter or leave.
    shape: Option<Shape>,
    turns: Option<String>,
    size: Size,
}

/// The nodes of the flow in their order, then the input and the output, if there are any.
fn boxes(picture: &Picture) -> Vec<Box> {
    let nodes = picture.nodes.iter().map(|node| Box::new(&node.lines, Some(node.shape), node.turns.clone()));
    let input = (!picture.inputs.is_empty()).then(|| Box::new(&["input".to_owned()], None, None));
    let output = (!picture.outputs.is_empty()).then(|| Box::new(&["output".to_owned()], None, None));
    nodes.chain(input).chain(output).collect()
}

impl Box {
    fn new(lines: &[String], shape: Option<Shape>, turns: Option<String>) -> Self {
        let lines: Vec<String> = lines.iter().map(|line| wrapped(line, 1).remove(0)).collect();
        let longest = lines.iter().map(|line| columns(line)).max().unwrap_or_default();
        let slant = if matches!(shape, Some(Shape::Run)) { 0.0 } else { 2.0 * PADDING };
        let width = longest as f64 * CHARACTER + 2.0 * PADDING + slant;
        let height = lines.len() as f64 * LINE + PADDING;
        Self { lines, shape, turns, size: Size { width, height } }
    }

    /// What it takes, its loop included: as much below as above, for it stands in the middle.
    fn room(&self) -> Size {
        let Some(turns) = &self.turns else { return self.size };
        let width = self.size.width.max(columns(turns) as f64 * LABEL_CHARACTER);
        Size { width, height: self.size.height + 2.0 * LOOP }
    }

    /// From the middle to where edges begin.
    fn right(&self) -> f64 {
        let inset = if let Some(Shape::Join) = self.shape { PADDING / 2.0 } else { 0.0 };
        self.size.width / 2.0 - inset
    }

    /// From the middle to where edges end.
    fn left(&self) -> f64 {
        let inset = if let Some(Shape::Discard) = self.shape { PADDING } else { 0.0 };
        self.right() - inset
    }

    fn colours(&self) -> (&'static str, &'static str) {
        match self.shape {
            Some(Shape::Run) if self.turns.is_some() => super::LOOP.into(),
            Some(Shape::Run) => ("#f8fafc", "#334155"),
            Some(Shape::Route) => ("#fef9c3", "#854d0e"),
            Some(Shape::Join) => ("#ede9fe", "#5b21b6"),
            Some(Shape::Map) => ("#dcfce7", "#166534"),
            Some(Shape::Subflow) => ("#e0e7ff", "#3730a3"),
            Some(Shape::Discard) => ("#f1f5f9", "#64748b"),
            None => super::ENDPOINT.into(),
        }
    }

    fn draw(&self, text: &mut String, spot: &Spot) {
        let (fill, stroke) = self.colours();
        let (left, top) = (spot.x - self.size.width / 2.0, spot.y - self.size.height / 2.0);
        let _ = writeln!(text, "{} fill=\"{fill}\" stroke=\"{stroke}\"/>", self.outline(left, top));
        if let Some(Shape::Subflow) = self.shape {
            // A box in a box.
            let [x, y, width, height] = [left + 3.0, top + 3.0, self.size.width - 6.0, self.size.height - 6.0].map(number);
            let _ = writeln!(
                text,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"none\" stroke=\"{stroke}\"/>"
            );
        }
        if let Some(Shape::Map) = self.shape {
            // The bars of something that is done to many.
            for x in [left + 4.0, left + self.size.width - 4.0].map(number) {
                let [top, bottom] = [top, top + self.size.height].map(number);
                let _ = writeln!(text, "<line x1=\"{x}\" y1=\"{top}\" x2=\"{x}\" y2=\"{bottom}\" stroke=\"{stroke}\"/>");
            }
        }
        write_lines(text, *spot, &self.lines, LINE, " fill=\"#0f172a\"");
        if let Some(turns) = &self.turns {
            let [from, to, low, high] = [spot.x + 14.0, spot.x - 14.0, top, top - 20.0].map(number);
            let _ = writeln!(
                text,
                "<path d=\"M{from},{low} C{from},{high} {to},{high} {to},{low}\" fill=\"none\" stroke=\"#334155\" \
                 marker-end=\"url(#arrow)\"/>"
            );
            let above = Spot { x: spot.x, y: top - LOOP + LABEL_LINE / 2.0 };
            write_lines(text, above, std::slice::from_ref(turns), LABEL_LINE, LABEL);
        }
    }

    /// The outline as an element of SVG, but for its colours and its end.
    fn outline(&self, left: f64, top: f64) -> String {
        let Size { width, height } = self.size;
        let (right, bottom, middle) = (left + width, top + height, top + height / 2.0);
        let rectangle = |radius: f64| {
            let [x, y, width, height, radius] = [left, top, width, height, radius].map(number);
            format!("<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{radius}\"")
        };
        let polygon = |points: &[(f64, f64)]| {
            let points: Vec<String> = points.iter().map(|(x, y)| format!("{},{}", number(*x), number(*y))).collect();
            format!("<polygon points=\"{}\"", points.join(" "))
        };
        let (inner_left, inner_right) = (left + PADDING, right - PADDING);
        match self.shape {
            Some(Shape::Run) => rectangle(6.0),
            Some(Shape::Map | Shape::Subflow) => rectangle(0.0),
            None => rectangle(height / 2.0),
            Some(Shape::Route) => polygon(&[
                (inner_left, top),
                (inner_right, top),
                (right, middle),
                (inner_right, bottom),
                (inner_left, bottom),
                (left, middle),
            ]),
            Some(Shape::Join) => polygon(&[(inner_left, top), (inner_right, top), (right, bottom), (left, bottom)]),
            Some(Shape::Discard) => polygon(&[(left, top), (right, top), (right, bottom), (left, bottom), (inner_left, middle)]),
        }
    }
}

// === edges ===

/// The looks of an edge's label.
const LABEL: &str = " font-size=\"11\" fill=\"#475569\"";

/// An edge as it is drawn.
struct Line {
    from: usize,
    to: usize,
    label: Vec<String>,
    dashed: bool,
}

fn lines(picture: &Picture) -> Vec<Line> {
    let plain = |from, to| Line { from, to, label: Vec::new(), dashed: false };
    let input = picture.nodes.len();
    let output = input + usize::from(!picture.inputs.is_empty());
    let arrows = picture.arrows.iter().map(|arrow| {
        let label = arrow.label.as_ref().map(|label| wrapped(label, LABEL_LINES)).unwrap_or_default();
        Line { from: arrow.from, to: arrow.to, label, dashed: arrow.failure }
    });
    let inputs = picture.inputs.iter().map(|&node| plain(input, node));
    let outputs = picture.outputs.iter().map(|&node| plain(node, output));
    inputs.chain(arrows).chain(outputs).collect()
}

impl Line {
    /// What the label takes.
    fn room(&self) -> Option<Size> {
        let longest = self.label.iter().map(|line| columns(line)).max()?;
        Some(Size { width: longest as f64 * LABEL_CHARACTER + 8.0, height: self.label.len() as f64 * LABEL_LINE + 4.0 })
    }

    /// From border to border through the columns on the way: straight within each, so that it touches nothing there, and
    /// curved between them. `borders` is how far those of the nodes at both ends are from their middles.
    fn draw(&self, text: &mut String, way: &[Stop], borders: [f64; 2]) {
        let [first, .., last] = way else { return };
        let mut curve = format!("M{},{}", number(first.spot.x + borders[0]), number(first.spot.y));
        for pair in way.windows(2) {
            let (from, to) = (pair[0].spot.x + pair[0].column / 2.0, pair[1].spot.x - pair[1].column / 2.0);
            let half = (to - from) / 2.0;
            let [start, end, control, other] = [from, to, from + half, to - half].map(number);
            let [y, next] = [pair[0].spot.y, pair[1].spot.y].map(number);
            let _ = write!(curve, " H{start} C{control},{y} {other},{next} {end},{next}");
        }
        let _ = write!(curve, " H{}", number(last.spot.x - borders[1]));
        let dash = if self.dashed { " stroke-dasharray=\"5,4\"" } else { "" };
        let _ = writeln!(text, "<path d=\"{curve}\" fill=\"none\" stroke=\"#334155\" marker-end=\"url(#arrow)\"{dash}/>");
        if let (Some(size), Some(stop)) = (self.room(), way.iter().find(|stop| stop.label)) {
            let Spot { x, y } = stop.spot;
            let [left, top, width, height] = [x - size.width / 2.0, y - size.height / 2.0, size.width, size.height].map(number);
            let _ = writeln!(text, "<rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>");
            write_lines(text, stop.spot, &self.label, LABEL_LINE, LABEL);
        }
    }
}

// === text ===

/// Lines of text around a spot.
fn write_lines(text: &mut String, around: Spot, lines: &[String], height: f64, looks: &str) {
    let first = around.y - (lines.len() as f64 - 1.0) * height / 2.0;
    for (index, line) in lines.iter().enumerate() {
        // Letters stand on a line a little below their middle.
        let [x, y] = [around.x, first + index as f64 * height + 4.0].map(number);
        let _ = writeln!(text, "<text x=\"{x}\" y=\"{y}\"{looks}>{}</text>", escaped(line));
    }
}

/// A coordinate: a tenth of a pixel is enough, and there is no minus zero.
fn number(number: f64) -> String {
    let tenths = (number * 10.0).round() + 0.0;
    format!("{}", tenths / 10.0)
}

/// Columns that a text takes: most letters beyond the alphabets of Europe and the Near East are wide.
fn columns(text: &str) -> usize {
    text.chars().map(|character| if character < '\u{1100}' { 1 } else { 2 }).sum()
}

/// At most so many lines, divided at spaces where there are some. There is always one, and none is empty unless the text is.
fn wrapped(text: &str, max: usize) -> Vec<String> {
    let clean: String = text.chars().map(|character| if is_shown(character) { character } else { ' ' }).collect();
    let mut lines: Vec<String> = Vec::new();
    for word in clean.split_whitespace() {
        let mut rest: Vec<char> = word.chars().collect();
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + rest.len() <= WIDTH => {
                line.push(' ');
                line.extend(rest);
                continue;
            }
            _ => {}
        }
        while rest.len() > WIDTH {
            lines.push(rest.drain(..WIDTH).collect());
        }
        lines.push(rest.into_iter().collect());
    }
    if lines.len() > max {
        lines.truncate(max);
        lines[max - 1].push('…');
    }
    if lines.is_empty() { vec![String::new()] } else { lines }
}

/// Text as character data or as the value of an attribute.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character if is_shown(character) => escaped.push(character),
            _ => escaped.push(' '),
        }
    }
    escaped
}
