//! What one round says.

use super::{Round, Spectrum, Usage};

impl Round {
    /// Adds what is counted in `other`. When it was, its timeline and what was used stay.
    pub(crate) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.warmup_requests += other.warmup_requests;
        self.answered += other.answered;
        self.messages += other.messages;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.latency.merge(&other.latency);
        self.first_reply.merge(&other.first_reply);
        self.connect.merge(&other.connect);
        self.lag.merge(&other.lag);
        self.reconnects += other.reconnects;
        self.faults.add(&other.faults);
    }

    /// Right replies per second; `None` if it took no time.
    pub(crate) fn messages_per_s(&self) -> Option<f64> {
        per_second(self.messages as f64, self.elapsed_s)
    }

    /// Payload bytes per second, both ways together.
    pub(crate) fn bytes_per_s(&self) -> Option<f64> {
        per_second(self.bytes_sent as f64 + self.bytes_received as f64, self.elapsed_s)
    }

    /// The latencies; those of first replies where every request was the first of its connection.
    pub(crate) fn times(&self) -> &Spectrum {
        if self.latency.is_empty() { &self.first_reply } else { &self.latency }
    }

    /// A percentile of the [times](Self::times), in nanoseconds; `None` if there are none.
    pub(crate) fn latency_at(&self, percent: f64) -> Option<f64> {
        let times = self.times();
        (!times.is_empty()).then(|| times.percentile(percent) as f64)
    }

    /// The generator's CPU time per right reply, in nanoseconds; `None` where it is not known.
    pub(crate) fn client_cpu_ns(&self) -> Option<f64> {
        cpu_ns(&self.client)
    }

    /// The server's.
    pub(crate) fn server_cpu_ns(&self) -> Option<f64> {
        self.server.as_ref().and_then(cpu_ns)
    }

    /// How many processors the server kept busy; `None` where it is not known.
    pub(crate) fn server_processors(&self) -> Option<f64> {
        per_second(self.server.as_ref()?.cpu_s, self.elapsed_s)
    }

    /// Requests that got no reply in time: lost, never sent, or on a connection that broke.
    pub(crate) fn unanswered(&self) -> u64 {
        self.requests.saturating_sub(self.answered).saturating_sub(self.faults.wrong)
    }

    /// Their share of all; `None` without requests.
    pub(crate) fn loss(&self) -> Option<f64> {
        (self.requests > 0).then(|| self.unanswered() as f64 / self.requests as f64)
    }
}

fn per_second(amount: f64, seconds: f64) -> Option<f64> {
    let rate = amount / seconds;
    (seconds > 0.0 && rate.is_finite()).then_some(rate)
}

/// No work takes no time: a CPU time of 0 is one that is not known.
fn cpu_ns(usage: &Usage) -> Option<f64> {
    let each = usage.cpu_s * 1e9 / usage.messages as f64;
    (usage.messages > 0 && each > 0.0 && each.is_finite()).then_some(each)
}
