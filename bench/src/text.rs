//! Formats tables and numbers for the docs.

/// A Markdown table with aligned columns; the first column is text, the others
/// are numbers.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        widest.max(head[column].chars().count()).max(3)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let cell = |(n, cell): (usize, &String)| {
            let width = widths[n];
            match n {
                0 => format!(" {cell:width$} |"),
                _ => format!(" {cell:>width$} |"),
            }
        };
        format!(
            "|{}\n",
            cells.iter().enumerate().map(cell).collect::<String>()
        )
    };
    let rule = |(n, width): (usize, &usize)| match n {
        0 => format!("{}|", "-".repeat(width + 2)),
        _ => format!("{}:|", "-".repeat(width + 1)),
    };
    let head: Vec<String> = head.iter().map(|cell| cell.to_string()).collect();
    let rule: String = widths.iter().enumerate().map(rule).collect();
    let rows: String = rows.iter().map(|row| line(row)).collect();
    format!("{}|{rule}\n{rows}", line(&head))
}

/// A number with all digits, in groups of three.
pub fn exact(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number in millions, with three significant digits.
pub fn millions(number: u64) -> String {
    let millions = number as f64 / 1e6;
    match millions {
        100.0.. => format!("{} M", exact(millions.round() as u64)),
        10.0.. => format!("{millions:.1} M"),
        1.0.. => format!("{millions:.2} M"),
        _ => format!("{millions:.3} M"),
    }
}

/// A repeatable count: exact below a million.
pub fn count(number: u64) -> String {
    if number < 1_000_000 {
        exact(number)
    } else {
        millions(number)
    }
}

/// The ratio of two numbers.
pub fn ratio(one: f64, other: f64) -> String {
    let ratio = one / other;
    if ratio < 9.995 {
        format!("{ratio:.2}")
    } else {
        exact(ratio.round() as u64)
    }
}

/// A size in the largest unit that divides it.
pub fn size(bytes: usize) -> String {
    match bytes {
        _ if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{} bytes", exact(bytes as u64)),
    }
}

/// The median.
pub fn median<T: Copy + PartialOrd>(numbers: impl IntoIterator<Item = T>) -> T {
    let mut sorted: Vec<T> = numbers.into_iter().collect();
    sorted.sort_by(|one, other| one.partial_cmp(other).expect("no number is NaN"));
    sorted[sorted.len() / 2]
}

/// The difference between the greatest and the least, in percent of the median.
pub fn spread(numbers: impl IntoIterator<Item = f64> + Clone) -> f64 {
    let least = numbers.clone().into_iter().fold(f64::MAX, f64::min);
    let greatest = numbers.clone().into_iter().fold(0.0, f64::max);
    match median(numbers) {
        0.0 => 0.0,
        median => (greatest - least) / median * 100.0,
    }
}

/// Replaces the text between `<!-- bench: NAME -->` and `<!-- end -->`.
pub fn replace(page: &str, name: &str, text: &str) -> Result<String, String> {
    let (begin, end) = (format!("<!-- bench: {name} -->\n"), "<!-- end -->");
    let missing = || format!("has no section <!-- bench: {name} -->");
    let from = page.find(&begin).ok_or_else(missing)? + begin.len();
    let length = page[from..].find(end).ok_or_else(missing)?;
    Ok(format!("{}{text}{}", &page[..from], &page[from + length..]))
}
