//! The state of the place that something is bound to.

/// What [`Listener::upkeep`](crate::Listener::upkeep) or [`DatagramSocket::upkeep`](crate::DatagramSocket::upkeep) found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upkeep {
    /// Whether a client that connects or sends now reaches it.
    pub reachable: bool,
    /// What has happened to the place since it was last checked, in one line; given once, by one member of a group.
    pub news: Option<String>,
    /// How often it has reached its place anew since it was last checked: a wire that stands on a connection, which broke.
    pub reconnects: u64,
    /// Replies that were sent since it was last checked and are known not to have reached the other side.
    pub lost: u64,
}

impl Upkeep {
    /// Nothing new about a place that can be reached or not.
    pub const fn unchanged(reachable: bool) -> Self {
        Self { reachable, news: None, reconnects: 0, lost: 0 }
    }

    /// What is true of two parts of one place.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let news = match (self.news, other.news) {
            (Some(news), Some(more)) => Some(format!("{news}; {more}")),
            (news, more) => news.or(more),
        };
        Self {
            reachable: self.reachable && other.reachable,
            news,
            reconnects: self.reconnects + other.reconnects,
            lost: self.lost + other.lost,
        }
    }

    /// Something has happened, and now it can be reached or not.
    pub fn changed(reachable: bool, news: impl Into<String>) -> Self {
        Self { reachable, news: Some(news.into()), reconnects: 0, lost: 0 }
    }
}
