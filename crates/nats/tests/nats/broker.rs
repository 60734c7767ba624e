//! A broker in memory, as small as the tests need: it routes in order, and does at a word what real ones do at bad times.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::{Buf as _, BytesMut};
use swapwire_core::{Bound, Link, Transport as _};
use swapwire_mem::MemNetwork;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

pub(crate) struct Broker {
    hub: Arc<Mutex<Hub>>,
    /// Nothing is said while it is.
    is_held: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

/// What brokers of one cluster share.
pub(crate) struct Hub {
    clients: HashMap<u64, Client>,
    next: u64,
    /// What was heard of all clients, line by line.
    pub(crate) heard: Vec<String>,
    /// How many lines these are, for who waits for one.
    count: watch::Sender<usize>,
    /// A subscription or publication of such a subject is denied.
    pub(crate) denies: Option<&'static str>,
    pub(crate) answers_pings: bool,
    pub(crate) max_payload: usize,
}

struct Client {
    out: mpsc::Sender<Vec<u8>>,
    subscriptions: Vec<(String, String, Option<String>)>,
}

pub(crate) fn hub() -> Arc<Mutex<Hub>> {
    let hub = Hub {
        clients: HashMap::new(),
        next: 0,
        heard: Vec::new(),
        count: watch::Sender::new(0),
        denies: None,
        answers_pings: true,
        max_payload: 4096,
    };
    Arc::new(Mutex::new(hub))
}

impl Broker {
    /// One at `mem:NAME`.
    pub(crate) async fn start(network: &MemNetwork, name: &str, hub: &Arc<Mutex<Hub>>) -> Self {
        let endpoint = format!("mem:{name}").parse().unwrap();
        let Bound::Listener(mut listener) = network.bind(&endpoint).await.unwrap() else { panic!("no listener") };
        let is_held = watch::Sender::new(false);
        let (of_clients, held) = (Arc::clone(hub), is_held.clone());
        let accepting = tokio::spawn(async move {
            // They end with it.
            let mut clients = tokio::task::JoinSet::new();
            loop {
                let link = listener.accept().await.unwrap().establish().await.unwrap();
                clients.spawn(serve(link, Arc::clone(&of_clients), held.subscribe()));
            }
        });
        Self { hub: Arc::clone(hub), is_held, accepting }
    }

    pub(crate) fn hub(&self) -> MutexGuard<'_, Hub> {
        self.hub.lock().unwrap()
    }

    /// Says nothing more until it is let go on.
    pub(crate) fn hold(&self, is_held: bool) {
        self.is_held.send_replace(is_held);
    }

    /// Says this to every client.
    pub(crate) fn say(&self, text: &str) {
        for client in self.hub().clients.values() {
            let _ = client.out.try_send(text.as_bytes().to_vec());
        }
    }

    /// Breaks all connections and takes no others.
    pub(crate) async fn stop(&mut self) {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
    }

    /// Waits until this was heard so often.
    pub(crate) async fn hears(&self, line: &str, times: usize) {
        let mut count = self.hub().count.subscribe();
        let has = |hub: &Hub| hub.heard.iter().filter(|heard| heard.starts_with(line)).count() >= times;
        count.wait_for(|_| has(&self.hub())).await.map(drop).unwrap();
    }

    /// Waits until so many lines were heard in all.
    pub(crate) async fn hears_lines(&self, lines: usize) {
        let mut count = self.hub().count.subscribe();
        count.wait_for(|count| *count >= lines).await.map(drop).unwrap();
    }
}

async fn serve(link: Link, hub: Arc<Mutex<Hub>>, mut held: watch::Receiver<bool>) {
    let Link::Bytes { io, .. } = link else { panic!("no bytes") };
    let (out, mut to_say) = mpsc::channel::<Vec<u8>>(1 << 14);
    let id = {
        let mut hub = hub.lock().unwrap();
        hub.next += 1;
        let id = hub.next;
        hub.clients.insert(id, Client { out: out.clone(), subscriptions: Vec::new() });
        id
    };
    let _gone = Gone(Arc::clone(&hub), id);
    let max_payload = hub.lock().unwrap().max_payload;
    let info = format!("INFO {{\"server_name\":\"n\",\"headers\":true,\"max_payload\":{max_payload}}}\r\n");
    out.try_send(info.into_bytes()).unwrap();
    let (mut reader, mut writer) = tokio::io::split(io);
    let hears = async {
        let mut unread = BytesMut::new();
        while let Ok(1..) = reader.read_buf(&mut unread).await {
            while let Some(command) = cut(&mut unread) {
                hub.lock().unwrap().hear(id, &command);
            }
        }
    };
    let says = async {
        while let Some(text) = to_say.recv().await {
            if held.wait_for(|is_held| !is_held).await.is_err() || writer.write_all(&text).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = hears => {}
        () = says => {}
    }
}

struct Gone(Arc<Mutex<Hub>>, u64);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.lock().unwrap().clients.remove(&self.1);
    }
}

/// The next command: its line, and its payload.
fn cut(unread: &mut BytesMut) -> Option<(String, Vec<u8>)> {
    let end = unread.iter().position(|byte| *byte == b'\n')?.checked_sub(1)?;
    let line = String::from_utf8(unread[..end].to_vec()).unwrap();
    let payload = if line.starts_with("PUB ") { line.rsplit(' ').next()?.parse().ok()? } else { 0 };
    let whole = end + 2 + if line.starts_with("PUB ") { payload + 2 } else { 0 };
    if unread.len() < whole {
        return None;
    }
    let message = unread[end + 2..][..payload].to_vec();
    unread.advance(whole);
    Some((line, message))
}

impl Hub {
    fn say(&self, id: u64, text: impl Into<Vec<u8>>) {
        let _ = self.clients[&id].out.try_send(text.into());
    }

    fn hear(&mut self, id: u64, (line, payload): &(String, Vec<u8>)) {
        self.heard.push(line.clone());
        let (count, heard) = (self.count.clone(), self.heard.len());
        let words: Vec<_> = line.split(' ').collect();
        let denied = |subject: &str| self.denies == Some(subject);
        match words[..] {
            ["PING"] if self.answers_pings => self.say(id, "PONG\r\n"),
            ["SUB", subject, ..] if denied(subject) => {
                self.say(id, format!("-ERR 'Permissions Violation for Subscription to \"{subject}\"'\r\n"));
            }
            ["SUB", subject, .., sid] => {
                let queue = (words.len() == 4).then(|| words[2].to_owned());
                let subscriptions = &mut self.clients.get_mut(&id).unwrap().subscriptions;
                subscriptions.push((subject.to_owned(), sid.to_owned(), queue));
            }
            ["UNSUB", sid, ..] => {
                self.clients.get_mut(&id).unwrap().subscriptions.retain(|(_, own, _)| own != sid);
            }
            ["PUB", subject, ..] if denied(subject) => {
                self.say(id, format!("-ERR 'Permissions Violation for Publish to \"{subject}\"'\r\n"));
            }
            ["PUB", subject, _] => self.publish(subject, None, payload),
            ["PUB", subject, reply, _] => self.publish(subject, Some(reply), payload),
            _ => {}
        }
        count.send_replace(heard);
    }

    /// To every subscriber, and to one of each queue group, in turn.
    pub(crate) fn publish(&mut self, subject: &str, reply: Option<&str>, payload: &[u8]) {
        self.next += 1;
        let mut groups: HashMap<&str, Vec<(u64, &str)>> = HashMap::new();
        let mut to = Vec::new();
        let mut clients: Vec<_> = self.clients.iter().collect();
        clients.sort_by_key(|(id, _)| **id);
        for (id, client) in clients {
            for (pattern, sid, queue) in &client.subscriptions {
                let prefix = pattern.strip_suffix('*');
                if pattern != subject && !prefix.is_some_and(|prefix| subject.starts_with(prefix)) {
                    continue;
                }
                match queue {
                    Some(queue) => groups.entry(queue).or_default().push((*id, sid)),
                    None => to.push((*id, sid.as_str())),
                }
            }
        }
        to.extend(groups.values().map(|members| members[self.next as usize % members.len()]));
        match reply {
            Some(reply) if to.is_empty() => {
                let found =
                    self.clients.iter().flat_map(|(id, client)| client.subscriptions.iter().map(move |s| (*id, s)));
                for (id, (pattern, sid, _)) in found {
                    if pattern.strip_suffix('*').is_some_and(|prefix| reply.starts_with(prefix)) {
                        self.say(id, format!("HMSG {reply} {sid} 16 16\r\nNATS/1.0 503\r\n\r\n\r\n"));
                    }
                }
            }
            _ => {
                for (id, sid) in to {
                    let reply = reply.map_or_else(String::new, |reply| format!("{reply} "));
                    let mut text = format!("MSG {subject} {sid} {reply}{}\r\n", payload.len()).into_bytes();
                    text.extend_from_slice(payload);
                    text.extend_from_slice(b"\r\n");
                    self.say(id, text);
                }
            }
        }
    }
}
