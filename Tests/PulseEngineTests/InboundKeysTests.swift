// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import Testing

@testable import PulseEngine

/// Whether each key brings data, by a clock that the tests move.
@Suite struct InboundKeysTests {
  private static let pause = Liveness.lookAgainPause

  private func keyed(_ change: (Inbound.Rules) -> Void = { _ in }) throws -> FakeClient {
    try FakeClient { rules in
      rules.emitsEvents = true
      rules.staleKeyTimeout = 10 * second
      rules.keyPath = [try jsonPath("k")]
      change(rules)
    }
  }

  private func events(_ client: FakeClient) -> [String] { client.takeAll().filter(\.isEvent).map(\.text) }

  private func stale(_ key: String, _ silence: String) -> String { #"{"event":"stale_key","key":"\#(key)","silence":\#(silence)}"# }

  private func fresh(_ key: String, _ silence: String) -> String { #"{"event":"fresh_key","key":"\#(key)","silence":\#(silence)}"# }

  private func seconds(_ time: Int64) -> String {
    let micros = String(time % second / 1000)
    return "\(time / second)." + String(repeating: "0", count: 6 - micros.count) + micros
  }

  @Test func keysAreStaleAndFresh() throws {
    let client = try keyed()
    client.offer(#"{"k":"a"}"#)
    client.offer("no key")
    client.now = 4 * second
    client.offer(#"{"k":"b"}"#)
    // One deadline for all, of the one that is silent longest.
    #expect(client.deadlines == [.keys: 10 * second] && client.done.count == 1 && client.inbound.keyCount == 2)
    client.advance(to: 10 * second - 1)
    #expect(events(client) == [])
    client.advance(to: 10 * second)
    #expect(events(client) == [stale("a", "10.000000")] && client.wakes >= 1)
    #expect(client.deadlines == [.keys: 14 * second] && client.log == ["INFO stale_key a"])
    client.advance(to: 15 * second)
    #expect(events(client) == [stale("b", "10.000000")] && client.deadlines.isEmpty)
    client.offer(#"{"k":"a"}"#)
    client.offer(#"{"k":"a"}"#)
    #expect(client.takeTexts() == [fresh("a", "15.000000"), #"{"k":"a"}"#, #"{"k":"a"}"#])
    #expect(client.deadlines == [.keys: 25 * second] && client.inbound.counts.staleKeys == 2)
  }

  @Test func keysWithoutATimeout() throws {
    let client = try FakeClient { rules in
      rules.policy = .conflate
      rules.keyPath = [try jsonPath("k")]
    }
    client.offer(#"{"k":"a"}"#)
    client.doing { $0.restartKeys() }
    client.doing { $0.keysAreDue(readUpTo: 0, isConnected: true, isPaused: false) }
    #expect(client.inbound.keyCount == 1 && client.done.isEmpty)
    let plain = FakeClient()
    plain.doing { $0.restartKeys() }
    #expect(plain.done.isEmpty)
  }

  @Test func aConnectionGivesKeysTheirTimeAgain() throws {
    let client = try keyed()
    client.doing { $0.restartKeys() }
    // There are none.
    #expect(client.deadlines.isEmpty)
    client.offer(#"{"k":"a"}"#)
    client.now = 8 * second
    client.doing { $0.restartKeys() }
    client.advance(to: 18 * second - 1)
    #expect(client.inbound.counts.staleKeys == 0)
    client.advance(to: 18 * second)
    #expect(events(client) == [stale("a", "10.000000")])
  }

  @Test func withoutAConnectionNoKeyIsStale() throws {
    let client = try keyed()
    client.offer(#"{"k":"a"}"#)
    client.isConnected = false
    client.advance(to: 60 * second)
    #expect(events(client) == [] && client.deadlines.isEmpty)
    client.isConnected = true
    client.doing { $0.restartKeys() }
    #expect(client.deadlines == [.keys: 70 * second])
    client.advance(to: 70 * second)
    #expect(events(client) == [stale("a", "10.000000")] && client.inbound.counts.staleKeys == 1)
  }

  @Test func nobodyCouldReadKeys() throws {
    let client = try keyed()
    client.offer(#"{"k":"a"}"#)
    client.isPaused = true
    client.advance(to: 15 * second)
    #expect(events(client) == [] && client.deadlines == [.keys: 20 * second])
    client.isPaused = false
    client.advance(to: 20 * second)
    #expect(events(client) == [stale("a", "10.000000")])
  }

  @Test func keysWaitForWhatWasNotRead() throws {
    let client = try keyed()
    client.offer(#"{"k":"a"}"#)
    client.readUpTo = 9 * second
    client.advance(to: 10 * second)
    #expect(client.deadlines == [.keys: 10 * second + InboundKeysTests.pause] && events(client) == [])
    client.readUpTo = 10 * second
    client.advance(to: 12 * second)
    // Found late, by as much as reading was behind.
    #expect(events(client) == [stale("a", "10.001000")])
  }

  /// They may come with every message, and must not take the room of what tells of losses.
  @Test func eventsOfKeysGiveWay() throws {
    let client = try keyed { $0.limit = 100 }
    client.offer(message(1))
    client.advance(to: 10 * second)
    #expect(client.inbound.counts.staleKeys == 1 && client.inbound.counts.eventsDropped == 1)
    #expect(client.takeTexts() == [message(1)])
    client.doing { $0.tellNews() }
    #expect(client.takeTexts() == [#"{"event":"events_dropped","events":1}"#])
  }

  @Test(arguments: 1...5)
  func agreesWithALookAtAll(seed: Int) throws {
    var random = SeededRandom(UInt64(seed))
    let client = try keyed()
    let timeout = 10 * second
    var since: [String: Int64] = [:]
    var silent: [String: Int64] = [:]
    var staleKeys: UInt64 = 0
    for step in 0..<4000 {
      let now = client.now + Int64(random.below(1500)) * millisecond
      // All that fall silent on the way, each at its time.
      let due = since.filter { $0.value + timeout <= now }
      client.advance(to: now)
      for (key, time) in due {
        since[key] = nil
        silent[key] = time
      }
      staleKeys += UInt64(due.count)
      try #require(client.inbound.counts.staleKeys == staleKeys, "seed \(seed), step \(step)")
      if random.isOne(in: 200) {
        client.doing { $0.restartKeys() }
        for key in since.keys { since[key] = now }
      }
      let key = "\(random.below(random.isOne(in: 3) ? 30 : 5))"
      client.offer(#"{"k":"\#(key)"}"#)
      let back = silent.removeValue(forKey: key).map { [fresh(key, seconds(now - $0))] } ?? []
      since[key] = now
      let expected = due.keys.map { stale($0, "10.000000") } + back
      try #require(events(client).sorted() == expected.sorted(), "seed \(seed), step \(step)")
      #expect((client.deadlines[.keys] ?? .max) <= (since.values.min() ?? .max) + timeout, "seed \(seed), step \(step)")
    }
    #expect(staleKeys > 100, "seed \(seed)")
  }
}
