//! Lists of what there is.

use std::fmt::Write as _;

use swapwire::core::Side;
use swapwire::{Capabilities, HandlerRegistry, Registry};

/// One line for each handler: name, wanted framing, description.
pub(crate) fn handlers(registry: &HandlerRegistry) -> String {
    let rows = registry.iter().map(|(name, entry)| {
        let framing = entry.framing().map_or_else(|| "-".to_owned(), ToString::to_string);
        [name.to_owned(), framing, entry.description().to_owned()]
    });
    table(&rows.collect::<Vec<_>>(), "")
}

/// One line for each scheme and layer: name, shape, capabilities; with `options`, a table of options for each below.
pub(crate) fn transports(registry: &Registry, options: bool) -> String {
    let rows = registry.schemes().map(|(scheme, transport)| {
        let capabilities = transport.capabilities(scheme);
        [scheme.to_owned(), capabilities.shape.to_string(), abilities(&capabilities)]
    });
    let layers = registry.layers().map(|layer| {
        let above = layer.capabilities(Capabilities::byte_stream());
        [layer.name().to_owned(), "layer".to_owned(), abilities(&above)]
    });
    let rows = rows.chain(layers);
    #[cfg(unix)]
    let rows = rows.chain(registry.socket_sources().map(|scheme| {
        let like = "serve alone: as the transport of the socket";
        [scheme.to_owned(), "passed socket".to_owned(), like.to_owned()]
    }));
    let mut out = table(&rows.collect::<Vec<_>>(), "");
    if options {
        let transports = registry.schemes().map(|(scheme, transport)| (scheme, transport.options(scheme)));
        for (name, options) in transports.chain(registry.layers().map(|layer| (layer.name(), layer.options()))) {
            let rows = options.iter().map(|option| {
                let side = match option.side {
                    Side::Both => "serve, connect",
                    Side::Bind => "serve",
                    Side::Connect => "connect",
                };
                [option.name.to_owned(), option.value.to_owned(), side.to_owned(), option.help.to_owned()]
            });
            let rows: Vec<_> = rows.collect();
            let none = if rows.is_empty() { " none" } else { "" };
            let _ = writeln!(out, "\noptions of {name}:{none}");
            out.push_str(&table(&rows, "  "));
        }
    }
    out
}

fn abilities(capabilities: &Capabilities) -> String {
    let flags = [
        (capabilities.reliable, "reliable"),
        (capabilities.ordered, "ordered"),
        (capabilities.half_close, "half-close"),
        (capabilities.peer_credentials, "peer credentials"),
        (capabilities.spoofable, "senders can be forged"),
        (capabilities.encrypted, "encrypted"),
        (capabilities.says_goodbye, "good-bye"),
    ];
    let mut abilities: Vec<_> = flags.into_iter().filter(|(is, _)| *is).map(|(_, name)| name.to_owned()).collect();
    abilities.extend(capabilities.max_message.map(|max| format!("messages up to {max} bytes")));
    if abilities.is_empty() { "-".to_owned() } else { abilities.join(", ") }
}

/// Columns of equal width, two spaces apart.
fn table<const N: usize>(rows: &[[String; N]], indent: &str) -> String {
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let mut out = String::new();
    for row in rows {
        let mut line = indent.to_owned();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_no_line_ends_in_spaces() {
        let rows = [["a".to_owned(), "bc".to_owned()], ["def".to_owned(), String::new()]];
        assert_eq!(table(&rows, " "), " a    bc\n def\n");
    }
}
