//! A JSON parser for the output of `cargo metadata`: RFC 8259.

use std::str::Chars;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Parses a complete text; `None` if it is not JSON.
    pub fn parse(text: &str) -> Option<Json> {
        let mut reader = Reader {
            rest: text.chars(),
            depth: 0,
        };
        let value = reader.value()?;
        reader.skip_blanks();
        reader.rest.next().is_none().then_some(value)
    }

    /// A member of an object, if there is one of that name.
    pub fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => members.iter().find(|(n, _)| n == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The elements of a list; none if the value is not a list.
    pub fn list(&self) -> &[Json] {
        match self {
            Json::List(elements) => elements,
            _ => &[],
        }
    }

    /// The string, if the value is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }
}

struct Reader<'a> {
    rest: Chars<'a>,
    depth: usize,
}

impl Reader<'_> {
    /// The maximum nesting, which protects the stack.
    const DEPTH_MAX: usize = 100;

    fn skip_blanks(&mut self) {
        self.rest = self.rest.as_str().trim_start().chars();
    }

    fn peek(&mut self) -> Option<char> {
        self.skip_blanks();
        self.rest.clone().next()
    }

    /// Consumes this text if it comes next.
    fn take(&mut self, text: &str) -> Option<()> {
        self.skip_blanks();
        self.rest = self.rest.as_str().strip_prefix(text)?.chars();
        Some(())
    }

    fn value(&mut self) -> Option<Json> {
        match self.peek()? {
            'n' => self.take("null").map(|()| Json::Null),
            't' => self.take("true").map(|()| Json::Bool(true)),
            'f' => self.take("false").map(|()| Json::Bool(false)),
            '"' => self.text().map(Json::Text),
            '[' => self.many('[', ']', Self::value).map(Json::List),
            '{' => self.many('{', '}', Self::member).map(Json::Object),
            _ => self.number(),
        }
    }

    /// Elements separated by commas.
    fn many<T>(
        &mut self,
        open: char,
        close: char,
        element: fn(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.take(open.encode_utf8(&mut [0; 4]))?;
        self.depth += 1;
        let mut elements = Vec::new();
        while self.depth <= Self::DEPTH_MAX && self.peek()? != close {
            if !elements.is_empty() {
                self.take(",")?;
            }
            elements.push(element(self)?);
        }
        self.depth -= 1;
        self.take(close.encode_utf8(&mut [0; 4]))?;
        Some(elements)
    }

    fn member(&mut self) -> Option<(String, Json)> {
        let name = self.text()?;
        self.take(":")?;
        Some((name, self.value()?))
    }

    fn number(&mut self) -> Option<Json> {
        let rest = self.rest.as_str();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c));
        let (number, rest) = rest.split_at(end.unwrap_or(rest.len()));
        self.rest = rest.chars();
        number.parse().ok().map(Json::Number)
    }

    fn text(&mut self) -> Option<String> {
        self.take("\"")?;
        let mut text = String::new();
        loop {
            match self.rest.next()? {
                '"' => return Some(text),
                '\\' => text.push(self.escaped()?),
                c => text.push(c),
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        Some(match self.rest.next()? {
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => return self.code_point(),
            c @ ('"' | '\\' | '/') => c,
            _ => return None,
        })
    }

    /// A character given as one UTF-16 code unit or as a surrogate pair.
    fn code_point(&mut self) -> Option<char> {
        let mut units = vec![self.unit()?];
        if (0xd800..0xdc00).contains(&units[0]) {
            self.rest = self.rest.as_str().strip_prefix("\\u")?.chars();
            units.push(self.unit()?);
        }
        char::decode_utf16(units).next()?.ok()
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Option<u16> {
        let (digits, rest) = self.rest.as_str().split_at_checked(4)?;
        self.rest = rest.chars();
        u16::from_str_radix(digits, 16).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value() {
        let text =
            r#" {"a": [1, -2.5e1, true, false, null, {}], "b\n\u00e4\ud83d\ude00": "x\"/"} "#;
        let value = Json::parse(text).expect("it is JSON");
        let list = value.get("a").expect("the member exists").list();
        assert_eq!(list[..2], [Json::Number(1.0), Json::Number(-25.0)]);
        assert_eq!(
            list[2..5],
            [Json::Bool(true), Json::Bool(false), Json::Null]
        );
        assert_eq!(list[5], Json::Object(vec![]));
        assert_eq!(value.get("b\nä😀").and_then(Json::text), Some("x\"/"));
        assert_eq!(value.get("c"), None);
    }

    #[test]
    fn invalid_json_is_refused() {
        let deep = "[".repeat(100_000);
        for text in [
            "",
            "{",
            "[1",
            "[1 2]",
            "{\"a\" 1}",
            "\"a",
            "\"\\x\"",
            "1 2",
            "\"\\ud800\"",
            "\"\\u12\"",
            "nul",
            &deep,
        ] {
            assert_eq!(Json::parse(text), None, "{text:.20}");
        }
    }
}
