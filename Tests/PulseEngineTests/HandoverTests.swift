// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText
import Testing

@testable import PulseEngine

/// Two connections, by a clock that the test moves.
final class FakeHandover {
  /// A phase without what it knows.
  enum Kind { case resting, held, dialing, settling, overlapping }

  let handover: Handover
  var sight = Handover.Sight()
  var now = 1000 * second
  var random: UInt64 = 0

  init(_ change: (Handover.Rules) -> Void = { _ in }) {
    let rules = Handover.Rules()
    rules.jitterPermille = 0
    change(rules)
    handover = Handover(rules)
  }

  @discardableResult
  func handle(_ event: Handover.Event) -> Handover.Step { handover.handle(event, sight, now, random: { random }) }

  func served(openedAt: Int64? = nil) -> Handover.Step {
    handover.served(now, openedAt: openedAt ?? now, random: { random })
  }

  var kind: Kind {
    switch handover.phase {
    case .resting: .resting
    case .held: .held
    case .dialing: .dialing
    case .settling: .settling
    case .overlapping: .overlapping
    }
  }

  var overlap: Handover.Overlap? { if case .overlapping(let overlap) = handover.phase { overlap } else { nil } }

  /// To the phase, with a successor for the purpose.
  func reach(_ phase: Kind, _ purpose: Handover.Purpose) {
    if phase == .resting { return }
    let begun = purpose == .homeward ? handle(.home(endpoint: 0)) : handle(.notice)
    if handover.rules.holds {
      #expect(begun == .hold)
      if phase == .held { return }
      #expect(handle(.released) == .connect)
    } else {
      #expect(begun == .connect)
    }
    handle(.slot)
    if phase == .dialing { return }
    handle(.opened)
    if phase == .settling { return }
    handle(.ready)
    #expect(kind == phase)
  }

  /// A message of the successor.
  @discardableResult
  func park(hasNumber: Bool = false) -> Handover.Step {
    [UInt8](repeating: 0x78, count: 10).withUnsafeBytes {
      handover.park(
        Inbound.Arrival(kind: MessageCode.text, flags: 0, payload: $0, receivedAt: now), hasNumber: hasNumber, now)
    }
  }
}

extension Handover.Step: Equatable {
  public static func == (one: Handover.Step, two: Handover.Step) -> Bool {
    switch (one, two) {
    case (.nothing, .nothing), (.hold, .hold), (.connect, .connect), (.returnLater, .returnLater), (.takeOver, .takeOver),
      (.leaveMute, .leaveMute):
      true
    case (.plan(let at), .plan(let other)): at == other
    default: false
    }
  }
}

@Suite struct HandoverTableTests {
  private static let phases: [FakeHandover.Kind] = [.resting, .held, .dialing, .settling, .overlapping]
  private static let events: [(name: String, event: Handover.Event)] = [
    ("due", .due), ("notice", .notice), ("home", .home(endpoint: 0)), ("released", .released), ("slot", .slot),
    ("noSlot", .noSlot), ("opened", .opened), ("ready", .ready), ("failed", .failed(isHopeless: false)),
    ("hopeless", .failed(isHopeless: true)), ("left", .left), ("ended", .ended),
  ]

  /// What changes something; all else changes nothing.
  private static func expected(
    _ event: String, _ phase: FakeHandover.Kind, _ purpose: Handover.Purpose, holds: Bool, now: Int64
  ) -> (Handover.Step, FakeHandover.Kind) {
    let begun: (Handover.Step, FakeHandover.Kind) = holds ? (.hold, .held) : (.connect, .dialing)
    let later = Handover.Step.plan(at: now + Handover.gatePause)
    switch (event, phase) {
    case ("due", .resting), ("notice", .resting), ("home", .resting): return begun
    case ("due", .overlapping): return (.takeOver, .overlapping)
    // A replacement is not served by one that comes home; one that is being made is as good as another.
    case ("due", _), ("notice", _): return (purpose == .homeward ? later : .nothing, phase)
    case ("released", .held): return (.connect, .dialing)
    case ("noSlot", .dialing): return (purpose == .homeward ? .returnLater : later, .resting)
    case ("opened", .dialing): return (purpose == .homeward ? .takeOver : .nothing, .settling)
    // One that comes home takes over as soon as it is open.
    case ("ready", .settling) where purpose == .replacement: return (.plan(at: now + second), .overlapping)
    case ("failed", .resting), ("hopeless", .resting): return (.nothing, .resting)
    case ("failed", _): return (purpose == .homeward ? .returnLater : .plan(at: now + second), .resting)
    case ("hopeless", _): return (purpose == .homeward ? .returnLater : .nothing, .resting)
    case ("left", _), ("ended", _): return (.nothing, .resting)
    default: return (.nothing, phase)
    }
  }

  /// Every event in every phase, for both purposes, with and without holds.
  @Test(arguments: [Handover.Purpose.homeward, .replacement], [false, true])
  func everyPair(purpose: Handover.Purpose, holds: Bool) {
    for phase in HandoverTableTests.phases {
      if (phase == .held && !holds) || (phase == .overlapping && purpose == .homeward) { continue }
      for (name, event) in HandoverTableTests.events {
        let fake = FakeHandover { $0.holds = holds }
        fake.reach(phase, purpose)
        let (step, next) = HandoverTableTests.expected(name, phase, purpose, holds: holds, now: fake.now)
        #expect(fake.handle(event) == step, "\(name) in \(phase) for \(purpose)")
        #expect(fake.kind == next, "\(name) in \(phase) for \(purpose)")
      }
    }
  }
}

@Suite struct HandoverReasonTests {
  @Test func ageCountsFromTheOpening() {
    let fake = FakeHandover { $0.maxAge = 100 * second }
    #expect(fake.served(openedAt: fake.now - 7 * second) == .plan(at: fake.now + 93 * second))
    #expect(fake.handover.cause.description == "max_age")
    // Not all clients at once: up to a twentieth earlier.
    fake.random = UInt64(5 * second)
    #expect(fake.served() == .plan(at: fake.now + 95 * second))
    fake.random = UInt64(5 * second) + 1
    #expect(fake.served() == .plan(at: fake.now + 100 * second))
    #expect(FakeHandover().served() == .nothing)
  }

  @Test func aNoticeBeforeTheConnectionIsReadyCountsThen() {
    let fake = FakeHandover()
    fake.sight.isReady = false
    #expect(fake.handle(.notice) == .nothing)
    fake.sight.isReady = true
    #expect(fake.served() == .plan(at: fake.now))
    // It is planned: another notice adds nothing.
    #expect(fake.handle(.notice) == .nothing)
    #expect(fake.handle(.due) == .connect)
    #expect(fake.handover.cause.description == "notice" && fake.handover.purpose == .replacement)
  }

  @Test func theEndOfTheConnectionIsTheEndOfItsNotice() {
    let fake = FakeHandover()
    fake.sight.isReady = false
    fake.handle(.notice)
    fake.handle(.ended)
    #expect(fake.served() == .nothing)
  }

  @Test func noticesThatFollowOneAnotherWait() {
    let fake = FakeHandover()
    #expect(fake.handle(.notice) == .connect)
    for delay in [1, 2, 4] as [Int64] {
      fake.handover.tookOver(fake.now, hasNotice: false)
      fake.now += second
      #expect(fake.handle(.notice) == .plan(at: fake.now + delay * second))
    }
    fake.handover.tookOver(fake.now, hasNotice: true)
    #expect(fake.served() == .plan(at: fake.now + 8 * second))
    // One that has lasted begins anew.
    fake.handover.tookOver(fake.now, hasNotice: false)
    fake.now += fake.handover.rules.stableTime
    #expect(fake.handle(.notice) == .connect)
    fake.handover.tookOver(fake.now, hasNotice: false)
    #expect(fake.handle(.notice) == .plan(at: fake.now + second))
  }

  @Test func aReplacementPrefersABetterEndpoint() {
    let fake = FakeHandover()
    fake.sight.endpoint = 2
    fake.handle(.notice)
    #expect(fake.handover.endpoint == 2)
    fake.handle(.left)
    fake.sight.better = 1
    fake.handle(.due)
    #expect(fake.handover.endpoint == 1)
  }

  @Test func triesThatFailWaitLongerUntilOneTakesOver() {
    let fake = FakeHandover()
    for delay in [1, 2, 4] as [Int64] {
      #expect(fake.handle(.due) == .connect)
      #expect(fake.handle(.failed(isHopeless: false)) == .plan(at: fake.now + delay * second))
    }
    fake.handle(.due)
    fake.handover.tookOver(fake.now, hasNotice: false)
    fake.handle(.due)
    #expect(fake.handle(.failed(isHopeless: false)) == .plan(at: fake.now + second))
  }

  /// The application is not asked again only because the limits had no slot.
  @Test func aHoldIsReleasedOnceForAReplacement() {
    let fake = FakeHandover { $0.holds = true }
    #expect(fake.handle(.notice) == .hold)
    #expect(fake.handle(.released) == .connect)
    #expect(fake.handle(.noSlot) == .plan(at: fake.now + Handover.gatePause))
    #expect(fake.handle(.due) == .connect)
    fake.handle(.slot)
    fake.handle(.failed(isHopeless: false))
    #expect(fake.handle(.due) == .hold)
    fake.handle(.left)
    #expect(fake.handle(.home(endpoint: 0)) == .hold)
    fake.handle(.released)
    #expect(fake.handle(.noSlot) == .returnLater)
    #expect(fake.handle(.home(endpoint: 0)) == .hold)
  }
}

@Suite struct HandoverOverlapTests {
  private func overlapping(_ change: (Handover.Rules) -> Void = { _ in }) -> FakeHandover {
    let fake = FakeHandover(change)
    fake.reach(.overlapping, .replacement)
    #expect(fake.overlap?.readyAt == fake.now)
    return fake
  }

  @Test func twoQuietConnections() {
    let fake = overlapping()
    fake.now += second
    #expect(fake.handle(.due) == .takeOver)
    fake.park()
    fake.handover.tookOver(fake.now, hasNotice: false)
    #expect(fake.kind == .resting && fake.handover.takeParked()?.count == 1 && fake.handover.takeParked() == nil)
  }

  @Test func theFirstMessageIsEnoughWithoutNumbers() {
    let fake = FakeHandover()
    fake.reach(.settling, .replacement)
    // It may be an answer to a subscription.
    #expect(fake.park() == .nothing)
    fake.handle(.ready)
    fake.now += second / 2
    #expect(fake.park() == .plan(at: fake.now))
    #expect(fake.park() == .nothing)
    #expect(fake.overlap?.lastDataAt == fake.now && fake.handover.parkedBytes > 30)
    #expect(fake.handover.takeParked()?.count == 3 && fake.handover.parkedBytes == 0)
  }

  @Test func theFirstNumberBeginsTheOverlapAnew() {
    let fake = overlapping { $0.distinguishesCopies = true }
    #expect(fake.park() == .plan(at: fake.now + second))
    fake.now += second / 2
    #expect(fake.park() == .nothing)
    #expect(fake.park(hasNumber: true) == .plan(at: fake.now + second))
    #expect(fake.park(hasNumber: true) == .nothing)
  }

  @Test func whatWasNotTakenComesFirst() {
    let fake = overlapping()
    fake.park()
    fake.sight.hasUnread = true
    for _ in 0..<100 {
      fake.now += second
      #expect(fake.handle(.due) == .plan(at: fake.now + Handover.look))
    }
    fake.sight.hasUnread = false
    #expect(fake.handle(.due) == .takeOver)
  }

  @Test func aMuteOneDoesNotFollowOneThatDelivers() {
    let fake = overlapping()
    let readyAt = fake.now
    while fake.now < readyAt + 9 * second {
      fake.now += second
      fake.sight.lastDataAt = fake.now
      #expect(fake.handle(.due) == .plan(at: fake.now + second))
    }
    fake.now = readyAt + 10 * second
    #expect(fake.handle(.due) == .leaveMute)
    // What came only at about the time when it was ready is no proof.
    fake.sight.lastDataAt = readyAt + second
    #expect(fake.handle(.due) == .takeOver)
  }

  /// Messages without numbers don't show that one with numbers delivers.
  @Test func aMuteOneByItsNumbers() {
    let fake = overlapping { $0.distinguishesCopies = true }
    fake.park()
    fake.now += 5 * second
    fake.sight.lastNumberAt = fake.now
    #expect(fake.handle(.due) == .plan(at: fake.now + second))
    fake.park(hasNumber: true)
    #expect(fake.handle(.due) == .takeOver)
  }

  @Test func aFrameThatIsCutIsWaitedForWithPatience() {
    let fake = overlapping { $0.openTimeout = 3 * second }
    fake.park()
    fake.sight.isCut = true
    let begin = fake.now
    while fake.now < begin + 3 * second {
      #expect(fake.handle(.due) == .plan(at: fake.now + Handover.look))
      fake.now += Handover.look
    }
    #expect(fake.handle(.due) == .takeOver)
  }

  @Test func oneThatIsBehindIsWaitedForWhileItGoesOn() {
    let fake = overlapping { $0.distinguishesCopies = true }
    fake.park(hasNumber: true)
    fake.sight.hasReachedJoints = false
    fake.sight.lastNumberAt = fake.now
    #expect(fake.handle(.due) == .plan(at: fake.now + Handover.look))
    fake.now += second
    // It has gone silent.
    #expect(fake.handle(.due) == .takeOver)
    fake.sight.lastNumberAt = fake.now
    #expect(fake.handle(.due) == .plan(at: fake.now + Handover.look))
    fake.sight.hasReachedJoints = true
    #expect(fake.handle(.due) == .takeOver)
  }

  /// A walk: there is never a second successor, and none takes over that is not ready or comes home.
  @Test(arguments: 1...8)
  func oneSuccessorAtATime(seed: UInt64) {
    var random = SeededRandom(seed)
    let fake = FakeHandover { $0.holds = seed % 2 == 0 }
    var changes = 0
    for _ in 0..<20_000 {
      fake.now += Int64(random.below(2_000_000_000))
      fake.sight.isReady = !random.isOne(in: 8)
      fake.sight.hasUnread = random.isOne(in: 4)
      fake.sight.lastDataAt = fake.now - Int64(random.below(3_000_000_000))
      let events: [Handover.Event] = [
        .due, .notice, .home(endpoint: 0), .released, .slot, .noSlot, .opened, .ready, .due, .released, .opened, .ready,
        .failed(isHopeless: false), .left,
      ]
      let (before, purpose) = (fake.kind, fake.handover.purpose)
      switch fake.handle(events[random.below(events.count)]) {
      case .connect: #expect(before == .resting || before == .held)
      case .hold: #expect(before == .resting && fake.handover.rules.holds)
      case .takeOver:
        #expect(before == .overlapping || (before == .dialing && purpose == .homeward))
        fake.handover.tookOver(fake.now, hasNotice: random.isOne(in: 2))
        changes += 1
      case .leaveMute: #expect(before == .overlapping)
      case .plan(let time): #expect(time >= fake.now)
      case .nothing, .returnLater: break
      }
      if random.isOne(in: 3) { fake.park() }
    }
    #expect(changes > 100)
  }
}
