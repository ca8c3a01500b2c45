// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText
import Testing

@testable import PulseEngine

/// Whether data comes over a line, by a clock that the tests move.
@Suite struct LivenessTests {
  private static let pause = Liveness.lookAgainPause

  /// A line that looks when it is told to.
  private final class FakeLine {
    let client: FakeClient
    let liveness: Liveness
    var readUpTo: Int64?
    var isPaused = false
    private(set) var nextLook: Int64?
    private(set) var looks = 0
    private(set) var leaves = 0

    init(timeout: Int64 = 2 * second, reconnects: Bool = false, tells: Bool = true, name: Literal = "") {
      client = FakeClient { $0.emitsEvents = true }
      let rules = Liveness.Rules()
      rules.timeout = timeout
      rules.reconnects = reconnects
      rules.tells = tells
      rules.name = name
      liveness = Liveness(rules, client.actions)
    }

    /// A connection serves.
    func begin(_ now: Int64) {
      client.now = now
      liveness.begin(now)
      carryOut(liveness.next)
    }

    func dataArrives() {
      if liveness.dataArrived(client.now) { carryOut(liveness.next) }
      client.carryOut()
    }

    func advance(to time: Int64) {
      while let due = nextLook, due <= time {
        nextLook = nil
        client.now = max(client.now, due)
        look()
      }
      client.now = time
    }

    func look() {
      looks += 1
      carryOut(liveness.look(client.now, readUpTo: readUpTo ?? client.now, isPaused: isPaused))
      client.carryOut()
    }

    private func carryOut(_ step: Liveness.Step) {
      switch step {
      case .nothing: break
      case .lookAgain(let time): nextLook = time
      case .leave: leaves += 1
      }
    }
  }

  private func begun(reconnects: Bool = false, tells: Bool = true, name: Literal = "") -> FakeLine {
    let line = FakeLine(reconnects: reconnects, tells: tells, name: name)
    line.begin(second)
    return line
  }

  @Test func nobodyAsks() {
    let line = FakeLine(timeout: 0)
    line.begin(second)
    line.dataArrives()
    #expect(line.nextLook == nil && line.client.done.isEmpty)
  }

  @Test func staleAndFresh() {
    let line = begun()
    let client = line.client
    #expect(line.nextLook == 3 * second)
    client.now = 2 * second
    line.dataArrives()
    // The deadline of before finds that data came, and is put off.
    line.advance(to: 3 * second)
    #expect(line.nextLook == 4 * second && !line.liveness.isStale)
    line.advance(to: 4 * second - 1)
    #expect(!line.liveness.isStale && client.inbound.isEmpty)
    line.advance(to: 4 * second)
    #expect(line.liveness.isStale && line.liveness.episodes == 1 && line.nextLook == nil)
    #expect(client.log == ["WARNING no data for 2.000000 s"] && client.silences == ["no data for 2.000000 s"] && client.wakes >= 1)
    // One silence is one episode.
    line.look()
    #expect(line.liveness.episodes == 1 && line.nextLook == nil)
    client.now = 7 * second
    line.dataArrives()
    #expect(!line.liveness.isStale && line.nextLook == 9 * second)
    line.dataArrives()
    #expect(
      client.takeTexts() == [#"{"event":"stale","silence":2.000000,"action":"event"}"#, #"{"event":"fresh","silence":5.000000}"#])
    #expect(client.log.last == "INFO data comes again" && client.log.count == 2)
    line.advance(to: 9 * second)
    #expect(line.liveness.isStale && line.liveness.episodes == 2 && line.leaves == 0)
  }

  /// A twin's silence is logged, and counts as the twin's.
  @Test func aLineThatTellsNothing() {
    let line = begun(tells: false, name: "twin")
    line.advance(to: 3 * second)
    line.dataArrives()
    #expect(line.liveness.episodes == 1)
    #expect(line.client.log == ["WARNING twin: no data for 2.000000 s", "INFO twin: data comes again"])
    #expect(line.client.inbound.isEmpty && line.client.silences.count == 1)
  }

  /// While the consumer makes reading pause, silence says nothing about the feed.
  @Test func readingPauses() {
    let line = begun()
    line.isPaused = true
    line.advance(to: 10 * second)
    #expect(!line.liveness.isStale && line.client.inbound.isEmpty && line.liveness.lastDataAt > 8 * second)
    line.isPaused = false
    let last = line.liveness.lastDataAt
    line.advance(to: last + 2 * second - 1)
    #expect(!line.liveness.isStale)
    line.advance(to: last + 2 * second)
    #expect(line.liveness.isStale)
  }

  /// What has come and was not read yet may be data: the judgement waits for it, and looks again without haste.
  @Test func notAllIsRead() {
    let line = begun()
    line.readUpTo = 2 * second
    line.advance(to: 3 * second)
    #expect(line.nextLook == 3 * second + LivenessTests.pause)
    line.advance(to: 3 * second + 10 * LivenessTests.pause)
    #expect(!line.liveness.isStale && line.looks == 11)
    line.readUpTo = 3 * second
    line.advance(to: 3 * second + 11 * LivenessTests.pause)
    #expect(line.client.takeTexts() == [#"{"event":"stale","silence":2.011000,"action":"event"}"#])
  }

  @Test func theConnectionIsLeft() {
    let line = begun(reconnects: true)
    line.advance(to: 3 * second)
    #expect(line.leaves == 1 && line.liveness.episodes == 1)
    // The next connection begins with its time, and not with a feed that is stale.
    #expect(!line.liveness.isStale && line.nextLook == nil)
    line.begin(4 * second)
    #expect(line.nextLook == 6 * second)
    line.dataArrives()
    #expect(line.client.takeTexts() == [#"{"event":"stale","silence":2.000000,"action":"reconnect"}"#])
  }

  @Test func anotherConnectionServes() {
    let line = begun()
    line.advance(to: 3 * second)
    #expect(line.liveness.isStale)
    line.begin(3 * second)
    #expect(!line.liveness.isStale && line.liveness.lastDataAt == 3 * second)
  }

  @Test func thereIsNoTimeAfterTheLast() {
    let line = FakeLine(timeout: .max)
    line.begin(second)
    #expect(line.nextLook == .max)
  }
}
