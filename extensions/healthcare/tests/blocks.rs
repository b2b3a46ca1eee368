//! A policy can only narrow an access scope, on generated ones.

use std::collections::BTreeSet;

use mcp_ext_healthcare::AccessScope;
use mcp_ext_policy::Narrow;
use proptest::prelude::*;

const PATIENTS: [&str; 3] = ["a", "b", "c"];
const TYPES: [&str; 3] = ["Patient", "Observation", "Condition"];

fn some_of(names: [&'static str; 3]) -> impl Strategy<Value = Option<BTreeSet<&'static str>>> {
    proptest::option::of(proptest::collection::btree_set(
        proptest::sample::select(names.to_vec()),
        0..=3,
    ))
}

fn scope() -> impl Strategy<Value = AccessScope> {
    (some_of(PATIENTS), some_of(TYPES)).prop_map(|(patients, types)| {
        let scope = match patients {
            Some(patients) => AccessScope::patients(patients).unwrap(),
            None => AccessScope::all(),
        };
        match types {
            Some(types) => scope.restricted_to(types).unwrap(),
            None => scope,
        }
    })
}

proptest! {
    #[test]
    fn narrowing_is_a_meet(a in scope(), b in scope(), c in scope()) {
        let both = a.clone().narrowed(&b);
        prop_assert_eq!(&both, &b.clone().narrowed(&a));
        prop_assert_eq!(both.clone().narrowed(&c), a.clone().narrowed(&b.clone().narrowed(&c)));
        prop_assert_eq!(&a.clone().narrowed(&a), &a);
        prop_assert_eq!(&a.clone().narrowed(&AccessScope::all()), &a);
        // Never more than either.
        prop_assert_eq!(&both.clone().narrowed(&a), &both);
        prop_assert_eq!(&both.clone().narrowed(&b), &both);
        for name in TYPES {
            prop_assert_eq!(both.allows_type(name), a.allows_type(name) && b.allows_type(name));
        }
        prop_assert_eq!(both.is_all(), a.is_all() && b.is_all());
    }
}
