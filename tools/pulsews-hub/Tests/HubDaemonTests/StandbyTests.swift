// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HubDaemon

/// A standby after 10 s, for a feed that has to be back for 5 s.
private struct Watching {
  var standby: Standby
  var primary = Standby.Primary(isUp: false, outages: 0, wasMute: false, messages: 0)

  init() {
    let text = "[feed.a]\nurl=\"ws://h/\"\nmap=\"okx\"\n[feed.b]\nurl=\"ws://h/\"\nmap=\"okx\"\nstandby_for=\"a\"\nstable=5\n"
    guard let config = Reading(text).config.feeds.last?.standby else { fatalError("no standby") }
    standby = Standby(config)
  }

  private func ns(_ seconds: Double) -> Int64 { Int64(seconds * 1e9) }

  mutating func at(_ seconds: Double) -> Standby.Step? { standby.look(primary, now: ns(seconds)) }
  mutating func up(_ seconds: Double, messages: UInt64 = 0) -> Standby.Step? {
    primary.isUp = true
    primary.messages += messages
    return at(seconds)
  }
  mutating func down(_ seconds: Double, isMute: Bool = false) -> Standby.Step? {
    primary.isUp = false
    primary.outages += 1
    primary.wasMute = isMute
    return at(seconds)
  }
  var deadline: Double? { standby.deadline.map { Double($0) / 1e9 } }
}

@Suite struct StandbyTests {
  @Test func itStandsInForOneThatNeverCame() {
    var w = Watching()
    #expect(w.at(0) == nil && w.deadline == 10)
    #expect(w.at(9.9) == nil)
    #expect(w.at(10) == .standIn)
    #expect(w.standby.isServing && w.deadline == nil)
    #expect(w.at(1000) == nil)
  }

  @Test func oneThatIsConnectedIsLeftAlone() {
    var w = Watching()
    _ = w.at(0)
    #expect(w.up(1) == nil)
    #expect(w.deadline == nil)
    #expect(w.at(1000) == nil)
  }

  @Test func aShortOutageIsNone() {
    var w = Watching()
    _ = w.up(0, messages: 5)
    #expect(w.down(100) == nil && w.deadline == 110)
    #expect(w.up(105) == nil && w.deadline == nil)
    #expect(w.down(200) == nil && w.deadline == 210)
    #expect(w.at(210) == .standIn)
  }

  @Test func itGivesBackToOneThatHasBeenBackForAWhile() {
    var w = Watching()
    _ = w.at(0)
    #expect(w.at(10) == .standIn)
    #expect(w.up(20, messages: 1) == nil && w.deadline == 25)
    #expect(w.up(24, messages: 3) == nil)
    #expect(w.at(25) == .giveBack)
    #expect(!w.standby.isServing && w.deadline == nil)
    // And stands in again, when it is gone again.
    _ = w.down(30)
    #expect(w.at(40) == .standIn)
  }

  @Test func oneThatComesAndGoesIsNotBack() {
    var w = Watching()
    _ = w.at(0)
    _ = w.at(10)
    for time in stride(from: 20.0, to: 100, by: 4) {
      #expect(w.up(time, messages: 2) == nil)
      #expect(w.down(time + 3) == nil && w.deadline == nil)
    }
    _ = w.up(100, messages: 1)
    // Lost and back between two looks.
    w.primary.outages += 1
    #expect(w.at(103) == nil && w.deadline == 108)
    _ = w.up(107, messages: 1)
    #expect(w.at(108) == .giveBack)
  }

  @Test func aConnectionWithoutDataIsNotBack() {
    var w = Watching()
    _ = w.at(0)
    _ = w.at(10)
    _ = w.up(20, messages: 1)  // the answer to its subscriptions
    #expect(w.at(25) == nil && w.deadline == 30)
    #expect(w.at(30) == nil && w.deadline == 35)
    w.primary.messages += 1
    #expect(w.at(35) == .giveBack)
  }

  /// Silence, a new connection, its subscriptions confirmed, and silence again.
  @Test func oneThatIsConnectedAndSilentIsStoodInFor() {
    var w = Watching()
    _ = w.up(0, messages: 9)
    #expect(w.down(60, isMute: true) == nil)
    #expect(w.up(60.5, messages: 1) == nil && w.deadline == 70)
    #expect(w.at(70) == .standIn)
    // With data in time it is not.
    var other = Watching()
    _ = other.up(0, messages: 9)
    _ = other.down(60, isMute: true)
    _ = other.up(60.5, messages: 1)
    #expect(other.up(65, messages: 1) == nil && other.deadline == nil)
  }

  @Test func oneAtRestNeedsNobody() {
    var w = Watching()
    w.primary.isUp = true
    w.primary.isResting = true
    #expect(w.at(0) == nil && w.at(100) == nil && w.deadline == nil)
    // It may come to rest while another stands in for it.
    w = Watching()
    _ = w.at(0)
    _ = w.at(10)
    w.primary.isUp = true
    w.primary.isResting = true
    _ = w.at(20)
    #expect(w.at(25) == .giveBack)
  }

  @Test func timesMayChange() {
    var w = Watching()
    _ = w.at(0)
    let text = "[feed.a]\nurl=\"ws://h/\"\nmap=\"okx\"\n[feed.b]\nurl=\"ws://h/\"\nmap=\"okx\"\nstandby_for=\"a\"\nafter=\"2m\"\n"
    guard let config = Reading(text).config.feeds.last?.standby else { return #expect(Bool(false)) }
    w.standby = w.standby.with(config)
    #expect(w.deadline == 120)
  }
}
