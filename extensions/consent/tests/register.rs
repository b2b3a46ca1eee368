//! The register: what it permits is what a person has said, in their tenant, at that time.

use std::collections::BTreeSet;

use futures_lite::future::block_on;
use mcp_ext_consent::{
    ConsentSource, Covers, Decision, Denial, Kind, Permit, Purpose, PurposeCode, Question, Record,
    Register, RegisterError,
};
use mcp_ext_core::Principal;
use mcp_ext_store::{ManualClock, Store};
use proptest::prelude::*;

fn question() -> Question {
    Question {
        caller: Some(Principal::new("dr-1").in_tenant("clinic")),
        subject: "p-1".into(),
        action: "read".into(),
        data_classes: BTreeSet::from(["lab".to_owned()]),
        purpose: Some(Purpose::new(treatment())),
        now_ms: 1000,
    }
}

fn treatment() -> PurposeCode {
    PurposeCode::health("TREAT").unwrap()
}

fn register(records: &[Record]) -> Register {
    let register = Register::in_memory().unwrap();
    for record in records {
        block_on(register.record(Some("clinic"), record.clone())).unwrap();
    }
    register
}

fn ask(register: &Register, question: &Question) -> Decision {
    block_on(register.decide(question)).unwrap()
}

fn basis(decision: Decision) -> String {
    match decision {
        Decision::Permit(permit) => permit.basis,
        Decision::Deny(denial) => format!("{denial:?}"),
    }
}

#[test]
fn nothing_on_record_permits_nothing() {
    assert_eq!(
        ask(&register(&[]), &question()),
        Decision::Deny(Denial::NoConsent)
    );
}

#[test]
fn consents_are_of_one_tenant_person_caller_action_class_and_purpose() {
    let mut record = Record::consent("c-1", "p-1");
    record.callers = Covers::only(["dr-1".to_owned()]);
    record.actions = Covers::only(["read".to_owned()]);
    record.data_classes = Covers::only(["lab".to_owned()]);
    record.purposes = Covers::only([treatment()]);
    let register = register(&[record]);
    assert_eq!(basis(ask(&register, &question())), "consent c-1");
    let other = |change: fn(&mut Question)| {
        let mut question = question();
        change(&mut question);
        basis(ask(&register, &question))
    };
    for (what, seen) in [
        (
            "tenant",
            other(|q| q.caller = Some(Principal::new("dr-1").in_tenant("other"))),
        ),
        (
            "no tenant",
            other(|q| q.caller = Some(Principal::new("dr-1"))),
        ),
        (
            "empty tenant",
            other(|q| q.caller = Some(Principal::new("dr-1").in_tenant(""))),
        ),
        (
            "caller",
            other(|q| q.caller = Some(Principal::new("dr-2").in_tenant("clinic"))),
        ),
        ("no caller", other(|q| q.caller = None)),
        ("person", other(|q| q.subject = "p-2".into())),
        ("action", other(|q| q.action = "write".into())),
        (
            "class",
            other(|q| q.data_classes = BTreeSet::from(["genome".to_owned()])),
        ),
        (
            "one more class",
            other(|q| q.data_classes.extend(["genome".to_owned()])),
        ),
        ("every class", other(|q| q.data_classes.clear())),
        (
            "purpose",
            other(|q| q.purpose = Some(Purpose::new(PurposeCode::health("HMARKT").unwrap()))),
        ),
        (
            "system",
            other(|q| q.purpose = Some(Purpose::new(PurposeCode::education("TREAT").unwrap()))),
        ),
        ("no purpose", other(|q| q.purpose = None)),
    ] {
        assert_eq!(seen, "NoConsent", "{what}");
    }
}

#[test]
fn a_claimed_reference_narrows_and_never_widens() {
    let mut lab = Record::consent("c-1", "p-1");
    lab.data_classes = Covers::only(["lab".to_owned()]);
    let register = register(&[
        lab,
        Record::consent("c-2", "p-2"),
        Record::consent("c-3", "p-1"),
    ]);
    let claiming = |reference: &str| {
        let mut question = question();
        let purpose = question.purpose.as_mut().unwrap();
        purpose.consent_ref = Some(reference.parse().unwrap());
        purpose.on_behalf_of = Some("p-1".parse().unwrap());
        basis(ask(&register, &question))
    };
    assert_eq!(claiming("c-1"), "consent c-1");
    assert_eq!(claiming("c-3"), "consent c-3");
    assert_eq!(claiming("c-2"), "NoConsent", "another person's");
    assert_eq!(claiming("c-9"), "NoConsent");
}

#[test]
fn consents_expire_by_the_clock_and_the_longest_counts() {
    let mut short = Record::consent("short", "p-1");
    short.expires_at_ms = Some(2000);
    let mut long = Record::consent("long", "p-1");
    long.expires_at_ms = Some(3000);
    long.obligations = vec!["delete after use".into()];
    let register = register(&[short, long]);
    let at = |now_ms| {
        ask(
            &register,
            &Question {
                now_ms,
                ..question()
            },
        )
    };
    let expected = Permit {
        basis: "consent long".into(),
        expires_at_ms: Some(3000),
        obligations: vec!["delete after use".into()],
    };
    assert_eq!(at(1000), Decision::Permit(expected.clone()));
    assert_eq!(at(2999), Decision::Permit(expected));
    assert_eq!(at(3000), Decision::Deny(Denial::Expired));
}

#[test]
fn consents_to_parts_add_up_and_an_objection_outweighs_them() {
    let part = |reference: &str, class: &str, end: i64| {
        let mut record = Record::consent(reference, "p-1");
        record.data_classes = Covers::only([class.to_owned()]);
        record.expires_at_ms = Some(end);
        record.obligations = vec![format!("{class} only")];
        record
    };
    let register = register(&[part("c-1", "lab", 5000), part("c-2", "genome", 4000)]);
    let mut both = question();
    both.data_classes.insert("genome".into());
    let expected = Permit {
        basis: "consent c-1, c-2".into(),
        expires_at_ms: Some(4000),
        obligations: vec!["genome only".into(), "lab only".into()],
    };
    assert_eq!(ask(&register, &both), Decision::Permit(expected));

    let mut objection = Record::objection("o-1", "p-1");
    objection.data_classes = Covers::only(["genome".to_owned()]);
    objection.callers = Covers::only(["dr-1".to_owned()]);
    block_on(register.record(Some("clinic"), objection)).unwrap();
    assert_eq!(ask(&register, &both), Decision::Deny(Denial::Objection));
    assert_eq!(
        basis(ask(&register, &question())),
        "consent c-1",
        "it touches the genome alone"
    );
    // Who does not say who they are, or what for, is taken for whom it is aimed at.
    let unknown = Question {
        data_classes: BTreeSet::new(),
        ..question()
    };
    assert_eq!(ask(&register, &unknown), Decision::Deny(Denial::Objection));
    block_on(register.withdraw(Some("clinic"), "o-1")).unwrap();
    assert!(matches!(ask(&register, &both), Decision::Permit(_)));
}

#[test]
fn records_are_added_withdrawn_and_forgotten_never_changed() {
    let store = Store::builder()
        .clock(ManualClock::at(7))
        .in_memory()
        .unwrap();
    let register = Register::new(store.clone()).unwrap();
    let record =
        |tenant: Option<&str>| block_on(register.record(tenant, Record::consent("c-1", "p-1")));
    record(Some("clinic")).unwrap();
    assert!(matches!(record(Some("clinic")), Err(RegisterError::Exists)));
    record(None).unwrap();
    record(Some("-")).unwrap();
    let withdraw = |tenant| block_on(register.withdraw(tenant, "c-1")).unwrap();
    assert!(!withdraw(Some("other")), "another tenant's");
    assert!(withdraw(Some("clinic")));
    assert!(!withdraw(Some("clinic")), "once");
    assert!(
        matches!(record(Some("clinic")), Err(RegisterError::Exists)),
        "not written over"
    );
    assert_eq!(
        ask(&register, &question()),
        Decision::Deny(Denial::NoConsent)
    );
    let anonymous = Question {
        caller: None,
        ..question()
    };
    assert!(matches!(ask(&register, &anonymous), Decision::Permit(_)));
    assert_eq!(block_on(register.forget(Some("clinic"), "p-1")).unwrap(), 1);
    assert!(matches!(ask(&register, &anonymous), Decision::Permit(_)));
    let left: i64 = block_on(
        store.read(|db| db.query_row("SELECT count(*) FROM consent", [], |row| row.get(0))),
    )
    .unwrap();
    assert_eq!(left, 2);
}

#[test]
fn a_register_in_a_file_remembers_and_one_that_cannot_be_read_permits_nothing() {
    let path = std::env::temp_dir().join(format!("mcp-ext-consent-{}.db", std::process::id()));
    let _ = std::fs::remove_file(&path);
    {
        let register = Register::new(Store::open(&path).unwrap()).unwrap();
        block_on(register.record(Some("clinic"), Record::consent("c-1", "p-1"))).unwrap();
    }
    let store = Store::open(&path).unwrap();
    let register = Register::new(store.clone()).unwrap();
    assert_eq!(basis(ask(&register, &question())), "consent c-1");
    // A record nobody can read may be an objection.
    block_on(store.write(|db| {
        db.execute("INSERT INTO consent (tenant, reference, subject, record) VALUES ('=clinic', 'x', 'p-1', '{}')", [])
    }))
    .unwrap();
    let error = block_on(register.decide(&question())).unwrap_err();
    assert!(error.to_string().contains("consents cannot be looked up"));
    drop((register, store));
    for end in ["", "-wal", "-shm"] {
        let mut name = path.clone().into_os_string();
        name.push(end);
        let _ = std::fs::remove_file(name);
    }
}

#[test]
fn too_many_records_decide_nothing() {
    let register = Register::in_memory().unwrap();
    for n in 0..=1000 {
        block_on(register.record(Some("clinic"), Record::consent(format!("c-{n}"), "p-1")))
            .unwrap();
    }
    assert!(block_on(register.decide(&question())).is_err());
}

fn covers<T: Ord + Clone + std::fmt::Debug + 'static>(
    members: Vec<T>,
) -> impl Strategy<Value = Covers<T>> {
    let most = members.len();
    prop_oneof![
        2 => Just(Covers::Any),
        3 => prop::sample::subsequence(members, 0..=most).prop_map(Covers::only),
    ]
}

fn texts(members: &[&str]) -> Vec<String> {
    members.iter().map(|&member| member.to_owned()).collect()
}

fn purposes() -> Vec<PurposeCode> {
    ["TREAT", "HRESCH"]
        .map(|code| PurposeCode::health(code).unwrap())
        .to_vec()
}

prop_compose! {
    fn any_record()(
        objection in prop::bool::weighted(0.15),
        callers in covers(texts(&["a", "b"])),
        actions in covers(texts(&["r", "w"])),
        data_classes in covers(texts(&["x", "y", "z"])),
        purposes in covers(purposes()),
        expires_at_ms in prop::option::of(0..4_i64),
    ) -> Record {
        Record {
            reference: String::new(),
            subject: "p-1".into(),
            kind: if objection { Kind::Objection } else { Kind::Consent },
            callers, actions, data_classes, purposes, expires_at_ms,
            obligations: Vec::new(),
        }
    }
}

fn covered<T: Ord>(covers: &Covers<T>, member: &T) -> bool {
    match covers {
        Covers::Any => true,
        Covers::Only(members) => members.contains(member),
    }
}

proptest! {
    /// For calls that say everything, the register answers as the plain reading of each record does.
    #[test]
    fn it_decides_as_each_record_reads(
        records in prop::collection::vec(any_record(), 0..6),
        caller in prop::sample::select(texts(&["a", "b", "c"])),
        action in prop::sample::select(texts(&["r", "w"])),
        classes in prop::sample::subsequence(texts(&["x", "y", "z"]), 1..=3),
        purpose in prop::sample::select(purposes()),
        now_ms in 0..4_i64,
    ) {
        let mut records = records;
        for (n, record) in records.iter_mut().enumerate() {
            record.reference = n.to_string();
        }
        let register = register(&records);
        let question = Question {
            caller: Some(Principal::new(caller.as_str()).in_tenant("clinic")),
            subject: "p-1".into(),
            action: action.clone(),
            data_classes: classes.iter().cloned().collect(),
            purpose: Some(Purpose::new(purpose.clone())),
            now_ms,
        };
        let about = |record: &&Record| {
            covered(&record.callers, &caller) && covered(&record.actions, &action) && covered(&record.purposes, &purpose)
        };
        let live = |record: &&Record| record.expires_at_ms.is_none_or(|end| now_ms < end);
        let kind = |kind| records.iter().filter(about).filter(move |record| record.kind == kind);
        let touches = |record: &Record| classes.iter().any(|class| covered(&record.data_classes, class));
        let expected = if kind(Kind::Objection).filter(live).any(touches) {
            Err(Denial::Objection)
        } else if let Some(class) = classes.iter().find(|class| {
            !kind(Kind::Consent).filter(live).any(|record| covered(&record.data_classes, class))
        }) {
            match kind(Kind::Consent).any(|record| covered(&record.data_classes, class)) {
                true => Err(Denial::Expired),
                false => Err(Denial::NoConsent),
            }
        } else {
            Ok(())
        };
        let seen = match ask(&register, &question) {
            Decision::Permit(permit) => {
                prop_assert!(permit.expires_at_ms.is_none_or(|end| now_ms < end));
                Ok(())
            }
            Decision::Deny(denial) => Err(denial),
        };
        prop_assert_eq!(seen, expected);
    }

    /// Saying less never gets more.
    #[test]
    fn who_says_less_gets_no_more(records in prop::collection::vec(any_record(), 0..6), leave_out in 0..3_u8) {
        let mut records = records;
        for (n, record) in records.iter_mut().enumerate() {
            record.reference = n.to_string();
        }
        let register = register(&records);
        let full = Question {
            caller: Some(Principal::new("a").in_tenant("clinic")),
            action: "r".into(),
            data_classes: BTreeSet::from(["x".to_owned()]),
            now_ms: 1,
            ..question()
        };
        let mut less = full.clone();
        match leave_out {
            0 => less.purpose = None,
            1 => less.data_classes.clear(),
            _ => less.caller = None,
        }
        if matches!(ask(&register, &less), Decision::Permit(_)) {
            prop_assert!(matches!(ask(&register, &full), Decision::Permit(_)));
        }
    }
}
