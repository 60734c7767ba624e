//! What the compiler tells whoever passes something that is not what a trait asks for.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The library that this test was linked with, or one that was built later of the same source.
fn library(deps: &Path) -> PathBuf {
    let files = deps.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let ours = files.filter(|path| {
        let name = path.file_name().unwrap().to_str().unwrap_or_default();
        name.starts_with("libswapwire-") && name.ends_with(".rlib")
    });
    ours.max_by_key(|path| path.metadata().unwrap().modified().unwrap()).unwrap()
}

/// Compiles a program with `main` as the body of its function, and gives what the compiler says.
fn compiled(main: &str) -> (bool, String) {
    let test = std::env::current_exe().unwrap();
    let deps = test.parent().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("main.rs");
    let text = format!("#![allow(unused)]\nuse swapwire::*;\nstruct Counter;\nfn main() {{ {main} }}\n");
    std::fs::write(&source, text).unwrap();
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition=2024", "--emit=metadata", "--color=never"]).arg(&source);
    rustc.arg("--out-dir").arg(folder.path()).arg("-L").arg(format!("dependency={}", deps.display()));
    rustc.arg("--extern").arg(format!("swapwire={}", library(deps).display()));
    let output = rustc.output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn what_is_right_is_compiled() {
    let right = "server().handler(handlers::UppercaseEcho).handler(handler_fn(|_, _| Ok(()))).transport(mem::MemNetwork::new());";
    let (succeeds, said) = compiled(right);
    assert!(succeeds, "{said}");
}

#[test]
fn the_compiler_says_what_a_trait_asks_for_and_what_would_be_right() {
    let handler = [
        "error[E0277]: `Counter` is not a handler",
        "cannot serve messages or sessions",
        "note: implement `Handler` (one message at a time), `StatefulHandler` (with a state for each session) or \
         `SessionHandler` (a whole session) for it",
        "note: a closure becomes a handler by `handler_fn(|request, reply| ...)`, or by `handler_fn_async` if it waits",
        "note: a handler that is shared is given as an `Arc`, not as a reference or a `Box`",
    ];
    let message = [
        "error[E0277]: `Counter` is not a `Handler`",
        "cannot answer one message at a time",
        "note: implement `Handler` for it, or make one of a closure: `handler_fn(|request, reply| ...)`, or \
         `handler_fn_async` if it waits",
        "note: a `SessionHandler` or a `StatefulHandler` is not a `Handler`; a server takes all three",
    ];
    let session = [
        "error[E0277]: `Counter` is not a `SessionHandler`",
        "cannot run a whole session",
        "note: implement `SessionHandler` for it, under `#[async_trait]`; `Stateful::new` makes one of a `StatefulHandler`",
        "note: a `Handler` is not a `SessionHandler`; a server takes both",
    ];
    let transport = [
        "error[E0277]: `Counter` is not a `Transport`",
        "cannot bind and connect endpoints",
        "note: implement `Transport` for it, under `#[async_trait]`",
        "note: a wire layer (`Upgrade`) is not a transport: `Registry::with_layer` takes it, or `Stacked::new` with the \
         transport below",
    ];
    let cases: [(&str, &[&str]); 7] = [
        ("server().handler(Counter);", &handler),
        ("Listen::on(\"tcp://127.0.0.1:0\").handler(Counter);", &handler),
        ("let _ = serve(\"tcp://127.0.0.1:0\", Counter);", &handler),
        ("let _ = testing::replies(&Counter, \"hello\");", &message),
        ("let _ = testing::conversation(&Counter, [\"hello\"]);", &session),
        ("server().transport(Counter);", &transport),
        ("Registry::new().with(Counter);", &transport),
    ];
    for (main, lines) in cases {
        let (succeeds, said) = compiled(main);
        assert!(!succeeds, "{main} was compiled");
        for line in lines {
            assert!(said.contains(line), "{main}: {line:?} is missing from\n{said}");
        }
    }
    // A closure has no name of its own, and is the usual mistake.
    let (_, said) =
        compiled("server().handler(|_: Request<'_>, _: &mut Reply<'_>| -> Result<(), HandlerError> { Ok(()) });");
    assert!(said.contains("` is not a handler") && said.contains("handler_fn("), "{said}");
}
