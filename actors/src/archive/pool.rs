//! A small, fixed number of threads for work that may wait for the disk, with a bounded queue.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use restante::store::{Answer, StoreError};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    stopped: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    capacity: usize,
}

/// Hands work to the threads; cheap to clone, and refuses work once the pool is gone.
#[derive(Clone)]
pub(super) struct PoolHandle(Arc<Shared>);

impl PoolHandle {
    /// Queues `job`.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when the queue is full, [`StoreError::Unavailable`] after the end.
    pub(super) fn submit(&self, job: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
        let mut queue = lock(&self.0.queue);
        if queue.stopped {
            return Err(StoreError::Unavailable("it is closed".into()));
        }
        if queue.jobs.len() >= self.0.capacity {
            return Err(StoreError::Busy);
        }
        queue.jobs.push_back(Box::new(job));
        drop(queue);
        self.0.wake.notify_one();
        Ok(())
    }
}

/// What a job answers, once it is `submitted`.
pub(super) fn answer<T: Send + 'static>(
    submitted: Result<(), StoreError>,
    answered: oneshot::Receiver<Result<T, StoreError>>,
) -> Answer<T> {
    Box::pin(async move {
        submitted?;
        answered.await.unwrap_or_else(|_| Err(thread_failed()))
    })
}

/// What `work` gives, or that it has panicked.
pub(super) fn caught<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    // The hook has reported it.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|_| Err(thread_failed()))
}

fn thread_failed() -> StoreError {
    StoreError::Unavailable("a thread failed".into())
}

/// The threads. Dropped, it finishes what is queued and waits for its threads.
pub(super) struct Pool {
    handle: PoolHandle,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    pub(super) fn start(name: &str, threads: usize, capacity: usize) -> io::Result<Self> {
        let shared = Shared { queue: Mutex::default(), wake: Condvar::new(), capacity };
        let handle = PoolHandle(Arc::new(shared));
        let mut pool = Self { handle: handle.clone(), threads: Vec::with_capacity(threads) };
        for number in 0..threads {
            let shared = handle.0.clone();
            let thread = std::thread::Builder::new().name(format!("{name}-{number}"));
            pool.threads.push(thread.spawn(move || work(&shared))?);
        }
        Ok(pool)
    }

    pub(super) fn handle(&self) -> PoolHandle {
        self.handle.clone()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        lock(&self.handle.0.queue).stopped = true;
        self.handle.0.wake.notify_all();
        for thread in self.threads.drain(..) {
            // A panic in a job was reported by the hook already.
            let _ = thread.join();
        }
    }
}

fn work(shared: &Shared) {
    while let Some(job) = next(shared) {
        // One job's panic must not take the thread from the others.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
    }
}

fn next(shared: &Shared) -> Option<Job> {
    let mut queue = lock(&shared.queue);
    loop {
        if let Some(job) = queue.jobs.pop_front() {
            return Some(job);
        }
        if queue.stopped {
            return None;
        }
        queue = shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
    }
}

pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_full_queue_refuses_and_the_end_finishes_what_is_queued() {
        let pool = Pool::start("test", 1, 2).unwrap();
        let (started, has_started) = channel();
        let (release, released) = channel::<()>();
        let handle = pool.handle();
        handle
            .submit(move || {
                started.send(()).unwrap();
                released.recv().unwrap();
            })
            .unwrap();
        has_started.recv().unwrap();
        let (done, is_done) = channel();
        for _ in 0..2 {
            let done = done.clone();
            handle.submit(move || done.send(()).unwrap()).unwrap();
        }
        assert_eq!(handle.submit(|| ()), Err(StoreError::Busy));
        release.send(()).unwrap();
        drop(pool);
        assert_eq!(is_done.try_iter().count(), 2);
        assert!(matches!(handle.submit(|| ()), Err(StoreError::Unavailable(_))));
    }

    #[test]
    fn a_panic_is_the_failure_of_one_alone() {
        let outcomes = [false, true, false].map(|fails| {
            caught(|| {
                assert!(!fails, "on purpose");
                Ok(())
            })
        });
        assert_eq!(outcomes.map(|outcome| outcome.is_ok()), [true, false, true]);
    }

    #[test]
    fn a_panic_in_a_job_leaves_the_thread_at_work() {
        let pool = Pool::start("test", 1, 2).unwrap();
        let (done, is_done) = channel();
        pool.handle().submit(|| panic!("on purpose")).unwrap();
        pool.handle().submit(move || done.send(()).unwrap()).unwrap();
        is_done.recv().unwrap();
    }
}
