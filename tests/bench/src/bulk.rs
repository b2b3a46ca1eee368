//! Many extensions with many methods, which nobody calls: what stands beside the one that is called.

use std::convert::Infallible;

use mcp_ext::__private_0_1_0 as rt;
use mcp_ext::prelude::*;
use mcp_ext::{BuildError, ExtensionSetBuilder};

use crate::grading::{GradingExtension, Lms, Rubric, RubricsParams, offered};

/// Methods of an extension at most.
pub const MOST_METHODS: usize = 10;

/// Extension number `N`, with the first `METHODS` of ten methods.
pub struct Bulk<const N: usize, const METHODS: usize>;

const fn digit(n: usize) -> u8 {
    b'0' + (n % 10) as u8
}

/// The names of extension `N` and its method `M`.
struct Names<const N: usize, const M: usize>;

impl<const N: usize, const M: usize> Names<N, M> {
    const BYTES: [u8; 22] = {
        let mut bytes = *b"com.example/bulk-00/m0";
        bytes[17] = digit(N / 10);
        bytes[18] = digit(N);
        bytes[21] = digit(M);
        bytes
    };
    const METHOD: &'static str = match std::str::from_utf8(&Self::BYTES) {
        Ok(name) => name,
        Err(_) => "",
    };
    const EXTENSION: &'static str = Self::METHOD.split_at(19).0;
}

type Answer = Result<Rubric, Infallible>;

impl<const N: usize, const METHODS: usize> Bulk<N, METHODS> {
    const ITEMS: [rt::Item; MOST_METHODS] = [
        Self::item::<0>("m0"),
        Self::item::<1>("m1"),
        Self::item::<2>("m2"),
        Self::item::<3>("m3"),
        Self::item::<4>("m4"),
        Self::item::<5>("m5"),
        Self::item::<6>("m6"),
        Self::item::<7>("m7"),
        Self::item::<8>("m8"),
        Self::item::<9>("m9"),
    ];

    const fn item<const M: usize>(name: &'static str) -> rt::Item {
        rt::Item::of::<RubricsParams, Answer>(name)
            .method(rt::MethodSpec::new(Names::<N, M>::METHOD))
    }
}

impl<const N: usize, const METHODS: usize> rt::Extension for Bulk<N, METHODS> {
    type Server = NoSettings;
    type Client = NoSettings;
    type Negotiated = NoSettings;
    type Notifications = rt::NoNotifications;
    const CONTRACT: &'static rt::Contract = &rt::Contract::new(
        mcp_ext::ExtensionId::from_static(Names::<N, 0>::EXTENSION),
        "Bulk",
    )
    .items(Self::ITEMS.split_at(METHODS).0);
    fn fallback() -> NoSettings {
        NoSettings::default()
    }
}

impl<const N: usize, const METHODS: usize> rt::Serves<Lms> for Bulk<N, METHODS> {
    const PROVIDED: &'static [&'static str] = &[];
    fn serve<'a>(
        _: &'a Lms,
        _: &'static str,
        call: rt::Call<'a>,
    ) -> rt::BoxFuture<'a, rt::Outcome> {
        call.no_such_item()
    }
}

fn one<const N: usize, const METHODS: usize>(
    builder: ExtensionSetBuilder,
    wanted: usize,
) -> ExtensionSetBuilder {
    if N < wanted {
        builder.enable(rt::Enable::<Bulk<N, METHODS>>::new(Lms))
    } else {
        builder
    }
}

macro_rules! ten {
    ($builder:ident, $wanted:ident, $methods:ident, $($tens:literal)*) => {$(
        $builder = one::<{ $tens * 10 }, $methods>($builder, $wanted);
        $builder = one::<{ $tens * 10 + 1 }, $methods>($builder, $wanted);
        $builder = one::<{ $tens * 10 + 2 }, $methods>($builder, $wanted);
        $builder = one::<{ $tens * 10 + 3 }, $methods>($builder, $wanted);
        $builder = one::<{ $tens * 10 + 4 }, $methods>($builder, $wanted);
        $builder = one::<{ $tens * 10 + 5 }, $methods>($builder, $wanted);
        $builder = one::<{ $tens * 10 + 6 }, $methods>($builder, $wanted);
        $builder = one::<{ $tens * 10 + 7 }, $methods>($builder, $wanted);
        $builder = one::<{ $tens * 10 + 8 }, $methods>($builder, $wanted);
        $builder = one::<{ $tens * 10 + 9 }, $methods>($builder, $wanted);
    )*};
}

/// Enables the first `wanted` of a hundred extensions.
pub fn enable<const METHODS: usize>(
    mut builder: ExtensionSetBuilder,
    wanted: usize,
) -> ExtensionSetBuilder {
    ten!(builder, wanted, METHODS, 0 1 2 3 4 5 6 7 8 9);
    builder
}

/// The identifiers of the first `wanted` extensions.
pub fn identifiers(wanted: usize) -> Vec<String> {
    (0..wanted)
        .map(|n| format!("com.example/bulk-{n:02}"))
        .collect()
}

/// The measured extension with `beside` others of `METHODS` methods each.
///
/// # Errors
/// Never: no two of them clash.
pub fn set<const METHODS: usize>(beside: usize) -> Result<ExtensionSet, BuildError> {
    let grading = GradingExtension::provide(Lms).settings(offered());
    enable::<METHODS>(ExtensionSet::builder().enable(grading), beside).build()
}

/// An extension whose called method is the last of a hundred.
pub mod wide {
    use super::{Infallible, Lms, Rubric, RubricsParams};
    use mcp_ext::prelude::*;

    macro_rules! hundred {
        ($($name:ident)*) => {
            /// A hundred methods.
            #[extension(id = "com.example/wide")]
            pub trait Wide {
                $(
                    /// One of them.
                    #[method]
                    async fn $name(&self, cx: &Cx<WideExtension>, params: RubricsParams) -> Result<Rubric, Infallible>;
                )*
            }

            #[handlers]
            impl Wide for Lms {
                $(
                    async fn $name(&self, _: &Cx<WideExtension>, params: RubricsParams) -> Result<Rubric, Infallible> {
                        Ok(Rubric { id: params.course, title: "Essay".to_owned(), points: 1 })
                    }
                )*
            }
        };
    }
    hundred! {
        m00 m01 m02 m03 m04 m05 m06 m07 m08 m09 m10 m11 m12 m13 m14 m15 m16 m17 m18 m19
        m20 m21 m22 m23 m24 m25 m26 m27 m28 m29 m30 m31 m32 m33 m34 m35 m36 m37 m38 m39
        m40 m41 m42 m43 m44 m45 m46 m47 m48 m49 m50 m51 m52 m53 m54 m55 m56 m57 m58 m59
        m60 m61 m62 m63 m64 m65 m66 m67 m68 m69 m70 m71 m72 m73 m74 m75 m76 m77 m78 m79
        m80 m81 m82 m83 m84 m85 m86 m87 m88 m89 m90 m91 m92 m93 m94 m95 m96 m97 m98 m99
    }

    /// A set of it alone.
    ///
    /// # Errors
    /// Never: there is nothing it could clash with.
    pub fn set() -> Result<ExtensionSet, BuildError> {
        ExtensionSet::builder()
            .enable(WideExtension::provide(Lms))
            .build()
    }
}
