# cython: freethreading_compatible=True
"""Run calls on threads, none of which outlives the function that waits for them.

Python can raise a signal's exception between any two instructions of the main thread. Inside a
thread pool this can leave a thread running or a lock acquired. It happens in Python code only, so
the code that must not be interrupted, from the first thread's start to the last one's end, is
compiled: it keeps an exception, tells the threads to stop, and raises it when they have. Threads
are started by `_thread`: an exception inside threading.Thread.start, which is Python code, comes
out as a KeyError, and one inside a weak reference's callback to a Thread is lost. Nothing here
depends on training. The engine checks `Stop` every few milliseconds (poll_signals() in
run.pxd).
"""

from fastgd.engine.run cimport FGD_FLAG, FGD_RAISE_FLAG

import _thread
import atexit
import threading
import time


cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1

# Seconds between checks for signals: the system may deliver a signal to any thread, and a thread
# that waits for a lock does not wake for a signal to another.
cdef double POLL_INTERVAL = 0.02

cdef object _here = threading.local()


# Raised in a call that is stopped from outside: another call failed, Ctrl-C, or the interpreter
# exits. SystemExit ends a thread without a message; a subclass would print one.
Stopped = SystemExit


cdef class Stop:
    """A flag that stops the calls of the threads that share it."""


cdef Stop _exit = Stop()  # stops daemon threads' calls when the interpreter exits
cdef bint _exit_given = False


cdef Stop current_stop():
    """Return the flag that stops this thread's calls, or None."""
    global _exit_given
    stop = getattr(_here, "stop", None)
    if stop is None and threading.get_ident() != threading.main_thread().ident:
        _exit_given = True
        return _exit
    return stop


def _stop_daemons():
    """Stop daemon threads' calls: Python may abort if one takes the GIL while it exits."""
    FGD_RAISE_FLAG(_exit.raised)
    for _ in range(20):
        if not _exit_given or not any([thread.daemon for thread in threading.enumerate()]):
            return
        time.sleep(0.005)


atexit.register(_stop_daemons)


def is_stopped():
    """Return whether this thread's call must stop."""
    cdef Stop stop = current_stop()
    return stop is not None and FGD_FLAG(stop.raised)


def raise_if_stopped():
    """Raise `Stopped` if this thread's call must stop."""
    if is_stopped():
        raise Stopped


def run_all(calls, int n_threads):
    """Return the results of all calls, at most n_threads of which run at the same time.

    After an exception, in a call or in a signal handler, running calls are told to stop and no more
    are started; the first exception is raised when all have ended. With one thread, or if no thread
    can be started, the calling thread runs them.
    """
    calls = list(calls)
    if n_threads < 2 or len(calls) < 2:
        return [call() for call in calls]
    return _Crew(calls).run(min(n_threads, len(calls)))


cdef class _Crew:
    """The calls of one `run_all`, and their results."""

    cdef list calls, results
    cdef Stop stop, outer
    cdef object error, lock, ended
    cdef Py_ssize_t next, running, alive

    def __init__(self, list calls):
        self.calls = calls
        self.results = [None] * len(calls)
        self.stop, self.outer = Stop(), current_stop()
        self.lock, self.ended = threading.Lock(), threading.Lock()
        self.ended.acquire()  # released when no thread is left

    cdef list run(self, int n_threads):
        cdef int started = 0
        try:
            for _ in range(n_threads):
                self.count_thread(1)
                try:
                    _thread.start_new_thread(self.work_as_thread, ())
                except BaseException:
                    self.count_thread(-1)
                    raise
                started += 1
        except RuntimeError:  # no more threads can be started: use those that were
            pass
        except BaseException as error:
            self.fail(error)
        if started == 0:
            self.work()
        self.wait()
        if self.error is not None:
            raise self.error
        return self.results

    cdef wait(self):
        """Wait until all threads have run their last call, whatever signal handlers raise."""
        while True:
            try:
                PyErr_CheckSignals()
                if self.is_done():
                    return
                if self.outer is not None and FGD_FLAG(self.outer.raised):
                    raise Stopped
                self.ended.acquire(True, POLL_INTERVAL)
            except BaseException as error:
                self.fail(error)

    cdef acquire_lock(self):
        """Take the lock, whatever signal handlers raise."""
        while True:
            try:
                self.lock.acquire()
                return
            except BaseException as error:
                if self.error is None:
                    self.error = error

    cdef fail(self, error):
        """Keep the first exception, tell the running calls to stop, and start no more."""
        self.acquire_lock()
        if self.error is None:
            self.error = error
        self.next = len(self.calls)
        FGD_RAISE_FLAG(self.stop.raised)
        self.lock.release()

    cdef bint is_done(self):
        self.acquire_lock()
        cdef bint done = (
            self.alive == 0 and self.running == 0 and self.next == len(self.calls)
        )
        self.lock.release()
        return done

    cdef Py_ssize_t take(self):
        """Return the number of the next call and count it as running; -1 if none is left."""
        cdef Py_ssize_t taken = -1
        self.acquire_lock()
        if self.next < len(self.calls):
            taken = self.next
            self.next += 1
            self.running += 1
        self.lock.release()
        return taken

    cdef end_call(self):
        """Count a call as ended."""
        self.acquire_lock()
        self.running -= 1
        self.lock.release()

    cdef count_thread(self, int change):
        """Count a thread's start (1) or end (-1); the last one's end wakes the waiting thread."""
        self.acquire_lock()
        self.alive += change
        if change < 0 and self.alive == 0 and self.ended.locked():
            self.ended.release()
        self.lock.release()

    def work_as_thread(self):
        """Run calls on a thread that `run` has started."""
        try:
            self.work()
        finally:
            self.count_thread(-1)

    def work(self):
        """Run calls until none is left; each thread runs this."""
        cdef Py_ssize_t i
        before = current_stop()
        _here.stop = self.stop
        try:
            while True:
                i = self.take()
                if i < 0:
                    return
                try:
                    self.results[i] = self.calls[i]()
                except BaseException as error:
                    self.fail(error)
                self.end_call()
        finally:
            _here.stop = before
