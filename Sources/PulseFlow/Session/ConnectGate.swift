// SPDX-License-Identifier: Apache-2.0

/// One door per host for all clients of the process: so many connects in flight, and so many in any span of time.
/// When many clients lose a host together they come back in a queue, first come first served.
///
/// A client draws a ticket with `request`, asks with `poll` until the answer is `go`, connects, and calls `leave` when
/// the attempt has succeeded or failed, or when it no longer wants to connect. After every call the owner takes the
/// clients from `popWakeup` and tells each of them to poll. Nobody is started from outside: the start counts at the
/// moment at which the client itself goes ahead, so a wake-up that travels slowly cannot bunch up the connects.
///
/// No wake-up can be lost: every answer `wait` carries a time at most `patience` away at which to ask again. A client
/// that does not (the application drives its loop and is busy) is passed over after three times that until it asks,
/// so it cannot hold up the others; it keeps its place in the queue.
///
/// There is no lock inside and no clock: the owner brings both.
package final class ConnectGate {
  package struct Ticket: Equatable, Sendable {
    /// No ticket: `poll` does not know it and `leave` ignores it.
    package static let none = Ticket(value: 0)
    fileprivate let value: UInt64
    fileprivate var slot: Int { Int(UInt32(truncatingIfNeeded: value)) }
  }

  package struct Limits: Sendable {
    package var inFlight: Int
    package var window: RateWindow
    /// An attempt without an end for so long no longer counts as in flight, since nobody drives its client's loop.
    /// 0: it always counts.
    package var attemptTime: Int64

    package init(inFlight: Int, window: RateWindow, attemptTime: Int64) {
      self.inFlight = max(1, inFlight)
      self.window = window
      self.attemptTime = max(0, attemptTime)
    }
  }

  package enum Answer: Equatable, Sendable {
    /// Connect now; the attempt counts.
    case go
    /// Ask again at this time, or earlier when told.
    case wait(until: Int64)
    /// The ticket is not, or no longer, valid: request again.
    case unknown
  }

  package static let patience: Int64 = 1_000_000_000

  private final class Host {
    let key: [UInt8]
    /// Every client is held to its own limits, but all starts count, as far back as the longest window that was
    /// asked for reaches.
    var starts = SlotRing()
    var longestDuration: Int64 = 0
    /// Seats in the order of arrival.
    var queue: [Int] = []
    var running: [Int] = []

    init(_ key: [UInt8]) { self.key = key }

    func isIdle(_ now: Int64) -> Bool {
      if !queue.isEmpty || !running.isEmpty { return false }
      guard let latest = starts.latest else { return true }
      return saturatingSum(latest, longestDuration) <= now
    }
  }

  private struct Seat {
    var generation: UInt32 = 1
    /// nil: the seat is free.
    var host: Host?
    var limits: Limits
    /// Kept only while it waits.
    var token: AnyObject?
    var askedAt: Int64 = 0
    var endsBy: Int64 = 0
    var isRunning = false
    var isTold = false
    var knowsItIsFirst = false
  }

  private var hosts: [Host] = []
  private var seats: [Seat] = []
  private var freeSeats: [Int] = []
  private var wakeups: [Ticket] = []

  package init() {}

  /// Joins the queue for a host ("name:port") and asks at once. The token is held until the ticket goes or leaves.
  package func request(
    host key: [UInt8], limits: Limits, now: Int64, token: AnyObject
  ) -> (ticket: Ticket, answer: Answer) {
    let host = hostForRequest(key, now)
    host.longestDuration = max(host.longestDuration, limits.window.duration)
    let slot: Int
    if let free = freeSeats.popLast() {
      slot = free
    } else {
      slot = seats.count
      seats.append(Seat(limits: limits))
    }
    seats[slot].host = host
    seats[slot].limits = limits
    seats[slot].token = token
    seats[slot].isRunning = false
    seats[slot].isTold = false
    seats[slot].knowsItIsFirst = false
    host.queue.append(slot)
    let ticket = ticket(slot)
    return (ticket, poll(ticket, now: now))
  }

  package func poll(_ ticket: Ticket, now: Int64) -> Answer {
    guard let host = host(of: ticket) else { return .unknown }
    let slot = ticket.slot
    if seats[slot].isRunning { return .go }
    dropOverdue(host, now)
    seats[slot].askedAt = now
    seats[slot].isTold = false
    let answer: Answer
    let (ready, ahead) = outlook(host, slot, now)
    if let ready, ready <= now {
      start(host, slot, now)
      answer = .go
    } else {
      // While all places are taken there is no time to know.
      seats[slot].knowsItIsFirst = ahead == 0 && ready != nil
      let latest = saturatingSum(now, ConnectGate.patience)
      answer = .wait(until: min(ready ?? latest, latest))
    }
    notify(host, now)
    return answer
  }

  /// The attempt is over, or the client does not want to wait any longer. A second call does nothing.
  package func leave(_ ticket: Ticket, now: Int64) {
    guard let host = host(of: ticket) else { return }
    let slot = ticket.slot
    if seats[slot].isRunning { remove(slot, from: &host.running) } else { remove(slot, from: &host.queue) }
    free(slot)
    notify(host, now)
  }

  /// A client that is to poll, since it is its turn or may be; nil when there is none. Take all after every call.
  package func popWakeup() -> (ticket: Ticket, token: AnyObject)? {
    while !wakeups.isEmpty {
      let ticket = wakeups.removeFirst()
      if host(of: ticket) != nil, let token = seats[ticket.slot].token { return (ticket, token) }
    }
    return nil
  }

  package var hostCount: Int { hosts.count }

  package func load(of key: [UInt8]) -> (inFlight: Int, waiting: Int) {
    for host in hosts where host.key == key { return (host.running.count, host.queue.count) }
    return (0, 0)
  }

  // MARK: -

  private func ticket(_ slot: Int) -> Ticket {
    Ticket(value: UInt64(seats[slot].generation) << 32 | UInt64(UInt32(truncatingIfNeeded: slot)))
  }

  private func host(of ticket: Ticket) -> Host? {
    let slot = ticket.slot
    guard slot < seats.count, UInt64(seats[slot].generation) == ticket.value >> 32 else { return nil }
    return seats[slot].host
  }

  /// Also forgets the hosts about which nothing needs to be known any more: names change over a month.
  private func hostForRequest(_ key: [UInt8], _ now: Int64) -> Host {
    var known: [Host] = []
    for host in hosts where !host.isIdle(now) { known.append(host) }
    hosts = known
    for host in hosts where host.key == key { return host }
    let host = Host(key)
    hosts.append(host)
    return host
  }

  /// The earliest time at which this one may start if all ahead of it start too, and how many those are. No time
  /// when that depends on the end of an attempt. Who is behind never overtakes who is held back by its limits.
  private func outlook(_ host: Host, _ slot: Int, _ now: Int64) -> (ready: Int64?, ahead: Int) {
    var ready = now
    var ahead = 0
    for other in host.queue {
      if other != slot && !isPresent(other, now) { continue }
      let limits = seats[other].limits
      guard host.running.count &+ ahead < limits.inFlight,
        let time = host.starts.readyAt(now, limits.window, ahead: ahead)
      else { return (nil, other == slot ? ahead : ahead &+ 1) }
      ready = max(ready, time)
      if other == slot { break }
      ahead &+= 1
    }
    return (ready, ahead)
  }

  private func isPresent(_ slot: Int, _ now: Int64) -> Bool {
    saturatingSum(seats[slot].askedAt, ConnectGate.patience &* 3) >= now
  }

  private func start(_ host: Host, _ slot: Int, _ now: Int64) {
    remove(slot, from: &host.queue)
    host.running.append(slot)
    // By age alone: a client with a larger count may come, and must find all starts of the past.
    host.starts.take(now, count: RateWindow.maximumCount, duration: host.longestDuration)
    seats[slot].isRunning = true
    seats[slot].token = nil
    let allowed = seats[slot].limits.attemptTime
    seats[slot].endsBy = allowed == 0 ? .max : saturatingSum(now, allowed)
  }

  private func remove(_ slot: Int, from list: inout [Int]) {
    for index in 0..<list.count where list[index] == slot {
      list.remove(at: index)
      return
    }
  }

  private func dropOverdue(_ host: Host, _ now: Int64) {
    var index = 0
    while index < host.running.count {
      let slot = host.running[index]
      if seats[slot].endsBy <= now {
        host.running.remove(at: index)
        free(slot)
      } else {
        index &+= 1
      }
    }
  }

  private func free(_ slot: Int) {
    seats[slot].host = nil
    seats[slot].token = nil
    seats[slot].generation &+= 1
    if seats[slot].generation == 0 { seats[slot].generation = 1 }
    freeSeats.append(slot)
  }

  /// Wakes those whose turn it is, and who has become first, since it has to learn when its turn will be.
  private func notify(_ host: Host, _ now: Int64) {
    var ahead = 0
    for slot in host.queue where isPresent(slot, now) {
      let limits = seats[slot].limits
      var isTurn = false
      var hasTime = false
      if host.running.count &+ ahead < limits.inFlight,
        let time = host.starts.readyAt(now, limits.window, ahead: ahead)
      {
        hasTime = true
        isTurn = time <= now
      }
      if !seats[slot].isTold && (isTurn || (ahead == 0 && hasTime && !seats[slot].knowsItIsFirst)) {
        seats[slot].isTold = true
        wakeups.append(ticket(slot))
      }
      if !isTurn { return }
      ahead &+= 1
    }
  }
}
