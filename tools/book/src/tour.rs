//! The way from a chapter to the tour: `{{#tour NAME}}` is a link to one of its
//! checkpoints, which `make tour` writes into `target/tour`, next to the book.

use crate::quote::escape;
use crate::read;

/// The file with the names and titles of the checkpoints.
pub const FILE: &str = "tools/src/tour/checkpoints.txt";
/// What the links begin with.
pub const PREFIX: &str = "../tour/index.html#";

/// The checkpoint that a line of a chapter asks for.
pub fn parse(line: &str) -> Option<&str> {
    line.trim().strip_prefix("{{#tour ")?.strip_suffix("}}")
}

/// The names and titles of all checkpoints.
pub fn checkpoints() -> Result<Vec<(String, String)>, String> {
    let text = read(FILE)?;
    let checkpoint = |line: &str| {
        let (name, title) = line.strip_prefix('[')?.split_once("] ")?;
        Some((name.to_string(), title.to_string()))
    };
    Ok(text.lines().filter_map(checkpoint).collect())
}

/// The link as HTML.
pub fn html(name: &str) -> Result<String, String> {
    let checkpoints = checkpoints()?;
    let found = checkpoints.iter().find(|(other, _)| other == name);
    let (_, title) = found.ok_or_else(|| format!("the tour has no checkpoint {name}"))?;
    let title = escape(title);
    Ok(format!(
        "<p class=\"tour\"><a href=\"{PREFIX}{name}\">In the tour: {title}</a></p>\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_become_links() {
        assert_eq!(parse("{{#tour a20}}"), Some("a20"));
        assert_eq!(parse("a {{#tour a20}}"), None);
        let link = html("a20").expect("the tour has it");
        assert!(link.contains("index.html#a20\">In the tour: "), "{link}");
        assert!(html("none").is_err());
    }
}
