//! What a source file imports: the leaves of its `use` trees, and the paths in its code.
//!
//! A reader of tokens, as it has to see what macros and attributes are given as well.

/// A path within the crate, from its root.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) line: usize,
    pub(crate) path: Vec<String>,
}

/// All of a file that is this module; `is_module` knows the crate's files.
pub(crate) fn of(
    source: &str,
    module: &[String],
    is_module: &dyn Fn(&[String]) -> bool,
) -> Vec<Import> {
    let mut reader = Reader {
        tokens: tokens(source),
        at: 0,
        module: module.to_vec(),
        is_module,
        found: Vec::new(),
    };
    reader.read();
    reader.found
}

#[derive(Debug, PartialEq)]
enum Token {
    /// A name, a keyword, a number.
    Word(String),
    /// `::`
    Into,
    Other(char),
}

struct Reader<'a> {
    tokens: Vec<(Token, usize)>,
    at: usize,
    /// The module that is being read: the file's, or one within it.
    module: Vec<String>,
    is_module: &'a dyn Fn(&[String]) -> bool,
    found: Vec<Import>,
}

impl Reader<'_> {
    fn read(&mut self) {
        // For each open brace, whether it is a module's.
        let mut braces = Vec::new();
        while let Some((token, _)) = self.tokens.get(self.at) {
            match token {
                Token::Word(word) if word == "mod" => {
                    let name = self.word(1).map(str::to_owned);
                    self.at += 1;
                    if let (Some(name), true) = (name, self.is(1, '{')) {
                        self.module.push(name);
                        braces.push(true);
                        self.at += 2;
                    }
                }
                // Not the `use<'a>` of a type.
                Token::Word(word) if word == "use" && !self.is(1, '<') => {
                    self.at += 1;
                    self.tree(Vec::new());
                }
                Token::Word(_) => self.inline(),
                Token::Other('{') => {
                    braces.push(false);
                    self.at += 1;
                }
                Token::Other('}') => {
                    if braces.pop() == Some(true) {
                        self.module.pop();
                    }
                    self.at += 1;
                }
                _ => self.at += 1,
            }
        }
    }

    fn is(&self, ahead: usize, c: char) -> bool {
        matches!(self.tokens.get(self.at + ahead), Some((Token::Other(other), _)) if *other == c)
    }

    fn word(&self, ahead: usize) -> Option<&str> {
        match self.tokens.get(self.at + ahead) {
            Some((Token::Word(word), _)) => Some(word),
            _ => None,
        }
    }

    fn is_into(&self) -> bool {
        matches!(self.tokens.get(self.at), Some((Token::Into, _)))
    }

    fn line(&self) -> usize {
        self.tokens.get(self.at).map_or(0, |(_, line)| *line)
    }

    /// What follows `use`, up to the comma, brace or semicolon after it.
    fn tree(&mut self, mut path: Vec<String>) {
        let mut line = self.line();
        // `use ::name`: another crate.
        let foreign = path.is_empty() && self.is_into();
        loop {
            if self.is_into() {
                self.at += 1;
            } else if let Some(word) = self.word(0).map(str::to_owned) {
                line = self.line();
                self.at += 1;
                if word == "as" {
                    self.at += 1;
                } else if word != "self" || path.is_empty() {
                    path.push(word);
                }
            } else if self.is(0, '{') {
                while !self.is(0, '}') && self.at < self.tokens.len() {
                    self.at += 1; // the brace, or a comma
                    if !self.is(0, '}') {
                        self.tree(path.clone());
                    }
                }
                self.at += 1;
                return;
            } else if self.is(0, '*') {
                self.at += 1;
            } else {
                break;
            }
        }
        if !foreign && !path.is_empty() {
            self.keep(line, &path);
        }
    }

    /// A path in the code, or a word that is none.
    fn inline(&mut self) {
        let line = self.line();
        let start = self.at;
        let mut path = Vec::new();
        while let Some(word) = self.word(0).map(str::to_owned) {
            path.push(word);
            self.at += 1;
            if !self.is_into() {
                break;
            }
            self.at += 1;
        }
        let before = |back: usize| start.checked_sub(back).map(|at| &self.tokens[at].0);
        let continues = matches!(before(1), Some(Token::Into | Token::Other('.')));
        // `pub(in crate::a)`
        let visibility = before(1) == Some(&Token::Word("in".into()))
            && before(2) == Some(&Token::Other('('))
            && before(3) == Some(&Token::Word("pub".into()));
        if path.len() > 1 && !continues && !visibility {
            self.keep(line, &path);
        }
    }

    fn keep(&mut self, line: usize, path: &[String]) {
        let mut absolute = self.module.clone();
        let mut rest = path.iter();
        for word in rest.by_ref() {
            match word.as_str() {
                "crate" => absolute.clear(),
                "self" => {}
                "super" => drop(absolute.pop()),
                _ => {
                    absolute.push(word.clone());
                    break;
                }
            }
        }
        // Relative: a module below this one, or else another crate, a type, a name.
        let relative = !matches!(path[0].as_str(), "crate" | "self" | "super");
        if relative && !(self.is_module)(&absolute) {
            return;
        }
        absolute.extend(rest.cloned());
        self.found.push(Import {
            line,
            path: absolute,
        });
    }
}

/// Without comments and literals.
fn tokens(source: &str) -> Vec<(Token, usize)> {
    let mut found = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while let Some(c) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            comment(rest)
        } else if let Some(length) = raw_string(rest) {
            length
        } else if c == '"' {
            closed_by(rest, '"')
        } else if c == '\'' {
            let mut next = rest.chars().skip(1);
            match (next.next(), next.next()) {
                (Some('\\'), _) | (Some(_), Some('\'')) => closed_by(rest, '\''),
                _ => 1, // a lifetime
            }
        } else if c.is_alphanumeric() || c == '_' {
            let raw = if rest.starts_with("r#") { 2 } else { 0 };
            let end = rest[raw..].find(|c: char| !c.is_alphanumeric() && c != '_');
            let end = end.map_or(rest.len(), |end| raw + end);
            found.push((Token::Word(rest[raw..end].to_owned()), line));
            end
        } else if rest.starts_with("::") {
            found.push((Token::Into, line));
            2
        } else {
            if !c.is_whitespace() {
                found.push((Token::Other(c), line));
            }
            c.len_utf8()
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    found
}

/// Comments nest.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let step = match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                2
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                2
            }
            _ => 1,
        };
        at += step;
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of `r"…"`, `br#"…"#` and the like.
fn raw_string(text: &str) -> Option<usize> {
    let start = text.find('r').filter(|at| *at <= 1)?;
    if start == 1 && !text.starts_with(['b', 'c']) {
        return None;
    }
    let after = &text[start + 1..];
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(text.len() - body.len() + length)
}

/// The length of a literal that begins and ends with this quote.
fn closed_by(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

#[test]
fn imports_are_found_wherever_they_stand() {
    let source = r##"
//! crate::comment::A, /* open
use std::fmt;
use crate::{a::{self, B}, c::*, d as e, f::{g::H, self}};
pub(in crate::z) use super::{sibling, super::above::X};
pub(crate) use ::pcap::Pcap;
use child::Y;
use pcap::Other;
/* use crate::no::A; /* nested */ use crate::no::B; */
#[arg(value_parser = crate::attribute::seconds)]
fn f<'a>(x: &'a str) -> impl Fn() + use<'a> {
    let text = "crate::no::C \" crate::no::D";
    let raw = r#"crate::no::E " crate::no::F"#;
    let chars = ['"', '\'', '{', b'"'];
    println!("{}", crate::called::g(super::h(), x.child::<u8>()));
    self::own(child::inline(r#type::no));
}
mod tests {
    use super::*;
    use super::super::Up;
    fn g() { $crate::expanded::A; }
}
use self::last;
"##;
    let module = |path: &str| path.split("::").map(str::to_owned).collect::<Vec<_>>();
    let known = module("m::n::child");
    let found = of(source, &module("m::n"), &|path| path == known);
    let found: Vec<_> = found
        .iter()
        .map(|import| (import.line, import.path.join("::")))
        .collect();
    let expected = [
        (4, "a"),
        (4, "a::B"),
        (4, "c"),
        (4, "d"),
        (4, "f::g::H"),
        (4, "f"),
        (5, "m::sibling"),
        (5, "above::X"),
        (7, "m::n::child::Y"),
        (10, "attribute::seconds"),
        (15, "called::g"),
        (15, "m::h"),
        (16, "m::n::own"),
        (16, "m::n::child::inline"),
        (19, "m::n"),
        (20, "m::Up"),
        (21, "expanded::A"),
        (23, "m::n::last"),
    ];
    let expected = expected.map(|(line, path)| (line, path.to_owned()));
    assert_eq!(found, expected);
}
