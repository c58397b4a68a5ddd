//! The plot of instructions against the kernel's size; both axes are logarithmic.

use crate::boots::{Contender, SIZES, others};
use crate::text::size;
use std::fmt::Write;

const WIDTH: f64 = 850.0;
const HEIGHT: f64 = 470.0;
/// The plot area: left, top, right, bottom.
const AREA: [f64; 4] = [95.0, 58.0, 565.0, 408.0];
/// Grid lines of the vertical axis: 10^4 to 10^9. The axis extends a bit further.
const DECADES: std::ops::RangeInclusive<i32> = 4..=9;
/// The minimum distance between two labels.
const LABEL_HEIGHT: f64 = 17.0;

/// A line of the plot.
struct Line {
    name: String,
    totals: Vec<f64>,
    colour: &'static str,
    dashed: bool,
}

/// Colours that the colour-blind can distinguish (Okabe and Ito).
const COLOURS: [&str; 6] = [
    "#0072b2", "#d55e00", "#e69f00", "#009e73", "#cc79a7", "#56b4e9",
];

/// An SVG file.
pub fn svg(contenders: &[Contender]) -> String {
    let mut lines = Vec::new();
    let mut colours = COLOURS.into_iter().cycle();
    for (n, one) in contenders.iter().enumerate() {
        lines.push(Line {
            name: one.name.clone(),
            totals: one.boots.iter().map(|boot| boot.total() as f64).collect(),
            colour: if n == 0 {
                "#666666"
            } else {
                colours.next().unwrap_or("#000000")
            },
            dashed: n == 0,
        });
    }
    for other in others(contenders) {
        lines.push(Line {
            name: format!("{} *", other.name),
            totals: other
                .counts
                .map(|(own, firmware, _)| (own + firmware) as f64)
                .into(),
            colour: colours.next().unwrap_or("#000000"),
            dashed: false,
        });
    }
    draw(&lines, others(contenders).next().is_some())
}

fn draw(lines: &[Line], with_references: bool) -> String {
    let [left, top, right, bottom] = AREA;
    let (first, last) = (SIZES[0] as f64, SIZES[3] as f64);
    let x = |bytes: f64| left + (bytes / first).ln() / (last / first).ln() * (right - left);
    let (low, high) = (
        f64::from(*DECADES.start()) - 0.4,
        f64::from(*DECADES.end()) + 0.35,
    );
    let y = |count: f64| bottom - (count.log10() - low) / (high - low) * (bottom - top);

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"13\" fill=\"#333\">\n\
         <title>Instructions from the boot sector to the kernel's entry</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"16\" y=\"28\" font-size=\"16\" font-weight=\"bold\">Instructions from the boot \
         sector to the kernel's entry, firmware included</text>\n"
    );
    for decade in DECADES {
        let at = y(10f64.powi(decade));
        let label = match decade {
            4 => "10,000",
            5 => "100,000",
            6 => "1 million",
            7 => "10 million",
            8 => "100 million",
            _ => "1 billion",
        };
        put(
            &mut svg,
            format_args!(
                "<line x1=\"{left}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>\n",
                left - 8.0,
                at + 4.5,
            ),
        );
    }
    for bytes in SIZES {
        let at = x(bytes as f64);
        put(
            &mut svg,
            format_args!(
                "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top}\" y2=\"{bottom}\" stroke=\"#ddd\"/>\n\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
                bottom + 20.0,
                size(bytes),
            ),
        );
    }
    put(
        &mut svg,
        format_args!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">size of the kernel (both axes are \
         logarithmic)</text>\n",
            (left + right) / 2.0,
            bottom + 42.0,
        ),
    );
    if with_references {
        put(
            &mut svg,
            format_args!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" font-size=\"11\">* from another \
             run</text>\n",
                WIDTH - 10.0,
                HEIGHT - 10.0,
            ),
        );
    }

    let labels = apart(lines.iter().map(|line| y(line.totals[3])).collect());
    for (line, label) in lines.iter().zip(labels) {
        let points: Vec<(f64, f64)> = SIZES
            .iter()
            .zip(&line.totals)
            .map(|(&bytes, &total)| (x(bytes as f64), y(total)))
            .collect();
        let path: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let colour = line.colour;
        let dash = if line.dashed {
            " stroke-dasharray=\"6 4\""
        } else {
            ""
        };
        put(
            &mut svg,
            format_args!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.5\"{dash}/>\n",
                path.join(" "),
            ),
        );
        for (x, y) in points {
            put(
                &mut svg,
                format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>\n"),
            );
        }
        put(
            &mut svg,
            format_args!(
                "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{label:.1}\" stroke=\"{colour}\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>\n",
                right + 5.0,
                y(line.totals[3]),
                right + 18.0,
                right + 22.0,
                label + 4.5,
                line.name,
            ),
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn put(svg: &mut String, text: std::fmt::Arguments) {
    let _ = svg.write_fmt(text); // writing to a String never fails
}

/// The heights of the labels: the ends of the lines, moved apart as little as
/// possible where they would overlap.
fn apart(ends: Vec<f64>) -> Vec<f64> {
    let mut order: Vec<usize> = (0..ends.len()).collect();
    order.sort_by(|&one, &other| ends[one].total_cmp(&ends[other]));
    let mut heights = ends;
    // Neighbours that overlap push each other apart, repeatedly.
    for _ in 0..200 {
        for pair in order.windows(2) {
            let overlap = LABEL_HEIGHT - (heights[pair[1]] - heights[pair[0]]);
            if overlap > 0.0 {
                heights[pair[0]] -= overlap / 2.0;
                heights[pair[1]] += overlap / 2.0;
            }
        }
    }
    heights
}
