// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseText

/// Names one registration of a descriptor. Its slot is used again later under another generation, so that an event that
/// was already on its way never reaches a handler that is gone, or its successor.
package struct Registration: Equatable, Sendable {
  let value: UInt64
  package static let none = Registration(value: .max)
}

/// Names one run of a timer; stale after it fired or was cancelled.
public struct TimerID: Equatable, Sendable {
  let value: UInt64
  package static let none = TimerID(value: .max)
}

/// Waits for descriptors, timers and posts, and calls their handlers.
///
/// Everything but `runOnce` may be called by any thread at any time, also while another is inside `runOnce`. The loop's
/// lock is a leaf: never held while a handler runs.
package final class EventLoop: @unchecked Sendable {  // all `var`s are guarded by `mutex`, but those of the driver
  private struct Slot {
    var handler: EventHandler?
    var descriptor: Int32 = -1
    var interest: Readiness = []
    var generation: UInt32 = 0
  }
  private struct Post {
    let handler: EventHandler
    let tag: Int
  }

  private static let wakeData = UInt64.max
  private static let timerData = UInt64.max - 1
  private static let batch: Int32 = 256

  private let mutex = Mutex()
  private let epoll: Int32
  private let eventfd: Int32
  private let timerfd: Int32

  private var slots: [Slot] = []
  private var freeSlots: [UInt32] = []
  private var timers = TimerHeap()
  /// While timers are fired: the time of the round.
  private var roundTime: Int64 = .min
  private var posts: [Post] = []
  /// What the timerfd is set to, no later than the earliest timer. A cancelled timer may leave it too early, which
  /// costs a turn.
  private var armedFor: Int64 = .max
  /// The driver waits, or is about to; whoever has news for it writes the eventfd.
  private var isWaiting = false
  /// The next `runOnce` must not wait.
  private var wakeRequested = false
  /// Somebody polls `descriptor` from outside, so news must show there even when nobody is in `runOnce`.
  private var isPolledOutside = false
  private var wakeShown = false

  // Owned by the driver.
  private let events: OpaquePointer
  private var runningPosts: [Post] = []
  /// When the present turn's events were fetched, on `Clock.monotonic()`; for handlers, which need not look again. In a
  /// timer's handler: whatever had arrived by then was given to its handler before.
  package private(set) var turnTime: Int64 = 0

  package init() throws(TransportError) {
    guard let events = psys_events_create(Self.batch) else {
      throw TransportError(.memory, "no memory for an event loop")
    }
    let epoll = psys_epoll_create()
    guard epoll >= 0 else {
      psys_events_destroy(events)
      throw TransportError(errno: -epoll, "can't make an event loop")
    }
    let eventfd = psys_eventfd_create()
    let timerfd = psys_timerfd_create()
    // Edge-triggered: each write, each expiry, is one event and nobody needs to read the counter.
    let edge = ([.readable, .edge] as Readiness).rawValue
    var status = min(eventfd, timerfd, 0)
    if status == 0 { status = psys_epoll_add(epoll, eventfd, edge, Self.wakeData) }
    if status == 0 { status = psys_epoll_add(epoll, timerfd, edge, Self.timerData) }
    guard status == 0 else {
      if timerfd >= 0 { psys_close(timerfd) }
      if eventfd >= 0 { psys_close(eventfd) }
      psys_close(epoll)
      psys_events_destroy(events)
      throw TransportError(errno: -status, "can't make an event loop")
    }
    self.events = events
    self.epoll = epoll
    self.eventfd = eventfd
    self.timerfd = timerfd
  }

  deinit {
    psys_close(timerfd)
    psys_close(eventfd)
    psys_close(epoll)
    psys_events_destroy(events)
  }

  /// The epoll descriptor, for an application that polls it and then calls `runOnce(timeoutNs: 0)`. Asking for it makes
  /// posts and wakes show on it from now on, besides descriptors and timers.
  package var descriptor: Int32 {
    mutex.lock()
    isPolledOutside = true
    // What nobody was told of before shows too.
    if wakeRequested || !posts.isEmpty { interrupt() }
    mutex.unlock()
    return epoll
  }

  /// When the earliest timer is due, on `Clock.monotonic()`; nil without timers.
  package var nextDeadline: Int64? { mutex.withLock { timers.nextDeadline } }
}

// MARK: - Descriptors

extension EventLoop {
  /// Watches a descriptor, level-triggered. The loop keeps `handler` alive until `unregister`.
  package func register(
    _ descriptor: Int32, _ handler: EventHandler, for interest: Readiness
  ) throws(TransportError) -> Registration {
    try watch(descriptor, handler, interest)
  }

  /// Watches a descriptor for all changes, edge-triggered: each is told once, and the handler reads until the
  /// descriptor is drained (a read that gives less than was asked for shows that) and writes until it is full. `hangup`
  /// is also set for the end of input, which may come along with the last data: then reading goes on to the end.
  package func registerForChanges(
    _ descriptor: Int32, _ handler: EventHandler
  ) throws(TransportError) -> Registration {
    try watch(descriptor, handler, [.readable, .writable, .edge])
  }

  private func watch(
    _ descriptor: Int32, _ handler: EventHandler, _ interest: Readiness
  ) throws(TransportError) -> Registration {
    mutex.lock()
    let index: UInt32
    if let free = freeSlots.popLast() {
      index = free
    } else {
      index = UInt32(truncatingIfNeeded: slots.count)
      slots.append(Slot())
    }
    let generation = slots[Int(index)].generation
    let data = UInt64(generation) << 32 | UInt64(index)
    let status = psys_epoll_add(epoll, descriptor, interest.rawValue, data)
    if status == 0 {
      slots[Int(index)].handler = handler
      slots[Int(index)].descriptor = descriptor
      slots[Int(index)].interest = interest
    } else {
      freeSlots.append(index)
    }
    mutex.unlock()
    if status != 0 { throw TransportError(errno: -status, "can't watch a socket") }
    return Registration(value: data)
  }

  /// Changes what is waited for; free of system calls if nothing changes. Nothing happens if the registration is over.
  package func update(_ registration: Registration, for interest: Readiness) {
    mutex.lock()
    defer { mutex.unlock() }
    guard let index = live(registration.value), slots[index].interest != interest else { return }
    slots[index].interest = interest
    _ = psys_epoll_change(epoll, slots[index].descriptor, interest.rawValue, registration.value)
  }

  /// Ends a registration: no call of the handler begins after this returns, unless it comes from another thread than
  /// the driver's; then one call may be just beginning. To be called before the descriptor is closed. Idempotent.
  package func unregister(_ registration: Registration) {
    mutex.lock()
    guard let index = live(registration.value) else { return mutex.unlock() }
    _ = psys_epoll_remove(epoll, slots[index].descriptor)
    let handler = slots[index].handler
    slots[index].handler = nil
    slots[index].descriptor = -1
    // The last generation is left out: with the last slot it would read as the mark of the eventfd.
    let next = slots[index].generation &+ 1
    slots[index].generation = next == .max ? 0 : next
    freeSlots.append(UInt32(truncatingIfNeeded: index))
    mutex.unlock()
    // A last release may run a deinit: not under the lock.
    withExtendedLifetime(handler) {}
  }

  /// The slot's index if the registration is not over. Under the lock.
  @inline(__always)
  private func live(_ value: UInt64) -> Int? {
    let index = Int(UInt32(truncatingIfNeeded: value))
    guard index < slots.count, slots[index].generation == UInt32(truncatingIfNeeded: value >> 32),
      slots[index].handler != nil
    else { return nil }
    return index
  }
}

// MARK: - Timers, posts, wake

extension EventLoop {
  /// Calls `handler.timerFired(tag, timer)` once, at `deadline` on `Clock.monotonic()` or soon after. The loop keeps the
  /// handler alive until then.
  @discardableResult
  package func schedule(_ handler: EventHandler, tag: Int = 0, deadline: Int64) -> TimerID {
    mutex.lock()
    let deadline = behindRound(deadline)
    let identifier = timers.insert(handler, tag: tag, deadline: deadline)
    showDeadline(deadline)
    mutex.unlock()
    return TimerID(value: identifier)
  }

  /// Moves a timer that has not fired; false if it has, or was cancelled.
  @discardableResult
  package func reschedule(_ timer: TimerID, deadline: Int64) -> Bool {
    mutex.lock()
    defer { mutex.unlock() }
    let deadline = behindRound(deadline)
    guard timers.move(timer.value, deadline: deadline) else { return false }
    showDeadline(deadline)
    return true
  }

  /// Nothing happens if it was cancelled before, or has fired: then the call of its handler may still be on its way.
  package func cancel(_ timer: TimerID) {
    mutex.lock()
    let handler = timers.remove(timer.value)
    mutex.unlock()
    withExtendedLifetime(handler) {}
  }

  /// Calls `handler.posted(tag)` on the driver's thread soon.
  package func post(_ handler: EventHandler, tag: Int = 0) {
    mutex.lock()
    posts.append(Post(handler: handler, tag: tag))
    interrupt()
    mutex.unlock()
  }

  /// The same for a handler that has names for its timers and its posts.
  @inline(__always) @discardableResult
  package func schedule<Tag: RawRepresentable<Int>>(_ handler: EventHandler, tag: Tag, deadline: Int64) -> TimerID {
    schedule(handler, tag: tag.rawValue, deadline: deadline)
  }
  @inline(__always)
  package func post<Tag: RawRepresentable<Int>>(_ handler: EventHandler, tag: Tag) { post(handler, tag: tag.rawValue) }

  /// Makes the `runOnce` that is waiting, or else the next one, return at once.
  package func wake() {
    mutex.lock()
    wakeRequested = true
    interrupt()
    mutex.unlock()
  }

  /// Under the lock. What is set for the past while a round goes on waits for the next one, and must not stand before
  /// those that are due in this one.
  private func behindRound(_ deadline: Int64) -> Int64 {
    roundTime == .min || deadline > roundTime ? deadline : roundTime &+ 1
  }

  /// Under the lock. The descriptor of timers wakes the driver by itself.
  private func showDeadline(_ deadline: Int64) {
    guard deadline < armedFor else { return }
    armedFor = deadline
    psys_timerfd_set(timerfd, deadline)
  }

  /// Under the lock. One write is enough for any number of news.
  private func interrupt() {
    if isWaiting || (isPolledOutside && !wakeShown) {
      isWaiting = false
      wakeShown = true
      psys_eventfd_add(eventfd)
    }
  }
}

// MARK: - The driver

extension EventLoop {
  /// Waits up to `timeoutNs` nanoseconds (-1: without an end) for something to do and does it: first descriptors, then
  /// timers that are due, then posts. Returns how many handler calls that were; 0 at the time-out or after `wake()`.
  /// One thread at a time; a handler must not call it.
  ///
  /// A timer may be a deadline for what a descriptor brings. The process may have been stopped since the events were
  /// fetched, the wait may have been cut short by a signal, or there may be more events than one fetch takes: with a
  /// timer due all descriptors are looked at once more, and only those timers fire that were due before that look.
  package func runOnce(timeoutNs: Int64) -> Int {
    mutex.lock()
    let timeout = wakeRequested || !posts.isEmpty ? 0 : timeoutNs
    isWaiting = timeout != 0
    mutex.unlock()

    let count = max(psys_epoll_wait(epoll, events, timeout), 0)
    turnTime = Clock.monotonic()

    // Each round takes the lock before the first event and after the last one, and once between two.
    mutex.lock()
    isWaiting = false
    wakeRequested = false
    wakeShown = false
    var calls = dispatchAll(count)
    if armedFor <= turnTime {
      calls &+= catchUp()
      calls &+= fireTimers()
    }
    if !posts.isEmpty { calls &+= runPosts() }
    mutex.unlock()
    return calls
  }

  /// Gives all that has arrived by now, which is the turn's time from here on, to its handlers. Under the lock, which it
  /// gives back.
  @inline(never)
  private func catchUp() -> Int {
    turnTime = Clock.monotonic()
    var calls = 0
    // Each descriptor has one place among the events that wait: so many fetches take all that are there now.
    for _ in 0...(slots.count / Int(Self.batch)) {
      mutex.unlock()
      let count = max(psys_epoll_wait(epoll, events, 0), 0)
      mutex.lock()
      calls &+= dispatchAll(count)
      if count < Self.batch { break }
    }
    // It may have been among those events, and the next turn is still to be asked for.
    if wakeRequested { interrupt() }
    return calls
  }

  /// Under the lock, which it gives back for each call.
  private func dispatchAll(_ count: Int32) -> Int {
    var calls = 0
    for index in 0..<count
    where dispatch(psys_events_data(events, index), Readiness(rawValue: psys_events_flags(events, index))) {
      calls &+= 1
      mutex.lock()
    }
    return calls
  }

  // The two functions below are entered with the lock and leave it open when they have made a call, so that the last
  // release of a handler, and what its deinit does, is over before the lock is taken again.

  private func dispatch(_ data: UInt64, _ ready: Readiness) -> Bool {
    // What the timerfd was set to is over, whatever the clock says: the timers are looked at, and it is set again.
    if data == Self.timerData { armedFor = .min }
    // What comes from here on has to be shown anew.
    if data == Self.wakeData { wakeShown = false }
    guard data < Self.timerData, let slot = live(data), let handler = slots[slot].handler else { return false }
    mutex.unlock()
    handler.handle(ready)
    return true
  }

  private func fireNext(_ now: Int64, before limit: UInt64) -> Bool {
    guard let due = timers.popDue(now: now, before: limit) else { return false }
    mutex.unlock()
    due.handler.timerFired(due.tag, TimerID(value: due.identifier))
    return true
  }

  /// Under the lock, which it gives back for each call.
  private func fireTimers() -> Int {
    // What handlers schedule from here on waits for the next round, or one that is always due would never let go.
    let limit = timers.nextSequence
    roundTime = turnTime
    var calls = 0
    while fireNext(turnTime, before: limit) {
      calls &+= 1
      mutex.lock()
    }
    roundTime = .min
    armedFor = timers.nextDeadline ?? .max
    if armedFor != .max { psys_timerfd_set(timerfd, armedFor) }
    return calls
  }

  /// Under the lock, which it gives back for the calls.
  private func runPosts() -> Int {
    // Two arrays change places, so that their memory is used again and again.
    swap(&posts, &runningPosts)
    mutex.unlock()
    let count = runningPosts.count
    for index in 0..<count {
      let post = runningPosts[index]
      post.handler.posted(post.tag)
    }
    runningPosts.removeAll(keepingCapacity: count <= 1024)
    mutex.lock()
    return count
  }
}
