//! The buffers of a worker thread, lent to whichever connection has something to do.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use swapwire_core::Framing;
use swapwire_core::server::Replies;

/// The size of a read: large enough that a bulk sender costs few system calls, small enough for the cache. Only pages that
/// a read has touched are resident, so small traffic stays small by itself.
pub(crate) const READ: usize = 128 * 1024;

/// How many idle ones a thread keeps. One is in use at a time, unless calls wait.
const KEEP: usize = 4;

/// A reply buffer that grew beyond this is freed.
const LARGEST_OUT: usize = 256 * 1024;

/// How many may be lent to calls that wait, for each endpoint of a worker; as many more as there are threads, where
/// several share it. Beyond that a call gets a copy of its bytes.
const LENT: usize = 16;

/// As boxes, because they move between here and connections.
type Boxes = Vec<Box<WorkerBuffers>>;

thread_local! {
    /// The one that is used nearly always.
    static FIRST: Cell<Option<Box<WorkerBuffers>>> = const { Cell::new(None) };
    /// At most [`KEEP`] more.
    static MORE: RefCell<Boxes> = const { RefCell::new(Vec::new()) };
}

/// The buffers of the thread, for one endpoint: how the replies in them are framed, and how many are lent to calls that wait.
#[derive(Clone, Debug)]
pub(crate) struct BufferPool {
    /// Tells it from all others of this process.
    id: u64,
    framing: Framing,
    max_reply: usize,
    lent: Arc<AtomicUsize>,
}

/// Counts the buffers of one call that waits.
pub(crate) struct CallLoan<'a>(&'a AtomicUsize);

impl BufferPool {
    pub(crate) fn new(framing: Framing, max_reply: usize) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { id: NEXT.fetch_add(1, Relaxed), framing, max_reply, lent: Arc::default() }
    }

    /// Whether no more may be lent to calls that wait.
    #[inline]
    pub(crate) fn is_exhausted(&self) -> bool {
        self.lent.load(Relaxed) >= LENT
    }

    pub(crate) fn lend(&self) -> CallLoan<'_> {
        self.lent.fetch_add(1, Relaxed);
        CallLoan(&self.lent)
    }
}

impl Drop for CallLoan<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Everything that handling one read needs.
#[derive(Debug)]
pub(crate) struct WorkerBuffers {
    /// What is read into, initialised: the thread's own of [`READ`] bytes, or a connection's in its place.
    pub(crate) input: Vec<u8>,
    /// The thread's own input, while a connection's is in its place.
    parked: Vec<u8>,
    /// What calls reply.
    pub(crate) replies: Replies,
    /// Replies that leave together.
    pub(crate) out: Vec<u8>,
    /// The framing that the replies have: [`BufferPool::id`].
    framed_for: u64,
}

impl WorkerBuffers {
    fn new(input: Vec<u8>, pool: &BufferPool) -> Box<Self> {
        let replies = Replies::new(pool.framing.encoder(pool.max_reply));
        Box::new(Self { input, parked: Vec::new(), replies, out: Vec::new(), framed_for: pool.id })
    }

    #[inline(always)]
    pub(crate) fn take(pool: &BufferPool) -> Box<Self> {
        match FIRST.take() {
            Some(buffers) if buffers.framed_for == pool.id => buffers,
            other => Self::find(other, pool),
        }
    }

    #[cold]
    fn find(found: Option<Box<Self>>, pool: &BufferPool) -> Box<Self> {
        let Some(mut buffers) = found.or_else(|| MORE.with_borrow_mut(Vec::pop)) else {
            return Self::new(vec![0; READ], pool);
        };
        if buffers.framed_for != pool.id {
            *buffers.replies.encoder_mut() = pool.framing.encoder(pool.max_reply);
            buffers.framed_for = pool.id;
        }
        buffers
    }

    /// Gives it back for others to use. The input must be the thread's; one that is not is freed.
    #[inline(always)]
    pub(crate) fn give(mut self: Box<Self>) {
        self.replies.recycle(LARGEST_OUT);
        self.out.clear();
        if self.out.capacity() > LARGEST_OUT {
            self.out = Vec::new();
        }
        if self.input.len() == READ
            && let Some(other) = FIRST.replace(Some(self))
        {
            MORE.with_borrow_mut(|more| {
                if more.len() < KEEP {
                    more.push(other);
                }
            });
        }
    }

    /// Puts a connection's own input in the place of the thread's, until it is [released](Self::release).
    pub(crate) fn adopt(&mut self, own: Vec<u8>) {
        self.parked = std::mem::replace(&mut self.input, own);
    }

    /// The input that was adopted, if one was.
    pub(crate) fn release(&mut self) -> Option<Vec<u8>> {
        (!self.parked.is_empty()).then(|| std::mem::replace(&mut self.input, std::mem::take(&mut self.parked)))
    }

    /// Becomes a connection's own one, with the input's bytes from `from` to `to` at its front and no more memory than
    /// they and the replies take, so that a call that waits keeps no more than it needs. The thread's goes back.
    #[cold]
    pub(crate) fn detach(self: &mut Box<Self>, from: usize, to: usize, pool: &BufferPool) {
        let input = match self.release() {
            Some(mut own) => {
                own.copy_within(from..to, 0);
                own
            }
            None => self.input[from..to].to_vec(),
        };
        let mut own = Self::new(input, pool);
        if self.replies.bytes() > 0 {
            self.replies.drain_into(&mut self.out);
        }
        std::mem::swap(own.replies.encoder_mut(), self.replies.encoder_mut());
        own.out = self.out.as_slice().to_vec();
        self.out.clear();
        std::mem::replace(self, own).give();
    }
}
