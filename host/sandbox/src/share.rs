//! Who computes: threads are shared by tenants, so that no tenant ever has all of them while another has something to do.
//!
//! A guest is polled for some 100 µs at a time. Where calls of several tenants are under way, at most all threads but one are
//! polling guests of one tenant; its other guests wait for their turn among themselves. So whoever comes finds a thread that is free,
//! or will be in a moment. A tenant whose last call has ended counts for a while longer: one that calls again and again would
//! find all threads taken each time it does, by guests that have the host work for them and so yield by the clock alone. A
//! tenant that is alone has all threads, and nothing is counted then.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use crate::engine::TICK;

/// A tenant counts for so long after its last call, and at most twice as long: for as long as a guest may go without a yield.
const STAY: Duration = TICK;

/// The threads on which guests run.
#[derive(Debug)]
pub(crate) struct Threads {
    /// Guests of one tenant that may be polled at once, beside those of others.
    most: usize,
    tenants: Mutex<BTreeMap<Arc<str>, Present>>,
    /// Tenants with calls under way, or that had some a moment ago.
    present: AtomicUsize,
    since: Instant,
    /// When those are to be looked for that have gone: milliseconds from then.
    sweep: AtomicU64,
}

#[derive(Debug)]
struct Present {
    share: Arc<Share>,
    calls: usize,
    /// It had no call when it was last looked at.
    quiet: bool,
}

/// What one tenant has of the threads.
#[derive(Debug, Default)]
struct Share {
    polling: AtomicUsize,
    waiting: Mutex<Waiting>,
}

/// Guests that wait for a turn, by a number that grows: whoever came first is the first.
#[derive(Debug, Default)]
struct Waiting {
    last: u64,
    wakers: BTreeMap<u64, Waker>,
}

/// A call under way.
#[derive(Debug)]
pub(crate) struct Turns {
    threads: Arc<Threads>,
    tenant: Arc<str>,
    share: Arc<Share>,
    /// Its number among those that wait; 0: it does not.
    number: AtomicU64,
    /// The turn in which the guest came to its end lasts as long as this.
    lasts: AtomicBool,
}

impl Threads {
    pub(crate) fn new(threads: usize) -> Arc<Self> {
        Arc::new(Self {
            most: threads.saturating_sub(1).max(1),
            tenants: Mutex::default(),
            present: AtomicUsize::new(0),
            since: Instant::now(),
            sweep: AtomicU64::new(0),
        })
    }

    /// A call of the tenant begins.
    pub(crate) fn enter(self: &Arc<Self>, tenant: &Arc<str>) -> Turns {
        let mut tenants = lock(&self.tenants);
        let share = match tenants.get_mut(tenant) {
            Some(present) => {
                present.calls += 1;
                present.quiet = false;
                Arc::clone(&present.share)
            }
            None => {
                let share = Arc::<Share>::default();
                tenants.insert(Arc::clone(tenant), Present { share: Arc::clone(&share), calls: 1, quiet: false });
                self.present.store(tenants.len(), Ordering::SeqCst);
                share
            }
        };
        Turns {
            threads: Arc::clone(self),
            tenant: Arc::clone(tenant),
            share,
            number: AtomicU64::new(0),
            lasts: AtomicBool::new(false),
        }
    }

    fn are_shared(&self) -> bool {
        let several = || self.present.load(Ordering::SeqCst) > 1;
        if !several() {
            return false;
        }
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let due = self.sweep.load(Ordering::Relaxed);
        let next = now.saturating_add(u64::try_from(STAY.as_millis()).unwrap_or(u64::MAX));
        if now >= due && self.sweep.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.sweep();
        }
        several()
    }

    /// Forgets who has had no call since the last time.
    fn sweep(&self) {
        let mut tenants = lock(&self.tenants);
        tenants.retain(|_, present| {
            let was_quiet = std::mem::replace(&mut present.quiet, present.calls == 0);
            !(was_quiet && present.quiet)
        });
        self.present.store(tenants.len(), Ordering::SeqCst);
        if tenants.len() == 1 {
            // Whoever is alone waits for nobody.
            for present in tenants.values() {
                present.share.wake(usize::MAX);
            }
        }
    }
}

impl Turns {
    /// Polls a guest if it is its turn; if not, it is woken when it is.
    pub(crate) fn poll<T>(&self, cx: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        self.end();
        self.leave_line();
        if !self.threads.are_shared() {
            return poll(cx);
        }
        let turn = self.begin().or_else(|| {
            self.get_in_line(cx);
            // Whatever ended before that woke nobody.
            let turn = self.begin()?;
            self.leave_line();
            Some(turn)
        });
        if turn.is_none() && self.threads.are_shared() {
            return Poll::Pending;
        }
        let polled = poll(cx);
        if let (Poll::Ready(_), Some(turn)) = (&polled, turn) {
            std::mem::forget(turn);
            self.lasts.store(true, Ordering::Relaxed);
        }
        polled
    }

    /// Whether the guest has come to its end beside guests of others. Until this is dropped, no more of its tenant's are polled than if
    /// it were: for what its host does with what came of it.
    pub(crate) fn lasts(&self) -> bool {
        self.lasts.load(Ordering::Relaxed)
    }

    /// Ends the turn that lasts, if one does.
    fn end(&self) {
        if self.lasts.swap(false, Ordering::Relaxed) {
            drop(Turn(&self.share));
        }
    }

    fn get_in_line(&self, cx: &Context<'_>) {
        let mut waiting = lock(&self.share.waiting);
        waiting.last += 1;
        let number = waiting.last;
        waiting.wakers.insert(number, cx.waker().clone());
        self.number.store(number, Ordering::Relaxed);
    }

    /// False if it was called, or was not in line.
    fn leave_line(&self) -> bool {
        let number = self.number.swap(0, Ordering::Relaxed);
        number != 0 && lock(&self.share.waiting).wakers.remove(&number).is_some()
    }

    fn begin(&self) -> Option<Turn<'_>> {
        let most = self.threads.most;
        let free = |polling: usize| (polling < most).then(|| polling + 1);
        let begun = self.share.polling.fetch_update(Ordering::SeqCst, Ordering::SeqCst, free).is_ok();
        // Made only where there is one: dropping it gives one back.
        begun.then(|| Turn(&self.share))
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.end();
        if self.number.load(Ordering::Relaxed) != 0 && !self.leave_line() {
            // It was called and did not come: the turn is the next one's.
            self.share.wake(1);
        }
        let mut tenants = lock(&self.threads.tenants);
        if let Some(present) = tenants.get_mut(&self.tenant) {
            present.calls -= 1;
        }
    }
}

/// A poll under way, or what follows from the last one.
struct Turn<'a>(&'a Share);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.polling.fetch_sub(1, Ordering::SeqCst);
        self.0.wake(1);
    }
}

impl Share {
    fn wake(&self, count: usize) {
        let woken: Vec<Waker> = {
            let mut waiting = lock(&self.waiting);
            std::iter::from_fn(|| waiting.wakers.pop_first()).take(count).map(|(_, waker)| waker).collect()
        };
        woken.into_iter().for_each(Waker::wake);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Poll;

    use super::{STAY, Threads, Turns};

    /// Polls that overlap are counted; each guest yields many times. `stay`: no tenant goes before the last has done its work.
    async fn most_at_once(threads: usize, tenants: &[(&str, usize)], stay: bool) -> Vec<usize> {
        let shared = Threads::new(threads);
        let staying: Vec<_> = tenants.iter().filter(|_| stay).map(|(tenant, _)| shared.enter(&Arc::from(*tenant))).collect();
        let mut guests = tokio::task::JoinSet::new();
        let counts: Vec<Arc<[AtomicUsize; 2]>> = tenants.iter().map(|_| Arc::default()).collect();
        for ((tenant, calls), count) in tenants.iter().zip(&counts) {
            for _ in 0..*calls {
                let (turns, count) = (shared.enter(&Arc::from(*tenant)), Arc::clone(count));
                guests.spawn(async move {
                    for turn in 0..200 {
                        let mut polled = false;
                        poll_fn(|cx| {
                            turns.poll(cx, |cx| {
                                if std::mem::replace(&mut polled, true) {
                                    return Poll::Ready(());
                                }
                                let now = count[0].fetch_add(1, Ordering::SeqCst) + 1;
                                count[1].fetch_max(now, Ordering::SeqCst);
                                // Long enough to overlap with others.
                                for spin in 0..2000 {
                                    std::hint::black_box(spin * turn);
                                }
                                count[0].fetch_sub(1, Ordering::SeqCst);
                                cx.waker().wake_by_ref();
                                Poll::Pending
                            })
                        })
                        .await;
                    }
                });
            }
        }
        // Nobody waits for ever.
        let all = async { while guests.join_next().await.is_some_and(|guest| guest.is_ok()) {} };
        tokio::time::timeout(std::time::Duration::from_secs(60), all).await.expect("it hangs");
        drop(staying);
        assert!(super::lock(&shared.tenants).values().all(|present| present.calls == 0));
        counts.iter().map(|count| count[1].load(Ordering::SeqCst)).collect()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_tenant_has_all_threads_beside_another() {
        for most in most_at_once(4, &[("a", 20), ("b", 20)], true).await {
            assert!(most <= 3, "{most} of 4 threads");
        }
        let most = most_at_once(2, &[("a", 20), ("b", 1), ("c", 5)], true).await;
        assert!(most.iter().all(|most| *most <= 1), "{most:?}");
        // The last of them is alone, and others have waited before it was.
        most_at_once(4, &[("a", 50), ("b", 1)], false).await;
        most_at_once(4, &[("a", 50)], false).await;
        most_at_once(1, &[("a", 5), ("b", 5)], false).await;
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_called_a_moment_ago_still_counts() {
        let threads = Threads::new(2);
        let (a, b) = (Arc::from("a"), Arc::from("b"));
        let staying = threads.enter(&a);
        drop(threads.enter(&b));
        assert!(threads.are_shared());
        tokio::time::advance(STAY / 2).await;
        drop(threads.enter(&b));
        tokio::time::advance(STAY / 2).await;
        assert!(threads.are_shared());
        tokio::time::advance(STAY).await;
        assert!(!threads.are_shared());
        drop(staying);
        assert_eq!(super::lock(&threads.tenants).len(), 1);
    }

    #[tokio::test]
    async fn what_follows_from_a_call_is_a_part_of_its_turn() {
        let threads = Threads::new(2);
        let (a, b) = (Arc::from("a"), Arc::from("b"));
        let _other = threads.enter(&b);
        let (first, second) = (threads.enter(&a), threads.enter(&a));
        let polled = async |turns: &Turns| poll_fn(|cx| Poll::Ready(turns.poll(cx, |_| Poll::Ready(())))).await.is_ready();
        assert!(polled(&first).await && first.lasts());
        assert!(!polled(&second).await && !second.lasts());
        drop(first);
        assert!(polled(&second).await);
    }
}
