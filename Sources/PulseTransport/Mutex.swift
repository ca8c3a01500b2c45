// SPDX-License-Identifier: Apache-2.0
import CPulseKernels
import CPulseSys

/// A mutual exclusion lock at a stable address. Not recursive.
package final class Mutex: @unchecked Sendable {  // the lock is made for use by many threads
  fileprivate let handle: OpaquePointer

  package init() {
    guard let made = psys_mutex_create() else { outOfMemory() }
    handle = made
  }

  deinit { psys_mutex_destroy(handle) }

  @inline(__always) package func lock() { psys_mutex_lock(handle) }
  @inline(__always) package func unlock() { psys_mutex_unlock(handle) }
  /// Takes the lock if that needs no waiting.
  @inline(__always) package func tryLock() -> Bool { psys_mutex_trylock(handle) != 0 }

  @inline(__always)
  package func withLock<Value: ~Copyable, Failure: Error>(
    _ body: () throws(Failure) -> Value
  ) throws(Failure) -> Value {
    psys_mutex_lock(handle)
    defer { psys_mutex_unlock(handle) }
    return try body()
  }
}

/// A condition variable whose timed waits follow the monotonic clock. Waits may end for no reason: test in a loop.
package final class Condition: @unchecked Sendable {  // made for use by many threads
  private let handle: OpaquePointer

  package init() {
    guard let made = psys_condition_create() else { outOfMemory() }
    handle = made
  }

  deinit { psys_condition_destroy(handle) }

  /// Waits without an end; the caller holds `mutex`.
  package func wait(_ mutex: Mutex) { psys_condition_wait(handle, mutex.handle) }

  /// Waits until `deadline` on `Clock.monotonic()`; the caller holds `mutex`. False when the deadline is reached.
  package func wait(_ mutex: Mutex, untilNs deadline: Int64) -> Bool {
    psys_condition_wait_until(handle, mutex.handle, deadline) != 0
  }

  package func signal() { psys_condition_signal(handle) }
  package func broadcast() { psys_condition_broadcast(handle) }
}

/// A process that has no 40 bytes left for a lock can't go on; Swift's own allocations end it in the same way.
func outOfMemory() -> Never { pulse_out_of_memory() }
