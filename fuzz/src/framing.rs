//! Framings as text.

use swapwire_core::Framing;

use super::endpoint::is_one_line;

/// What parses has one form, which parses to the same.
pub fn framing(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match text.parse::<Framing>() {
        Ok(framing) => {
            let form = framing.to_string();
            is_one_line(&form);
            let again = form.parse::<Framing>().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(again.to_string(), form);
            if let (Framing::Delimited(one), Framing::Delimited(other)) = (&framing, &again) {
                assert_eq!(one, other);
            }
            // It can be used.
            let _ = framing.decoder(10).decode(&mut b"abc".to_owned(), true);
        }
        Err(error) => is_one_line(&error),
    }
}
