//! The `pattern` keyword, for the patterns that checked types write: alternation, groups, classes, counts, anchors.
//!
//! Runs in time linear in the text. A pattern that uses more than that is not judged at all.

/// The longest text that is judged, in characters, and the largest program.
const LONGEST: usize = 4096;
const LARGEST: usize = 4096;
const DEEPEST: usize = 32;

/// A pattern ready to run.
pub(super) struct Pattern {
    program: Vec<Step>,
}

#[derive(Clone)]
enum Step {
    One(Class),
    Either(usize, usize),
    Start,
    End,
    Done,
}

/// Ranges of characters, or everything but them.
#[derive(Clone)]
struct Class {
    ranges: Vec<(char, char)>,
    negated: bool,
}

impl Class {
    fn of(ranges: &[(char, char)]) -> Self {
        Self {
            ranges: ranges.to_vec(),
            negated: false,
        }
    }

    fn has(&self, c: char) -> bool {
        self.ranges
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&c))
            != self.negated
    }
}

enum Node {
    Class(Class),
    Start,
    End,
    All(Vec<Node>),
    Any(Vec<Node>),
    Times(Box<Node>, usize, Option<usize>),
}

impl Pattern {
    /// Reads a pattern; `None` for one that is beyond this module.
    pub(super) fn new(text: &str) -> Option<Self> {
        let mut parser = Parser {
            rest: text.chars().peekable(),
            depth: 0,
        };
        let node = parser.any()?;
        if parser.rest.next().is_some() {
            return None;
        }
        let mut pattern = Self {
            program: Vec::new(),
        };
        pattern.write(&node)?;
        pattern.push(Step::Done)?;
        Some(pattern)
    }

    /// Whether the pattern occurs in the text; `None` for a text that is too long to judge.
    pub(super) fn occurs_in(&self, text: &str) -> Option<bool> {
        if text.chars().nth(LONGEST).is_some() {
            return None;
        }
        let mut now = Set::new(self.program.len());
        let mut next = Set::new(self.program.len());
        let mut characters = text.chars();
        let mut at_start = true;
        loop {
            let here = characters.next();
            // The pattern may begin anywhere.
            if self.follow(0, at_start, here.is_none(), &mut now) {
                return Some(true);
            }
            let Some(c) = here else { return Some(false) };
            let at_end = characters.as_str().is_empty();
            next.clear();
            for step in &now.list {
                if let Step::One(class) = &self.program[*step]
                    && class.has(c)
                    && self.follow(step + 1, false, at_end, &mut next)
                {
                    return Some(true);
                }
            }
            std::mem::swap(&mut now, &mut next);
            at_start = false;
        }
    }

    /// Adds a step and all that follow from it without a character; true when the pattern is done.
    fn follow(&self, step: usize, at_start: bool, at_end: bool, set: &mut Set) -> bool {
        let mut open = vec![step];
        while let Some(step) = open.pop() {
            if !set.insert(step) {
                continue;
            }
            match &self.program[step] {
                Step::One(_) => {}
                Step::Either(a, b) => open.extend([*a, *b]),
                Step::Start if at_start => open.push(step + 1),
                Step::End if at_end => open.push(step + 1),
                Step::Start | Step::End => {}
                Step::Done => return true,
            }
        }
        false
    }

    fn push(&mut self, step: Step) -> Option<()> {
        (self.program.len() < LARGEST).then(|| self.program.push(step))
    }

    fn write(&mut self, node: &Node) -> Option<()> {
        match node {
            Node::Class(class) => self.push(Step::One(class.clone())),
            Node::Start => self.push(Step::Start),
            Node::End => self.push(Step::End),
            Node::All(nodes) => nodes.iter().try_for_each(|node| self.write(node)),
            Node::Any(nodes) => {
                let mut ends = Vec::new();
                for (i, node) in nodes.iter().enumerate() {
                    let last = i + 1 == nodes.len();
                    let fork = self.program.len();
                    if !last {
                        self.push(Step::Either(fork + 1, fork + 1))?;
                    }
                    self.write(node)?;
                    if !last {
                        ends.push(self.program.len());
                        self.push(Step::Either(0, 0))?;
                        self.program[fork] = Step::Either(fork + 1, self.program.len());
                    }
                }
                for end in ends {
                    self.program[end] = Step::Either(self.program.len(), self.program.len());
                }
                Some(())
            }
            Node::Times(node, least, most) => {
                for _ in 0..*least {
                    self.write(node)?;
                }
                match most {
                    None => {
                        let fork = self.program.len();
                        self.push(Step::Either(fork + 1, fork + 1))?;
                        self.write(node)?;
                        self.push(Step::Either(fork, fork))?;
                        self.program[fork] = Step::Either(fork + 1, self.program.len());
                    }
                    Some(most) => {
                        for _ in *least..*most {
                            // Each further time may be left out, and the next is tried all the same.
                            let fork = self.program.len();
                            self.push(Step::Either(fork + 1, fork + 1))?;
                            self.write(node)?;
                            self.program[fork] = Step::Either(fork + 1, self.program.len());
                        }
                    }
                }
                Some(())
            }
        }
    }
}

/// Steps in the order in which they were reached, each once.
struct Set {
    list: Vec<usize>,
    has: Vec<bool>,
}

impl Set {
    fn new(size: usize) -> Self {
        Self {
            list: Vec::new(),
            has: vec![false; size],
        }
    }

    fn insert(&mut self, step: usize) -> bool {
        let new = !self.has[step];
        if new {
            self.has[step] = true;
            self.list.push(step);
        }
        new
    }

    fn clear(&mut self) {
        for step in self.list.drain(..) {
            self.has[step] = false;
        }
    }
}

struct Parser<'t> {
    rest: std::iter::Peekable<std::str::Chars<'t>>,
    depth: usize,
}

const DIGIT: &[(char, char)] = &[('0', '9')];
const WORD: &[(char, char)] = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];
const SPACE: &[(char, char)] = &[
    ('\t', '\r'),
    (' ', ' '),
    ('\u{a0}', '\u{a0}'),
    ('\u{1680}', '\u{1680}'),
    ('\u{2000}', '\u{200a}'),
    ('\u{2028}', '\u{2029}'),
    ('\u{202f}', '\u{202f}'),
    ('\u{205f}', '\u{205f}'),
    ('\u{3000}', '\u{3000}'),
    ('\u{feff}', '\u{feff}'),
];
const LINE_END: &[(char, char)] = &[('\n', '\n'), ('\r', '\r'), ('\u{2028}', '\u{2029}')];

impl Parser<'_> {
    fn eat(&mut self, c: char) -> bool {
        self.rest.next_if_eq(&c).is_some()
    }

    fn any(&mut self) -> Option<Node> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let mut nodes = vec![self.all()?];
        while self.eat('|') {
            nodes.push(self.all()?);
        }
        self.depth -= 1;
        Some(if nodes.len() == 1 {
            nodes.remove(0)
        } else {
            Node::Any(nodes)
        })
    }

    fn all(&mut self) -> Option<Node> {
        let mut nodes = Vec::new();
        while self.rest.peek().is_some_and(|c| !matches!(c, '|' | ')')) {
            let node = self.one()?;
            nodes.push(self.times(node)?);
        }
        Some(Node::All(nodes))
    }

    fn one(&mut self) -> Option<Node> {
        Some(match self.rest.next()? {
            '^' => Node::Start,
            '$' => Node::End,
            '.' => Node::Class(Class {
                ranges: LINE_END.to_vec(),
                negated: true,
            }),
            '[' => Node::Class(self.class()?),
            '\\' => Node::Class(self.escape()?),
            '(' => {
                if self.eat('?') && !self.eat(':') {
                    return None;
                }
                let node = self.any()?;
                if !self.eat(')') {
                    return None;
                }
                node
            }
            '*' | '+' | '?' | '{' | '}' | ']' => return None,
            c => Node::Class(Class::of(&[(c, c)])),
        })
    }

    fn times(&mut self, node: Node) -> Option<Node> {
        let (least, most) = match self.rest.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => {
                self.rest.next();
                let least = self.number()?;
                let most = if self.eat(',') {
                    if self.rest.peek() == Some(&'}') {
                        None
                    } else {
                        Some(self.number()?)
                    }
                } else {
                    Some(least)
                };
                if self.rest.peek() != Some(&'}') || most.is_some_and(|most| most < least) {
                    return None;
                }
                (least, most)
            }
            _ => return Some(node),
        };
        self.rest.next();
        // Lazy counts match the same texts.
        self.eat('?');
        if matches!(self.rest.peek(), Some('*' | '+' | '{')) {
            return None;
        }
        Some(Node::Times(Box::new(node), least, most))
    }

    fn number(&mut self) -> Option<usize> {
        let mut digits = String::new();
        while let Some(digit) = self.rest.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        digits.parse().ok().filter(|n| *n <= LARGEST)
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Option<Class> {
        let negated = |ranges: &[(char, char)]| Class {
            ranges: ranges.to_vec(),
            negated: true,
        };
        Some(match self.rest.next()? {
            'd' => Class::of(DIGIT),
            'D' => negated(DIGIT),
            'w' => Class::of(WORD),
            'W' => negated(WORD),
            's' => Class::of(SPACE),
            'S' => negated(SPACE),
            c => {
                let c = match c {
                    't' => '\t',
                    'n' => '\n',
                    'r' => '\r',
                    'f' => '\u{c}',
                    'v' => '\u{b}',
                    'x' => self.code(2)?,
                    'u' => self.code(4)?,
                    c if c.is_ascii_punctuation() => c,
                    _ => return None,
                };
                Class::of(&[(c, c)])
            }
        })
    }

    fn code(&mut self, digits: usize) -> Option<char> {
        let mut code = 0;
        for _ in 0..digits {
            code = code * 16 + self.rest.next()?.to_digit(16)?;
        }
        char::from_u32(code)
    }

    /// What follows an opening bracket.
    fn class(&mut self) -> Option<Class> {
        let mut class = Class {
            ranges: Vec::new(),
            negated: self.eat('^'),
        };
        loop {
            let from = match self.rest.next()? {
                ']' => return Some(class),
                // Nested classes and set operations mean different things in different engines.
                '[' | '&' => return None,
                '\\' => {
                    let escaped = self.escape()?;
                    match escaped.ranges[..] {
                        [(c, d)] if c == d && !escaped.negated => c,
                        _ if escaped.negated => return None,
                        _ => {
                            class.ranges.extend(escaped.ranges);
                            if self.rest.peek() == Some(&'-') {
                                self.rest.next();
                                if self.rest.peek() != Some(&']') {
                                    return None;
                                }
                                class.ranges.push(('-', '-'));
                            }
                            continue;
                        }
                    }
                }
                c => c,
            };
            if self.rest.peek() != Some(&'-') {
                class.ranges.push((from, from));
                continue;
            }
            self.rest.next();
            match self.rest.peek() {
                Some(']') => class.ranges.extend([(from, from), ('-', '-')]),
                Some('\\') => {
                    self.rest.next();
                    match self.escape()?.ranges[..] {
                        [(to, same)] if to == same && from <= to => class.ranges.push((from, to)),
                        _ => return None,
                    }
                }
                Some(to) if from <= *to && *to != '[' => {
                    class.ranges.push((from, *to));
                    self.rest.next();
                }
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::strategy::ValueTree;
    use regex::Regex;

    use super::Pattern;

    /// Patterns from the syntax this module knows.
    fn patterns() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            4 => "[a-d0-2]",
            1 => Just(".".to_owned()),
            1 => Just("\\.".to_owned()),
            1 => Just("\\-".to_owned()),
            1 => Just("[a-c]".to_owned()),
            1 => Just("[^a-c0]".to_owned()),
            1 => Just("[ab0-2_.-]".to_owned()),
            1 => Just("^".to_owned()),
            1 => Just("$".to_owned()),
            1 => Just(String::new()),
        ];
        leaf.prop_recursive(5, 40, 4, |inner| {
            let counts = prop_oneof![
                Just("*"),
                Just("+"),
                Just("?"),
                Just("{2}"),
                Just("{0,2}"),
                Just("{1,}")
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..4).prop_map(|all| all.concat()),
                prop::collection::vec(inner.clone(), 2..4)
                    .prop_map(|any| format!("(?:{})", any.join("|"))),
                (inner.clone(), counts).prop_map(|(one, count)| format!("({one}){count}")),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn patterns_agree_with_a_real_engine(pattern in patterns(), texts in prop::collection::vec("[a-e0-3._-]{0,8}", 8)) {
            let ours = Pattern::new(&pattern);
            let theirs = Regex::new(&pattern);
            if let (Some(ours), Ok(theirs)) = (ours, theirs) {
                for text in texts {
                    prop_assert_eq!(ours.occurs_in(&text), Some(theirs.is_match(&text)), "{} on {:?}", pattern, text);
                }
            }
        }

        #[test]
        fn any_pattern_is_read_or_left_alone(pattern in any::<String>(), text in any::<String>()) {
            if let Some(pattern) = Pattern::new(&pattern) {
                prop_assert!(pattern.occurs_in(&text).is_some());
            }
        }
    }

    #[test]
    fn the_generated_patterns_are_read() {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let read = (0..500)
            .filter_map(|_| patterns().new_tree(&mut runner).ok())
            .filter(|tree| Pattern::new(&tree.current()).is_some())
            .count();
        assert!(read > 400, "{read} of 500");
    }

    #[test]
    fn what_differs_between_engines_is_not_judged() {
        for pattern in [
            "(?=a)",
            "(?!a)",
            "(?<n>a)",
            "\\bx",
            "\\1",
            "\\p{L}",
            "[a&&b]",
            "[[:alpha:]]",
            "a**",
            "a{",
            "(a",
            "a)",
            "*a",
            "[a",
            "[b-a]",
        ] {
            assert!(Pattern::new(pattern).is_none(), "{pattern}");
        }
        assert!(Pattern::new("(a{1000}){1000}").is_none(), "too large");
        assert!(Pattern::new(&"(".repeat(10_000)).is_none(), "too deep");
    }

    #[test]
    fn long_texts_take_linear_time() {
        let pattern = Pattern::new("^(a+)+$").expect("read");
        let text = "a".repeat(4000) + "b";
        assert_eq!(pattern.occurs_in(&text), Some(false));
        assert_eq!(pattern.occurs_in(&"a".repeat(5000)), None);
    }
}
