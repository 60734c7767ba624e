//! What a handler declares of itself.

/// What a handler accepts as a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Input {
    /// Whole messages: their boundaries matter.
    #[default]
    Messages,
    /// Any slicing of a stream of bytes gives the same result, as for an echo.
    AnySlicing,
}

/// What a handler declares of itself: [`Handler::properties`](crate::Handler::properties),
/// [`SessionHandler::properties`](crate::SessionHandler::properties). A server asks once for each connection or socket, so
/// the answer must always be the same.
///
/// ```
/// use swapwire_core::{HandlerProperties, Input};
///
/// let properties = HandlerProperties::new().any_slicing().with_ready_at_once(true);
/// assert_eq!((properties.input, properties.amplifies), (Input::AnySlicing, false));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandlerProperties {
    /// Whether the handler needs whole messages. One that does, bound to a byte stream without a framing, is an error before
    /// the first connection. Default: [`Input::Messages`].
    pub input: Input,
    /// Whether every call of a [`Handler`](crate::Handler) is ready when it is polled first, as that of a handler that never
    /// waits. The server then gathers the replies of several calls in one place, which spares a copy of each. A call that
    /// waits all the same holds up the replies of the calls just before it on a stream; on a datagram socket it is dropped
    /// and counted as an error. Of session handlers it says nothing. Default: false.
    pub ready_at_once: bool,
    /// Whether replies may be more than three times as long as the request (and longer than 64 bytes) even where the
    /// sender's address may be forged. Such a handler would amplify attacks, so on such wires it is bound to loopback
    /// unless the server is told otherwise. Of a handler that does not amplify, such a reply is refused, counted and logged,
    /// except on a loopback address; a session handler that sends more gets
    /// [`SendError::Unvalidated`](crate::SendError::Unvalidated), until it [trusts](crate::Session::trust_peer) the peer. Default:
    /// false.
    pub amplifies: bool,
}

impl HandlerProperties {
    /// Those of a handler that needs whole messages, may wait, and does not amplify.
    pub const fn new() -> Self {
        Self { input: Input::Messages, ready_at_once: false, amplifies: false }
    }

    /// The same with another [`input`](Self::input).
    #[must_use]
    pub const fn with_input(mut self, input: Input) -> Self {
        self.input = input;
        self
    }

    /// The same with [`Input::AnySlicing`].
    #[must_use]
    pub const fn any_slicing(self) -> Self {
        self.with_input(Input::AnySlicing)
    }

    /// The same with another [`ready_at_once`](Self::ready_at_once).
    #[must_use]
    pub const fn with_ready_at_once(mut self, ready_at_once: bool) -> Self {
        self.ready_at_once = ready_at_once;
        self
    }

    /// The same with another [`amplifies`](Self::amplifies).
    #[must_use]
    pub const fn with_amplifies(mut self, amplifies: bool) -> Self {
        self.amplifies = amplifies;
        self
    }
}
