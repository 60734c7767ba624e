use super::*;

#[test]
fn every_kind_of_limit_has_a_setter() {
    let set = Limits::default()
        .max_connections(1)
        .when_full(WhenFull::Refuse("2".into()))
        .max_per_source(3)
        .frame_timeout(Duration::from_secs(4))
        .idle_timeout(None)
        .drain_timeout(Duration::from_secs(5))
        .source_rate(6);
    let expected = Limits {
        max_connections: 1,
        when_full: WhenFull::Refuse("2".into()),
        max_per_source: Some(3),
        frame_timeout: Some(Duration::from_secs(4)),
        idle_timeout: None,
        drain_timeout: Duration::from_secs(5),
        source_rate: Some(6),
        ..Limits::default()
    };
    assert_eq!(set, expected);
}

#[test]
fn every_limit_is_read_as_it_is_written() {
    let mut limits = Limits::default();
    for (name, text) in [
        ("max_connections", "10k"),
        ("when_full", "refuse:try\\nlater"),
        ("max_per_source", "none"),
        ("source_rate", "1.5k"),
        ("max_message", "64KiB"),
        ("idle_timeout", "90s"),
        ("write_timeout", "off"),
        ("drain_timeout", "none"),
    ] {
        limits.set(name, text).unwrap();
    }
    let expected = Limits::default()
        .max_connections(10_000)
        .when_full(WhenFull::refuse("try\nlater"))
        .source_rate(1500)
        .max_message(65_536)
        .idle_timeout(Duration::from_secs(90))
        .write_timeout(None)
        .drain_timeout(Duration::MAX);
    assert_eq!(limits, expected);
    let mut again = Limits::default();
    for field in Limits::FIELDS {
        again.set(field.name, &limits.get(field.name).unwrap()).unwrap();
        assert!(field.help.ends_with('.') && !field.help.contains('\n'), "{field:?}");
    }
    assert_eq!(again, limits);
    let error = |name, text| Limits::default().set(name, text).unwrap_err().to_string();
    assert!(error("max_conections", "1").contains("did you mean \"max_connections\"?"));
    assert_eq!(error("when_full", "fight"), "when_full=fight: write wait, refuse or refuse:TEXT");
    assert_eq!(error("max_waiting", "many"), "max_waiting=many: write a whole number, as 64, 10k or 1.5M");
}

#[cfg(feature = "serde")]
#[test]
fn serde_makes_a_map_of_them() {
    let limits = Limits::default().max_connections(100).when_full(WhenFull::refuse("full")).idle_timeout(None);
    let json = serde_json::to_string(&limits).unwrap();
    assert!(json.starts_with(r#"{"max_connections":100,"when_full":"refuse:full","max_per_source":"none","#), "{json}");
    assert!(json.contains(r#""max_message":"1MiB""#) && json.contains(r#""idle_timeout":"none""#), "{json}");
    assert_eq!(serde_json::from_str::<Limits>(&json).unwrap(), limits);
    let some = serde_json::from_str::<Limits>(r#"{"max_message": "64KiB", "max_peers": 7}"#).unwrap();
    assert_eq!(some, Limits::default().max_message(65_536).max_peers(7));
    let error = serde_json::from_str::<Limits>("{\n\"max_mesage\": 1}").unwrap_err().to_string();
    assert!(error.contains("did you mean \"max_message\"?") && error.contains("line 2"), "{error}");
}
