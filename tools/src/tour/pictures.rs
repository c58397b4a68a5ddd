//! The pictures of the tour: a strip of all checkpoints, and one for each.

use serde_json::Value;
use std::fmt::Write;

/// The size of a card, and the distance of two.
const WIDTH: usize = 176;
const HEIGHT: usize = 84;
const GAP: usize = 8;
/// Cards in a row of the strip.
const COLUMNS: usize = 7;

/// A checkpoint as a card.
struct Card<'a> {
    number: usize,
    name: &'a str,
    title: &'a str,
    text: &'a str,
    mode: &'a str,
    address: &'a str,
    place: String,
}

/// The names and texts of the pictures.
pub fn pictures(steps: &Value) -> Vec<(String, String)> {
    let cards = cards(steps);
    let mut pictures = vec![("strip.svg".into(), strip(&cards))];
    for card in &cards {
        pictures.push((format!("{}.svg", card.name), single(card)));
    }
    pictures
}

fn cards(steps: &Value) -> Vec<Card<'_>> {
    let mut cards = Vec::new();
    for (n, checkpoint) in steps["checkpoints"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        let index = |value: &Value| value.as_u64().unwrap_or(0) as usize;
        let code = &steps["code"][index(&steps["steps"][index(&checkpoint["step"])]["c"])];
        let file = &steps["files"][index(&code[4][0])];
        cards.push(Card {
            number: n + 1,
            name: checkpoint["name"].as_str().unwrap_or_default(),
            title: checkpoint["title"].as_str().unwrap_or_default(),
            text: checkpoint["text"].as_str().unwrap_or_default(),
            mode: code[1].as_str().unwrap_or_default(),
            address: code[0].as_str().unwrap_or_default(),
            place: format!(
                "{}:{}",
                file["name"].as_str().unwrap_or_default(),
                code[4][1]
            ),
        });
    }
    cards
}

fn colour(mode: &str) -> &'static str {
    match mode {
        "real" | "vm86" => "#a33b00",
        "long64" => "#0b6b3a",
        _ if mode.starts_with("prot") => "#6b4a00",
        _ => "#6a2c91",
    }
}

fn bits(mode: &str) -> &str {
    match mode {
        "real" => "16",
        _ => mode.trim_start_matches(|c: char| c.is_ascii_alphabetic()),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Lines of at most so many characters.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut().expect("there is one");
        if last.is_empty() {
            last.push_str(word);
        } else if last.len() + 1 + word.len() <= width {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.into());
        }
    }
    lines
}

fn start(width: usize, height: usize) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n"
    )
}

fn strip(cards: &[Card]) -> String {
    let rows = cards.len().div_ceil(COLUMNS);
    let width = COLUMNS * (WIDTH + GAP) - GAP;
    let height = (rows * (HEIGHT + GAP)).saturating_sub(GAP);
    let mut svg = start(width, height);
    let _ = writeln!(
        svg,
        "<title>The boot in {} checkpoints, from 16-bit real mode to 64-bit long mode</title>",
        cards.len()
    );
    for (n, card) in cards.iter().enumerate() {
        let (x, y) = (n % COLUMNS * (WIDTH + GAP), n / COLUMNS * (HEIGHT + GAP));
        let _ = writeln!(
            svg,
            "<g transform=\"translate({x} {y})\" fill=\"#fff\">\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\" fill=\"{}\"/>\
             <text x=\"10\" y=\"26\" font-size=\"22\" font-weight=\"bold\">{}</text>\
             <text x=\"{}\" y=\"20\" text-anchor=\"end\" font-family=\"monospace\">{}</text>",
            colour(card.mode),
            bits(card.mode),
            WIDTH - 10,
            card.number
        );
        for (line, text) in wrapped(card.title, 19).iter().take(2).enumerate() {
            let _ = writeln!(
                svg,
                "<text x=\"10\" y=\"{}\" font-weight=\"bold\">{}</text>",
                44 + line * 14,
                escaped(text)
            );
        }
        // Without the line: the README shows this picture, and lines move.
        let _ = writeln!(
            svg,
            "<text x=\"10\" y=\"{}\" font-family=\"monospace\" font-size=\"11\">{}</text></g>",
            HEIGHT - 9,
            escaped(card.place.split(':').next().unwrap_or_default())
        );
    }
    svg + "</svg>\n"
}

fn single(card: &Card) -> String {
    let lines = wrapped(card.text, 74);
    let mut svg = start(560, 96 + lines.len() * 18);
    let _ = writeln!(
        svg,
        "<title>{}</title><rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{}\"/>\
         <g fill=\"#fff\"><text x=\"18\" y=\"44\" font-size=\"34\" font-weight=\"bold\">{}</text>\
         <text x=\"74\" y=\"32\" font-size=\"17\" font-weight=\"bold\">{}</text>\
         <text x=\"74\" y=\"52\" font-family=\"monospace\">{} at 0x{}, {}</text>",
        escaped(card.title),
        colour(card.mode),
        bits(card.mode),
        escaped(card.title),
        card.mode,
        card.address,
        escaped(&card.place)
    );
    for (n, line) in lines.iter().enumerate() {
        let _ = writeln!(
            svg,
            "<text x=\"18\" y=\"{}\" font-size=\"14\">{}</text>",
            82 + n * 18,
            escaped(line)
        );
    }
    svg + "</g></svg>\n"
}
