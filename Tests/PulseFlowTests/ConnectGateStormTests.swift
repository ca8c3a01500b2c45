// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseFlow

/// Clients with a timer each and a fake clock: what the shells around the gate do, at random.
private final class StormClient {
  enum Stage { case idle, waiting, connecting, done }
  let number: Int
  var stage = Stage.idle
  var ticket = ConnectGate.Ticket.none
  /// The next thing that happens of itself: ask again, or the end of the attempt.
  var timer: Int64 = 0
  var joined = 0
  var isAway = false

  init(_ number: Int) { self.number = number }
}

private struct Storm {
  var random: SeededRandom
  let gate = ConnectGate()
  let clients: [StormClient]
  let limits: ConnectGate.Limits
  let key: [UInt8]
  var now: Int64 = 0
  var starts: [Int64] = []
  var arrivals = 0
  var polls = 0
  var problem: String?
  /// Told, but not yet polled: another thread does that when it gets to it.
  var told: [(client: StormClient, ticket: ConnectGate.Ticket)] = []
  var losesWakeups = false

  init(seed: UInt64, count: Int, limits: ConnectGate.Limits) {
    random = SeededRandom(seed)
    clients = (0..<count).map { StormClient($0) }
    self.limits = limits
    key = [1, 2, 3]
  }

  mutating func join(_ client: StormClient) {
    arrivals += 1
    client.joined = arrivals
    client.stage = .waiting
    let (ticket, answer) = gate.request(host: key, limits: limits, now: now, token: client)
    client.ticket = ticket
    take(answer, client)
  }

  mutating func poll(_ client: StormClient) {
    polls += 1
    take(gate.poll(client.ticket, now: now), client)
  }

  mutating func take(_ answer: ConnectGate.Answer, _ client: StormClient) {
    switch answer {
    case .go:
      let inFlight = clients.filter { $0.stage == .connecting }.count
      if inFlight >= limits.inFlight { problem = "\(inFlight + 1) in flight" }
      starts.append(now)
      let recent = starts.filter { $0 > now - limits.window.duration }.count
      if recent > limits.window.count { problem = "\(recent) in a window" }
      // Whoever came earlier and is here may go at this same moment too: nobody was overtaken.
      let earlier = clients.filter { $0.stage == .waiting && $0.joined < client.joined && !$0.isAway }.count
      if inFlight + 1 + earlier > limits.inFlight || recent + earlier > limits.window.count {
        problem = "\(client.number) overtook \(earlier)"
      }
      client.stage = .connecting
      client.timer = now + random.time(0...(2 * second))
    case .wait(let until):
      if until <= now || until > now + ConnectGate.patience { problem = "waits until \(until) at \(now)" }
      client.timer = until
    case .unknown: problem = "\(client.number) is unknown"
    }
    collect()
  }

  mutating func collect() {
    while let (ticket, object) = gate.popWakeup() {
      guard let client = object as? StormClient else { continue }
      if client.stage != .waiting || client.ticket != ticket { problem = "a wake-up for nobody" }
      if !losesWakeups { told.append((client, ticket)) }
    }
  }

  mutating func leave(_ client: StormClient, _ stage: StormClient.Stage) {
    gate.leave(client.ticket, now: now)
    client.stage = stage
    collect()
  }

  /// One event; false when there is nothing left to do.
  mutating func step(failing share: Int, leaving: Int) -> Bool {
    if !told.isEmpty && random.below(3) != 0 {
      let (client, ticket) = told.remove(at: random.below(told.count))
      if client.stage == .waiting && client.ticket == ticket && !client.isAway { poll(client) }
      return true
    }
    var next: StormClient?
    for client in clients where client.stage != .done && !client.isAway {
      if client.timer < next?.timer ?? .max { next = client }
    }
    guard let client = next else { return !told.isEmpty }
    now = max(now, client.timer)
    switch client.stage {
    case .idle: join(client)
    case .waiting:
      if random.below(100) < leaving { leave(client, .done) } else { poll(client) }
    case .connecting:
      let fails = random.below(100) < share
      leave(client, fails ? .idle : .done)
      client.timer = now + random.time(0...second)
    case .done: break
    }
    return true
  }
}

@Suite struct ConnectGateStormTests {
  @Test(arguments: 1...30 as ClosedRange<UInt64>)
  func everybodyGetsThroughWithinTheLimits(seed: UInt64) {
    var random = SeededRandom(seed ^ 0xABCD)
    let limits = ConnectGate.Limits(
      inFlight: 1 + random.below(12),
      window: RateWindow(count: 1 + random.below(20), duration: random.time(millisecond...(4 * second))),
      attemptTime: 0)
    var storm = Storm(seed: seed, count: 1 + random.below(60), limits: limits)
    storm.losesWakeups = seed % 5 == 0
    let leaving = seed % 3 == 0 ? 5 : 0
    for client in storm.clients { client.timer = random.below(3) == 0 ? random.time(0...second) : 0 }
    var steps = 0
    while storm.problem == nil && storm.step(failing: 30, leaving: leaving) && steps < 200_000 { steps += 1 }
    if let problem = storm.problem { Issue.record("seed \(seed): \(problem)") }
    #expect(storm.clients.allSatisfy { $0.stage == .done }, "seed \(seed): somebody never got through")
    #expect(storm.gate.load(of: storm.key) == (0, 0), "seed \(seed)")
  }

  @Test func fiveHundredComeBackAtTheFullRate() {
    let limits = ConnectGate.Limits(
      inFlight: 50, window: RateWindow(count: 20, duration: second), attemptTime: 0)
    var storm = Storm(seed: 1, count: 500, limits: limits)
    while storm.problem == nil && storm.step(failing: 0, leaving: 0) {}
    #expect(storm.problem == nil)
    #expect(storm.starts.count == 500)
    // 25 times 20: the last ones start at 24 s, not later.
    #expect(storm.starts.last == 24 * second)
    // One poll a second for each that waits, and a few for those whose turn comes.
    #expect(storm.polls < 500 * 25)
  }

  /// A third of the clients are on a loop that nobody drives for a while.
  @Test(arguments: 1...10 as ClosedRange<UInt64>)
  func absentClientsComeLater(seed: UInt64) {
    let limits = ConnectGate.Limits(
      inFlight: 3, window: RateWindow(count: 5, duration: second), attemptTime: 0)
    var storm = Storm(seed: seed, count: 45, limits: limits)
    for client in storm.clients { storm.join(client) }
    for client in storm.clients where client.stage == .waiting && client.number % 3 == 0 { client.isAway = true }
    while storm.problem == nil && storm.step(failing: 0, leaving: 0) {}
    if let problem = storm.problem { Issue.record("seed \(seed): \(problem)") }
    #expect(storm.clients.allSatisfy { $0.stage == .done || $0.isAway }, "seed \(seed)")
    #expect(storm.now < 60 * second, "seed \(seed)")
    for client in storm.clients where client.isAway {
      client.isAway = false
      storm.poll(client)
    }
    while storm.problem == nil && storm.step(failing: 0, leaving: 0) {}
    if let problem = storm.problem { Issue.record("seed \(seed), after the return: \(problem)") }
    #expect(storm.clients.allSatisfy { $0.stage == .done }, "seed \(seed)")
  }

  @Test func nobodyIsKeptAlive() {
    final class Probe {
      let count: UnsafeMutablePointer<Int>
      init(_ count: UnsafeMutablePointer<Int>) {
        self.count = count
        count.pointee += 1
      }
      deinit { count.pointee -= 1 }
    }
    let alive = UnsafeMutablePointer<Int>.allocate(capacity: 1)
    defer { alive.deallocate() }
    alive.initialize(to: 0)
    let gate = ConnectGate()
    let limits = ConnectGate.Limits(
      inFlight: 1, window: RateWindow(count: 1, duration: second), attemptTime: 0)
    var tickets: [ConnectGate.Ticket] = []
    for _ in 0..<100 { tickets.append(gate.request(host: [1], limits: limits, now: 0, token: Probe(alive)).ticket) }
    #expect(alive.pointee == 99)
    for ticket in tickets.shuffled() {
      gate.leave(ticket, now: 0)
      while gate.popWakeup() != nil {}
    }
    #expect(alive.pointee == 0)
    #expect(gate.load(of: [1]) == (0, 0))
  }
}
