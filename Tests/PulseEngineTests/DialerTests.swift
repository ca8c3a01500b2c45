// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import Testing

@testable import PulseEngine

extension Dialer.Step: Equatable {
  public static func == (one: Dialer.Step, two: Dialer.Step) -> Bool {
    switch (one, two) {
    case (.nothing, .nothing), (.hold, .hold), (.ask, .ask), (.end, .end), (.giveUp, .giveUp): true
    case (.connect(let ticket), .connect(let other)): ticket == other
    case (.wait(let time), .wait(let other)): time == other
    default: false
    }
  }
}

/// When and where a client connects, by a clock that the test moves.
final class FakeDialing {
  /// A phase without what it knows.
  enum Kind { case idle, delayed, blocked, held, queued, connected }

  let dialer: Dialer
  var now: Int64 = 0
  var isBlocked = false
  var random: UInt64 = 0
  private(set) var draws = 0

  init(_ change: (Dialer.Rules) -> Void = { _ in }) {
    let rules = Dialer.Rules()
    rules.jitterPermille = 0
    change(rules)
    dialer = Dialer(rules)
  }

  @discardableResult
  func handle(_ event: Dialer.Event) -> Dialer.Step {
    dialer.handle(event, now, isBlocked: isBlocked) {
      draws += 1
      return random
    }
  }

  var kind: Kind {
    switch dialer.phase {
    case .idle: .idle
    case .delayed: .delayed
    case .blocked: .blocked
    case .held: .held
    case .queued: .queued
    case .connected: .connected
    }
  }

  /// To the phase, from the beginning.
  func reach(_ phase: Kind) {
    switch phase {
    case .idle: break
    case .queued: handle(.begin)
    case .connected:
      reach(.queued)
      handle(.slot)
    case .delayed:
      reach(.connected)
      lose()
    case .blocked:
      isBlocked = true
      handle(.begin)
      isBlocked = false
    case .held:
      handle(.begin)
    }
    #expect(kind == phase)
  }

  @discardableResult
  func lose(
    _ endpoint: Int? = nil, wasOpen: Bool = false, isFinal: Bool = false, closeCode: UInt16 = 1006, retryAfter: Int? = nil
  ) -> Dialer.Step {
    handle(
      .lost(
        Dialer.Loss(
          endpoint: endpoint ?? dialer.chosen, wasOpen: wasOpen, isFinal: isFinal, closeCode: closeCode,
          retryAfter: retryAfter)))
  }

  /// The next attempt, which fails so; the delay behind it.
  func tryAgain(wasOpen: Bool = false, closeCode: UInt16 = 1006, retryAfter: Int? = nil) -> Int64 {
    now += dialer.nextDelay
    #expect(handle(.due) == .ask)
    #expect(handle(.slot) == .connect(nil))
    let step = lose(wasOpen: wasOpen, closeCode: closeCode, retryAfter: retryAfter)
    #expect(step == .wait(dialer.nextDelay) && kind == .delayed)
    return dialer.nextDelay
  }
}

@Suite struct DialerTableTests {
  private typealias Cell = (step: Dialer.Step, phase: FakeDialing.Kind)

  private static let phases: [FakeDialing.Kind] = [.idle, .delayed, .blocked, .held, .queued, .connected]
  private static let loss = Dialer.Loss(endpoint: 0, wasOpen: true)
  private static let events: [(name: String, event: Dialer.Event)] = [
    ("begin", .begin), ("due", .due), ("room", .room), ("released", .released), ("slot", .slot), ("moved", .moved),
    ("lost", .lost(loss)), ("stop", .stop),
  ]

  /// What changes something; all else changes nothing.
  private static func expected(_ event: String, _ phase: FakeDialing.Kind, holds: Bool) -> (Dialer.Step, FakeDialing.Kind) {
    let attempt: (Dialer.Step, FakeDialing.Kind) = holds ? (.hold, .held) : (.ask, .queued)
    switch (event, phase) {
    case ("begin", .idle), ("begin", .delayed), ("begin", .blocked): return attempt
    case ("due", .delayed), ("room", .blocked), ("moved", .connected): return attempt
    case ("released", .held): return (.ask, .queued)
    case ("slot", .queued): return (.connect(nil), .connected)
    case ("lost", .connected), ("lost", .held): return (.wait(second), .delayed)
    case ("stop", _): return (.nothing, .idle)
    default: return (.nothing, phase)
    }
  }

  /// Every event in every phase, with and without holds.
  @Test(arguments: [false, true])
  func everyPair(holds: Bool) {
    for phase in DialerTableTests.phases where holds || phase != .held {
      for (name, event) in DialerTableTests.events {
        let fake = FakeDialing { $0.holds = holds }
        reach(phase, fake, holds)
        let (step, next) = DialerTableTests.expected(name, phase, holds: holds)
        #expect(fake.handle(event) == step, "\(name) in \(phase)")
        #expect(fake.kind == next, "\(name) in \(phase)")
      }
    }
  }

  private func reach(_ phase: FakeDialing.Kind, _ fake: FakeDialing, _ holds: Bool) {
    if !holds || phase == .idle || phase == .held || phase == .blocked { return fake.reach(phase) }
    fake.reach(.held)
    fake.handle(.released)
    if phase == .queued { return }
    fake.handle(.slot)
    if phase == .delayed { fake.lose() }
    #expect(fake.kind == phase)
  }

  /// Every event that would begin an attempt waits while the queue of received messages is too full.
  @Test func everyAttemptWaitsForRoom() {
    for (phase, event) in [(FakeDialing.Kind.idle, Dialer.Event.begin), (.delayed, .due), (.blocked, .room), (.connected, .moved)] {
      let fake = FakeDialing()
      fake.reach(phase)
      fake.isBlocked = true
      #expect(fake.handle(event) == .nothing)
      #expect(fake.kind == .blocked)
      fake.isBlocked = false
      #expect(fake.handle(.room) == .ask)
    }
  }
}

@Suite struct DialerTests {
  @Test func delaysGrowToTheLargest() {
    let fake = FakeDialing {
      $0.mostAttempts = 0
      $0.mostDelay = 5 * second
    }
    fake.reach(.delayed)
    #expect(fake.dialer.nextDelay == second)
    #expect((0..<4).map { _ in fake.tryAgain() } == [2 * second, 4 * second, 5 * second, 5 * second])
    #expect(fake.dialer.attempts == 5)
  }

  @Test func jitterIsDrawnForEachDelay() {
    let fake = FakeDialing { $0.jitterPermille = 1000 }
    fake.random = .max
    fake.reach(.delayed)
    #expect(fake.dialer.nextDelay == 0 && fake.draws == 1)
    fake.random = 0
    #expect(fake.tryAgain() == 2 * second && fake.draws == 2)
  }

  @Test func attemptsEnd() {
    let fake = FakeDialing { $0.mostAttempts = 2 }
    fake.reach(.delayed)
    _ = fake.tryAgain()
    fake.handle(.due)
    fake.handle(.slot)
    #expect(fake.lose() == .giveUp)
    #expect(fake.kind == .idle && fake.dialer.nextDelay == 0)
    // The application asks for another try: it begins anew.
    #expect(fake.handle(.begin) == .ask && fake.dialer.attempts == 0)
  }

  @Test func withoutReconnectOneLossIsTheEnd() {
    let fake = FakeDialing { $0.reconnects = false }
    fake.reach(.connected)
    #expect(fake.lose(wasOpen: true) == .end)
    #expect(fake.kind == .idle && fake.dialer.lastOpened)
  }

  @Test func onlyAStableConnectionEndsTheCount() {
    let fake = FakeDialing()
    fake.reach(.delayed)
    fake.handle(.due)
    fake.handle(.slot)
    fake.dialer.served(fake.dialer.rules.stableTime - 1)
    fake.lose(wasOpen: true)
    #expect(fake.dialer.attempts == 2)
    fake.handle(.due)
    fake.handle(.slot)
    fake.dialer.served(fake.dialer.rules.stableTime)
    fake.lose(wasOpen: true)
    #expect(fake.dialer.attempts == 1)
    fake.dialer.stable(0)
    #expect(fake.dialer.attempts == 0)
  }

  @Test func theServersTimesCount() {
    let fake = FakeDialing { $0.mostAttempts = 0 }
    fake.reach(.delayed)
    #expect(fake.tryAgain(retryAfter: 30) == 30 * second)
    // One that is shorter than the delay does not shorten it.
    #expect(fake.tryAgain(retryAfter: 0) == 4 * second)
    #expect(fake.tryAgain(retryAfter: .max) == 86_400 * second)
    fake.dialer.reset()
    #expect(fake.tryAgain(wasOpen: true, closeCode: 1012) == 5 * second)
    #expect(fake.tryAgain(wasOpen: true, closeCode: 1013) == 5 * second)
    #expect(fake.tryAgain(wasOpen: true, closeCode: 1001) == 4 * second)
  }

  @Test func anExpectedRestartCostsNothing() {
    let fake = FakeDialing { $0.replaces = true }
    fake.reach(.connected)
    #expect(fake.lose(wasOpen: true, closeCode: 1012) == .wait(0) && fake.dialer.nextDelay == 0)
    // Once.
    #expect(fake.tryAgain(wasOpen: true, closeCode: 1012) == 5 * second)
    let other = FakeDialing { $0.replaces = true }
    other.reach(.connected)
    #expect(other.lose(closeCode: 1012) == .wait(5 * second))
  }

  @Test func anotherEndpointIsWorthAQuickTry() {
    let fake = FakeDialing {
      $0.endpoints = 3
      $0.mostAttempts = 0
    }
    fake.reach(.connected)
    #expect(fake.dialer.chosen == 0)
    #expect(!fake.dialer.hasFailed)
    fake.lose(retryAfter: 60)
    #expect(fake.dialer.chosen == 1 && fake.dialer.nextDelay == second)
    #expect(fake.tryAgain() == second && fake.dialer.chosen == 2)
    #expect(!fake.dialer.hasFailed)
    // The round is over: the delay that has grown meanwhile.
    #expect(fake.tryAgain() == 4 * second && fake.dialer.chosen == 0)
    #expect(fake.dialer.hasFailed)
    fake.dialer.report()
    #expect(!fake.dialer.hasFailed)
  }

  @Test func whatCantBeMendedIsRuledOut() {
    let fake = FakeDialing { $0.endpoints = 2 }
    fake.reach(.connected)
    #expect(fake.lose(isFinal: true) == .wait(second) && fake.dialer.chosen == 1)
    fake.handle(.due)
    fake.handle(.slot)
    #expect(fake.lose(isFinal: true) == .end)
    // The application asks: each may be tried again.
    #expect(fake.handle(.begin) == .ask && fake.dialer.chosen == 0)
  }

  /// What was ruled out elsewhere, by a connection that was to follow, may have been the last.
  @Test func noEndpointIsLeft() {
    let fake = FakeDialing()
    fake.reach(.connected)
    fake.dialer.endpoints.ruledOut(0, 0)
    #expect(fake.handle(.moved) == .end)
    #expect(fake.kind == .idle)
  }

  @Test func breakersAreToldWhenTheyChange() {
    let fake = FakeDialing {
      $0.endpoints = 2
      $0.breakerFailures = 1
    }
    fake.reach(.connected)
    #expect(fake.dialer.breakerNews(0, 0) == nil)
    fake.lose()
    #expect(fake.dialer.breakerNews(0, 0) == .open)
    #expect(fake.dialer.breakerNews(0, 0) == nil)
    #expect(fake.dialer.breakerNews(1, 0) == nil)
    #expect(fake.dialer.breakerNews(7, 0) == nil)
    let single = FakeDialing { $0.breakerFailures = 1 }
    single.reach(.delayed)
    #expect(single.dialer.breakerNews(0, 0) == nil)
  }

  @Test func aHoldThatTimesOutIsAFailedAttempt() {
    let fake = FakeDialing { $0.holds = true }
    fake.reach(.held)
    #expect(fake.lose() == .wait(second))
    #expect(fake.dialer.hasFailed && !fake.dialer.lastOpened)
    // The next attempt asks again.
    #expect(fake.handle(.due) == .hold)
  }

  @Test func theTicketIsTakenOnce() {
    let fake = FakeDialing()
    let gate = ConnectGate()
    let limits = ConnectGate.Limits(inFlight: 1, window: RateWindow(count: 1, duration: second), attemptTime: second)
    let ticket = gate.request(host: [1], limits: limits, now: 0, token: fake).0
    // Nobody asks for one.
    fake.dialer.ticket = ticket
    #expect(fake.dialer.ticket == nil && !fake.dialer.isQueued)
    fake.handle(.begin)
    #expect(fake.dialer.isQueued && fake.dialer.ticket == nil)
    fake.dialer.ticket = ticket
    #expect(fake.dialer.ticket == ticket)
    #expect(fake.handle(.slot) == .connect(ticket))
    #expect(fake.dialer.ticket == nil)
  }

  /// A walk: one attempt at a time, none sooner than its delay, and never without a slot.
  @Test(arguments: 1...8)
  func oneAttemptAtATime(seed: UInt64) {
    var random = SeededRandom(seed)
    let fake = FakeDialing {
      $0.endpoints = 3
      $0.mostAttempts = 0
      $0.holds = seed % 2 == 0
    }
    var connections = 0
    var earliest: Int64 = 0
    for _ in 0..<20_000 {
      fake.now += Int64(random.below(2_000_000_000))
      fake.isBlocked = random.isOne(in: 5)
      let before = fake.kind
      // The timer is the client's: it does not fire early.
      let isDue = before == .delayed && fake.now >= earliest
      let event: Dialer.Event =
        switch random.below(isDue ? 12 : 10) {
        case 0: .room
        case 1...2: .released
        case 3...5: .slot
        case 6: .moved
        case 7...8: .lost(Dialer.Loss(endpoint: fake.dialer.chosen, wasOpen: random.isOne(in: 2)))
        case 9: random.isOne(in: 4) ? .stop : .begin
        default: .due
        }
      switch fake.handle(event) {
      case .connect:
        connections += 1
        #expect(before == .queued && fake.kind == .connected)
        #expect(fake.dialer.endpoints.current == fake.dialer.chosen)
      case .ask: #expect(fake.kind == .queued && !fake.isBlocked || before == .held)
      case .hold: #expect(fake.dialer.rules.holds && fake.kind == .held && !fake.isBlocked)
      case .wait:
        earliest = fake.now + fake.dialer.nextDelay
        #expect(fake.kind == .delayed)
      case .nothing: break
      case .end, .giveUp: Issue.record("\(event) has ended it")
      }
    }
    #expect(connections > 100)
  }
}
