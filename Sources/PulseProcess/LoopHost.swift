// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseText
import PulseTransport
import Synchronization

/// A loop with the rule who drives it: one thread at a time.
///
/// A caller that blocks takes over the driving, so that what arrives reaches it with no thread in between. When it
/// leaves, another blocked caller is woken to drive; if there is none, the loop's own thread drives again after
/// `grace`. A caller that comes back sooner finds the loop free and costs the thread nothing: it only looks after
/// `grace` whether anyone was there, and sleeps for good while a caller stays.
///
/// Locks: a client's lock, then `mutex`, then the loop's own. Handlers run with neither of the last two held.
package final class LoopHost: @unchecked Sendable {
  package let loop: EventLoop
  package let hasThread: Bool
  /// Where the driver reads into; only the driver uses it.
  package let readBuffer: UnsafeMutableRawBufferPointer
  private let mark = ForkMark()

  /// Callers blocked on one client, behind a condition of their own.
  package final class Waiter: @unchecked Sendable {
    fileprivate let condition = Condition()
    /// Grows with each `notify`.
    fileprivate let epoch = Atomic<UInt64>(0)
    /// Callers in `condition`; changed under the host's lock.
    fileprivate let sleepers = Atomic<Int>(0)
    fileprivate var index = -1

    package init() {}
  }

  private enum Driver { case none, thread, caller }

  private static let grace: Int64 = 4_000_000
  private static let briefly: Int64 = 200_000
  private static let readBufferSize = 128 << 10

  private let mutex = Mutex()
  private let threadSignal = Condition()
  /// The waiter whose caller drives, as an address, and the thread that drives; written under `mutex`.
  private let drivenFor = Atomic<UInt>(0)
  private let driverThread = Atomic<UInt64>(0)
  // All below are guarded by `mutex`.
  private var driver = Driver.none
  private var handOver = false
  private var urgent = false
  private var departures: UInt64 = 0
  private var threadSleepsDeep = false
  private var stopping = false
  private var waiting: [Waiter] = []
  private var users = 0
  private var lingering: [Linger] = []
  private var thread: Thread?

  package init(hasThread: Bool) throws(TransportError) {
    loop = try EventLoop()
    self.hasThread = hasThread
    readBuffer = UnsafeMutableRawBufferPointer.allocate(byteCount: LoopHost.readBufferSize, alignment: 64)
  }

  deinit { readBuffer.deallocate() }

  package var isForked: Bool { mark.isForked }

  /// Readable when the loop has something to do.
  package var descriptor: Int32 { loop.descriptor }

  // MARK: Users

  /// Counts one more user; the first one starts the thread.
  package func addUser() throws(TransportError) {
    mutex.lock()
    defer { mutex.unlock() }
    if hasThread && thread == nil {
      thread = try Thread.start(name: "pulsews") { self.threadMain() }
    }
    users += 1
  }

  /// True when the last user is gone; then the caller ends the host with `shutDown`, holding no lock.
  package func removeUser() -> Bool {
    mutex.lock()
    defer { mutex.unlock() }
    users -= 1
    return users == 0
  }

  /// Ends the thread; at once, or by itself as soon as the connections that linger are gone.
  package func shutDown() {
    mutex.lock()
    stopping = true
    threadSignal.signal()
    let running = thread
    thread = nil
    let left = lingering
    mutex.unlock()
    if let running {
      loop.wake()
      if left.isEmpty { running.join() } else { running.detach() }
    } else {
      // Nobody drives this loop any more.
      for linger in left { linger.endNow() }
      releasePosts()
    }
  }

  /// Posts hold their receivers, and those this host.
  private func releasePosts() { _ = loop.runOnce(timeoutNs: 0) }

  func add(_ linger: Linger) {
    mutex.lock()
    lingering.append(linger)
    mutex.unlock()
  }

  func remove(_ linger: Linger) {
    mutex.lock()
    var index = 0
    while index < lingering.count && lingering[index] !== linger { index += 1 }
    if index < lingering.count, let last = lingering.popLast(), last !== linger { lingering[index] = last }
    mutex.unlock()
  }

  // MARK: Blocking calls

  // `notify` takes no lock unless someone sleeps. It changes the epoch and then looks who waits; a waiter says that it
  // waits and then looks at the epoch. In the one order that all threads see, one of the two notices the other.

  /// What `wait` compares against; to be read while the client's lock is held, after its state was looked at.
  package func epoch(of waiter: Waiter) -> UInt64 { waiter.epoch.load(ordering: .sequentiallyConsistent) }

  /// Something changed for the callers behind `waiter`. The client's lock is held.
  package func notify(_ waiter: Waiter) {
    waiter.epoch.add(1, ordering: .sequentiallyConsistent)
    if waiter.sleepers.load(ordering: .sequentiallyConsistent) > 0 {
      mutex.lock()
      waiter.condition.broadcast()
      mutex.unlock()
    }
    if drivenFor.load(ordering: .sequentiallyConsistent) == LoopHost.address(waiter),
      driverThread.load(ordering: .relaxed) != psys_thread_self()
    {
      loop.wake()
    }
  }

  private static func address(_ waiter: Waiter) -> UInt { UInt(bitPattern: Unmanaged.passUnretained(waiter).toOpaque()) }

  /// Returns when `notify` was called since `epoch` was read, or at `deadline` (monotonic ns). Drives the loop
  /// meanwhile if nobody else does. No lock is held.
  package func wait(_ waiter: Waiter, since epoch: UInt64, until deadline: Int64) {
    mutex.lock()
    while true {
      if driver == .none {
        driver = .caller
        driverThread.store(psys_thread_self(), ordering: .relaxed)
        drivenFor.store(LoopHost.address(waiter), ordering: .sequentiallyConsistent)
        urgent = false
        mutex.unlock()
        driveUntilNotified(waiter, since: epoch, until: deadline)
        mutex.lock()
        driver = .none
        drivenFor.store(0, ordering: .relaxed)
        break
      }
      if isNotified(waiter, since: epoch) || (deadline != Int64.max && Clock.monotonic() >= deadline) { break }
      if driver == .thread && !handOver {
        handOver = true
        loop.wake()
      }
      sleep(waiter, since: epoch, until: deadline)
    }
    if driver == .none { passOn() }
    mutex.unlock()
  }

  @inline(__always)
  private func isNotified(_ waiter: Waiter, since epoch: UInt64) -> Bool {
    waiter.epoch.load(ordering: .sequentiallyConsistent) != epoch
  }

  private func driveUntilNotified(_ waiter: Waiter, since epoch: UInt64, until deadline: Int64) {
    while !isNotified(waiter, since: epoch) {
      var timeout: Int64 = -1
      if deadline != Int64.max {
        timeout = deadline &- Clock.monotonic()
        if timeout <= 0 { break }
      }
      _ = loop.runOnce(timeoutNs: timeout)
    }
  }

  private func sleep(_ waiter: Waiter, since epoch: UInt64, until deadline: Int64) {
    waiter.sleepers.add(1, ordering: .sequentiallyConsistent)
    if waiter.index < 0 {
      waiter.index = waiting.count
      waiting.append(waiter)
    }
    if !isNotified(waiter, since: epoch) {
      if deadline == Int64.max {
        waiter.condition.wait(mutex)
      } else {
        _ = waiter.condition.wait(mutex, untilNs: deadline)
      }
    }
    if waiter.sleepers.subtract(1, ordering: .sequentiallyConsistent).newValue == 0 {
      let last = waiting.removeLast()
      if last !== waiter {
        waiting[waiter.index] = last
        last.index = waiter.index
      }
      waiter.index = -1
    }
  }

  /// Nobody drives: wakes someone who can. `mutex` is held.
  private func passOn() {
    if let next = waiting.last {
      next.condition.signal()
      return
    }
    departures &+= 1
    if threadSleepsDeep { threadSignal.signal() }
  }

  /// One turn without waiting if nobody drives; for calls that must not block. No lock is held.
  package func driveBriefly() { _ = driveOnce(timeout: 0) }

  /// One turn, for an application that drives the loop. False when another thread drives it at this moment.
  package func driveOnce(timeout: Int64) -> Bool {
    mutex.lock()
    if driver != .none {
      mutex.unlock()
      return false
    }
    driver = .caller
    driverThread.store(psys_thread_self(), ordering: .relaxed)
    urgent = false
    mutex.unlock()
    _ = loop.runOnce(timeoutNs: timeout)
    mutex.lock()
    driver = .none
    if let next = waiting.last { next.condition.signal() }
    if threadSleepsDeep || timeout != 0 { departures &+= 1 }
    if threadSleepsDeep { threadSignal.signal() }
    mutex.unlock()
    return true
  }

  /// Work was posted to the loop: makes sure that it is not left lying until the thread looks again.
  package func hurry() {
    mutex.lock()
    if driver == .none {
      if let next = waiting.last { next.condition.signal() }
      urgent = true
      threadSignal.signal()
    }
    mutex.unlock()
  }

  // MARK: The loop's own thread

  private var isDone: Bool { stopping && lingering.isEmpty }

  private func threadMain() {
    mutex.lock()
    var seen = departures
    while !isDone {
      if stopping {
        // No caller is left.
        drive(timeout: -1)
      } else if driver != .none {
        if departures != seen {
          seen = departures
          rest()
        } else {
          threadSleepsDeep = true
          threadSignal.wait(mutex)
          threadSleepsDeep = false
        }
      } else if urgent {
        // Only until what was posted is done: the callers who had taken over are likely to be back at once.
        drive(timeout: LoopHost.briefly)
        seen = departures &- 1
      } else if let next = waiting.last {
        next.condition.signal()
        rest()
      } else if departures != seen {
        seen = departures
        rest()
      } else {
        drive(timeout: -1)
        seen = departures
      }
    }
    mutex.unlock()
    releasePosts()
  }

  private func rest() { _ = threadSignal.wait(mutex, untilNs: Clock.monotonic() + LoopHost.grace) }

  /// Turns until a caller wants to drive, the host ends, or for `timeout` (ns; -1 for no end) there was nothing to do.
  /// `mutex` is held on entry and on return.
  private func drive(timeout: Int64) {
    driver = .thread
    driverThread.store(psys_thread_self(), ordering: .relaxed)
    urgent = false
    var calls = 0
    repeat {
      mutex.unlock()
      calls = loop.runOnce(timeoutNs: timeout)
      mutex.lock()
    } while (timeout < 0 || calls > 0) && !isDone && !handOver
    driver = .none
    handOver = false
    waiting.last?.condition.signal()
  }
}

/// The process's default loop: made for the first client that asks for it, ended with the last one.
package enum DefaultHost {
  private final class Shared: ForkState, @unchecked Sendable {  // guarded by `mutex`
    var host: LoopHost?
  }

  private static let local = ForkLocal<Shared>()

  package static func acquire() throws(TransportError) -> LoopHost {
    let shared = local.locked()
    defer { shared.mutex.unlock() }
    let host: LoopHost
    if let present = shared.host {
      host = present
    } else {
      host = try LoopHost(hasThread: true)
    }
    try host.addUser()
    shared.host = host
    return host
  }

  /// A user of `host`, the default one or not, is gone.
  package static func release(_ host: LoopHost) {
    if host.isForked { return }
    let shared = local.locked()
    let isLast = host.removeUser()
    if isLast && shared.host === host { shared.host = nil }
    shared.mutex.unlock()
    if isLast { host.shutDown() }
  }
}
