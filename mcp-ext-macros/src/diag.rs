//! Every compile-time diagnostic of this crate, with its text, and the sink that gathers them.
//!
//! The texts name the token at fault, what was expected and, where it is not plain, why. Each ends with its code, which
//! does not change when the words do.

use std::fmt::Write as _;

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;

/// Makes the enum, its codes and its texts from one table.
macro_rules! diagnostics {
    ($($name:ident $({ $($field:ident),+ })? $code:literal: $($text:expr),+;)+) => {
        /// What can be wrong with what a user wrote.
        #[derive(Debug)]
        pub enum Diagnostic {
            $($name $({ $($field: String),+ })?,)+
        }

        impl Diagnostic {
            /// The codes of all, in the order of the table.
            #[cfg(test)]
            pub const CODES: &'static [&'static str] = &[$($code),+];

            /// The stable code.
            pub const fn code(&self) -> &'static str {
                match self {
                    $(Self::$name $({ $($field: _),+ })? => $code,)+
                }
            }

            /// The words, without the code.
            fn text(&self) -> String {
                match self {
                    $(Self::$name $({ $($field),+ })? => format!($($text),+),)+
                }
            }
        }
    };
}

diagnostics! {
    // ---- keys and attributes ----
    UnknownKey { place, key, hint } "unknown-key": "`{place}` has no key `{key}`{hint}";
    ExpectedKey { place, keys } "expected-key": "expected a key here; `{place}` takes {keys}";
    BadValue { key, usage } "bad-value": "`{key}` is written `{usage}`";
    ExpectedComma { place } "expected-comma": "expected `,` before this, between two keys of `{place}`";
    DuplicateKey { key } "duplicate-key": "`{key}` is given twice; keep one";
    FirstHere { what } "first-here": "{what} is first given here";
    EmptyText { key } "empty-text": "`{key}` is empty; write a text, or leave the key out";
    RelativeCrate { path } "relative-crate":
        "`crate = {path}` is relative, and would change its meaning from module to module; write an absolute path (`::name`), `crate::..` or `$crate::..`";
    MisspeltAttribute { seen, nearest } "misspelt-attribute": "`#[{seen}]` is none of ours; did you mean `#[{nearest}]`?";
    ConditionalMarker { marker } "conditional-marker":
        "`#[{marker}]` inside `cfg_attr` is not there yet when `#[extension]` reads the trait; put `#[cfg(..)]` on the whole fn";
    MarkerForm { marker } "marker-form": "write `#[{marker}]` or `#[{marker}(..)]`, without `=`";
    DuplicateMarker { marker } "duplicate-marker": "`#[{marker}]` stands here twice; put all keys into one";
    Unparsable { what, error } "unparsable": "this {what} cannot be read: {error}";
    Panicked { name, words } "panicked":
        "`{name}` failed inside, which is a bug in mcp-ext and not in this code: {words}; please report it with this item";

    // ---- the trait ----
    NotATrait { seen } "not-a-trait": "`#[extension]` stands above a trait, not above {seen}: the trait is the contract";
    TraitGenerics { name } "trait-generics":
        "an extension cannot be generic: `{name}` has one identifier and one schema; put the parameter on the provider (`impl<S> {name} for Provider<S>`)";
    TraitWhere { name } "trait-where": "an extension has no `where` clause: whatever implements `{name}` provides it, whole";
    TraitUnsafe { name } "trait-unsafe": "an extension cannot be `unsafe`: nothing a caller or provider of `{name}` does may break memory safety";
    TraitAuto { name } "trait-auto": "an extension cannot be an `auto` trait: `{name}` is implemented by providers, on purpose";
    Supertrait { name } "supertrait":
        "an extension has no supertraits but `Send`, `Sync` and `'static`: `{name}` is the contract; put what a provider needs on the provider (`impl<S: Store> {name} for Provider<S>`)";
    TraitConst { name } "trait-const": "an extension has no constants: `{name}` would not be on the wire; settings carry what the sides tell each other";
    TraitType { name } "trait-type": "an extension has no associated types: `{name}` would differ from provider to provider, and the contract has one schema";
    TraitMacro "trait-macro": "a macro call inside the trait is not expanded yet when `#[extension]` reads it; write the items out";
    MissingId { name } "missing-id": "an extension needs an identifier: `#[extension(id = \"com.example/{name}\")]`, with a domain you control, reversed";
    BadId { id, expected } "bad-id": "`{id}` is no identifier: expected {expected}";
    ReservedId { id } "reserved-id":
        "`{id}` lies in a name space of MCP itself (a prefix whose second label is `mcp` or `modelcontextprotocol`); use a domain you control, or the key `official` if this is an official extension";
    IdPrefix { prefix } "id-prefix":
        "methods under the prefix `{prefix}` belong to the core protocol, to JSON-RPC or to an official extension; use a domain you control, reversed";
    OfficialId { id } "official-id": "`official` is for identifiers under `io.modelcontextprotocol/`, and this is `{id}`";
    OfficialPrefix { prefix, expected } "official-prefix": "`{prefix}` cannot be the method prefix of an official extension: expected {expected}";
    KnownWithoutRevision "known-without-revision": "`known_revisions` lists older revisions than `revision`, which is missing";
    DuplicateRevision { revision } "duplicate-revision": "revision `{revision}` is named twice; each is told apart by its name alone";
    UnknownStability { seen, hint } "unknown-stability": "`{seen}` is no stability{hint}";
    UnknownProtocol { seen, hint } "unknown-protocol": "`{seen}` is no revision of the core protocol{hint}";
    ProtocolOrder { min, max } "protocol-order": "`min` is newer than `max` ({min} > {max}), so no revision would be covered";
    FallbackWithoutSettings "fallback-without-settings": "`fallback` says what tools see as settings, and this extension has none; add `settings = Type`";
    SettingsIncomplete { missing } "settings-incomplete":
        "`settings(..)` names all three types, and these are missing: `{missing}`; write `settings(server = A, client = B, negotiated = N)`, or `settings = S` for one type";
    MetaSuffix { suffix, expected } "meta-suffix": "`{suffix}` is no name of a `_meta` key: expected {expected}; the prefix of the identifier is put before it";
    DuplicateMeta { key } "duplicate-meta": "the `_meta` key `{key}` is declared twice for one place";

    // ---- items of the trait ----
    UnmarkedItem { name } "unmarked-item":
        "`{name}` is neither method, tool nor notification: write `#[method]`, `#[tool]` or `#[notification]` above it (helpers belong into the provider)";
    MixedNotification { name } "mixed-notification":
        "`{name}` cannot be a notification and be called as well: the server sends a notification, the client calls a method or tool";
    NotAsync { name } "not-async": "`{name}` must be `async fn`: a handler may wait, and can be cancelled while it does";
    MissingReceiver { name } "missing-receiver": "`{name}` needs `&self` first: it is the provider";
    ReceiverForm { name, seen } "receiver-form":
        "`{name}` takes `&self`, not `{seen}`: one provider serves many calls at once; keep what changes behind a lock or a channel";
    FnGenerics { name } "fn-generics": "`{name}` cannot be generic: its params and result have one schema each; write concrete types";
    FnWhere { name } "fn-where": "`{name}` cannot have a `where` clause: every provider has it, for every call";
    FnLifetime { name } "fn-lifetime": "`{name}` cannot name lifetimes: params are owned by the call, and the result outlives it; write owned types";
    FnQualifier { name, word } "fn-qualifier": "`{name}` cannot be `{word}`: write a plain `async fn`";
    DefaultBody { name } "default-body":
        "`{name}` cannot have a body: a provider would answer with it unawares; mark it `optional = \"flag\"` if not every provider has it";
    MissingCx { name, expected } "missing-cx": "`{name}` needs `cx: {expected}` after `&self`: it says who calls, until when, and under which settings";
    CxForm { name, seen, expected } "cx-form": "`{name}` takes `cx: {expected}`, not {seen}: the context is shared with the call and only lent";
    WrongCx { name, expected, why } "wrong-cx": "`{name}` takes `cx: {expected}`: {why}";
    CxArgument { name, seen, expected } "cx-argument": "`{name}` takes `cx: {expected}`, not the context of {seen}";
    TraitAsMarker { name, seen, expected } "trait-as-marker":
        "`{name}` takes `cx: {expected}`: `{seen}` is the trait, and a context is typed by the marker that `#[extension]` makes of it";
    TooManyParams { name } "too-many-params":
        "`{name}` takes one params type after `cx`: JSON-RPC params are one object; make these the fields of a struct";
    ParamPattern { name } "param-pattern": "`{name}`: a param of a trait's fn is a plain name; take it apart in the handler";
    ParamType { name, seen, why } "param-type": "`{name}` cannot take {seen}: {why}";
    MissingReturn { name } "missing-return": "`{name}` must say what it answers: `-> Result<T, E>` (with `std::convert::Infallible` if nothing can fail)";
    ReturnType { name, seen, why } "return-type": "`{name}` cannot answer with {seen}: {why}";
    WireName { name, expected } "wire-name": "`{name}` cannot be a name on the wire: expected {expected}; the identifier is put before it";
    ToolName { name, expected } "tool-name": "`{name}` cannot be the name of a tool: expected {expected}; hosts refuse others";
    DuplicateWire { what, wire } "duplicate-wire": "the {what} `{wire}` is declared twice; give one another `name = \"..\"`";
    ShadowsCx { name } "shadows-cx":
        "a notification cannot be called `{name}`: `cx.{name}(..)` is a method of the context already; rename the fn and keep the wire name with `name = \"..\"`";
    ShadowsClient { name } "shadows-client":
        "a method or tool cannot be called `{name}`: the typed client has `{name}()` already; rename the fn and keep the wire name with `name = \"..\"`";
    ClientClash { name, item } "client-clash":
        "`{name}` is also what the typed client calls the tool of `{item}`, which is method and tool at once; rename one";
    OptionalRevision "optional-revision": "the flag cannot be `revision`: that member of the settings is the revision of the extension";
    OptionalFlag { flag } "optional-flag": "`{flag}` cannot be a settings flag: expected a letter, then letters and digits (camelCase), such as `liveRubrics`";
    OptionalShared { name } "optional-shared": "`{name}` is method and tool in one fn, so both are there or neither: write `optional` on one of the attributes";
    Pointer { key, pointer } "pointer": "`{pointer}` points at no member: `{key}` takes a JSON pointer such as `/rubricId`";
    NestedPointer { pointer } "nested-pointer": "`{pointer}` points below a member: `mcp_name` is a member of the params themselves, such as `/rubricId`";
    SensitiveEcho { name } "sensitive-echo": "`{name}` is `sensitive`, so no value of its params may be shown, and `echo` would show some";
    HintClash "hint-clash": "a tool that is `read_only` changes nothing and so cannot be `destructive`";
    NotificationForm { name, why } "notification-form": "`{name}`: {why}; write `fn {name}(params: Type);` or `fn {name}();`";

    // ---- #[handlers] ----
    NotAnImpl { seen } "not-an-impl": "`#[handlers]` stands above `impl Trait for Provider`, not above {seen}";
    InherentImpl "inherent-impl": "`#[handlers]` stands above the impl of an extension's trait; this impl is of no trait: write `impl Trait for Provider`";
    HandlerNotAsync { name } "handler-not-async": "handler `{name}` must be `async fn`, as in the trait";
    HandlerReceiver { name } "handler-receiver": "handler `{name}` takes `&self` first, as in the trait";
    HandlerArity { name } "handler-arity": "handler `{name}` takes `&self`, `cx` and at most one params type, as in the trait";
    MarkerInImpl { marker } "marker-in-impl": "`#[{marker}]` belongs into the trait, where the contract is; the impl only answers";
    ConstByHand { name } "const-by-hand": "`{name}` is what `#[handlers]` writes; remove it here";

    // ---- #[settings] ----
    SettingsShape { seen } "settings-shape": "`#[settings]` stands above a struct with named fields, not above {seen}: settings are a JSON object";
    SettingsGenerics { name } "settings-generics": "settings cannot be generic: `{name}` has one schema that both sides read";
    NoStrategy { field, list } "no-strategy":
        "how do the two sides combine `{field}`? Write `#[negotiate(..)]` with one of {list}";
    TwoStrategies { first, second } "two-strategies": "a field has one strategy, and this one has `{first}` and `{second}`";
    BareLimit { field, seen } "bare-limit":
        "`{field}: {seen}` cannot say that there is no limit, and where it is absent it would be 0, the tightest; write `Option<{seen}>`: absent means no limit";
    LimitType { field, strategy, seen } "limit-type":
        "`{field}` is {seen}, and `{strategy}` combines limits, which are numbers: write `Option<u32>` or the like";
    FloatSetting { field, seen } "float-setting":
        "`{field}` is of `{seen}`, whose digits may change on the way and whose NaN equals nothing; count in a smaller unit (an integer), or send the digits as a text";
    RequiredOn { strategy } "required-on": "`required` goes with `intersect` and `prefer`, which can come out empty; `{strategy}` cannot";
    WantsPreference { strategy } "wants-preference":
        "`{strategy}` lets the client widen what the server grants; if the field only states a wish, say so: `#[negotiate({strategy}, preference)]`";
    NeedlessPreference { strategy } "needless-preference": "`preference` goes with `max`, `or`, `client` and `with`; `{strategy}` never widens what is granted";
    RevisionField "revision-field": "a settings field cannot be called `revision` on the wire: that member is the revision of the extension, which `#[extension]` sends";
    SerdeKey { key, why } "serde-key": "`#[serde({key})]` cannot stand here: {why}";
    StrategyByHand { field } "strategy-by-hand": "`{field}` has a strategy, but `by_hand(Negotiate)` leaves the impl to you; remove one of the two";

    // ---- #[derive(ExtensionError)] ----
    NotAnEnum { seen } "not-an-enum": "`ExtensionError` is derived for an enum, not for {seen}: one variant is one error of the table";
    ErrorGenerics { name } "error-generics": "an error cannot be generic: `{name}` is one table of codes and fields that both sides read";
    NoErrorAttribute { variant } "no-error-attribute": "`{variant}` needs `#[error(code = 4100, \"what went wrong\")]`";
    TupleVariant { variant } "tuple-variant": "`{variant}` has fields without names, and details are a JSON object: name them (`{variant} {{ field: Type }}`)";
    MissingCode { variant } "missing-code": "`{variant}` needs a code of its own: `#[error(code = 4100, ..)]`, outside -32768..=-32000";
    MissingMessage { variant } "missing-message": "`{variant}` needs a message: `#[error(code = .., \"one sentence, {{field}} inline\")]`";
    TwoMessages "two-messages": "a variant has one message; join the two";
    ReservedCode { code, why } "reserved-code": "code {code} is reserved: {why}; choose one outside -32768..=-32000, such as 4100";
    CodeRange { code } "code-range": "code {code} does not fit a 32-bit integer";
    DuplicateCode { code } "duplicate-code": "code {code} is given to two variants; a client tells them apart by it";
    ErrorKind { kind } "error-kind": "`{kind}` cannot be a kind: expected a-z, 0-9 and `_`, a letter first";
    DuplicateKind { kind } "duplicate-kind": "kind `{kind}` is given to two variants; `data.kind` tells them apart";
    UnknownField { variant, field, hint } "unknown-field": "`{variant}` has no field `{field}`{hint}";
    Positional { variant } "positional": "the message of `{variant}` names its fields inline, such as `{{field}}`; there are no arguments to count";
    BadFormat { variant, why } "bad-format": "the message of `{variant}` is no format string: {why}";
    PrivateInMessage { field } "private-in-message": "`{field}` is `private`, and the message goes to the peer: leave it out";
}

/// Gathers what is wrong, so that all of it is told at once.
#[derive(Default)]
pub struct Sink(Vec<(TokenStream, Diagnostic)>);

impl Sink {
    /// Notes a diagnostic at the given tokens.
    pub fn push(&mut self, at: impl ToTokens, diagnostic: Diagnostic) {
        self.0.push((at.into_token_stream(), diagnostic));
    }

    /// Notes a diagnostic at a span.
    pub fn push_at(&mut self, span: Span, diagnostic: Diagnostic) {
        self.push(proc_macro2::Ident::new("_at", span), diagnostic);
    }

    /// Notes a name that is given twice, at both places.
    pub fn twice(
        &mut self,
        first: impl ToTokens,
        second: impl ToTokens,
        what: &str,
        diagnostic: Diagnostic,
    ) {
        self.push(second, diagnostic);
        self.push(
            first,
            Diagnostic::FirstHere {
                what: what.to_owned(),
            },
        );
    }

    /// How many there are; compare two counts to know whether a part is sound.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The codes noted so far.
    #[cfg(test)]
    pub fn codes(&self) -> Vec<&'static str> {
        self.0.iter().map(|(_, d)| d.code()).collect()
    }

    /// One `compile_error!` for each.
    pub fn into_tokens(self) -> TokenStream {
        self.0
            .into_iter()
            .map(|(at, diagnostic)| {
                let message = format!("{} [{}]", diagnostic.text(), diagnostic.code());
                syn::Error::new_spanned(at, message).into_compile_error()
            })
            .collect()
    }
}

/// The candidate nearest to what was written, if one is near.
pub fn nearest<'a>(seen: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let seen = seen.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (distance(&seen, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(seen.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `: did you mean ..?`, or the list of what there is.
pub fn hint(seen: &str, known: &[&str]) -> String {
    match nearest(seen, known.iter().copied()) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => format!("; expected {}", list(known)),
    }
}

/// `a`, `b` or `c`, each in backticks.
pub fn list(names: &[&str]) -> String {
    let mut out = String::new();
    for (i, name) in names.iter().enumerate() {
        let joint = match i {
            0 => "",
            _ if i + 1 == names.len() => " or ",
            _ => ", ",
        };
        let _ = write!(out, "{joint}`{name}`");
    }
    out
}

/// Damerau-Levenshtein distance with adjacent transpositions, each at cost one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let cost = usize::from(a[i - 1] != b[j - 1]);
                let mut best = (rows[i - 1][j - 1] + cost)
                    .min(rows[i - 1][j] + 1)
                    .min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(rows[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    rows[a.len()][b.len()]
}
