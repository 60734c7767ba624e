use std::path::Path;

use swapwire_core::Endpoint;

use super::*;

const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";

fn file(directory: &Path, option: &str, text: &str) -> CredentialFile {
    let path = directory.join(option);
    std::fs::write(&path, text).unwrap();
    secret(&path, 0o600);
    named(option, &path)
}

#[cfg(unix)]
fn secret(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn secret(_: &Path, _: u32) {}

fn named(option: &str, path: &Path) -> CredentialFile {
    let endpoint: Endpoint = "nats://h/x".parse().unwrap();
    let endpoint = endpoint.with_option(option, path.display());
    CredentialFile::of(endpoint.read_options()).unwrap().unwrap()
}

async fn said(file: &CredentialFile, nonce: Option<&str>) -> String {
    match file.prove(nonce).await {
        Ok(proof) => serde_json::to_string(&proof).unwrap(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn each_kind_of_file_says_who_the_client_is() {
    let directory = tempfile::tempdir().unwrap();
    let user = r#"{"user":"ada","pass":"s:ecret"}"#;
    for text in ["ada\ns:ecret\n", "ada:s:ecret", "\r\nada\r\ns:ecret\r\n"] {
        assert_eq!(said(&file(directory.path(), "user_file", text), None).await, user, "{text:?}");
    }
    assert_eq!(said(&file(directory.path(), "token_file", " t0ken\n"), None).await, r#"{"auth_token":"t0ken"}"#);

    let creds = format!(
        "-----BEGIN NATS USER JWT-----\neyJ0.eyJq.c2ln\n------END NATS USER JWT------\n\n\
         *** IMPORTANT ***\n-----BEGIN USER NKEY SEED-----\n{SEED}\n------END USER NKEY SEED------\n\n***\n"
    );
    let creds = said(&file(directory.path(), "creds", &creds), Some("nonce")).await;
    assert!(creds.starts_with(r#"{"jwt":"eyJ0.eyJq.c2ln","sig":""#) && !creds.contains("nkey"), "{creds}");
    let alone = said(&file(directory.path(), "creds", SEED), Some("nonce")).await;
    assert!(alone.starts_with(r#"{"nkey":"UDXU4RCS"#) && alone.contains(r#""sig":""#), "{alone}");
    assert!(!creds.contains(SEED) && !alone.contains(SEED));
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_told_with_what_would_be_right_and_nothing_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let cases = [
        ("user_file", "SECRET", "write the user and the password on a line each"),
        ("user_file", ":SECRET", "write the user and the password on a line each"),
        ("user_file", "a\nSECRET\nc", "write the user and the password on a line each"),
        ("user_file", "", "write the user and the password on a line each"),
        ("token_file", "SECRET\nSECRET", "write the token, and nothing else"),
        ("creds", "SECRET", "damaged"),
        ("creds", "eyJ0", "no NKEY SEED"),
        ("creds", "-----BEGIN USER NKEY SEED-----\n-----END-----", "no NKEY SEED"),
    ];
    for (option, text, part) in cases {
        let error = said(&file(directory.path(), option, text), Some("nonce")).await;
        assert!(error.contains(part) && error.starts_with(option), "{text:?}: {error}");
        assert!(!error.contains("SECRET") && !error.contains('\n'), "{error}");
    }
    let long = said(&file(directory.path(), "token_file", &"x".repeat(65_537)), None).await;
    assert!(long.contains("longer than 64 KiB"), "{long}");
    let missing = said(&named("creds", Path::new("/nowhere/x.creds")), None).await;
    assert!(missing.starts_with("creds=/nowhere/x.creds: No such file"), "{missing}");
    let unsigned = said(&file(directory.path(), "creds", SEED), None).await;
    assert!(unsigned.contains("gave nothing to sign"), "{unsigned}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_others_can_read_is_refused_as_keys_are() {
    let directory = tempfile::tempdir().unwrap();
    let mut open = file(directory.path(), "token_file", "t0ken");
    secret(&open.path, 0o644);
    let error = said(&open, None).await;
    assert!(
        error.contains("every user can read it (mode 644): chmod 640 ") && error.contains("key_mode=any"),
        "{error}"
    );
    open.any_mode = true;
    assert_eq!(said(&open, None).await, r#"{"auth_token":"t0ken"}"#);
}

#[test]
fn one_file_alone_is_named() {
    let of = |text: &str| CredentialFile::of(text.parse::<Endpoint>().unwrap().read_options());
    assert_eq!(of("nats://h/x").unwrap(), None);
    assert!(of("nats://h/x?key_mode=any&creds=/c").unwrap().unwrap().any_mode);
    assert!(of("nats://h/x?key_mode=lax&creds=/c").unwrap_err().to_string().contains("strict or any"));
    assert!(of("nats://h/x?creds=/c&token_file=/t").unwrap_err().to_string().contains("leave out the others"));
}
